import { signal } from '@preact/signals';
import { deviceOf, feedItems, feedLoaded, isOpen, itemsOf, nowMs, overview, type FeedItem } from '../fleet-state.js';
import { ago, near, duration, sentence } from '../format.js';
import { deviceHref } from '../route.js';

const onlyOpen = signal(false);

/** What happened, the newest first: of the fleet, or of one device. */
export function Feed({ device, selected }: { device: string | null; selected: string | null }) {
  const all = device === null ? feedItems.value : itemsOf(device);
  const items = onlyOpen.value ? all.filter(isOpen) : all;
  return (
    <aside class="feed" aria-label={device === null ? 'Events of the fleet' : `Events of ${device}`}>
      <div class="feed-head">
        <h2>Events</h2>
        <div class="segments" role="group" aria-label="Which events">
          <button type="button" aria-pressed={!onlyOpen.value} onClick={() => (onlyOpen.value = false)}>All</button>
          <button type="button" aria-pressed={onlyOpen.value} onClick={() => (onlyOpen.value = true)}>Open</button>
        </div>
      </div>
      {items.length === 0 ? <NoEvents device={device} /> : <ol>{items.map((item) => <Item key={item.id} item={item} here={device !== null} selected={item.id === selected} />)}</ol>}
    </aside>
  );
}

function Item({ item, here, selected }: { item: FeedItem; here: boolean; selected: boolean }) {
  const open = isOpen(item);
  const device = deviceOf(item);
  const anomaly = item.kind === 'anomaly' ? item.event : null;
  const metric = item.kind === 'anomaly' ? item.event.metric : item.verdict.metric;
  const level = anomaly ? anomaly.severity : 'verdict';
  const kind = item.kind === 'anomaly' ? item.event.kind : item.verdict.kind;
  const end = item.kind === 'anomaly' ? item.event.resolved_at : item.verdict.until;
  return (
    <li class={`item ${level} ${open ? 'open' : 'over'}`}>
      <a href={deviceHref(device, anomaly?.id)} aria-current={selected ? 'true' : undefined}>
        <span class="line">
          <span class="badge">{anomaly ? anomaly.severity : 'health'}</span>
          <span class="kind">{sentence(kind)}</span>
          <time dateTime={new Date(item.atMs).toISOString()} title={near(item.atMs, nowMs.value)}>{ago(item.atMs, nowMs.value)}</time>
        </span>
        <span class="what">{!here && <b>{device}</b>}{metric !== null && <span>{metric === '*' ? 'all metrics together' : metric}</span>}</span>
        <span class="reason">{item.kind === 'anomaly' ? item.event.reason : item.verdict.reason}</span>
        <span class="state">{open ? 'Open' : end ? `Over after ${duration(Date.parse(end) - item.atMs)}` : 'Over'}{anomaly?.feedback ? ` · ${FEEDBACK[anomaly.feedback.verdict]}` : ''}</span>
      </a>
    </li>
  );
}

const FEEDBACK = { accept: 'accepted as normal', false_alarm: 'marked a false alarm', confirm: 'confirmed' };

function NoEvents({ device }: { device: string | null }) {
  if (!feedLoaded.value) return <p class="empty">Loading events…</p>;
  const warming = overview.value?.warming_up.devices ?? 0;
  return (
    <p class="empty">
      {onlyOpen.value ? 'Nothing is open.' : device !== null ? 'Nothing unusual on this device so far.' : 'Nothing unusual so far.'}
      {device === null && warming > 0 && ' Devices that are warming up are judged once they are ready.'}
    </p>
  );
}

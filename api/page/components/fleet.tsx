import { computed, signal } from '@preact/signals';
import { memo } from 'preact/compat';
import { useEffect, useState } from 'preact/hooks';
import { ConnectSnippets } from './connect.js';
import { Readouts } from './readouts.js';
import { deviceCount, devices, devicesCut, nowMs, searchDevices, severityRank, statusFilter, worstOpen, type StatusFilter } from '../fleet-state.js';
import { ago, count, near, sentence } from '../format.js';
import { deviceHref } from '../route.js';
import type { AnomalyEvent, Device } from '../types.js';

const FILTERS: StatusFilter[] = ['all', 'anomalous', 'unhealthy', 'warming_up', 'ok'];
const RANK: Record<Device['status'], number> = { anomalous: 0, unhealthy: 1, warming_up: 2, ok: 3 };

const search = signal('');
const groupBy = signal('');

const tagNames = computed(() => [...new Set((devices.value ?? []).flatMap((device) => Object.keys(device.tags)))].sort().slice(0, 20));

export function FleetPage() {
  const all = devices.value;
  return (
    <>
      <h1 class="hidden">Fleet</h1>
      <Readouts />
      {all === null ? <p class="empty">Loading the fleet…</p> : all.length === 0 && deviceCount.value === 0 ? <FirstSteps /> : <Devices all={all} />}
    </>
  );
}

function Devices({ all }: { all: Device[] }) {
  const elsewhere = useSearch(devicesCut.value ? search.value : '');
  const needle = search.value.trim().toLowerCase();
  const known = elsewhere ?? all;
  const found = known.filter((device) => (needle === '' || matches(device, needle)) && (statusFilter.value === 'all' || device.status === statusFilter.value));
  const worst = worstOpen.value;
  found.sort((a, b) => RANK[a.status] - RANK[b.status] || severityRank(worst.get(a.id)) - severityRank(worst.get(b.id)) || a.id.localeCompare(b.id, undefined, { numeric: true }));
  const tally = (filter: StatusFilter): number => (filter === 'all' ? all.length : all.filter((device) => device.status === filter).length);
  return (
    <section aria-label="Devices">
      <div class="toolbar">
        <input type="search" placeholder="Search devices and tags" aria-label="Search devices and tags" value={search.value} onInput={(e) => (search.value = e.currentTarget.value)} />
        <div class="segments" role="group" aria-label="Status">
          {FILTERS.map((filter) => (
            <button key={filter} type="button" aria-pressed={statusFilter.value === filter} onClick={() => (statusFilter.value = filter)}>
              {filter !== 'all' && <i class={`dot ${filter}`} aria-hidden="true" />}{sentence(filter)} <span class="num">{count(tally(filter))}{devicesCut.value && filter === 'all' ? '+' : ''}</span>
            </button>
          ))}
        </div>
        {tagNames.value.length > 0 && (
          <label class="group-by">Group by{' '}
            <select value={groupBy.value} onChange={(e) => (groupBy.value = e.currentTarget.value)}>
              <option value="">nothing</option>
              {tagNames.value.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
        )}
      </div>
      {devicesCut.value && needle === '' && <p class="note">Showing the first {count(all.length)} of {count(deviceCount.value ?? all.length)} devices, and all that are in trouble. Search finds the others.</p>}
      {found.length === 0 ? <NothingFound /> : groupsOf(found).map(([name, members]) => (
        <div key={name}>
          {groupBy.value !== '' && <h2 class="group">{name} <span class="num">{members.length}</span></h2>}
          <ul class="tiles">{members.map((device) => <Tile key={device.id} device={device} worst={worst.get(device.id)} />)}</ul>
        </div>
      ))}
    </section>
  );
}

const Tile = memo(function Tile({ device, worst }: { device: Device; worst: AnomalyEvent | undefined }) {
  const seen = Date.parse(device.last_seen_at);
  const { ready, readings_left, ready_at } = device.warm_up;
  const note = device.status === 'anomalous' ? (worst ? `${worst.kind}, ${worst.metric === '*' ? 'all metrics' : worst.metric}` : `${device.open_anomalies} open`)
    : device.status === 'unhealthy' ? `seen ${ago(seen, nowMs.value)}`
      : !ready ? (ready_at ? `ready ${near(Date.parse(ready_at), nowMs.value)}` : `${readings_left} readings left`)
        : device.metrics.filter((metric) => metric !== '*').join(', ');
  return (
    <li>
      <a class={`tile ${device.status} ${device.status === 'anomalous' ? worst?.severity ?? 'warning' : ''}`} href={deviceHref(device.id)} title={`${device.id}: ${sentence(device.status)}`}>
        <span class="name">{device.id}</span>
        <span class="note">{note}</span>
        <span class="hidden">, {sentence(device.status)}</span>
        <i class="level" aria-hidden="true" style={{ width: `${Math.min(1, device.anomaly_score) * 100}%` }} />
      </a>
    </li>
  );
});

function NothingFound() {
  return (
    <p class="empty">
      No device fits.{' '}
      <button type="button" class="plain" onClick={() => { search.value = ''; statusFilter.value = 'all'; }}>Show all</button>
    </p>
  );
}

function FirstSteps() {
  return (
    <section class="first">
      <h2>Waiting for the first reading</h2>
      <p>Send one message and its device appears here, a chart a metric. gruard learns each series by itself: there is nothing to declare and nothing to train.</p>
      <ConnectSnippets />
    </section>
  );
}

const matches = (device: Device, needle: string): boolean =>
  device.id.toLowerCase().includes(needle) || Object.entries(device.tags).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(needle));

function groupsOf(found: Device[]): [string, Device[]][] {
  if (groupBy.value === '') return [['', found]];
  const groups = new Map<string, Device[]>();
  for (const device of found) {
    const name = Object.hasOwn(device.tags, groupBy.value) ? device.tags[groupBy.value] : `without ${groupBy.value}`;
    groups.set(name, [...(groups.get(name) ?? []), device]);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}

/** Where the list is not the whole fleet, the server searches. */
function useSearch(text: string): Device[] | null {
  const [found, setFound] = useState<Device[] | null>(null);
  useEffect(() => {
    setFound(null);
    if (text.trim() === '') return;
    const abort = new AbortController();
    const timer = setTimeout(() => void searchDevices(text.trim(), abort.signal).then(setFound, () => {}), 200);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return found;
}

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { EventCard } from './event-card.js';
import { useLiveRows } from './live-rows.js';
import { SeriesPanel } from './series-panel.js';
import { ApiError, call, devicePath, tokenNeeded } from '../client.js';
import { ChartGroup, type Range } from '../chart.js';
import { feed, loadHistory, nowMs, upsertEvent } from '../fleet-state.js';
import { ago, near, sentence } from '../format.js';
import { deviceHref, fleetHref } from '../route.js';
import type { AnomalyEvent, DeviceDetail } from '../types.js';

const MINUTE = 60_000;
const RANGES: [string, number][] = [['1 h', 60], ['6 h', 360], ['24 h', 1440], ['3 d', 4320], ['7 d', 10_080]].map(([label, minutes]) => [label as string, (minutes as number) * MINUTE]);
const DEFAULT_MS = 360 * MINUTE;
const REFRESH_MS = 5000;
/** Panels that are open from the start. */
const OPEN_PANELS = 4;

export function DevicePage({ name, eventId }: { name: string; eventId: string | null }) {
  const { device, missing } = useDevice(name);
  const event = useEvent(eventId);
  const [spanMs, setSpanMs] = useState(DEFAULT_MS);
  const [zoom, setZoom] = useState<Range | null>(null);
  const group = useMemo(() => new ChartGroup(setZoom), []);
  const live = useLiveRows(name);
  const newestMs = Math.max(live.newestMs, device ? Date.parse(device.last_seen_at) : 0);
  const range = zoom ?? { minMs: newestMs - spanMs, maxMs: newestMs };

  useEffect(() => {
    if (newestMs > 0) group.show(range);
  }, [group, range.minMs, range.maxMs]);
  const loaded = device !== null;
  useEffect(() => {
    if (event && device) setZoom(around(event, device.series.find((series) => series.id === event.metric)?.period_ms ?? 0));
  }, [event?.id, loaded]);
  useEffect(() => void loadHistory(name), [name]);
  const close = (): void => { location.hash = deviceHref(name); };
  useEscape(eventId !== null ? close : zoom ? () => setZoom(null) : null);

  if (missing) return <Missing name={name} />;
  if (!device) return <p class="empty">Loading {name}…</p>;
  const metrics = orderOf(device, event);
  return (
    <>
      <nav class="crumbs" aria-label="Path"><a href={fleetHref}>← Fleet</a></nav>
      <Title device={device} seenMs={newestMs} />
      {event && event.device === name && <EventCard event={event} onClose={close} />}
      <div class="toolbar range">
        <div class="segments" role="group" aria-label="Time range">
          {RANGES.map(([label, ms]) => <button key={label} type="button" aria-pressed={!zoom && spanMs === ms} onClick={() => { setZoom(null); setSpanMs(ms); }}>{label}</button>)}
        </div>
        {zoom ? <button type="button" onClick={() => setZoom(null)}>Back to live</button> : <span class="quiet following"><i aria-hidden="true" />Following</span>}
        <span class="quiet num">{near(range.minMs, nowMs.value)} – {zoom ? near(range.maxMs, nowMs.value) : 'now'}</span>
        <span class="quiet legend" aria-hidden="true"><i class="k-actual" />actual<i class="k-band" />expected<i class="k-hot" />anomalous</span>
      </div>
      {newestMs > 0 && metrics.map((metric, i) => (
        <SeriesPanel key={metric} device={name} metric={metric} series={device.series.find((s) => s.id === metric) ?? null} range={range} group={group} live={live.rows}
          openFirst={i < OPEN_PANELS} selected={eventId} onZoom={setZoom} />
      ))}
    </>
  );
}

function Title({ device, seenMs }: { device: DeviceDetail; seenMs: number }) {
  const { ready, ready_at, readings_left } = device.warm_up;
  return (
    <div class="title">
      <h1><i class={`dot ${device.status}`} aria-hidden="true" />{device.id}</h1>
      <p>
        <span class={`status ${device.status}`}>{sentence(device.status)}</span>
        <span>seen {ago(seenMs, nowMs.value)}</span>
        {!ready && <span>warming up: {ready_at ? `ready ${near(Date.parse(ready_at), nowMs.value)}` : `${readings_left} readings to go`}</span>}
        {Object.entries(device.tags).map(([key, value]) => <span key={key} class="tag">{key}={value}</span>)}
      </p>
      {device.verdicts.map((verdict) => <p key={verdict.id} class="verdict"><b>{sentence(verdict.kind)}</b> since {near(Date.parse(verdict.since), nowMs.value)}: {verdict.reason}</p>)}
    </div>
  );
}

function Missing({ name }: { name: string }) {
  return (
    <div class="first">
      <h1>No device “{name}”</h1>
      <p>It has sent nothing yet, or it was retired. A device appears with its first reading.</p>
      <p><a href={fleetHref}>To the fleet</a></p>
    </div>
  );
}

/** The metrics of the event first, then the device as a whole, then as they were declared. */
function orderOf(device: DeviceDetail, event: AnomalyEvent | null): string[] {
  const involved = event ? [event.metric, ...event.metrics.map((m) => m.metric)] : [];
  const open = device.events.map((e) => e.metric);
  const rank = (metric: string): number => (involved.includes(metric) ? involved.indexOf(metric) : open.includes(metric) ? 100 : metric === '*' ? 300 : 200);
  const whole = device.metrics.length > 1 && !device.metrics.includes('*') ? ['*'] : [];
  return [...device.metrics, ...whole].map((metric, i) => ({ metric, i })).sort((a, b) => rank(a.metric) - rank(b.metric) || a.i - b.i).map(({ metric }) => metric);
}

/** With half its length to either side, at least an hour and some tens of readings, but not into the future. */
function around(event: AnomalyEvent, periodMs: number): Range {
  const from = Date.parse(event.opened_at);
  const to = event.resolved_at ? Date.parse(event.resolved_at) : Math.max(nowMs.value, from);
  const pad = Math.max(60 * MINUTE, 40 * periodMs, (to - from) / 2);
  return { minMs: from - pad, maxMs: Math.min(to + pad, Math.max(nowMs.value, to) + 5 * MINUTE) };
}

function useDevice(name: string): { device: DeviceDetail | null; missing: boolean } {
  const [device, setDevice] = useState<DeviceDetail | null>(null);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    const load = (): void => {
      if (document.hidden || tokenNeeded.value) return;
      call<DeviceDetail>(devicePath(name)).then((found) => {
        setDevice(found);
        setMissing(false);
      }, (error: unknown) => {
        if (error instanceof ApiError && error.problem.status === 404) setMissing(true);
      });
    };
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => clearInterval(timer);
  }, [name]);
  return { device, missing };
}

/** From the feed where it is there (and then live), else from the server. */
function useEvent(id: string | null): AnomalyEvent | null {
  const held = id === null ? undefined : feed.value.get(id);
  useEffect(() => {
    if (id !== null && !held) call<AnomalyEvent>(`v1/anomalies/${encodeURIComponent(id)}`).then(upsertEvent, () => {});
  }, [id]);
  return held?.kind === 'anomaly' ? held.event : null;
}

function useEscape(action: (() => void) | null): void {
  const latest = useRef(action);
  latest.current = action;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) latest.current?.();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

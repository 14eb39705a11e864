import { computed, signal } from '@preact/signals';
import { call, tokenNeeded } from './client.js';
import { LiveStream } from './stream.js';
import type { AnomalyEvent, Device, HealthVerdict, List, Overview } from './types.js';

/** What the page knows of the fleet, kept current by one stream. */

const FEED_LENGTH = 150;
const DEVICES_MS = 10_000;
const RATES = 60;

export type FeedItem = { kind: 'anomaly'; id: string; atMs: number; event: AnomalyEvent } | { kind: 'verdict'; id: string; atMs: number; verdict: HealthVerdict };

export const overview = signal<Overview | null>(null);
/** Readings per second, the newest last. */
export const rates = signal<number[]>([]);
export const devices = signal<Device[] | null>(null);
export type StatusFilter = Device['status'] | 'all';
export const statusFilter = signal<StatusFilter>('all');
/** True where the fleet has more devices than the list holds. */
export const devicesCut = signal(false);
export const feed = signal<Map<string, FeedItem>>(new Map());
export const feedLoaded = signal(false);
/** On a narrow screen, which of the two is shown. */
export const narrowView = signal<'main' | 'feed'>('main');
/** For screen readers: what opened last. */
export const announcement = signal('');
/** Apart from the overview, which changes every second: a thousand tiles are drawn only when something about them does. */
export const deviceCount = computed(() => overview.value?.devices ?? null);
export const nowMs = computed(() => (overview.value ? Date.parse(overview.value.now) : Date.now()));

export const feedItems = computed(() => [...feed.value.values()].sort(newestFirst).slice(0, FEED_LENGTH));
export const openItems = computed(() => feedItems.value.filter(isOpen));

const newestFirst = (a: FeedItem, b: FeedItem): number => b.atMs - a.atMs || (a.id < b.id ? 1 : -1);

export function isOpen(item: FeedItem): boolean {
  return item.kind === 'anomaly' ? item.event.state === 'open' : item.verdict.until === null;
}

export const deviceOf = (item: FeedItem): string => (item.kind === 'anomaly' ? item.event.device : item.verdict.device);

const SEVERITY_RANK = { critical: 0, warning: 1, info: 2 } as const;
/** The worst open event of each device that has one. */
export const worstOpen = computed(() => {
  const worst = new Map<string, AnomalyEvent>();
  for (const item of feed.value.values()) {
    if (item.kind !== 'anomaly' || item.event.state !== 'open') continue;
    const held = worst.get(item.event.device);
    if (!held || SEVERITY_RANK[item.event.severity] < SEVERITY_RANK[held.severity]) worst.set(item.event.device, item.event);
  }
  return worst;
});
export const severityRank = (event: AnomalyEvent | undefined): number => (event ? SEVERITY_RANK[event.severity] : 3);

/** Events of the device in view, further back than the feed reaches. */
export const deviceHistory = signal<{ device: string; events: AnomalyEvent[] } | null>(null);

export async function loadHistory(device: string): Promise<void> {
  try {
    const { items } = await call<List<AnomalyEvent>>(`v1/anomalies?limit=500&device=${encodeURIComponent(device)}`);
    deviceHistory.value = { device, events: items };
  } catch {
    // The feed shows what it has.
  }
}

/** What is known of a device, the newest first: its history, brought up to date by the feed. */
export function itemsOf(device: string): FeedItem[] {
  const items = new Map<string, FeedItem>();
  if (deviceHistory.value?.device === device) for (const event of deviceHistory.value.events) items.set(event.id, itemOfEvent(event));
  for (const item of feed.value.values()) if (deviceOf(item) === device) items.set(item.id, item);
  return [...items.values()].sort(newestFirst);
}

const itemOfEvent = (event: AnomalyEvent): FeedItem => ({ kind: 'anomaly', id: event.id, atMs: Date.parse(event.opened_at), event });
const itemOfVerdict = (verdict: HealthVerdict): FeedItem => ({ kind: 'verdict', id: `verdict ${verdict.id}`, atMs: Date.parse(verdict.since), verdict });

/** Events come whole, so the newer one of the same id replaces the older; the feed stays bounded, and what is open goes last. */
export function upsert(items: FeedItem[]): void {
  const next = new Map(feed.value);
  for (const item of items) {
    const held = next.get(item.id);
    if (held?.kind === 'anomaly' && item.kind === 'anomaly' && Date.parse(held.event.updated_at) > Date.parse(item.event.updated_at)) continue;
    next.set(item.id, item);
  }
  if (next.size > FEED_LENGTH * 2) {
    const oldest = [...next.values()].sort((a, b) => Number(isOpen(a)) - Number(isOpen(b)) || a.atMs - b.atMs);
    for (const { id } of oldest.slice(0, next.size - FEED_LENGTH)) next.delete(id);
  }
  feed.value = next;
}

export const upsertEvent = (event: AnomalyEvent): void => upsert([itemOfEvent(event)]);

let started = false;
export const stream = signal<LiveStream | null>(null);

export function start(): void {
  if (started) return;
  started = true;
  stream.value = new LiveStream('v1/stream', onMessage);
  tokenNeeded.subscribe((needed) => {
    if (!needed) void load();
  });
  setInterval(() => {
    if (!document.hidden && !tokenNeeded.value) void loadDevices();
  }, DEVICES_MS);
}

function onMessage(type: string, data: unknown): void {
  if (type === 'overview') {
    const next = data as Overview;
    const grown = overview.value !== null && overview.value.devices !== next.devices;
    overview.value = next;
    rates.value = [...rates.value, next.readings_per_second].slice(-RATES);
    if (grown) refreshSoon();
  } else if (type === 'anomaly') {
    const { change, event } = data as { change: string; event: AnomalyEvent };
    upsertEvent(event);
    if (change === 'opened') announcement.value = `${event.severity} anomaly on ${event.device}, ${event.metric}: ${event.reason}`;
    if (change !== 'updated') refreshSoon();
  } else if (type === 'verdict') {
    upsert([itemOfVerdict((data as { verdict: HealthVerdict }).verdict)]);
    refreshSoon();
  }
}

async function load(): Promise<void> {
  await Promise.allSettled([
    call<Overview>('v1/overview').then((found) => (overview.value = found)),
    Promise.all([
      call<List<AnomalyEvent>>('v1/anomalies?limit=100'),
      call<List<AnomalyEvent>>('v1/anomalies?limit=100&state=open'),
      call<List<HealthVerdict>>('v1/verdicts?limit=100'),
    ]).then(([recent, open, verdicts]) => {
      upsert([...recent.items.map(itemOfEvent), ...open.items.map(itemOfEvent), ...verdicts.items.map(itemOfVerdict)]);
      feedLoaded.value = true;
    }),
    loadDevices(),
  ]);
}

/** The first thousand, and whatever else is in trouble: in a larger fleet the rest is found by search. */
async function loadDevices(): Promise<void> {
  try {
    const { items, next_cursor } = await call<List<Device>>('v1/devices?limit=1000');
    if (next_cursor !== null) {
      const trouble = await Promise.all(['anomalous', 'unhealthy'].map((status) => call<List<Device>>(`v1/devices?limit=1000&status=${status}`)));
      const known = new Set(items.map((device) => device.id));
      for (const list of trouble) items.push(...list.items.filter((device) => !known.has(device.id)));
    }
    devices.value = items;
    devicesCut.value = next_cursor !== null;
  } catch {
    // The connection's state is shown by the stream; the list stays as it was.
  }
}

export async function searchDevices(search: string, abort: AbortSignal): Promise<Device[]> {
  return (await call<List<Device>>(`v1/devices?limit=200&search=${encodeURIComponent(search)}`, { signal: abort })).items;
}

let soon = 0;
function refreshSoon(): void {
  clearTimeout(soon);
  soon = window.setTimeout(() => void loadDevices(), 400);
}

import { Readable } from 'node:stream';
import type { AnomalyEvent, AnomalyKind, HealthVerdict, Severity } from '../../core/event.js';
import { GruardError } from '../../core/errors.js';
import { seededRandom } from '../../core/random.js';
import type { EventQuery, Page, ResultReader, SeriesPoint, SeriesQuery } from '../../core/results.js';
import type { DeadLetter, DeviceDetail, DeviceQuery, DeviceStatus, DeviceSummary, ExportFile, ExportQuery, GruardService, HealthReport, LiveMessage, LiveReading, Overview, SubmitResult } from '../../core/service.js';

/** A gruard without a detector, for tests of the API and for looking at the page: a made-up fleet whose every value is a function of time. */

const MINUTE = 60_000;
const DAY = 86_400_000;
const REMEMBERED = 100;

interface Shape {
  kind: string;
  metrics: { metric: string; base: number; daily: number; noise: number }[];
}

const SHAPES: Shape[] = [
  { kind: 'cold_store', metrics: [{ metric: 'temperature', base: -18, daily: 1.2, noise: 0.25 }, { metric: 'door_open', base: 0.1, daily: 0.1, noise: 0.02 }, { metric: 'power_kw', base: 4.2, daily: 0.8, noise: 0.2 }] },
  { kind: 'pump', metrics: [{ metric: 'pressure_bar', base: 6.1, daily: 0.5, noise: 0.08 }, { metric: 'flow', base: 42, daily: 9, noise: 1.1 }, { metric: 'vibration', base: 2.1, daily: 0.2, noise: 0.15 }] },
  { kind: 'hvac', metrics: [{ metric: 'supply_temp', base: 17, daily: 4, noise: 0.3 }, { metric: 'humidity', base: 46, daily: 7, noise: 1.2 }] },
  { kind: 'meter', metrics: [{ metric: 'load_kw', base: 120, daily: 70, noise: 6 }] },
];

export interface FakeFault {
  device: string;
  metric: string;
  startMs: number;
  endMs: number;
  kind: AnomalyKind;
  /** In half-widths of the expected band. */
  size: number;
}

interface FakeSeries {
  metric: string;
  base: number;
  daily: number;
  noise: number;
  seed: number;
  /** Readings that were submitted, in place of made-up ones. */
  own: SeriesPoint[] | null;
}

interface FakeDevice {
  name: string;
  tags: Record<string, string>;
  series: FakeSeries[];
  firstSeenMs: number;
  warming: boolean;
}

/** In [-1, 1], the same for the same arguments. */
function wobble(seed: number, step: number): number {
  const x = Math.sin(seed * 127.1 + step * 311.7) * 43758.5453;
  return (x - Math.floor(x)) * 2 - 1;
}

export class FakeService implements GruardService {
  nowMs: number;
  failing = false;
  submitted: { bytes: Uint8Array; format: string }[] = [];
  readonly devicesByName = new Map<string, FakeDevice>();
  readonly events = new Map<string, AnomalyEvent>();
  readonly verdicts = new Map<string, HealthVerdict>();
  readonly #faults: FakeFault[] = [];
  readonly #listeners = new Set<{ listener: (message: LiveMessage) => void; device?: string }>();
  readonly #remembered: LiveMessage[] = [];
  #lastId = 0;
  #total = 1_284_000;

  constructor(nowMs: number, devices = 0) {
    this.nowMs = nowMs;
    const random = seededRandom(7);
    for (let i = 0; i < devices; i++) {
      const shape = SHAPES[i % SHAPES.length];
      const name = `${shape.kind}-${String(Math.floor(i / SHAPES.length) + 1).padStart(3, '0')}`;
      this.devicesByName.set(name, {
        name, tags: { kind: shape.kind, site: ['north', 'south', 'harbour'][i % 3] }, firstSeenMs: nowMs - 3 * DAY, warming: i > devices - 4,
        series: shape.metrics.map((m) => ({ ...m, base: m.base * (1 + 0.04 * (random() - 0.5)), seed: random() * 1000, own: null })),
      });
    }
  }

  readonly live = {
    subscribe: (listener: (message: LiveMessage) => void, device?: string): (() => void) => {
      const entry = { listener, device };
      this.#listeners.add(entry);
      return () => this.#listeners.delete(entry);
    },
    since: (id: string): LiveMessage[] | undefined => {
      const after = Number(id);
      const oldest = this.#remembered.length > 0 ? Number(this.#remembered[0].id) : this.#lastId + 1;
      return Number.isInteger(after) && after >= oldest - 1 && after <= this.#lastId ? this.#remembered.filter((m) => Number(m.id) > after) : undefined;
    },
  };

  get listeners(): number {
    return this.#listeners.size;
  }

  async exportReadings({ format }: ExportQuery): Promise<ExportFile> {
    return { stream: Readable.from([`timestamp,device\n2026-01-31T12:00:00.000Z,${format}\n`]), rows: 1 };
  }

  readonly results: ResultReader = {
    querySeries: async (query) => this.#series(query),
    queryEvents: async (query) => this.#eventPage(query),
    getEvent: async (id) => this.events.get(id),
    queryVerdicts: async (query) => pageOf([...this.verdicts.values()].filter((v) => (query.open === undefined || (v.untilMs === null) === query.open) && (!query.device || v.device === query.device)), query.limit, query.cursor),
  };

  /** Lets a fault begin: shows in the values from its start, and as an event at once. */
  addFault(fault: FakeFault, severity: Severity = 'warning'): AnomalyEvent {
    this.#faults.push(fault);
    const series = this.devicesByName.get(fault.device)!.series.find((s) => s.metric === fault.metric)!;
    const peakMs = Math.min(this.nowMs, fault.endMs, fault.startMs + 95 * MINUTE);
    const at = this.#pointAt(fault.device, series, Math.floor(peakMs / MINUTE) * MINUTE);
    const event: AnomalyEvent = {
      id: `${fault.device}:${fault.metric}:${fault.startMs}`, device: fault.device, metric: fault.metric, kind: fault.kind,
      state: fault.endMs <= this.nowMs ? 'resolved' : 'open', severity, openedMs: fault.startMs, updatedMs: Math.min(this.nowMs, fault.endMs),
      resolvedMs: fault.endMs <= this.nowMs ? fault.endMs : null, readings: 14, peakScore: Math.abs(fault.size), peakMs,
      actual: at.actual, yhat: at.yhat, yhatLower: at.yhatLower, yhatUpper: at.yhatUpper,
      reason: `expected ${at.yhatLower!.toFixed(1)} to ${at.yhatUpper!.toFixed(1)}, got ${at.actual!.toFixed(1)}; the ${fault.size > 0 ? 'highest' : 'lowest'} value in 9 days`,
      metrics: [{ metric: fault.metric, contribution: 0.83 }, ...this.devicesByName.get(fault.device)!.series.filter((s) => s.metric !== fault.metric).slice(0, 1).map((s) => ({ metric: s.metric, contribution: 0.17 }))],
      incident: null, feedback: null,
    };
    this.events.set(event.id, event);
    this.publish({ type: 'anomaly', id: '', change: 'opened', event });
    return event;
  }

  resolve(id: string): void {
    const event = this.events.get(id)!;
    Object.assign(event, { state: 'resolved', resolvedMs: this.nowMs, updatedMs: this.nowMs });
    for (const fault of this.#faults) if (fault.device === event.device && fault.startMs === event.openedMs) fault.endMs = this.nowMs;
    this.publish({ type: 'anomaly', id: '', change: 'resolved', event });
  }

  addVerdict(verdict: HealthVerdict): void {
    this.verdicts.set(verdict.id, verdict);
    this.publish({ type: 'verdict', id: '', verdict });
  }

  /** Moves time on by whole minutes and sends the readings to those who watch a device. */
  advance(minutes: number): void {
    this.nowMs += minutes * MINUTE;
    this.#total += this.devicesByName.size * 2 * minutes;
    for (const { device, listener } of this.#listeners) {
      const watched = device === undefined ? undefined : this.devicesByName.get(device);
      if (!watched) continue;
      const rows: LiveReading[] = [];
      for (let m = minutes - 1; m >= 0; m--) {
        const t = Math.floor(this.nowMs / MINUTE) * MINUTE - m * MINUTE;
        for (const series of watched.series) if (!series.own) rows.push({ metric: series.metric, ...this.#pointAt(watched.name, series, t) });
      }
      listener({ type: 'readings', id: String(++this.#lastId), device: watched.name, rows });
    }
  }

  publish(message: LiveMessage): void {
    const numbered = { ...message, id: String(++this.#lastId) };
    this.#remembered.push(numbered);
    if (this.#remembered.length > REMEMBERED) this.#remembered.shift();
    const of = numbered.type === 'anomaly' ? numbered.event.device : numbered.type === 'verdict' ? numbered.verdict.device : numbered.device;
    for (const { device, listener } of this.#listeners) if (device === undefined || device === of) listener(numbered);
  }

  async submit(bytes: Uint8Array, format: 'json' | 'line'): Promise<SubmitResult> {
    this.submitted.push({ bytes, format });
    if (format === 'line') return { accepted: 1, refused: 0, reasons: [] };
    let parsed: unknown;
    try {
      parsed = JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch {
      return { accepted: 0, refused: 1, reasons: [{ reason: 'unparseable', count: 1, detail: 'the payload is neither JSON, nor a number, nor line protocol' }] };
    }
    let accepted = 0;
    for (const message of [parsed].flat() as { device: string; timestamp?: number; metrics: Record<string, number>; tags?: Record<string, string> }[]) {
      for (const [metric, value] of Object.entries(message.metrics)) {
        this.#store(message.device, metric, message.timestamp ?? this.nowMs, value, message.tags ?? {});
        accepted++;
      }
    }
    return { accepted, refused: 0, reasons: [] };
  }

  devices(query: DeviceQuery): Page<DeviceSummary> {
    const found = [...this.devicesByName.values()].map((d) => this.#summary(d)).filter((d) =>
      (!query.search || d.name.toLowerCase().includes(query.search.toLowerCase())) && (!query.status || d.status === query.status)
      && Object.entries(query.tags ?? {}).every(([key, value]) => d.tags[key] === value));
    return pageOf(found, query.limit, query.cursor);
  }

  device(name: string): DeviceDetail | undefined {
    const device = this.devicesByName.get(name);
    if (!device) return undefined;
    return {
      ...this.#summary(device),
      series: device.series.map((series) => {
        const last = series.own ? series.own[series.own.length - 1] : this.#pointAt(name, series, Math.floor(this.nowMs / MINUTE) * MINUTE);
        return {
          metric: series.metric, last: { timestampMs: last.timestampMs, actual: last.actual ?? 0, anomalyScore: last.anomalyScore ?? 0 },
          periodMs: series.own ? null : MINUTE, readings: series.own?.length ?? 4320, warmUp: this.#warmUp(device),
        };
      }),
      verdicts: [...this.verdicts.values()].filter((v) => v.device === name && v.untilMs === null),
      events: [...this.events.values()].filter((e) => e.device === name && e.state === 'open'),
    };
  }

  async retire(name: string): Promise<boolean> {
    return this.devicesByName.delete(name);
  }

  async feedback(eventId: string, verdict: 'accept' | 'false_alarm' | 'confirm', by: string): Promise<AnomalyEvent> {
    const event = this.events.get(eventId);
    if (!event) throw new GruardError('NOT_FOUND', `There is no anomaly event ${JSON.stringify(eventId)}.`);
    event.feedback = { verdict, atMs: this.nowMs, by };
    this.publish({ type: 'anomaly', id: '', change: 'updated', event });
    if (verdict !== 'confirm' && event.state === 'open') this.resolve(eventId);
    return event;
  }

  overview(): Overview {
    const open = [...this.events.values()].filter((e) => e.state === 'open');
    const count = (severity: Severity): number => open.filter((e) => e.severity === severity).length;
    const warming = [...this.devicesByName.values()].filter((d) => d.warming).length;
    return {
      nowMs: this.nowMs, devices: this.devicesByName.size, series: [...this.devicesByName.values()].reduce((n, d) => n + d.series.length, 0),
      warmingUp: { devices: warming, readyAtMs: warming > 0 ? this.nowMs + 42 * MINUTE : null },
      readingsPerSecond: this.devicesByName.size * 2.1, readingsTotal: this.#total,
      openAnomalies: { info: count('info'), warning: count('warning'), critical: count('critical') },
      unhealthy: new Set([...this.verdicts.values()].filter((v) => v.untilMs === null).map((v) => v.device)).size,
      brokers: [{ kind: 'mqtt', url: 'mqtt://127.0.0.1:1883' }],
    };
  }

  health(): HealthReport {
    const status = this.failing ? 'failing' : 'ok';
    return {
      status, version: '0.1.0', uptimeMs: 3_600_000, checks: [{ name: 'journal', status, detail: this.failing ? 'the disk is full' : 'durable 2 ms ago' }],
      sources: [{ name: 'broker', state: 'connected', address: '127.0.0.1:1883', detail: null, received: this.#total, waiting: 0 }],
    };
  }

  measures() {
    return [
      { name: 'gruard_readings_total', help: 'Readings taken.', type: 'counter' as const, values: [{ labels: {}, value: this.#total }] },
      { name: 'gruard_source_waiting', help: 'Messages that wait.', type: 'gauge' as const, values: [{ labels: { source: 'a"b\\c\nd' }, value: 3 }] },
    ];
  }

  async deadLetters(limit: number): Promise<DeadLetter[]> {
    return [{ id: '1', atMs: this.nowMs, source: 'broker', origin: 'plant/oven', reason: 'unparseable' as const, detail: 'not JSON', payload: '{oops', payloadBytes: 5 }].slice(0, limit);
  }

  #store(name: string, metric: string, timestampMs: number, value: number, tags: Record<string, string>): void {
    let device = this.devicesByName.get(name);
    if (!device) {
      device = { name, tags, series: [], firstSeenMs: this.nowMs, warming: true };
      this.devicesByName.set(name, device);
    }
    let series = device.series.find((s) => s.metric === metric);
    if (!series) device.series.push(series = { metric, base: 0, daily: 0, noise: 1, seed: 0, own: [] });
    series.own?.push({ timestampMs, actual: value, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: 0, scored: true, inEvent: false, revised: false });
    for (const { device: watched, listener } of this.#listeners) {
      if (watched === name) listener({ type: 'readings', id: String(++this.#lastId), device: name, rows: [{ metric, ...series.own![series.own!.length - 1] }] });
    }
  }

  #warmUp(device: FakeDevice) {
    return device.warming ? { ready: false, readingsLeft: 84, readyAtMs: this.nowMs + 42 * MINUTE } : { ready: true, readingsLeft: 0, readyAtMs: null };
  }

  #summary(device: FakeDevice): DeviceSummary {
    const open = [...this.events.values()].filter((e) => e.device === device.name && e.state === 'open');
    const unhealthy = [...this.verdicts.values()].some((v) => v.device === device.name && v.untilMs === null);
    const status: DeviceStatus = open.length > 0 ? 'anomalous' : unhealthy ? 'unhealthy' : device.warming ? 'warming_up' : 'ok';
    return {
      name: device.name, tags: device.tags, status, metrics: device.series.map((s) => s.metric), firstSeenMs: device.firstSeenMs, lastSeenMs: this.nowMs,
      openAnomalies: open.length, anomalyScore: Math.max(device.series.length > 0 && !device.series[0].own ? 0.5 + 0.35 * wobble(device.series[0].seed, Math.floor(this.nowMs / MINUTE)) : 0, ...open.map((e) => e.peakScore)), warmUp: this.#warmUp(device),
    };
  }

  #pointAt(device: string, series: FakeSeries, t: number): SeriesPoint {
    const phase = (2 * Math.PI * (t % DAY)) / DAY;
    const yhat = series.base + series.daily * Math.sin(phase + series.seed) + series.daily * 0.3 * Math.sin(3 * phase);
    const half = series.noise * 2.2;
    const fault = this.#faults.find((f) => f.device === device && f.metric === series.metric && t >= f.startMs && t <= f.endMs);
    const ramp = fault && fault.kind === 'drift' ? Math.min(1, (t - fault.startMs) / (90 * MINUTE)) : 1;
    const actual = yhat + series.noise * 1.4 * wobble(series.seed, t / MINUTE) + (fault ? fault.size * ramp * half : 0);
    return {
      timestampMs: t, actual, yhat, yhatLower: yhat - half, yhatUpper: yhat + half, anomalyScore: Math.abs(actual - yhat) / half, scored: true, inEvent: fault !== undefined, revised: false,
    };
  }

  #series(query: SeriesQuery): Page<SeriesPoint> {
    const series = this.devicesByName.get(query.device)?.series.find((s) => s.metric === query.metric);
    if (!series) return { items: [], nextCursor: null };
    const all: SeriesPoint[] = series.own ? [...series.own] : [];
    const last = Math.floor(this.nowMs / MINUTE) * MINUTE;
    if (!series.own) for (let t = last - 3 * DAY; t <= last; t += MINUTE) all.push(this.#pointAt(query.device, series, t));
    const within = all.filter((p) => p.timestampMs >= (query.startMs ?? -Infinity) && p.timestampMs < (query.endMs ?? Infinity));
    if (query.startMs === undefined && query.endMs === undefined && query.cursor === undefined && !query.descending) return { items: within.slice(-query.limit), nextCursor: null };
    return pageOf(query.descending ? within.reverse() : within, query.limit, query.cursor);
  }

  #eventPage(query: EventQuery): Page<AnomalyEvent> {
    const found = [...this.events.values()].filter((e) => (!query.device || e.device === query.device) && (!query.metric || e.metric === query.metric)
      && (!query.severity || e.severity === query.severity) && (!query.state || e.state === query.state)
      && (e.resolvedMs ?? Infinity) >= (query.startMs ?? -Infinity) && e.openedMs < (query.endMs ?? Infinity));
    return pageOf(found.sort((a, b) => b.openedMs - a.openedMs), query.limit, query.cursor);
  }
}

function pageOf<T>(items: T[], limit: number, cursor: string | undefined): Page<T> {
  const from = cursor === undefined ? 0 : Number(cursor);
  if (!Number.isInteger(from)) throw new GruardError('REQUEST_INVALID', 'cursor: not one of this list');
  return { items: items.slice(from, from + limit), nextCursor: from + limit < items.length ? String(from + limit) : null };
}

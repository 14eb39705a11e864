import type { FeedbackVerdict } from './core/batch.js';
import { DEVICE_METRIC } from './core/batch.js';
import type { Board } from './board.js';
import type { Clock } from './core/clock.js';
import type { Detector, WarmUp } from './core/detector.js';
import { GruardError } from './core/errors.js';
import type { AnomalyEvent } from './core/event.js';
import type { Device, Fleet } from './core/fleet.js';
import type { Page, ResultReader } from './core/results.js';
import type {
  DeadLetter, DeviceDetail, DeviceQuery, DeviceStatus, DeviceSummary, ExportFile, ExportQuery, GruardService, HealthReport, LiveFeed, Measure, Overview, SubmitResult,
} from './core/service.js';
import type { Pipeline } from './pipeline.js';

const OVERVIEW_MS = 900;

/** The parts of the running product that the API is given a view of. */
export interface ServiceParts {
  fleet: Fleet;
  board: Board;
  detector: Detector;
  pipeline: Pipeline;
  results: ResultReader;
  live: LiveFeed;
  clock: Clock;
  submit: (payload: Uint8Array, format: 'json' | 'line') => Promise<SubmitResult>;
  deadLetters: (limit: number) => Promise<DeadLetter[]>;
  exportReadings: GruardService['exportReadings'];
  health: () => HealthReport;
  measures: () => Measure[];
  brokers: () => Overview['brokers'];
}

/** The running gruard as the API sees it. */
export class Service implements GruardService {
  readonly results: ResultReader;
  readonly live: LiveFeed;
  readonly #rate = new Rate();
  #names: { version: number; sorted: readonly string[] } = { version: -1, sorted: [] };
  #overview: Overview | undefined;
  #overviewAtMs = -Infinity;

  constructor(private readonly parts: ServiceParts) {
    this.results = parts.results;
    this.live = parts.live;
  }

  submit(payload: Uint8Array, format: 'json' | 'line'): Promise<SubmitResult> {
    return this.parts.submit(payload, format);
  }

  /** In order of name; the cursor is the last name of the page before. */
  devices(query: DeviceQuery): Page<DeviceSummary> {
    const search = query.search?.toLowerCase();
    const names = this.#sortedNames();
    const items: DeviceSummary[] = [];
    for (let i = query.cursor === undefined ? 0 : firstAfter(names, query.cursor); i < names.length; i++) {
      const device = this.parts.fleet.get(names[i])!;
      if (search !== undefined && !matches(device, search)) continue;
      if (!hasTags(device, query.tags)) continue;
      const summary = this.#summary(device);
      if (query.status !== undefined && summary.status !== query.status) continue;
      if (items.length === query.limit) return { items, nextCursor: items[items.length - 1].name };
      items.push(summary);
    }
    return { items, nextCursor: null };
  }

  /** Sorted anew only when devices came or went. */
  #sortedNames(): readonly string[] {
    const { fleet } = this.parts;
    if (this.#names.version !== fleet.version) {
      this.#names = { version: fleet.version, sorted: [...fleet.devices()].map(({ name }) => name).sort((a, b) => (a < b ? -1 : 1)) };
    }
    return this.#names.sorted;
  }

  device(name: string): DeviceDetail | undefined {
    const device = this.parts.fleet.get(name);
    if (!device) return undefined;
    const { board, detector } = this.parts;
    const series = device.metrics.flatMap((metric, i) => metric === DEVICE_METRIC ? [] : [{
      metric,
      last: board.last.get(device.slots[i]) ?? null,
      ...detector.seriesInfo(device.slots[i]),
    }]);
    return { ...this.#summary(device), series, verdicts: board.openVerdicts(name), events: board.openEvents(name) };
  }

  async retire(name: string): Promise<boolean> {
    if (!this.parts.fleet.get(name)) return false;
    await this.parts.pipeline.retire(name);
    return true;
  }

  async feedback(eventId: string, verdict: FeedbackVerdict, by: string): Promise<AnomalyEvent> {
    const stored = await this.results.getEvent(eventId);
    if (!stored) throw new GruardError('NOT_FOUND', `no anomaly event ${JSON.stringify(eventId)}`);
    if (!this.parts.detector.canTakeFeedback(eventId, verdict)) {
      throw new GruardError('REQUEST_INVALID', `the event takes no ${verdict} any more: it is ${stored.state} and no longer remembered by the detector`);
    }
    const { events } = await this.parts.pipeline.feedback(eventId, verdict, by);
    return events.find((event) => event.id === eventId) ?? stored;
  }

  /** Looks at every device, so at the most once a second, however many watch. */
  overview(): Overview {
    const nowMs = this.parts.clock.nowMs();
    if (this.#overview === undefined || Math.abs(nowMs - this.#overviewAtMs) >= OVERVIEW_MS) {
      this.#overview = this.#takeStock(nowMs);
      this.#overviewAtMs = nowMs;
    }
    return this.#overview;
  }

  #takeStock(nowMs: number): Overview {
    const { fleet, board, pipeline } = this.parts;
    const warming = { devices: 0, readyAtMs: null as number | null };
    for (const device of fleet.devices()) {
      const { ready, readyAtMs } = this.parts.detector.warmUp(device);
      if (ready) continue;
      warming.devices++;
      if (readyAtMs !== null) warming.readyAtMs = Math.max(warming.readyAtMs ?? 0, readyAtMs);
    }
    return {
      nowMs: pipeline.nowMs,
      devices: fleet.deviceCount,
      series: fleet.seriesCount,
      warmingUp: warming,
      readingsPerSecond: this.#rate.of(pipeline.readings, nowMs),
      readingsTotal: pipeline.readings,
      openAnomalies: board.openBySeverity,
      unhealthy: board.unhealthyDevices,
      brokers: this.parts.brokers(),
    };
  }

  health(): HealthReport {
    return this.parts.health();
  }

  measures(): Measure[] {
    return this.parts.measures();
  }

  deadLetters(limit: number): Promise<DeadLetter[]> {
    return this.parts.deadLetters(limit);
  }

  exportReadings(query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    return this.parts.exportReadings(query, signal);
  }

  #summary(device: Device): DeviceSummary {
    const { board, detector } = this.parts;
    const events = board.openEvents(device.name).length;
    const warmUp = detector.warmUp(device);
    return {
      name: device.name,
      tags: device.tags,
      status: statusOf(events, board.openVerdicts(device.name).length, warmUp),
      metrics: device.metrics.filter((metric) => metric !== DEVICE_METRIC),
      firstSeenMs: device.firstSeenMs,
      lastSeenMs: device.lastSeenMs,
      openAnomalies: events,
      anomalyScore: board.scoreOf(device),
      warmUp,
    };
  }
}

function matches(device: Device, search: string): boolean {
  return device.name.toLowerCase().includes(search) || Object.values(device.tags).some((value) => value.toLowerCase().includes(search));
}

/** The index of the first name after `name` in a sorted list. */
function firstAfter(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle] <= name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function statusOf(events: number, verdicts: number, warmUp: WarmUp): DeviceStatus {
  if (events > 0) return 'anomalous';
  if (verdicts > 0) return 'unhealthy';
  return warmUp.ready ? 'ok' : 'warming_up';
}

function hasTags(device: Device, tags: Record<string, string> | undefined): boolean {
  return Object.entries(tags ?? {}).every(([key, value]) => Object.hasOwn(device.tags, key) && device.tags[key] === value);
}

/** Readings a second over the last few seconds, from a counter that is looked at now and then. */
export class Rate {
  readonly #seen: { count: number; atMs: number }[] = [];

  of(count: number, nowMs: number): number {
    this.#seen.push({ count, atMs: nowMs });
    while (this.#seen.length > 2 && nowMs - this.#seen[1].atMs > 5000) this.#seen.shift();
    const oldest = this.#seen[0];
    return nowMs > oldest.atMs ? ((count - oldest.count) * 1000) / (nowMs - oldest.atMs) : 0;
  }
}

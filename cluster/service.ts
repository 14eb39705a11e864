import type { FeedbackVerdict } from '../core/batch.js';
import { DEVICE_METRIC } from '../core/batch.js';
import type { Clock } from '../core/clock.js';
import type { WarmUp } from '../core/detector.js';
import { GruardError } from '../core/errors.js';
import type { AnomalyEvent } from '../core/event.js';
import type { Device } from '../core/fleet.js';
import type { Page, ResultReader } from '../core/results.js';
import type { DeadLetter, DeviceDetail, DeviceQuery, DeviceStatus, DeviceSummary, ExportFile, ExportQuery, GruardService, HealthReport, LiveFeed, Measure, Overview, SubmitResult } from '../core/service.js';
import { Rate } from '../service.js';
import type { PartitionControl } from './control.js';
import type { FleetView } from './view.js';

export interface ClusterServiceParts {
  view: FleetView | undefined;
  results: ResultReader;
  clock: Clock;
  submit: (payload: Uint8Array) => Promise<SubmitResult>;
  /** Writes a control record to every input partition: whose device it concerns finds it, all others have nothing to do. */
  tellAll: (control: PartitionControl) => Promise<void>;
  deadLetters: (limit: number) => Promise<DeadLetter[]>;
  exportReadings: (query: ExportQuery, signal: AbortSignal) => Promise<ExportFile>;
  health: () => HealthReport;
  measures: () => Measure[];
}

/** What a person said shows in the topic of events as soon as the partition's owner has come to it. */
const HEARD_MS = 5000;
const READY: WarmUp = { ready: true, readingsLeft: 0, readyAtMs: null };
const WARMING: WarmUp = { ready: false, readingsLeft: 1, readyAtMs: null };

/** A worker of a cluster as its API sees it: the past from the shared store, the present from the topics, and what a person says into the log. */
export class ClusterService implements GruardService {
  readonly results: ResultReader;
  readonly live: LiveFeed;
  readonly #rate = new Rate();

  constructor(private readonly parts: ClusterServiceParts) {
    this.results = parts.results;
    this.live = parts.view?.live ?? { subscribe: () => { throw this.#noView(); }, since: () => undefined };
  }

  submit(payload: Uint8Array): Promise<SubmitResult> {
    return this.parts.submit(payload);
  }

  /** In order of name; the cursor is the last name of the page before. */
  devices({ search, status, tags, cursor, limit }: DeviceQuery): Page<DeviceSummary> {
    const { fleet } = this.#view;
    const wanted = search?.toLowerCase();
    const names = [...fleet.devices()].map(({ name }) => name).filter((name) => cursor === undefined || name > cursor).sort((a, b) => (a < b ? -1 : 1));
    const items: DeviceSummary[] = [];
    for (const name of names) {
      const device = fleet.get(name)!;
      if (wanted !== undefined && !name.toLowerCase().includes(wanted)) continue;
      if (tags && Object.entries(tags).some(([key, value]) => device.tags[key] !== value)) continue;
      const summary = this.#summary(device);
      if (status !== undefined && summary.status !== status) continue;
      if (items.length === limit) return { items, nextCursor: items[items.length - 1].name };
      items.push(summary);
    }
    return { items, nextCursor: null };
  }

  device(name: string): DeviceDetail | undefined {
    const { fleet, board } = this.#view;
    const device = fleet.get(name);
    if (!device) return undefined;
    const summary = this.#summary(device);
    const series = device.metrics.flatMap((metric, i) => metric === DEVICE_METRIC ? [] : [{ metric, last: board.last.get(device.slots[i]) ?? null, periodMs: null, readings: 0, warmUp: summary.warmUp }]);
    return { ...summary, series, verdicts: board.openVerdicts(name), events: board.openEvents(name) };
  }

  async retire(name: string): Promise<boolean> {
    if (!this.#view.fleet.get(name)) return false;
    await this.parts.tellAll({ kind: 'retire', device: name });
    return true;
  }

  /** Durable when resolved; the event as it stands where its owner comes to it within seconds, else as it stood. */
  async feedback(eventId: string, verdict: FeedbackVerdict, by: string): Promise<AnomalyEvent> {
    const stored = await this.results.getEvent(eventId);
    if (!stored) throw new GruardError('NOT_FOUND', `no anomaly event ${JSON.stringify(eventId)}`);
    if (verdict === 'accept' && stored.state !== 'open') throw new GruardError('REQUEST_INVALID', `the event takes no accept any more: it is ${stored.state}`);
    const atMs = this.parts.clock.nowMs();
    const heard = this.#heard(eventId, atMs);
    await this.parts.tellAll({ kind: 'feedback', eventId, verdict, atMs, by });
    return (await heard) ?? stored;
  }

  exportReadings(query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    return this.parts.exportReadings(query, signal);
  }

  #heard(eventId: string, atMs: number): Promise<AnomalyEvent | undefined> {
    const { view } = this.parts;
    if (!view) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const end = view.onEvent((event) => {
        if (event.id === eventId && event.feedback !== null && event.feedback.atMs >= atMs) done(event);
      });
      const timer = setTimeout(() => done(undefined), HEARD_MS);
      const done = (event: AnomalyEvent | undefined): void => {
        clearTimeout(timer);
        end();
        resolve(event);
      };
    });
  }

  overview(): Overview {
    const { fleet, board, readings, warming } = this.#view;
    const nowMs = this.parts.clock.nowMs();
    return {
      nowMs, devices: fleet.deviceCount, series: fleet.seriesCount, warmingUp: { devices: warming.size, readyAtMs: null }, readingsPerSecond: this.#rate.of(readings, nowMs),
      readingsTotal: readings, openAnomalies: board.openBySeverity, unhealthy: board.unhealthyDevices, brokers: [],
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

  get #view(): FleetView {
    if (!this.parts.view) throw this.#noView();
    return this.parts.view;
  }

  #noView(): GruardError {
    return new GruardError('CLUSTER_NO_VIEW', 'this worker does not follow the whole fleet: cluster.view is false');
  }

  #summary(device: Device): DeviceSummary {
    const { board, warming } = this.#view;
    const openAnomalies = board.openEvents(device.name).length;
    const isWarming = warming.has(device.id);
    const status: DeviceStatus = openAnomalies > 0 ? 'anomalous' : board.openVerdicts(device.name).length > 0 ? 'unhealthy' : isWarming ? 'warming_up' : 'ok';
    return {
      name: device.name, tags: device.tags, status, metrics: device.metrics.filter((metric) => metric !== DEVICE_METRIC), firstSeenMs: device.firstSeenMs, lastSeenMs: device.lastSeenMs,
      openAnomalies, anomalyScore: board.scoreOf(device), warmUp: isWarming ? WARMING : READY,
    };
  }
}

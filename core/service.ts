import type { Readable } from 'node:stream';
import type { FeedbackVerdict } from './batch.js';
import type { WarmUp } from './detector.js';
import type { AnomalyEvent, HealthVerdict } from './event.js';
import type { Page, ResultReader } from './results.js';
import type { Reason } from './reasons.js';
import type { SourceStatus } from './source.js';

/** What the API needs from the running gruard. Times are epoch ms. */
export interface GruardService {
  readonly results: ResultReader;
  readonly live: LiveFeed;
  /** Resolves once what was taken is durable. Throws GruardError BUSY, SHUTTING_DOWN, JOURNAL_*. */
  submit(payload: Uint8Array, format: 'json' | 'line'): Promise<SubmitResult>;
  devices(query: DeviceQuery): Page<DeviceSummary>;
  device(name: string): DeviceDetail | undefined;
  /** Forgets the device: its state is freed, its history stays in the store until retention. False where there is none. Durable when resolved. */
  retire(name: string): Promise<boolean>;
  /** Durable when resolved; the event as it stands then. Throws NOT_FOUND, REQUEST_INVALID. */
  feedback(eventId: string, verdict: FeedbackVerdict, by: string): Promise<AnomalyEvent>;
  overview(): Overview;
  health(): HealthReport;
  /** Counters and gauges for Prometheus. */
  measures(): Measure[];
  deadLetters(limit: number): Promise<DeadLetter[]>;
  /** Readings with their results as a file. Broken off by the signal until the stream is there, by destroying the stream afterwards. Throws BUSY, STORE_*, USAGE. */
  exportReadings(query: ExportQuery, signal: AbortSignal): Promise<ExportFile>;
}

export interface ExportQuery {
  format: 'csv' | 'parquet';
  device?: string;
  metric?: string;
  /** Inclusive; epoch ms. */
  startMs?: number;
  /** Exclusive; epoch ms. */
  endMs?: number;
}

export interface ExportFile {
  stream: Readable;
  /** null where it is not known beforehand. */
  rows: number | null;
}

export interface SubmitResult {
  accepted: number;
  refused: number;
  /** Why, by reason, with how many. */
  reasons: { reason: Reason; count: number; detail: string }[];
}

export interface DeviceQuery {
  limit: number;
  cursor?: string;
  /** Part of a name or of the value of a tag, any case. */
  search?: string;
  status?: DeviceStatus;
  tags?: Record<string, string>;
}

/** The worst of what holds: anomalous over unhealthy over warming up over ok. */
export type DeviceStatus = 'ok' | 'warming_up' | 'anomalous' | 'unhealthy';

export interface DeviceSummary {
  name: string;
  tags: Readonly<Record<string, string>>;
  status: DeviceStatus;
  metrics: string[];
  firstSeenMs: number;
  lastSeenMs: number;
  openAnomalies: number;
  /** The highest score among its series' last readings. */
  anomalyScore: number;
  warmUp: WarmUp;
}

export interface DeviceDetail extends DeviceSummary {
  series: { metric: string; last: { timestampMs: number; actual: number; anomalyScore: number } | null; periodMs: number | null; readings: number; warmUp: WarmUp }[];
  verdicts: HealthVerdict[];
  events: AnomalyEvent[];
}

/** The fleet at a glance. */
export interface Overview {
  nowMs: number;
  devices: number;
  series: number;
  warmingUp: { devices: number; readyAtMs: number | null };
  readingsPerSecond: number;
  readingsTotal: number;
  openAnomalies: { info: number; warning: number; critical: number };
  unhealthy: number;
  /** Where devices can send to: MQTT broker address, HTTP address; for the "connect your fleet" panel. */
  brokers: { kind: 'mqtt'; url: string }[];
}

export interface HealthReport {
  status: 'ok' | 'degraded' | 'failing';
  version: string;
  uptimeMs: number;
  checks: { name: string; status: 'ok' | 'degraded' | 'failing'; detail: string }[];
  sources: (SourceStatus & { name: string; waiting: number })[];
}

export interface Measure {
  name: string;
  help: string;
  type: 'counter' | 'gauge';
  values: { labels: Record<string, string>; value: number }[];
}

export interface DeadLetter {
  id: string;
  atMs: number;
  source: string;
  origin: string;
  reason: Reason;
  detail: string;
  /** The first bytes of the payload, as text; what cannot be printed is escaped. */
  payload: string;
  payloadBytes: number;
}

/** One thing for the page to show at once. `id` grows and is what a browser sends back as Last-Event-ID. */
export type LiveMessage =
  | { type: 'anomaly'; id: string; change: 'opened' | 'updated' | 'resolved'; event: AnomalyEvent }
  | { type: 'verdict'; id: string; verdict: HealthVerdict }
  | { type: 'readings'; id: string; device: string; rows: LiveReading[] };

export interface LiveReading {
  metric: string;
  timestampMs: number;
  actual: number | null;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  anomalyScore: number | null;
  inEvent: boolean;
}

/** Holds nothing back: a listener that is too slow loses messages and reads the store instead. */
export interface LiveFeed {
  /** Readings are sent only for `device`; anomalies and verdicts of all devices where it is undefined. Returns what ends it. */
  subscribe(listener: (message: LiveMessage) => void, device?: string): () => void;
  /** Anomaly and verdict messages after this id that are still remembered; undefined where the id is too old (read the store). */
  since(id: string): LiveMessage[] | undefined;
}

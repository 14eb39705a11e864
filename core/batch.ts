import type { AnomalyEvent, HealthVerdict } from './event.js';

/** Bits of `Batch.flags`. */
export const FLAG = {
  /** Older than the last reading of its series: stored, not scored, no step of the model. */
  LATE: 1,
  /** The series is still warming up: the score is 0. */
  WARMING: 2,
  /** An anomaly event on this series (for a device row: on the device) is open. */
  IN_EVENT: 4,
  /** The row of the device as a whole (metric `*`): no value of its own. */
  DEVICE: 8,
  /** In a result store only, never in the journal: a late reading came for the same time as a scored one (SeriesPoint.revised). */
  REVISED: 16,
  /** The first row of a message, where messages must be told apart wherever a batch ends (`mode: cluster`). */
  FIRST: 16,
} as const;

/** The metric name of the row that scores a device as a whole. No source may use it as a metric. */
export const DEVICE_METRIC = '*';

/** A device or series seen for the first time, or a device's new tags, in the order in which they happened. */
export type Declaration =
  | { kind: 'device'; deviceId: number; name: string; tags: Record<string, string>; atMs: number }
  | { kind: 'series'; seriesId: number; deviceId: number; metric: string }
  | { kind: 'tags'; deviceId: number; tags: Record<string, string> }
  | { kind: 'retire'; deviceId: number; atMs: number };

/** What a person or the clock told the detector: in the journal, since it changes what the detector does next. */
export type Control =
  | { kind: 'tick'; nowMs: number }
  | { kind: 'feedback'; eventId: string; verdict: FeedbackVerdict; atMs: number; by: string }
  | { kind: 'settings'; hash: string; settings: unknown };

export type FeedbackVerdict = 'accept' | 'false_alarm' | 'confirm';

/** How far a source had come when the batch was closed, e.g. a Kafka partition's next offset. */
export interface SourcePosition {
  source: string;
  partition: string;
  position: string;
}

/**
 * The unit that moves: readings of many series in columns, and what the detector made of them.
 * All columns have `capacity` rows, of which `n` are filled. A series may stand in a batch several times (in time order);
 * the detector takes them in rounds so that no step sees one series twice. Rows of one message are adjacent.
 */
export class Batch {
  readonly capacity: number;
  n = 0;

  /** [capacity] identity of the series, never used again for another one. */
  readonly seriesId: Uint32Array;
  /** [capacity] place of the series in the state arenas; meaningful in this process only, never stored. */
  readonly slot: Uint32Array;
  /** [capacity] epoch milliseconds. */
  readonly timestampMs: Float64Array;
  /** [capacity] the reading; NaN in a device row. */
  readonly value: Float64Array;
  /** [capacity] bits of FLAG. */
  readonly flags: Uint8Array;
  /** [capacity] the forecast made before this reading was seen, in the unit of the value; NaN where there is none. */
  readonly yhat: Float64Array;
  readonly yhatLower: Float64Array;
  readonly yhatUpper: Float64Array;
  /** [capacity] > 1 is anomalous; 0 while warming up. */
  readonly anomalyScore: Float64Array;

  declarations: Declaration[] = [];
  controls: Control[] = [];
  /** Whole events, each as it stood at its latest news in this batch: an upsert by id. */
  events: AnomalyEvent[] = [];
  /** Whole verdicts, each as it stands after this batch: an upsert by id. */
  verdicts: HealthVerdict[] = [];
  positions: SourcePosition[] = [];
  /** The detector's "now" for this batch: the wall clock, or the watermark of sources with `time: event`. Epoch milliseconds. */
  nowMs = 0;
  /** [capacity] "now" of each row, where time passes within a batch (`mode: cluster`, whose results must not depend on where a batch ends); else `nowMs` is that of all rows. */
  rowNowMs: Float64Array | undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.seriesId = new Uint32Array(capacity);
    this.slot = new Uint32Array(capacity);
    this.timestampMs = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.yhat = new Float64Array(capacity);
    this.yhatLower = new Float64Array(capacity);
    this.yhatUpper = new Float64Array(capacity);
    this.anomalyScore = new Float64Array(capacity);
  }

  /** Appends a reading without results; the caller has made sure that there is room. Returns its row. */
  push(seriesId: number, slot: number, timestampMs: number, value: number, flags: number): number {
    const row = this.n++;
    this.seriesId[row] = seriesId;
    this.slot[row] = slot;
    this.timestampMs[row] = timestampMs;
    this.value[row] = value;
    this.flags[row] = flags;
    this.yhat[row] = NaN;
    this.yhatLower[row] = NaN;
    this.yhatUpper[row] = NaN;
    this.anomalyScore[row] = 0;
    return row;
  }

  /** True when nothing happened that the journal would have to hold. */
  get empty(): boolean {
    return this.n === 0 && this.declarations.length === 0 && this.controls.length === 0 && this.positions.length === 0
      && this.events.length === 0 && this.verdicts.length === 0;
  }

  reset(): void {
    this.n = 0;
    this.declarations = [];
    this.controls = [];
    this.events = [];
    this.verdicts = [];
    this.positions = [];
    this.nowMs = 0;
  }
}

import type { Batch } from './batch.js';
import type { AnomalyEvent, EventState, HealthVerdict, Severity } from './event.js';

/** A page of a list; `nextCursor` is opaque and null at the end. */
export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** A stored reading with what was expected of it. null where there is none (never NaN: JSON has none). */
export interface SeriesPoint {
  timestampMs: number;
  actual: number | null;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  anomalyScore: number | null;
  /** False for a late reading, which was stored but not scored. */
  scored: boolean;
  inEvent: boolean;
  /**
   * True where a late reading came for the time of a scored one. The value is that of the reading that came last; forecast and score are those of the one that was scored, and are never made anew.
   */
  revised: boolean;
}

export interface SeriesQuery {
  device: string;
  metric: string;
  /** Inclusive; epoch ms. */
  startMs?: number;
  /** Exclusive; epoch ms. */
  endMs?: number;
  limit: number;
  cursor?: string;
  /** Newest first when true; without start, end and cursor the newest `limit` are wanted, still oldest first in the answer. */
  descending?: boolean;
}

export interface EventQuery {
  device?: string;
  metric?: string;
  /** Events that overlap [startMs, endMs). */
  startMs?: number;
  endMs?: number;
  severity?: Severity;
  state?: EventState;
  limit: number;
  cursor?: string;
}

/** The names behind the series ids of a batch. */
export interface SeriesNames {
  /** undefined for an id that was never declared. */
  nameOf(seriesId: number): { device: string; metric: string; tags: Readonly<Record<string, string>> } | undefined;
}

/** What answers queries: newest events first, points oldest first. Times in epoch ms. */
export interface ResultReader {
  querySeries(query: SeriesQuery): Promise<Page<SeriesPoint>>;
  queryEvents(query: EventQuery): Promise<Page<AnomalyEvent>>;
  getEvent(id: string): Promise<AnomalyEvent | undefined>;
  queryVerdicts(query: { device?: string; open?: boolean; limit: number; cursor?: string }): Promise<Page<HealthVerdict>>;
}

/**
 * A result store: upserts keyed by series + timestamp (readings) and id (events, verdicts), so that writing a batch twice is writing it once.
 * `position` is the journal sequence up to which everything is in the store, kept with what was written (in the same transaction where the store has them).
 */
export interface ResultStore extends ResultReader {
  readonly name: string;
  open(): Promise<void>;
  /** -1 where nothing was written yet. */
  position(): Promise<number>;
  /** Throws where the store is not there; the caller keeps the batch and tries again. */
  write(batch: Batch, names: SeriesNames, position: number): Promise<void>;
  /** What the store's buffers take in this process, as of the last few seconds; absent where a server of its own keeps them. */
  readonly memoryBytes?: number;
  /** Removes readings older than `beforeMs`, and resolved events and verdicts that ended before it. Returns the readings removed, where known. */
  expire(beforeMs: number): Promise<number>;
  close(): Promise<void>;
}

import type { Batch, Control, FeedbackVerdict } from './batch.js';
import type { AnomalyEvent } from './event.js';
import type { Device } from './fleet.js';
import type { DocumentPart, StatePart } from './state.js';

/** How far a series or a device is from its first verdict. */
export interface WarmUp {
  ready: boolean;
  /** Readings still needed; 0 when ready. */
  readingsLeft: number;
  /** Estimated from the learned period; null while that is unknown. Epoch ms. */
  readyAtMs: number | null;
}

/** What a replay knows of the record that it gives the detector again. */
export interface Replaying {
  /** Whether the state of a device has seen the record: a tick must leave such a device alone. */
  seen: (deviceId: number) => boolean;
  /** The events as the record holds them. Which of them became one incident was decided then: not all devices that took part are replayed. */
  events: readonly AnomalyEvent[];
}

/**
 * The detector: a deterministic function of the ordered records that it is given, and of nothing else.
 * `step` is given every batch in order: live, where its results go into the journal, and in a replay, where they are dropped.
 */
export interface Detector {
  /** Every part that keeps state for a series or a device: together they are a snapshot. */
  readonly parts: readonly StatePart[];
  readonly documents: readonly DocumentPart[];

  /**
   * Carries out `batch.controls` in order, then judges the rows: fills yhat, the band, anomalyScore and flags of rows that are not FLAG.LATE, appends device rows
   * (metric `*`), events and verdicts. `batch.nowMs` is "now". The declarations, retirements included, have already been carried out (`retire`, Fleet).
   * A tick that finds nothing to say changes nothing, so that it need not be journaled.
   * Declares the `*` series of a device when its second metric appears (through the Fleet given at construction) and adds that declaration to the batch.
   */
  step(batch: Batch, replaying?: Replaying): void;

  /** A retired device's slots are about to be used again: forget all. Called before Fleet forgets the device. */
  retire(device: Device): void;

  warmUp(device: Device): WarmUp;
  /** What the API shows of a series at once, without the store: the learned period and whether it is ready. */
  seriesInfo(slot: number): { periodMs: number | null; warmUp: WarmUp; readings: number };
  /** Whether an open event with this id can take this feedback; the feedback itself is a Control in a batch. */
  canTakeFeedback(eventId: string, verdict: FeedbackVerdict): boolean;
}

export type { Batch, Control };

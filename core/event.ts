/** What a detector found, as the store, the API and the alerts know it. Times are epoch milliseconds; the API writes RFC 3339. */

export type Severity = 'info' | 'warning' | 'critical';
export type EventState = 'open' | 'resolved';

/** How the fault looks, in the words that routing and people use. */
export type AnomalyKind = 'spike' | 'shift' | 'drift' | 'variance' | 'stuck' | 'pattern' | 'limit' | 'correlation' | 'unusual';

/** One fault of one device: opened, then updated, then resolved. Identified by device, metric and opening time, so a replay finds the same id. */
export interface AnomalyEvent {
  id: string;
  device: string;
  /** The metric that opened it; `*` where only the metrics together are unusual. */
  metric: string;
  kind: AnomalyKind;
  state: EventState;
  severity: Severity;
  openedMs: number;
  updatedMs: number;
  resolvedMs: number | null;
  /** Readings that belong to the event so far. */
  readings: number;
  peakScore: number;
  peakMs: number;
  /** At the peak. NaN is not allowed here: null where there is none. */
  actual: number | null;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  /** Plain words: "expected 20.1-21.3, got 27.9; the highest value in 9 days". */
  reason: string;
  /** The metrics that take part, the strongest first; contributions are in 0..1. */
  metrics: { metric: string; contribution: number }[];
  /** Events of many devices that opened together share an incident. */
  incident: string | null;
  feedback: { verdict: 'accept' | 'false_alarm' | 'confirm'; atMs: number; by: string } | null;
}

export type VerdictKind = 'silent' | 'stuck' | 'flapping' | 'clock_skewed' | 'impossible';

/** What is wrong with a device as a device (beside, and not mixed with, anomalies of the process that it measures). */
export interface HealthVerdict {
  id: string;
  device: string;
  /** null where the verdict is on the whole device. */
  metric: string | null;
  kind: VerdictKind;
  sinceMs: number;
  /** null while it holds. */
  untilMs: number | null;
  reason: string;
}

import { DEVICE_METRIC, FLAG, type Batch } from '../../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { SeriesNames } from '../../core/results.js';

/** One message of an output topic. The same result has the same bytes, however often it is written. */
export interface OutputRecord {
  key: string;
  value: string;
}

const finite = (value: number | null): number | null => (value !== null && Number.isFinite(value) ? value : null);

/** Times beyond what a Date holds (hostile clocks) are shown as its ends. */
function rfc3339(ms: number): string {
  return new Date(Math.min(Math.max(ms, -8.64e15), 8.64e15)).toISOString();
}

/** Writes rows as JSON. Rows of a message share device and time, so both are kept from row to row. */
export class ResultRecords {
  #timestampMs = NaN;
  #timestamp = '';
  /** Rows that were left out since the name of their series is not known any more. */
  nameless = 0;

  of(batch: Batch, row: number, names: SeriesNames): OutputRecord | undefined {
    const name = names.nameOf(batch.seriesId[row]);
    if (!name) {
      this.nameless++;
      return undefined;
    }
    const ms = batch.timestampMs[row];
    if (ms !== this.#timestampMs) {
      this.#timestampMs = ms;
      this.#timestamp = rfc3339(ms);
    }
    const flags = batch.flags[row];
    const scored = (flags & FLAG.LATE) === 0;
    const result = {
      device: name.device, metric: name.metric, timestamp: this.#timestamp, actual: finite(batch.value[row]),
      yhat: finite(batch.yhat[row]), yhat_lower: finite(batch.yhatLower[row]), yhat_upper: finite(batch.yhatUpper[row]),
      anomaly_score: scored ? finite(batch.anomalyScore[row]) : null, scored, in_event: (flags & FLAG.IN_EVENT) !== 0,
    };
    return { key: name.device, value: JSON.stringify(result) };
  }
}

/** An anomaly event as it stands now: the newest message with an `id` replaces those before it. */
export function anomalyRecord(e: AnomalyEvent): OutputRecord {
  const event = {
    type: 'anomaly', id: e.id, device: e.device, metric: e.metric, kind: e.kind, state: e.state, severity: e.severity,
    opened_at: rfc3339(e.openedMs), updated_at: rfc3339(e.updatedMs), resolved_at: e.resolvedMs === null ? null : rfc3339(e.resolvedMs), readings: e.readings,
    peak_score: finite(e.peakScore) ?? 0, peak_at: rfc3339(e.peakMs), actual: finite(e.actual), yhat: finite(e.yhat), yhat_lower: finite(e.yhatLower), yhat_upper: finite(e.yhatUpper),
    reason: e.reason, metrics: e.metrics, incident: e.incident,
    feedback: e.feedback && { verdict: e.feedback.verdict, at: rfc3339(e.feedback.atMs), by: e.feedback.by },
  };
  return { key: e.device, value: JSON.stringify(event) };
}

export function verdictRecord(v: HealthVerdict): OutputRecord {
  const verdict = {
    type: 'verdict', id: v.id, device: v.device, metric: v.metric ?? DEVICE_METRIC, kind: v.kind, state: v.untilMs === null ? 'open' : 'resolved',
    since: rfc3339(v.sinceMs), until: v.untilMs === null ? null : rfc3339(v.untilMs), reason: v.reason,
  };
  return { key: v.device, value: JSON.stringify(verdict) };
}

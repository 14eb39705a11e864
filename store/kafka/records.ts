import { DEVICE_METRIC, FLAG, type Batch } from '../../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { SeriesNames } from '../../core/results.js';

/** One message of an output topic. The same result has the same bytes, however often it is written. */
export interface OutputRecord {
  key: string | Buffer;
  value: string;
}

const finite = (value: number | null): number | null => (value !== null && Number.isFinite(value) ? value : null);

/** Times beyond what a Date holds (hostile clocks) are shown as its ends. */
function rfc3339(ms: number): string {
  return new Date(Math.min(Math.max(ms, -8.64e15), 8.64e15)).toISOString();
}

/** Beginnings of messages that are kept; those of a million series would be 200 MB. */
const MOST_PREFIXES = 200_000;

/** Writes rows as JSON. What repeats is kept: the beginning of a series' messages, and the time, which the rows of a message share. */
export class ResultRecords {
  #timestampMs = NaN;
  #timestamp = '';
  readonly #prefixes = new Map<number, { key: Buffer; prefix: string }>();
  /** Rows that were left out since the name of their series is not known any more. */
  nameless = 0;

  of(batch: Batch, row: number, names: SeriesNames): OutputRecord | undefined {
    const series = this.#prefixes.get(batch.seriesId[row]) ?? this.#named(batch.seriesId[row], names);
    if (!series) {
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
    const value = `${series.prefix}${this.#timestamp}","actual":${text(batch.value[row])},"yhat":${text(batch.yhat[row])},"yhat_lower":${text(batch.yhatLower[row])},"yhat_upper":${text(batch.yhatUpper[row])}`
      + `,"anomaly_score":${scored ? text(batch.anomalyScore[row]) : 'null'},"scored":${scored},"in_event":${(flags & FLAG.IN_EVENT) !== 0}${(flags & FLAG.WARMING) !== 0 ? ',"warming_up":true}' : '}'}`;
    return { key: series.key, value };
  }

  #named(seriesId: number, names: SeriesNames): { key: Buffer; prefix: string } | undefined {
    const name = names.nameOf(seriesId);
    if (!name) return undefined;
    if (this.#prefixes.size >= MOST_PREFIXES) this.#prefixes.clear();
    const series = { key: Buffer.from(name.device), prefix: `{"device":${JSON.stringify(name.device)},"metric":${JSON.stringify(name.metric)},"timestamp":"` };
    this.#prefixes.set(seriesId, series);
    return series;
  }
}

/** As JSON writes it. */
function text(value: number): string {
  return value - value === 0 ? `${value}` : 'null';
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

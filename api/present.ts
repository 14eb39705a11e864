import type { Static } from 'typebox';
import type { WarmUp as CoreWarmUp } from '../core/detector.js';
import type { AnomalyEvent as CoreEvent, HealthVerdict as CoreVerdict } from '../core/event.js';
import type { Page, SeriesPoint } from '../core/results.js';
import type { DeadLetter as CoreDeadLetter, DeviceDetail as CoreDetail, DeviceSummary, HealthReport, LiveReading, Overview as CoreOverview } from '../core/service.js';
import type { AnomalyEvent, DeadLetter, Device, DeviceDetail, Health, HealthVerdict, Overview, Point, WarmUp } from './schemas.js';
import { formatTime, formatTimeOrNull } from './time.js';

/** From gruard's own shapes (camelCase, epoch ms) to those of the wire (snake_case, RFC 3339). JSON has no NaN: what is not finite becomes null. */

const finite = (value: number | null): number | null => (value !== null && Number.isFinite(value) ? value : null);

export const page = <T, U>(from: Page<T>, present: (item: T) => U): { items: U[]; next_cursor: string | null } =>
  ({ items: from.items.map(present), next_cursor: from.nextCursor });

export const warmUp = (w: CoreWarmUp): Static<typeof WarmUp> =>
  ({ ready: w.ready, readings_left: w.readingsLeft, ready_at: formatTimeOrNull(w.readyAtMs) });

export const anomaly = (e: CoreEvent): Static<typeof AnomalyEvent> => ({
  id: e.id,
  device: e.device,
  metric: e.metric,
  kind: e.kind,
  state: e.state,
  severity: e.severity,
  opened_at: formatTime(e.openedMs),
  updated_at: formatTime(e.updatedMs),
  resolved_at: formatTimeOrNull(e.resolvedMs),
  readings: e.readings,
  peak_score: finite(e.peakScore) ?? 0,
  peak_at: formatTime(e.peakMs),
  actual: finite(e.actual),
  yhat: finite(e.yhat),
  yhat_lower: finite(e.yhatLower),
  yhat_upper: finite(e.yhatUpper),
  reason: e.reason,
  metrics: e.metrics,
  incident: e.incident,
  feedback: e.feedback && { verdict: e.feedback.verdict, at: formatTime(e.feedback.atMs), by: e.feedback.by },
});

export const verdict = (v: CoreVerdict): Static<typeof HealthVerdict> => ({
  id: v.id, device: v.device, metric: v.metric, kind: v.kind, since: formatTime(v.sinceMs), until: formatTimeOrNull(v.untilMs), reason: v.reason,
});

export const device = (d: DeviceSummary): Static<typeof Device> => ({
  id: d.name,
  tags: { ...d.tags },
  status: d.status,
  metrics: d.metrics,
  first_seen_at: formatTime(d.firstSeenMs),
  last_seen_at: formatTime(d.lastSeenMs),
  open_anomalies: d.openAnomalies,
  anomaly_score: finite(d.anomalyScore) ?? 0,
  warm_up: warmUp(d.warmUp),
});

export const deviceDetail = (d: CoreDetail): Static<typeof DeviceDetail> => ({
  ...device(d),
  series: d.series.map((s) => ({
    id: s.metric,
    last: s.last && { timestamp: formatTime(s.last.timestampMs), actual: finite(s.last.actual), anomaly_score: finite(s.last.anomalyScore) ?? 0 },
    period_ms: s.periodMs === null ? null : finite(Math.round(s.periodMs)),
    readings: s.readings,
    warm_up: warmUp(s.warmUp),
  })),
  verdicts: d.verdicts.map(verdict),
  events: d.events.map(anomaly),
});

export const point = (p: SeriesPoint): Static<typeof Point> => {
  const timestamp = formatTime(p.timestampMs);
  return {
    id: timestamp,
    timestamp,
    actual: finite(p.actual),
    yhat: finite(p.yhat),
    yhat_lower: finite(p.yhatLower),
    yhat_upper: finite(p.yhatUpper),
    anomaly_score: finite(p.anomalyScore),
    scored: p.scored,
    in_event: p.inEvent,
    revised: p.revised,
  };
};

export const liveReading = (r: LiveReading) => ({
  metric: r.metric,
  timestamp: formatTime(r.timestampMs),
  actual: finite(r.actual),
  yhat: finite(r.yhat),
  yhat_lower: finite(r.yhatLower),
  yhat_upper: finite(r.yhatUpper),
  anomaly_score: finite(r.anomalyScore),
  in_event: r.inEvent,
});

export const overview = (o: CoreOverview, health: HealthReport['status']): Static<typeof Overview> => ({
  now: formatTime(o.nowMs),
  devices: o.devices,
  series: o.series,
  warming_up: { devices: o.warmingUp.devices, ready_at: formatTimeOrNull(o.warmingUp.readyAtMs) },
  readings_per_second: finite(o.readingsPerSecond) ?? 0,
  readings_total: o.readingsTotal,
  open_anomalies: o.openAnomalies,
  unhealthy: o.unhealthy,
  brokers: o.brokers,
  health,
});

export const health = (h: HealthReport): Static<typeof Health> => ({
  status: h.status, version: h.version, uptime_ms: h.uptimeMs, checks: h.checks, sources: h.sources,
});

export const deadLetter = (d: CoreDeadLetter): Static<typeof DeadLetter> => ({
  id: d.id, at: formatTime(d.atMs), source: d.source, origin: d.origin, reason: d.reason, detail: d.detail, payload: d.payload, payload_bytes: d.payloadBytes,
});

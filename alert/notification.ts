import type { AnomalyEvent, HealthVerdict, Severity } from '../core/event.js';

export type Change = 'opened' | 'updated' | 'resolved';

/** What of a device is open among what this sink is told of, after the notification. */
export interface DeviceState {
  open: number;
  /** null where nothing is open. */
  worst: Severity | null;
}

/** One thing to tell. */
export interface Notification {
  /** The idempotency key: the same for the same change, also after a restart. `EVENT_ID:opened:0`, `EVENT_ID:updated:3`. */
  key: string;
  change: Change;
  /** How many updates of this event have been told, this one included. */
  update: number;
  subject: { type: 'anomaly'; event: AnomalyEvent } | { type: 'verdict'; verdict: HealthVerdict };
  severity: Severity;
  /** What it was when the sink was last told of it; null in the first notification. */
  severityBefore: Severity | null;
  deviceState: DeviceState;
}

/** How much a health verdict weighs in routing: it has no severity of its own. */
export const VERDICT_SEVERITY: Severity = 'warning';

/** What every sink sends, and what a template can name: flat, snake_case, times in RFC 3339, null where there is none. */
export interface NotificationBody {
  key: string;
  change: Change;
  update: number;
  type: 'anomaly' | 'verdict';
  event_id: string;
  device: string;
  metric: string | null;
  kind: string;
  severity: Severity;
  state: 'open' | 'resolved';
  opened_at: string;
  updated_at: string;
  resolved_at: string | null;
  anomaly_score: number | null;
  actual: number | null;
  yhat: number | null;
  yhat_lower: number | null;
  yhat_upper: number | null;
  readings: number | null;
  reason: string;
  metrics: { metric: string; contribution: number }[];
  incident: string | null;
  feedback: string | null;
  /** One line for people. */
  summary: string;
}

export function bodyOf(notification: Notification): NotificationBody {
  const { key, change, update, subject, severity } = notification;
  if (subject.type === 'verdict') {
    const { id, device, metric, kind, sinceMs, untilMs, reason } = subject.verdict;
    const head = { key, change, update, type: subject.type, event_id: id, device, metric, kind, severity };
    return {
      ...head, state: untilMs === null ? 'open' : 'resolved', opened_at: rfc3339(sinceMs), updated_at: rfc3339(untilMs ?? sinceMs), resolved_at: untilMs === null ? null : rfc3339(untilMs),
      anomaly_score: null, actual: null, yhat: null, yhat_lower: null, yhat_upper: null, readings: null, reason, metrics: [], incident: null, feedback: null,
      summary: summaryOf(change, severity, device, metric, kind, reason),
    };
  }
  const { event } = subject;
  return {
    key, change, update, type: subject.type, event_id: event.id, device: event.device, metric: event.metric, kind: event.kind, severity, state: event.state,
    opened_at: rfc3339(event.openedMs), updated_at: rfc3339(event.updatedMs), resolved_at: event.resolvedMs === null ? null : rfc3339(event.resolvedMs),
    anomaly_score: event.peakScore, actual: event.actual, yhat: event.yhat, yhat_lower: event.yhatLower, yhat_upper: event.yhatUpper, readings: event.readings,
    reason: event.reason, metrics: event.metrics, incident: event.incident, feedback: event.feedback?.verdict ?? null,
    summary: summaryOf(change, severity, event.device, event.metric, event.kind, event.reason),
  };
}

export function deviceOf(notification: Notification): string {
  return notification.subject.type === 'anomaly' ? notification.subject.event.device : notification.subject.verdict.device;
}

/** A notification that says it is a test, for `gruard alert test`. */
export function testNotification(nowMs: number): Notification {
  return {
    key: `test-${nowMs}:opened:0`, change: 'opened', update: 0, severity: 'info', severityBefore: null, deviceState: { open: 1, worst: 'info' },
    subject: { type: 'anomaly', event: {
      id: `test-${nowMs}`, device: 'gruard-test', metric: 'temperature', kind: 'spike', state: 'open', severity: 'info', openedMs: nowMs, updatedMs: nowMs, resolvedMs: null,
      readings: 1, peakScore: 1.5, peakMs: nowMs, actual: 27.9, yhat: 20.7, yhatLower: 20.1, yhatUpper: 21.3, reason: 'this is a test of the alert sink; no device is at fault',
      metrics: [{ metric: 'temperature', contribution: 1 }], incident: null, feedback: null,
    } },
  };
}

function summaryOf(change: Change, severity: Severity, device: string, metric: string | null, kind: string, reason: string): string {
  const where = metric === null || metric === '*' ? device : `${device} ${metric}`;
  return change === 'resolved' ? `resolved: ${where}: ${kind}` : `${severity}: ${where}: ${kind}: ${reason}`;
}

/** Times beyond what a Date holds (hostile clocks) are shown as its ends. */
function rfc3339(ms: number): string {
  return new Date(Math.min(Math.max(ms, -8.64e15), 8.64e15)).toISOString();
}

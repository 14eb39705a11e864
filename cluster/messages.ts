import type { AnomalyEvent, AnomalyKind, EventState, HealthVerdict, Severity, VerdictKind } from '../core/event.js';

/** The messages of the output topics, as store/kafka/records.ts writes them; docs/kafka.md documents them. */

export interface ResultMessage {
  device: string;
  metric: string;
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  yhat_lower: number | null;
  yhat_upper: number | null;
  anomaly_score: number | null;
  scored: boolean;
  in_event: boolean;
  warming_up?: true;
}

interface AnomalyMessage {
  type: 'anomaly';
  id: string;
  device: string;
  metric: string;
  kind: AnomalyKind;
  state: EventState;
  severity: Severity;
  opened_at: string;
  updated_at: string;
  resolved_at: string | null;
  readings: number;
  peak_score: number;
  peak_at: string;
  actual: number | null;
  yhat: number | null;
  yhat_lower: number | null;
  yhat_upper: number | null;
  reason: string;
  metrics: { metric: string; contribution: number }[];
  incident: string | null;
  feedback: { verdict: 'accept' | 'false_alarm' | 'confirm'; at: string; by: string } | null;
}

interface VerdictMessage {
  type: 'verdict';
  id: string;
  device: string;
  metric: string;
  kind: VerdictKind;
  state: EventState;
  since: string;
  until: string | null;
  reason: string;
}

interface RetiredMessage {
  type: 'retired';
  device: string;
}

export type EventMessage = AnomalyMessage | VerdictMessage | RetiredMessage;

const timeOrNull = (text: string | null): number | null => (text === null ? null : Date.parse(text));

export function eventOf(m: AnomalyMessage): AnomalyEvent {
  return {
    id: m.id, device: m.device, metric: m.metric, kind: m.kind, state: m.state, severity: m.severity, openedMs: Date.parse(m.opened_at), updatedMs: Date.parse(m.updated_at),
    resolvedMs: timeOrNull(m.resolved_at), readings: m.readings, peakScore: m.peak_score, peakMs: Date.parse(m.peak_at), actual: m.actual, yhat: m.yhat, yhatLower: m.yhat_lower,
    yhatUpper: m.yhat_upper, reason: m.reason, metrics: m.metrics, incident: m.incident, feedback: m.feedback && { verdict: m.feedback.verdict, atMs: Date.parse(m.feedback.at), by: m.feedback.by },
  };
}

export function verdictOf(m: VerdictMessage): HealthVerdict {
  return { id: m.id, device: m.device, metric: m.metric === '*' ? null : m.metric, kind: m.kind, sinceMs: Date.parse(m.since), untilMs: timeOrNull(m.until), reason: m.reason };
}

export function isRetired(message: EventMessage): message is RetiredMessage {
  return message.type === 'retired' && typeof message.device === 'string';
}

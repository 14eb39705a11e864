import { Type, type Static, type TSchema } from 'typebox';
import type { AnomalyKind, EventState, Severity, VerdictKind } from '../core/event.js';
import { REASON_NAMES, type Reason } from '../core/reasons.js';
import type { DeviceStatus } from '../core/service.js';

/** Every shape that goes over the wire, once: it validates, serialises, types the handlers and becomes the OpenAPI document. */

type Options = Record<string, unknown>;

/** JSON Schema 2020-12 (OpenAPI 3.1) allows a list of types; the serialiser is faster with it than with `anyOf`. */
const nullable = <T>(type: 'number' | 'string' | 'integer', options: Options = {}) => Type.Unsafe<T | null>({ type: [type, 'null'], ...options });
const oneOf = <T extends string>(values: readonly T[], options: Options = {}) => Type.Unsafe<T>({ type: 'string', enum: values, ...options });

/** Keys come from the wire: any string, line feeds too, which `Type.Record` would drop. */
const mapOf = <T>(value: Options, options: Options = {}) => Type.Unsafe<Record<string, T>>({ type: 'object', additionalProperties: value, ...options });

const DATE_TIME = { format: 'date-time' };
export const Time = (description?: string) => Type.String({ ...DATE_TIME, ...(description && { description }) });
const TimeOrNull = (description?: string) => nullable<string>('string', { ...DATE_TIME, ...(description && { description }) });
const Num = (description?: string) => nullable<number>('number', description ? { description } : {});

const SEVERITIES: readonly Severity[] = ['info', 'warning', 'critical'];
const STATES: readonly EventState[] = ['open', 'resolved'];
const KINDS: readonly AnomalyKind[] = ['spike', 'shift', 'drift', 'variance', 'stuck', 'pattern', 'limit', 'correlation', 'unusual'];
const VERDICT_KINDS: readonly VerdictKind[] = ['silent', 'stuck', 'flapping', 'clock_skewed', 'impossible'];
const STATUSES: readonly DeviceStatus[] = ['ok', 'warming_up', 'anomalous', 'unhealthy'];

export const Problem = Type.Object({
  type: Type.String({ description: 'A URI for the kind of problem: `urn:gruard:problem:` and the code in lower case.' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String({ description: 'What happened.' }),
  code: Type.String({ description: "gruard's code for it; stable." }),
  next: Type.String({ description: 'What you can do about it.' }),
}, { description: 'RFC 9457 problem details.' });

export const WarmUp = Type.Object({
  ready: Type.Boolean(),
  readings_left: Type.Integer({ description: 'Readings still needed before the first verdict; 0 when ready.' }),
  ready_at: TimeOrNull('When it will be ready at the present pace; null while that is unknown.'),
});

export const AnomalyEvent = Type.Object({
  id: Type.String(),
  device: Type.String(),
  metric: Type.String({ description: '`*` where only the metrics together are unusual.' }),
  kind: oneOf(KINDS),
  state: oneOf(STATES),
  severity: oneOf(SEVERITIES),
  opened_at: Time(),
  updated_at: Time(),
  resolved_at: TimeOrNull(),
  readings: Type.Integer({ description: 'Readings that belong to the event so far.' }),
  peak_score: Type.Number({ description: 'The highest anomaly_score of the event.' }),
  peak_at: Time(),
  actual: Num('At the peak.'),
  yhat: Num('At the peak.'),
  yhat_lower: Num('At the peak.'),
  yhat_upper: Num('At the peak.'),
  reason: Type.String({ description: 'Plain words.' }),
  metrics: Type.Array(Type.Object({ metric: Type.String(), contribution: Type.Number() }), { description: 'The metrics that take part, the strongest first; contributions in 0..1.' }),
  incident: nullable<string>('string', { description: 'Shared by events of many devices that opened together.' }),
  feedback: Type.Unsafe<{ verdict: FeedbackVerdict; at: string; by: string } | null>({
    type: ['object', 'null'],
    properties: { verdict: { type: 'string' }, at: { type: 'string', ...DATE_TIME }, by: { type: 'string' } },
  }),
});

const VERDICTS = ['accept', 'false_alarm', 'confirm'] as const;
type FeedbackVerdict = (typeof VERDICTS)[number];
export const Feedback = Type.Object({
  verdict: oneOf(VERDICTS, { description: '`accept`: this is the new normal. `false_alarm`: it was none. `confirm`: it was a fault, and does not count against the next one.' }),
}, { additionalProperties: false });

export const HealthVerdict = Type.Object({
  id: Type.String(),
  device: Type.String(),
  metric: nullable<string>('string', { description: 'null where the verdict is on the whole device.' }),
  kind: oneOf(VERDICT_KINDS),
  since: Time(),
  until: TimeOrNull('null while it holds.'),
  reason: Type.String(),
});

const deviceFields = {
  id: Type.String({ description: "The device's name." }),
  tags: mapOf<string>({ type: 'string' }),
  status: oneOf(STATUSES, { description: 'The worst of what holds.' }),
  metrics: Type.Array(Type.String()),
  first_seen_at: Time(),
  last_seen_at: Time(),
  open_anomalies: Type.Integer(),
  anomaly_score: Type.Number({ description: "The highest among its series' last readings; above 1 is anomalous." }),
  warm_up: WarmUp,
};
export const Device = Type.Object(deviceFields);

export const Series = Type.Object({
  id: Type.String({ description: 'The metric.' }),
  last: Type.Unsafe<{ timestamp: string; actual: number | null; anomaly_score: number } | null>({
    type: ['object', 'null'],
    properties: { timestamp: { type: 'string', ...DATE_TIME }, actual: { type: ['number', 'null'] }, anomaly_score: { type: 'number' } },
  }),
  period_ms: Num('The learned time between readings; null while unknown.'),
  readings: Type.Integer(),
  warm_up: WarmUp,
});

export const DeviceDetail = Type.Object({
  ...deviceFields,
  series: Type.Array(Series),
  verdicts: Type.Array(HealthVerdict, { description: 'Health verdicts that hold.' }),
  events: Type.Array(AnomalyEvent, { description: 'Open anomaly events.' }),
});

export const Point = Type.Object({
  id: Type.String({ description: 'The timestamp.' }),
  timestamp: Time(),
  actual: Num(),
  yhat: Num('What was forecast before the reading was seen.'),
  yhat_lower: Num(),
  yhat_upper: Num(),
  anomaly_score: Num('Above 1 is anomalous; 0 while warming up.'),
  scored: Type.Boolean({ description: 'False for a late reading: stored, not scored.' }),
  in_event: Type.Boolean(),
  revised: Type.Boolean({ description: 'True where a late reading corrected a scored one: the value is the later one, forecast and score are of the first.' }),
});

export const SubmitResult = Type.Object({
  accepted: Type.Integer({ description: 'Readings that are durable now.' }),
  refused: Type.Integer(),
  reasons: Type.Array(Type.Object({ reason: oneOf<Reason>(REASON_NAMES), count: Type.Integer(), detail: Type.String() })),
});

export const Overview = Type.Object({
  now: Time("The detector's now: the wall clock, or the newest reading of a fleet that brings its own time."),
  devices: Type.Integer(),
  series: Type.Integer(),
  warming_up: Type.Object({ devices: Type.Integer(), ready_at: TimeOrNull('When the last of them will be ready.') }),
  readings_per_second: Type.Number(),
  readings_total: Type.Integer(),
  open_anomalies: Type.Object({ info: Type.Integer(), warning: Type.Integer(), critical: Type.Integer() }),
  unhealthy: Type.Integer({ description: 'Devices with a health verdict that holds.' }),
  brokers: Type.Array(Type.Object({ kind: Type.String(), url: Type.String() }), { description: 'Where devices can send to.' }),
  health: oneOf(['ok', 'degraded', 'failing'] as const),
});

const HEALTH = ['ok', 'degraded', 'failing'] as const;
export const Health = Type.Object({
  status: oneOf(HEALTH),
  version: Type.Optional(Type.String()),
  uptime_ms: Type.Optional(Type.Number()),
  checks: Type.Optional(Type.Array(Type.Object({ name: Type.String(), status: oneOf(HEALTH), detail: Type.String() }))),
  sources: Type.Optional(Type.Array(Type.Object({
    name: Type.String(),
    state: oneOf(['connecting', 'connected', 'disconnected', 'stopped'] as const),
    address: Type.String(),
    detail: nullable<string>('string'),
    received: Type.Integer(),
    waiting: Type.Integer(),
  }))),
});

export const DeadLetter = Type.Object({
  id: Type.String(),
  at: Time(),
  source: Type.String(),
  origin: Type.String({ description: 'Topic, partition or address it came from.' }),
  reason: oneOf<Reason>(REASON_NAMES),
  detail: Type.String(),
  payload: Type.String({ description: 'Its first bytes; what cannot be printed is escaped.' }),
  payload_bytes: Type.Integer(),
});

export const listOf = <T extends TSchema>(item: T) => Type.Object({
  items: Type.Array(item),
  next_cursor: nullable<string>('string', { description: 'Give it as `cursor` for the next page; null at the end.' }),
});

const TimeParam = (description: string) => Type.String({ maxLength: 40, description: `${description} RFC 3339 or epoch ms.` });
const paging = {
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 2048, description: '`next_cursor` of the page before.' })),
};
/** For names that URLs cannot carry in a path (`.` and `..`). */
const NameInQuery = (what: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: `The ${what}, in place of the one in the path: for names that a path cannot carry, such as \`..\`.` }));

export const Paging = Type.Object(paging, { additionalProperties: false });
const deviceFilter = Type.Object({
  ...paging,
  search: Type.Optional(Type.String({ maxLength: 256, description: 'Part of a name, in any case.' })),
  status: Type.Optional(oneOf(STATUSES)),
}, { additionalProperties: false });
export const DeviceFilter = Type.Unsafe<Static<typeof deviceFilter> & Record<`tag.${string}`, string>>({
  ...deviceFilter,
  patternProperties: { '^tag\\..': { type: 'string', maxLength: 1024, description: '`tag.line=1`: devices that carry this tag.' } },
});

export const DeviceRef = Type.Object({ id: Type.String({ description: "The device's name, percent-encoded." }) });
export const DeviceRefQuery = Type.Object({ name: NameInQuery('device') }, { additionalProperties: false });
export const SeriesRef = Type.Object({ id: Type.String(), metric: Type.String() });
export const SeriesFilter = Type.Object({
  ...paging,
  start: Type.Optional(TimeParam('Inclusive.')),
  end: Type.Optional(TimeParam('Exclusive.')),
  order: Type.Optional(oneOf(['asc', 'desc'] as const, { description: '`desc`: the newest first. Without it, points are oldest first; without start, end and cursor they are the newest.' })),
  name: NameInQuery('device'),
  metric: NameInQuery('metric'),
}, { additionalProperties: false });
export const ExportFilter = Type.Object({
  format: oneOf(['csv', 'parquet'] as const, { default: 'csv' }),
  device: Type.Optional(Type.String({ maxLength: 1024 })),
  metric: Type.Optional(Type.String({ maxLength: 1024 })),
  start: Type.Optional(TimeParam('Inclusive.')),
  end: Type.Optional(TimeParam('Exclusive.')),
}, { additionalProperties: false });
export const EventFilter = Type.Object({
  ...paging,
  device: Type.Optional(Type.String({ maxLength: 1024 })),
  metric: Type.Optional(Type.String({ maxLength: 1024 })),
  start: Type.Optional(TimeParam('Events that end after this.')),
  end: Type.Optional(TimeParam('Events that begin before this.')),
  severity: Type.Optional(oneOf(SEVERITIES)),
  state: Type.Optional(oneOf(STATES)),
}, { additionalProperties: false });
export const VerdictFilter = Type.Object({
  ...paging,
  device: Type.Optional(Type.String({ maxLength: 1024 })),
  open: Type.Optional(Type.Boolean({ description: 'true: only those that hold; false: only those that are over.' })),
}, { additionalProperties: false });
export const EventRef = Type.Object({ id: Type.String() });
export const DeadLetterFilter = Type.Object({ limit: paging.limit }, { additionalProperties: false });
export const StreamFilter = Type.Object({
  device: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'Only this device, with its readings.' })),
  overview: Type.Boolean({ default: true, description: 'An `overview` message a second.' }),
  last_event_id: Type.Optional(Type.String({ maxLength: 1024, description: 'The same as the header Last-Event-ID.' })),
}, { additionalProperties: false });

/** What POST /v1/readings takes: for the document only, since the decoder that every source uses reads the bytes. */
const ReadingMessage = Type.Object({
  device: Type.String(),
  timestamp: Type.Optional(Type.Unsafe<string | number>({ type: ['string', 'number'], description: 'RFC 3339, or epoch s, ms, us or ns; else the time of arrival.' })),
  metrics: mapOf<number | boolean>({ type: ['number', 'boolean'] }),
  tags: Type.Optional(mapOf<string>({ type: 'string' })),
}, { examples: [{ device: 'oven3', timestamp: '2026-01-31T12:00:00Z', metrics: { temperature: 21.4, humidity: 40 }, tags: { line: '1' } }] });
export const ReadingsBody = {
  content: {
    'application/json': { schema: Type.Unsafe({ oneOf: [ReadingMessage, Type.Array(ReadingMessage)] }) },
    'application/x-ndjson': { schema: Type.String({ description: 'One JSON object a line.' }) },
    'text/plain': { schema: Type.String({ description: 'Line protocol: `measurement,device=oven3 temperature=21.4 1769860800000000000`.' }) },
  },
};

/** The problems that any route can answer with. */
export const problems = Object.fromEntries(['400', '401', '403', '404', '413', '415', '429', '500', '503'].map((status) =>
  [status, { description: 'Problem', content: { 'application/problem+json': { schema: Problem } } }]));

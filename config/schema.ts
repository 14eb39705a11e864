import Type, { type Static, type TSchema } from 'typebox';
import { DEFAULT_LIMITS } from '../core/limits.js';

/**
 * Every setting of gruard, once: its type, default, bounds and description. Validation, environment overrides, `--help`,
 * `gruard config --print` and config/gruard.example.yaml all derive from this schema. Units stand last in the names.
 */

/** A section: unknown keys are refused, and it may be left out. */
function section<P extends Record<string, TSchema>>(description: string, properties: P) {
  return Type.Object(properties, { description, additionalProperties: false, default: {} });
}

const text = (fallback: string, description: string, extra: object = {}) => Type.String({ default: fallback, description, ...extra });
const integer = (fallback: number, description: string, minimum: number, maximum: number) =>
  Type.Integer({ default: fallback, description, minimum, maximum });
const choice = <const V extends string>(values: V[], fallback: NoInfer<V>, description: string) =>
  Type.Unsafe<V>(Type.Enum(values, { default: fallback, description }));
const texts = (fallback: string[], description: string) => Type.Array(Type.String(), { default: fallback, description, maxItems: 1000 });

/** A secret has a twin `*_file`: the path of a file that holds it. It is never printed. */
const secret = (description: string) => text('', description, { secret: true });
const secretFile = (of: string) => text('', `File that holds ${of} (preferred: a value in the environment can be read by other processes).`);

const port = (fallback: number, description: string) => integer(fallback, description, 0, 65535);
const DAY_MS = 86_400_000;
const MIB = 1_048_576;

/** Of an alert sink; `url` is printed without what may be secret in it, everything else (secrets, headers, templates) is masked. */
const PRINTED_SINK_FIELDS = [
  'name', 'kind', 'min_severity', 'devices', 'exclude_devices', 'metrics', 'kinds', 'changes', 'update_interval_ms', 'cooldown_ms', 'max_per_minute', 'timeout_ms',
  'secret_file', 'username', 'password_file', 'client_id', 'ca_file', 'cert_file', 'key_file', 'topic_prefix', 'home_assistant', 'labels', 'brokers', 'topic', 'tls', 'sasl',
];

const topicRule = Type.Object({
  topic: Type.String({ description: 'Topic filter; a level may be text, `+`, `{device}`, `{metric}` or `{anything}`, which becomes a tag; `#` may end it.' }),
  device: Type.Optional(Type.String({ description: 'One device for all that matches.' })),
  tags: Type.Optional(Type.Record(Type.String(), Type.String(), { description: 'Tags for the devices that match.' })),
}, { additionalProperties: false });

const override = Type.Object({
  device: Type.Optional(Type.String({ description: 'Device pattern (`*` is any run of characters); left out: any.' })),
  metric: Type.Optional(Type.String({ description: 'Metric pattern.' })),
  ignore: Type.Optional(Type.Boolean({ description: 'Store the readings, never alarm.' })),
  direction: Type.Optional(Type.Enum(['both', 'up', 'down'], { description: 'Only alarm on values above (up) or below (down) the forecast.' })),
  minimum_deviation: Type.Optional(Type.Number({ minimum: 0, description: 'Never alarm where the value is closer than this to the forecast, in its own unit.' })),
  lower_limit: Type.Optional(Type.Number({ description: 'A value below it is an anomaly at once.' })),
  upper_limit: Type.Optional(Type.Number({ description: 'A value above it is an anomaly at once.' })),
  false_alarms_per_day: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1000, description: 'Sensitivity of these series.' })),
}, { additionalProperties: false });

const maintenance = Type.Object({
  device: Type.Optional(Type.String({ description: 'Device pattern; left out: all devices.' })),
  start: Type.String({ description: 'RFC 3339 time.' }),
  end: Type.String({ description: 'RFC 3339 time.' }),
  every_hours: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'Repeats after so many hours (24: daily, 168: weekly).' })),
}, { additionalProperties: false });

export const configSchema = Type.Object({
  data_dir: text('./data', 'Where the journal, the snapshots and the embedded store live. One gruard owns it.'),
  time: choice(['wall', 'event'], 'wall', '`wall`: now is the clock. `event`: now is the newest timestamp seen (replays, simulated fleets).'),

  mode: choice(['single', 'cluster'], 'single', '`cluster`: any number of equal workers share the partitions of kafka.topics (docs/kafka.md).'),
  cluster: section('A worker of mode: cluster.', {
    snapshots_topic: text('gruard.snapshots', 'Compacted topic for the state of each partition.'),
    snapshot_interval_ms: integer(60_000, 'Time between snapshots of a partition.', 1000, DAY_MS),
    snapshot_messages: integer(200_000, 'A snapshot is made after so many messages at the latest: what a takeover replays.', 1000, 1_000_000_000),
    commit_delay_ms: integer(250, 'Time between transactions of a partition: what comes meanwhile is committed together.', 0, 10_000),
    session_timeout_ms: integer(6000, 'After this time without a sign of life the partitions of a worker go to others (brokers allow 6000 at the least unless told otherwise).', 1000, 300_000),
    view: Type.Boolean({ default: true, description: 'This worker answers for the whole fleet as it stands now, and reads the results of all workers to that end.' }),
  }),

  api: section('REST API and page.', {
    host: text('127.0.0.1', 'Address to listen on. Anything but loopback needs a token.'),
    port: port(8480, 'Port of API and page.'),
    token: secret('Bearer token with every scope, beside those of `gruard token`; where there is none at all, no call needs one (loopback only). Beyond loopback it needs 16 characters, as a machine draws them.'),
    token_file: secretFile('the API token'),
    allowed_hosts: texts([], 'Host names, besides loopback ones, under which browsers may reach the API (guards against DNS rebinding).'),
    streams: integer(200, 'Open /v1/stream connections at the most.', 1, 100_000),
    tls_cert_file: text('', 'Certificate of the API and the page (PEM, with its chain); empty: plain HTTP.'),
    tls_key_file: text('', 'Key of that certificate (PEM).'),
    page_items: integer(1000, 'Items of a page of a list at the most, however many are asked for.', 1, 1000),
    query_span_days: integer(36_500, 'Days between start and end of a query at the most.', 1, 36_500),
    requests_per_second: integer(2000, 'Requests a client address may send (an IPv6 one counts with its /64); more is answered 429.', 1, 1_000_000),
    connections_per_address: integer(256, 'Open connections of a client address (an IPv6 one counts with its /64), at the most; 0: no limit. Loopback is exempt; raise it for a proxy elsewhere, or a fleet behind one address.', 0, 100_000),
  }),

  broker: section('Embedded MQTT broker, for fleets that have none.', {
    enabled: choice(['auto', 'on', 'off'], 'auto', '`auto`: on where no other source is configured.'),
    host: text('127.0.0.1', 'Address to listen on. Anything but loopback needs a user and password.'),
    port: port(1883, 'Port of the embedded broker.'),
    username: text('', 'User that devices must give; it may publish and subscribe to any topic.'),
    password: secret('Password that devices must give; beyond loopback it needs 8 characters.'),
    password_file: secretFile('the broker password'),
    users_file: text('', 'Users with the topics that each may use (docs/security.md); `gruard broker-user` writes it. Read again when it changes.'),
    tls_cert_file: text('', 'Certificate of the broker (PEM, with its chain); empty: plain MQTT.'),
    tls_key_file: text('', 'Key of that certificate (PEM).'),
    clients: integer(10_000, 'Connected clients at the most.', 1, 1_000_000),
    connections_per_device: integer(20, 'Connections of a user of the users file who is one device, at the most.', 1, 1_000_000),
  }),

  mqtt: section('Your own MQTT broker.', {
    url: text('', 'mqtt://, mqtts://, ws:// or wss:// address; empty: not used.', { address: true }),
    topics: texts(['#'], 'Topic filters to subscribe to.'),
    version: choice(['3.1.1', '5'], '3.1.1', 'Protocol version.'),
    qos: Type.Union([Type.Literal(0), Type.Literal(1)], { default: 1, description: 'Quality of service of the subscription; 1 loses nothing.' }),
    client_id: text('gruard', 'Fixed, so that the broker keeps what came while gruard was away.'),
    username: text('', 'User.'),
    password: secret('Password.'),
    password_file: secretFile('the password'),
    ca_file: text('', 'Certificate authority of the broker (PEM).'),
    cert_file: text('', 'Client certificate (PEM).'),
    key_file: text('', 'Key of the client certificate (PEM).'),
    unacknowledged_messages: integer(20_000, 'Messages in flight between receipt and journal.', 1, 1_000_000),
  }),

  kafka: section('Your own Kafka: readings from it, results and events to it.', {
    brokers: texts([], 'HOST:PORT of some of the brokers; empty: not used.'),
    topics: texts([], 'Topics to read.'),
    topic_pattern: text('', 'Regular expression: topics whose whole name matches are read as well.'),
    group_id: text('gruard', 'Consumer group. With mode: single gruard is to be its only member.'),
    from: choice(['earliest', 'latest'], 'earliest', 'Where a partition is begun that was never read.'),
    device: choice(['payload', 'key'], 'payload', '`payload`: the device that the payload names, else the message key. `key`: always the key.'),
    tag_headers: texts([], 'Message headers that become tags of the device.'),
    dead_letter_topic: text('', 'Topic for messages that cannot be read, with the reason in headers; empty: none.'),
    unacknowledged_messages: integer(20_000, 'Messages in flight between receipt and journal.', 1, 1_000_000),
    client_id: text('gruard', 'How gruard calls itself.'),
    tls: Type.Boolean({ default: false, description: 'Speak TLS; any of the three files below does so too.' }),
    ca_file: text('', 'Certificate authority of the brokers (PEM).'),
    cert_file: text('', 'Client certificate (PEM).'),
    key_file: text('', 'Key of the client certificate (PEM).'),
    sasl: choice(['none', 'plain', 'scram-sha-256', 'scram-sha-512'], 'none', 'SASL mechanism.'),
    username: text('', 'User.'),
    password: secret('Password.'),
    password_file: secretFile('the password'),
    output: section('Results and events, written as JSON and keyed by device.', {
      enabled: Type.Boolean({ default: false, description: 'Write them.' }),
      results_topic: text('gruard.results', 'Topic for the result of each reading; empty: none.'),
      events_topic: text('gruard.events', 'Topic for anomaly events and health verdicts; empty: none.'),
    }),
  }),

  decode: section('How topics and payloads become devices and metrics.', {
    topics: Type.Array(topicRule, { default: [], description: 'Rules for topics, the first match wins. Without a match the last topic level is the device, unless the payload names one.', maxItems: 1000 }),
    include: texts([], 'Topic filters to take; empty: all.'),
    exclude: texts(['gruard/#', 'homeassistant/#'], 'Topic filters to leave out; those of the default are what gruard itself publishes.'),
    exclude_devices: texts([], 'Device patterns to leave out.'),
    exclude_metrics: texts([], 'Metric patterns to leave out.'),
  }),

  limits: section('Limits on what comes over the wire. What is over one is refused, counted, and kept as a dead letter.', {
    payload_bytes: integer(DEFAULT_LIMITS.payloadBytes, 'A message or request body.', 64, 64 * MIB),
    nesting: integer(DEFAULT_LIMITS.nesting, 'Nested objects in a payload.', 1, 64),
    metrics_per_device: integer(DEFAULT_LIMITS.metricsPerDevice, 'Metrics of a device.', 1, 4096),
    devices: integer(DEFAULT_LIMITS.devices, 'Devices.', 1, 10_000_000),
    series: integer(DEFAULT_LIMITS.series, 'Series.', 1, 10_000_000),
    name_bytes: integer(DEFAULT_LIMITS.nameBytes, 'A device, metric or tag name, in UTF-8.', 8, 1024),
    tags: integer(DEFAULT_LIMITS.tags, 'Tags of a device.', 0, 256),
    topic_levels: integer(DEFAULT_LIMITS.topicLevels, 'Levels of an MQTT topic.', 1, 256),
    clock_skew_ms: integer(DEFAULT_LIMITS.clockSkewMs, 'How far ahead of now a timestamp may be.', 0, 3650 * DAY_MS),
    csv_line_bytes: integer(1_048_576, 'A line of a CSV file (backtest, replay).', 64, 64 * MIB),
    dead_letters: integer(10_000, 'Dead letters kept; the oldest go first.', 0, 10_000_000),
  }),

  model: section('The predictor.', {
    backend: choice(['auto', 'wasm', 'tensorflow', 'js'], 'auto', '`auto` measures once and keeps to its choice.'),
    weights: text('', 'Weights file (safetensors); empty: the one that ships with gruard.'),
    cell: choice(['any', 'elman', 'jordan', 'recurrent', 'lstm', 'gru'], 'any', 'The cell that the weights must be of; others are refused.'),
    layers: Type.Array(Type.Integer({ minimum: 1, maximum: 256 }), { default: [], description: 'The units that the layers of the weights must have, bottom first; empty: any.', maxItems: 4 }),
    by_device: Type.Array(Type.Object({
      devices: Type.String({ description: 'Device pattern (`*` is any run of characters); the first that matches counts.' }),
      weights: Type.String({ description: 'Weights file.' }),
    }, { additionalProperties: false }), { default: [], description: 'Other weights for some devices.', maxItems: 16 }),
    profile: choice(['default', 'compact'], 'default', '`compact` keeps less state a series (about 1.2 KB) and finds somewhat less.'),
  }),

  detector: section('What counts as an anomaly.', {
    false_alarms_per_day: Type.Number({ default: 0.07, exclusiveMinimum: 0, maximum: 1000, description: 'Sensitivity: false alarms that a healthy series may raise a day.' }),
    overrides: Type.Array(override, { default: [], description: 'Other rules for some devices or metrics; the first that matches and names a field decides it.', maxItems: 10_000 }),
    maintenance: Type.Array(maintenance, { default: [], description: 'Windows in which a device raises no event.', maxItems: 10_000 }),
    cooldown_ms: integer(0, 'After an event, the time in which the same series opens no new one.', 0, 365 * DAY_MS),
    accept_after_ms: integer(0, 'After this time an open event becomes the new normal by itself; 0: only a person accepts it.', 0, 365 * DAY_MS),
  }),

  journal: section('The durable record of every reading.', {
    max_bytes: integer(8192 * MIB, 'Size at which gruard stops acknowledging until followers catch up.', 64 * MIB, Number.MAX_SAFE_INTEGER),
    segment_bytes: integer(16 * MIB, 'Size of a segment file.', 65_536, 1024 * MIB),
    commit_delay_ms: integer(2, 'How long a reading may wait for company before it is committed; 0 is the lowest latency, 10 the least CPU.', 0, 1000),
    snapshot_interval_ms: integer(60_000, 'Time between snapshots of the state.', 100, DAY_MS),
  }),

  store: section('Where results are kept.', {
    kind: choice(['embedded', 'influxdb'], 'embedded', '`embedded` is a DuckDB file in data_dir.'),
    retention_days: Type.Number({ default: 90, minimum: 0, description: 'Age at which readings and resolved events are removed; 0: never.' }),
    memory_bytes: integer(128 * MIB, 'Memory that the embedded store may use. It fills with what was written and read last; what does not fit is read from the file.', 64 * MIB, 1_000_000 * MIB),
    influxdb: section('InfluxDB 1.8, or 2.x and 3 through their v1 endpoints.', {
      url: text('http://127.0.0.1:8086', 'Address.', { address: true }),
      database: text('gruard', 'Database (2.x: mapped bucket).'),
      username: text('', 'User (1.x).'),
      password: secret('Password (1.x).'),
      password_file: secretFile('the password'),
      token: secret('Token (2.x, 3).'),
      token_file: secretFile('the token'),
      ca_file: text('', 'Certificate authority of the server (PEM), for https://; empty: those that Node knows.'),
    }),
  }),

  alerts: section('Who is told.', {
    sinks: Type.Array(Type.Record(Type.String(), Type.Unknown()), { default: [], description: 'Sinks with their routing; docs/alerts.md lists the fields of each kind.', maxItems: 100, printedFields: PRINTED_SINK_FIELDS }),
  }),

  log: section('The log, on stderr.', {
    level: choice(['debug', 'info', 'warn', 'error'], 'info', 'Least level that is written.'),
    format: choice(['auto', 'text', 'json'], 'auto', '`auto`: text on a terminal, else JSON lines.'),
  }),
}, { additionalProperties: false, default: {} });

export type Config = Static<typeof configSchema>;

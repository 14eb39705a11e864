import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSinks } from './alert/settings.js';
import type { ApiOptions } from './api/server.js';
import type { Config } from './config/schema.js';
import { GruardError, messageOf } from './core/errors.js';
import type { KafkaConnection } from './core/kafka.js';
import { silentLog, type Log } from './core/log.js';
import type { Limits } from './core/limits.js';
import { shippedFile } from './core/paths.js';
import { guessable, hashToken } from './core/token.js';
import type { BrokerSettings } from './ingest/broker.js';
import type { DecoderSettings } from './ingest/decode/index.js';
import { DEFAULT_INLET_LIMITS } from './ingest/inlet.js';
import type { KafkaSettings } from './ingest/kafka.js';
import type { MqttSettings } from './ingest/mqtt.js';
import type { BackendName } from './model/backends/index.js';
import type { DetectorOptions } from './model/detector.js';
import type { DetectorSettings } from './model/settings.js';
import type { Wanted } from './model/weights.js';
import type { KafkaOutputSettings } from './store/kafka/output.js';
import type { LiveTokens } from './store/tokens.js';
import { EmbeddedStore } from './store/results/embedded.js';
import { InfluxStore } from './store/results/influx.js';
import type { InfluxOptions } from './store/results/influx-connection.js';
import { TlsFiles } from './tls.js';

const MIB = 1_048_576;

/** The settings of each stage, from the sections of the configuration. */

export function limitsOf(config: Config): Limits {
  const l = config.limits;
  return {
    payloadBytes: l.payload_bytes, nesting: l.nesting, metricsPerDevice: l.metrics_per_device, devices: l.devices, series: l.series,
    nameBytes: l.name_bytes, tags: l.tags, topicLevels: l.topic_levels, clockSkewMs: l.clock_skew_ms,
  };
}

export function decoderSettingsOf(config: Config): DecoderSettings {
  const d = config.decode;
  return { rules: d.topics, include: d.include, exclude: d.exclude, excludeDevices: d.exclude_devices, excludeMetrics: d.exclude_metrics };
}

/** The weights in force: the file of the settings, else the one that `gruard model use` put into the data directory, else the shipped one. */
export function weightsPathOf(config: Config): string {
  if (config.model.weights !== '') return config.model.weights;
  const own = ownWeightsPath(config);
  return existsSync(own) ? own : shippedFile('model/weights/default.safetensors');
}

/** Where `gruard model use` puts weights. */
export function ownWeightsPath(config: Config): string {
  return join(config.data_dir, 'model.safetensors');
}

/** What the weights in force have to be. */
export function wantedOf({ model }: Config): Wanted {
  return { cell: model.cell === 'any' ? undefined : model.cell, layers: model.layers.length > 0 ? model.layers : undefined };
}

/** Every weights file has a backend of its own. */
export function detectorOptionsOf(config: Config, backendOf: (weights: string) => BackendName): DetectorOptions {
  const models = config.model.by_device.map(({ devices, weights }) => ({ devices, network: weights, backend: backendOf(weights) }));
  const network = weightsPathOf(config);
  return { backend: backendOf(network), models, network, wanted: wantedOf(config), profile: config.model.profile, settings: detectorSettingsOf(config) };
}

/** @throws GruardError CONFIG_INVALID for a maintenance time that cannot be read. */
export function detectorSettingsOf(config: Config): Partial<DetectorSettings> {
  const d = config.detector;
  return {
    falseAlarmsPerDay: d.false_alarms_per_day,
    cooldownMs: d.cooldown_ms,
    acceptAfterMs: d.accept_after_ms === 0 ? Infinity : d.accept_after_ms,
    rules: d.overrides.map((o) => ({
      device: o.device, metric: o.metric, ignore: o.ignore, direction: o.direction, minDeviation: o.minimum_deviation,
      min: o.lower_limit, max: o.upper_limit, falseAlarmsPerDay: o.false_alarms_per_day,
    })),
    maintenance: d.maintenance.map((m, i) => ({
      device: m.device,
      startMs: timeOf(m.start, `detector.maintenance[${i}].start`),
      endMs: timeOf(m.end, `detector.maintenance[${i}].end`),
      everyMs: m.every_hours === undefined ? undefined : m.every_hours * 3_600_000,
    })),
  };
}

function timeOf(text: string, setting: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new GruardError('CONFIG_INVALID', `${setting}: an RFC 3339 time expected`);
  return ms;
}

/** The embedded broker, the user's own broker: whichever the configuration asks for. */
export function brokerSettingsOf(config: Config): BrokerSettings | undefined {
  const b = config.broker;
  const wanted = b.enabled === 'on' || (b.enabled === 'auto' && config.mqtt.url === '' && !readsKafka(config));
  if (!wanted) return undefined;
  return {
    host: b.host, port: b.port, username: b.username || undefined, password: b.password || undefined, usersFile: b.users_file || undefined,
    tls: tlsOf(b.tls_cert_file, b.tls_key_file, 'broker'), clients: b.clients, connectionsPerDevice: b.connections_per_device,
  };
}

export function mqttSettingsOf(config: Config): MqttSettings | undefined {
  const m = config.mqtt;
  if (m.url === '') return undefined;
  return {
    url: m.url, topics: m.topics, version: m.version, qos: m.qos, clientId: m.client_id,
    username: m.username || undefined, password: m.password || undefined,
    ca: pem(m.ca_file, 'mqtt.ca_file'), cert: pem(m.cert_file, 'mqtt.cert_file'), key: pem(m.key_file, 'mqtt.key_file'),
    unacknowledgedMessages: m.unacknowledged_messages,
  };
}

/** The Kafka of the settings; undefined where none is named. @throws GruardError CONFIG_INVALID, CONFIG_UNREADABLE. */
export function kafkaConnectionOf(config: Config): KafkaConnection | undefined {
  const k = config.kafka;
  if (k.brokers.length === 0) return undefined;
  if (k.sasl !== 'none' && (k.username === '' || k.password === '')) throw new GruardError('CONFIG_INVALID', `kafka.sasl is ${k.sasl}: kafka.username and kafka.password_file are needed`);
  return {
    brokers: k.brokers, clientId: k.client_id, tls: k.tls,
    ca: pem(k.ca_file, 'kafka.ca_file'), cert: pem(k.cert_file, 'kafka.cert_file'), key: pem(k.key_file, 'kafka.key_file'),
    sasl: k.sasl === 'none' ? undefined : { mechanism: k.sasl, username: k.username, password: k.password },
  };
}

function readsKafka({ kafka }: Config): boolean {
  return kafka.brokers.length > 0 && (kafka.topics.length > 0 || kafka.topic_pattern !== '');
}

export function kafkaSettingsOf(config: Config): KafkaSettings | undefined {
  const connection = kafkaConnectionOf(config);
  if (!connection || !readsKafka(config)) return undefined;
  const k = config.kafka;
  return {
    connection, topics: k.topics, topicPattern: k.topic_pattern || undefined, groupId: k.group_id, from: k.from, device: k.device, tagHeaders: k.tag_headers,
    deadLetterTopic: k.dead_letter_topic || undefined, eventTime: config.time === 'event',
    limits: { items: k.unacknowledged_messages, bytes: DEFAULT_INLET_LIMITS.bytes },
  };
}

export function kafkaOutputOf(config: Config): KafkaOutputSettings | undefined {
  const { enabled, results_topic: results, events_topic: events } = config.kafka.output;
  if (!enabled) return undefined;
  const connection = kafkaConnectionOf(config);
  if (!connection) throw new GruardError('CONFIG_INVALID', 'kafka.output is enabled: kafka.brokers is needed');
  return { connection, resultsTopic: results || undefined, eventsTopic: events || undefined, cursorPath: join(config.data_dir, 'cursors', 'kafka.json') };
}

/** Topics that alert sinks write to on the same brokers. */
export function kafkaSinkTopicsOf(config: Config): string[] {
  return readSinks(config.alerts.sinks).flatMap((sink) => (sink.kind === 'kafka' && sink.connection.brokers.some((broker) => config.kafka.brokers.includes(broker)) ? [sink.topic] : []));
}

export function embeddedStoreOf(config: Config): EmbeddedStore {
  return new EmbeddedStore({ path: join(config.data_dir, 'results.duckdb'), memoryLimitMb: Math.round(config.store.memory_bytes / MIB) });
}

/** The log is told what an administrator of InfluxDB has to run. */
export function influxStoreOf(config: Config, cursorPath: string, log: Log = silentLog): InfluxStore {
  return new InfluxStore(influxOptionsOf(config, cursorPath), ({ command, reason }) => log.warn('InfluxDB: an administrator has to run this', { command, reason }));
}

export function influxOptionsOf(config: Config, cursorPath: string): InfluxOptions {
  const { influxdb, retention_days: days } = config.store;
  return {
    url: influxdb.url, database: influxdb.database, username: influxdb.username || undefined, password: influxdb.password || undefined, token: influxdb.token || undefined, ca: pem(influxdb.ca_file, 'store.influxdb.ca_file'),
    cursorPath, retentionDays: days === 0 ? null : days,
  };
}

/** @throws GruardError TOKEN_REQUIRED, TOKEN_GUESSABLE where anybody could reach the API. */
export function apiOptionsOf(config: Config, live: LiveTokens): ApiOptions {
  const a = config.api;
  if (!isLoopback(a.host) && a.token === '' && live.current().length === 0) throw new GruardError('TOKEN_REQUIRED', `api.host is ${a.host}, and there is no token: anybody there could read and send`);
  const weakness = a.token === '' ? undefined : guessable(a.token);
  if (!isLoopback(a.host) && weakness !== undefined) throw new GruardError('TOKEN_GUESSABLE', `api.host is ${a.host}, and the token of api.token or api.token_file ${weakness}`);
  return {
    host: a.host, port: a.port, allowedHosts: a.allowed_hosts, streams: a.streams, requestsPerSecond: a.requests_per_second, connectionsPerAddress: a.connections_per_address, pageItems: a.page_items, querySpanDays: a.query_span_days,
    payloadBytes: config.limits.payload_bytes,
    tls: tlsOf(a.tls_cert_file, a.tls_key_file, 'api'),
    liveTokens: () => live.current(), tokenRequired: live.exist || !isLoopback(a.host),
    tokens: a.token === '' ? [] : [{ name: 'api.token', sha256: hashToken(a.token), scopes: ['read', 'write', 'admin'] }],
  };
}

/** @throws GruardError TLS_INVALID where only one of the two is there, or they do not belong together. */
function tlsOf(certFile: string, keyFile: string, section: string): TlsFiles | undefined {
  if (certFile === '' && keyFile === '') return undefined;
  if (certFile === '' || keyFile === '') throw new GruardError('TLS_INVALID', `${section}.tls_cert_file and ${section}.tls_key_file: one is set and the other is not`);
  return new TlsFiles(certFile, keyFile, section);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function pem(file: string, setting: string): Buffer | undefined {
  if (file === '') return undefined;
  try {
    return readFileSync(file);
  } catch (thrown) {
    throw new GruardError('CONFIG_UNREADABLE', `${setting}: ${messageOf(thrown)}`);
  }
}

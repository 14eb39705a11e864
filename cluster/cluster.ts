import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { buildServer, listen } from '../api/server.js';
import { readSinks } from '../alert/settings.js';
import type { Config } from '../config/schema.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { kafkaAddress, openKafka, type KafkaConnection } from '../core/kafka.js';
import type { Log } from '../core/log.js';
import { ReasonCounters } from '../core/reasons.js';
import { auditCall, expireHourly, tlsError, type Gruard } from '../gruard.js';
import { Decoder } from '../ingest/decode/index.js';
import { HttpSource } from '../ingest/http.js';
import { Intake } from '../ingest/intake.js';
import { Bridge } from '../ingest/kafka/bridge.js';
import { AuditLog } from '../store/audit.js';
import { DeadLetters } from '../store/deadletter.js';
import { Exports } from '../store/exports.js';
import { RealDisk } from '../store/disk/real.js';
import { lockDataDir } from '../store/lock.js';
import { LiveTokens } from '../store/tokens.js';
import { apiOptionsOf, decoderSettingsOf, detectorOptionsOf, detectorSettingsOf, influxStoreOf, kafkaConnectionOf, limitsOf } from '../wiring.js';
import { ControlWriter } from './control-writer.js';
import type { OutputTopics } from './outcome.js';
import type { PartitionParts } from './partition.js';
import { ClusterService } from './service.js';
import { SnapshotReader, SnapshotTopic } from './snapshot-topic.js';
import { FleetView } from './view.js';
import { healthOf, measuresOf } from './vitals.js';
import { Worker } from './worker.js';

/** Workers must agree to the last bit: which backend is the fastest here is not asked. */
const BACKEND = 'wasm';

/** Opens one worker of a cluster. Throws CLUSTER_*, CONFIG_INVALID, BROKER_UNREACHABLE. */
export async function openCluster(config: Config, log: Log, clock: Clock = systemClock): Promise<Gruard> {
  const closing: (() => Promise<unknown> | void)[] = [];
  try {
    return await open(config, connectionOf(config), log, clock, closing);
  } catch (thrown) {
    for (const close of closing.reverse()) await Promise.resolve(close()).catch(() => undefined);
    throw thrown;
  }
}

/** Says what a cluster needs and what it does not do. */
function connectionOf(config: Config): KafkaConnection {
  const connection = kafkaConnectionOf(config);
  if (!connection || config.kafka.topics.length === 0) throw new GruardError('CLUSTER_NEEDS_KAFKA', 'mode is cluster, and there is no kafka.brokers or no kafka.topics');
  if (config.kafka.topic_pattern !== '') throw new GruardError('CONFIG_INVALID', 'kafka.topic_pattern: mode: cluster reads kafka.topics by name');
  if (config.mqtt.url !== '') throw new GruardError('CONFIG_INVALID', 'mqtt.url: a worker of mode: cluster reads Kafka only; `gruard bridge` carries MQTT there');
  if (config.store.kind !== 'influxdb') throw new GruardError('CLUSTER_NEEDS_INFLUXDB', `mode is cluster, and store.kind is ${config.store.kind}`);
  if (readSinks(config.alerts.sinks).length > 0) throw new GruardError('CONFIG_INVALID', 'alerts.sinks: a worker of mode: cluster alerts nobody; follow kafka.output.events_topic instead');
  return connection;
}

async function open(config: Config, connection: KafkaConnection, log: Log, clock: Clock, closing: (() => Promise<unknown> | void)[]): Promise<Gruard> {
  const startedMs = clock.nowMs();
  const tokens = await LiveTokens.open(config.data_dir, log);
  closing.push(() => tokens.close());
  const apiOptions = apiOptionsOf(config, tokens);
  const lock = await lockDataDir(config.data_dir);
  closing.push(() => lock.release());
  const limits = limitsOf(config);
  const reasons = new ReasonCounters();
  const deadLetters = new DeadLetters({ disk: new RealDisk(config.data_dir), most: config.limits.dead_letters, clock });
  await deadLetters.open();
  closing.push(() => deadLetters.close());

  const kafka = openKafka(connection);
  const admin = kafka.admin();
  await admin.connect().catch((cause: unknown) => { throw new GruardError('BROKER_UNREACHABLE', `${kafkaAddress(connection)}: ${messageOf(cause)}`, { cause }); });
  closing.push(() => admin.disconnect());
  const partitionsOf = async (topic: string): Promise<number> => {
    const found = await admin.fetchTopicMetadata({ topics: [topic] }).catch((cause: unknown) => { throw new GruardError('CLUSTER_TOPIC_MISSING', `${topic}: ${messageOf(cause)}`, { cause }); });
    return found.topics[0].partitions.length;
  };
  const { results_topic: results, events_topic: events } = config.kafka.output;
  if (results === '' || events === '') throw new GruardError('CONFIG_INVALID', 'kafka.output: mode: cluster needs results_topic and events_topic');
  const topics: OutputTopics = {
    results: { topic: results, partitions: await partitionsOf(results) }, events: { topic: events, partitions: await partitionsOf(events) },
    deadLetters: config.kafka.dead_letter_topic || undefined,
  };
  await Promise.all(config.kafka.topics.map(partitionsOf));

  const own = randomUUID().slice(0, 8);
  const snapshots = new SnapshotTopic(kafka, admin, config.cluster.snapshots_topic);
  await snapshots.open();
  closing.push(() => snapshots.close());
  const reader = new SnapshotReader(kafka, admin, snapshots, `${config.kafka.group_id}-snapshots-${own}`);
  closing.push(() => reader.close());
  // The group of the view takes its time to form; so does this one, meanwhile.
  const readerJoined = reader.open();
  readerJoined.catch(() => undefined);
  const influxCursor = join(config.data_dir, 'cursors', 'influxdb-cluster.json');
  const store = influxStoreOf(config, influxCursor, log);
  await store.open();
  closing.push(() => store.close());

  const exports = await Exports.open(store, config.data_dir);
  closing.push(() => exports.close());

  const control = new ControlWriter(kafka, config.kafka.topics, partitionsOf, clock);
  closing.push(() => control.close());
  const k = config.kafka;
  const parts: Omit<PartitionParts, 'isMember'> = {
    kafka, admin, groupId: k.group_id, from: k.from, topics, snapshots, reader, log, clock,
    cell: {
      limits, decoder: decoderSettingsOf(config), naming: { device: k.device, tagHeaders: k.tag_headers }, time: config.time, reasons,
      detector: { ...detectorOptionsOf(config, () => BACKEND), settings: undefined },
    },
    openStore: () => influxStoreOf(config, influxCursor),
    snapshotMs: config.cluster.snapshot_interval_ms, snapshotMessages: config.cluster.snapshot_messages, commitDelayMs: config.cluster.commit_delay_ms,
    onRefused: ({ message, reason, detail }, topic) => deadLetters.add('kafka', topic, reason, detail, message.value ?? new Uint8Array(0)),
  };
  const worker = new Worker(parts, {
    topics: k.topics, sessionTimeoutMs: config.cluster.session_timeout_ms, detectorSettings: detectorSettingsOf(config),
    tell: (topic, record, partition) => control.tell(topic, record, partition), clockRecords: config.time === 'wall',
  });
  await readerJoined;
  worker.start();
  let keep = true;
  closing.push(() => worker.close({ keep }));
  const view = config.cluster.view
    ? new FleetView({ kafka, admin, resultsTopic: results, eventsTopic: events, groupId: `${k.group_id}-view-${own}`, results: store, nowMs: () => clock.nowMs(), log })
    : undefined;
  view?.start();
  if (view) closing.push(() => view.close());
  closing.push(expireHourly(store, config.store.retention_days, () => clock.nowMs(), log));

  // Readings that come by HTTP take the way of all others: through the log.
  const intake = new Intake(reasons, (source, origin, reason, detail, payload) => deadLetters.add(source, origin, reason, detail, payload));
  const http = new HttpSource({ decoder: new Decoder(intake, limits, decoderSettingsOf(config)), intake, limits }, clock);
  const bridge = new Bridge(http, { connection, topic: k.topics[0], intake }, (message) => log.warn('readings by HTTP wait for Kafka', { error: message }));
  await bridge.start();
  closing.push(() => bridge.stop());

  const vitals = { startedMs, clock, worker, view, deadLetters, reasons, address: kafkaAddress(connection) };
  const service = new ClusterService({
    view, results: store, clock, submit: (payload) => http.submit(payload), tellAll: (record) => control.tellAll(record),
    deadLetters: (limit) => deadLetters.list(limit), exportReadings: (query, signal) => exports.start(query, signal), health: () => healthOf(vitals), measures: () => measuresOf(vitals),
  });
  const audit = new AuditLog(config.data_dir, (thrown) => log.error('audit log', { error: messageOf(thrown) }), clock);
  const server = buildServer(service, {
    ...apiOptions,
    onAudit: (entry) => auditCall(entry, audit, log),
    onTlsError: tlsError(log, 'api'),
    onError: (error, request) => log.error('request failed', { ...request, error: messageOf(error) }),
  });
  const { port } = await listen(server, apiOptions);
  closing.push(() => server.close());
  return {
    service,
    addresses: { page: `${apiOptions.tls ? 'https' : 'http'}://${apiOptions.host}:${port}/`, mqtt: null },
    failed: new Promise<never>(() => undefined),
    close: async (options) => {
      keep = options?.keep ?? true;
      for (const close of closing.reverse()) await close();
    },
  };
}

import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildServer, listen } from './api/server.js';
import { Board, type BoardDocument } from './board.js';
import type { Config } from './config/schema.js';
import { Batch, type Control } from './core/batch.js';
import { systemClock, type Clock } from './core/clock.js';
import { messageOf } from './core/errors.js';
import { Fleet } from './core/fleet.js';
import type { Log } from './core/log.js';
import { ReasonCounters } from './core/reasons.js';
import type { ResultStore } from './core/results.js';
import type { GruardService } from './core/service.js';
import type { Source } from './core/source.js';
import { BrokerSource } from './ingest/broker.js';
import { Decoder } from './ingest/decode/index.js';
import { HttpSource } from './ingest/http.js';
import type { IngestStages } from './ingest/inlet.js';
import { Intake } from './ingest/intake.js';
import { KafkaSource } from './ingest/kafka.js';
import { MqttSource } from './ingest/mqtt.js';
import { SourcePositions, type PositionsDocument } from './ingest/positions.js';
import { Sequencer } from './ingest/sequence.js';
import { followAlerts, followKafka, followStore } from './followers.js';
import { collectSeldom } from './heap.js';
import { CommittedFeed } from './live.js';
import { chooseBackend } from './model/backends/choose.js';
import type { BackendName } from './model/backends/index.js';
import { openDetector } from './model/detector.js';
import { readServingWeights } from './model/serving.js';
import { Pipeline } from './pipeline.js';
import { SettingsInForce } from './settings.js';
import { healthOf, measuresOf, type Vitals } from './vitals.js';
import { Service } from './service.js';
import { logSources } from './source-log.js';
import { AuditLog } from './store/audit.js';
import { DeadLetters } from './store/deadletter.js';
import { RealDisk } from './store/disk/real.js';
import { Journal } from './store/journal.js';
import { KafkaOutput } from './store/kafka/output.js';
import { lockDataDir } from './store/lock.js';
import { replay } from './store/replay.js';
import { Exports } from './store/exports.js';
import { Snapshots } from './store/snapshot.js';
import { LiveTokens } from './store/tokens.js';
import { apiOptionsOf, brokerSettingsOf, decoderSettingsOf, detectorOptionsOf, detectorSettingsOf, embeddedStoreOf, influxStoreOf, kafkaOutputOf, kafkaSettingsOf, limitsOf, mqttSettingsOf, weightsPathOf } from './wiring.js';

/** A running gruard. */
export interface Gruard {
  readonly service: GruardService;
  readonly addresses: { page: string; mqtt: string | null };
  /** Rejects when the flow has stopped for good: a defect. */
  readonly failed: Promise<never>;
  /** Takes in what waits, makes it durable, snapshots, and lets go of everything. With `keep: false` nothing of it is worth keeping: only lets go. */
  close(options?: { keep: boolean }): Promise<void>;
}

/** How long a stop waits for a follower that is behind. */
const CATCH_UP_MS = 1500;
const SNAPSHOT_MS = 2000;
/** Readings that come together in a fleet of some thousand devices: what the backends are compared at. */
const TYPICAL_BATCH = 256;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Opens everything that the configuration asks for, in the order in which data flows; what fails closes what was opened before. */
export async function openGruard(config: Config, log: Log, clock: Clock = systemClock): Promise<Gruard> {
  collectSeldom();
  const closing: (() => Promise<unknown> | void)[] = [];
  try {
    return await open(config, log, clock, closing);
  } catch (thrown) {
    for (const close of closing.reverse()) await Promise.resolve(close()).catch(() => undefined);
    throw thrown;
  }
}

async function open(config: Config, log: Log, clock: Clock, closing: (() => Promise<unknown> | void)[]): Promise<Gruard> {
  const startedMs = clock.nowMs();
  const tokens = await LiveTokens.open(config.data_dir, log);
  closing.push(() => tokens.close());
  const apiOptions = apiOptionsOf(config, tokens);
  const lock = await lockDataDir(config.data_dir);
  closing.push(() => lock.release());
  const disk = new RealDisk(config.data_dir);
  const limits = limitsOf(config);

  const fleet = new Fleet();
  const board = new Board(fleet);
  const positions = new SourcePositions();
  const settings = new SettingsInForce();
  const live = new CommittedFeed();
  const reasons = new ReasonCounters();
  const deadLetters = new DeadLetters({ disk, most: config.limits.dead_letters, clock });
  await deadLetters.open();
  closing.push(() => deadLetters.close());
  const intake = new Intake(reasons, (source, origin, reason, detail, payload) => deadLetters.add(source, origin, reason, detail, payload));
  const sequencer = new Sequencer(fleet, intake, { limits, clock, time: config.time });
  const detector = await openDetector(fleet, detectorOptionsOf(config, await chooseBackends(config, log)));

  const journal = new Journal({ disk, maxBytes: config.journal.max_bytes, segmentBytes: config.journal.segment_bytes, clock });
  const { tornTail } = await journal.open();
  if (tornTail) log.info('journal: a commit that the last stop interrupted was cut off; it had not been acknowledged');
  closing.push(() => journal.close());
  const snapshots = new Snapshots({
    journal, fleet, clock,
    parts: [sequencer.state, board.last, ...detector.parts],
    documents: detector.documents,
    fleetDocument: () => ({ ...board.document(), positions: positions.document(), settings: settings.current }),
  });
  const store = config.store.kind === 'embedded' ? embeddedStoreOf(config) : influxStoreOf(config, join(config.data_dir, 'cursors', 'influxdb.json'), log);
  await store.open();
  closing.push(() => store.close());
  const exports = await Exports.open(store, config.data_dir);
  closing.push(() => exports.close());
  // A journal that was removed must not give out again the sequences that the store has seen.
  journal.reachTo(await store.position());
  const outputSettings = kafkaOutputOf(config);
  const output = outputSettings && new KafkaOutput(outputSettings, fleet);
  if (output) {
    closing.push(() => output.close());
    journal.reachTo(await output.position());
  }

  const pipeline = new Pipeline({
    fleet, sequencer, detector, journal, clock,
    commitDelayMs: config.journal.commit_delay_ms,
    onStepped: (batch) => {
      board.apply(batch);
      positions.apply(batch);
      settings.apply(batch);
      snapshots.touched(batch);
    },
    onCommitted: (batch, sequence) => live.publish(batch, sequence, fleet),
    onRetire: (device) => board.retire(device),
  });
  await restore({ journal, snapshots, pipeline, board, positions, settings, log });
  snapshots.start(config.journal.snapshot_interval_ms);
  let keep = true;
  closing.push(() => snapshots.stop(keep ? SNAPSHOT_MS : 0));

  const alerting = followAlerts(config, journal, log);
  for (const alerts of alerting.alerts) closing.push(() => alerts.close());
  const followers = [followStore(store, journal, fleet), ...(output ? [followKafka(output, journal)] : []), ...alerting.followers];
  for (const follower of followers) {
    follower.start();
    // What is committed goes to the store while we wait for it, but not for long: it is in the journal, and the next start goes on from there.
    closing.push(async () => {
      if (keep) await Promise.race([follower.caughtUp(), sleep(CATCH_UP_MS)]);
      await follower.stop();
    });
  }
  journal.startRemoving();

  closing.push(expireHourly(store, config.store.retention_days, () => pipeline.nowMs, log));

  const { sources, http, broker } = makeSources(config, { decoder: new Decoder(intake, limits, decoderSettingsOf(config)), intake, limits }, clock, positions, log);
  for (const source of sources) {
    pipeline.addSource(source);
    closing.push(() => source.close());
  }
  pipeline.start();
  closing.push(() => pipeline.stop());
  const change = settings.changeTo(detectorSettingsOf(config));
  // Ahead of every reading; whether it is durable shows with the first of them.
  if (change) pipeline.control(change).catch(() => undefined);
  for (const source of sources) {
    await source.open(pipeline.wake);
    closing.push(() => source.pause());
  }

  closing.push(logSources(sources.filter((source) => source !== http && source !== broker), log));

  const vitals: Vitals = { startedMs, nowMs: () => clock.nowMs(), fleet, board, pipeline, journal, snapshots, deadLetters, sources, followers, alerts: alerting.alerts, reasons, store };
  const service = new Service({
    fleet, board, detector, pipeline, results: store, live, clock,
    submit: (payload) => http.submit(payload),
    deadLetters: (limit) => deadLetters.list(limit),
    exportReadings: (query, signal) => exports.start(query, signal),
    health: () => healthOf(vitals),
    measures: () => measuresOf(vitals),
    brokers: () => (broker ? [{ kind: 'mqtt', url: broker.url }] : []),
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
    addresses: { page: `${apiOptions.tls ? 'https' : 'http'}://${apiOptions.host}:${port}/`, mqtt: broker?.url ?? null },
    failed: pipeline.failed,
    close: async (options) => {
      keep = options?.keep ?? true;
      for (const close of closing.reverse()) await close();
    },
  };
}

/** Brings back the state: snapshots, then what the journal holds beyond them. */
async function restore(parts: { journal: Journal; snapshots: Snapshots; pipeline: Pipeline; board: Board; positions: SourcePositions; settings: SettingsInForce; log: Log }): Promise<void> {
  const { journal, snapshots, pipeline, board, positions, settings, log } = parts;
  const loaded = await snapshots.load();
  for (const note of loaded.notes) log.warn('snapshot', { note });
  const document = loaded.fleetDocument as (BoardDocument & { positions?: PositionsDocument; settings?: Control | null }) | null;
  if (document !== null) board.restore(document);
  positions.restore(document?.positions ?? {});
  if (document?.settings) settings.apply(inForce(document.settings, pipeline));
  let records = 0;
  for await (const { batch, recorded, seen } of replay({ journal, snapshots, declare: (declarations) => pipeline.declare(declarations) })) {
    pipeline.replay(batch, { seen, events: recorded.events });
    board.apply(recorded);
    positions.apply(recorded);
    settings.apply(recorded);
    snapshots.touched(batch);
    records++;
  }
  if (loaded.devices > 0 || records > 0) log.info('state restored', { devices: loaded.devices, series: loaded.series, replayed_records: records });
}

/** Gives the detector the settings that were in force when the snapshot was made. */
function inForce(control: Control, pipeline: Pipeline): Batch {
  const batch = new Batch(1);
  batch.controls.push(control);
  pipeline.replay(batch);
  return batch;
}

/** Which backend steps the network of a weights file: the one that was asked for, or the one that a short measurement at the first start preferred. */
async function chooseBackends(config: Config, log: Log): Promise<(weights: string) => BackendName> {
  const asked = config.model.backend;
  if (asked !== 'auto') return () => asked;
  const chosen = new Map<string, BackendName>();
  for (const weights of [weightsPathOf(config), ...config.model.by_device.map((model) => model.weights)]) {
    if (chosen.has(weights)) continue;
    const { backend, reason } = await chooseBackend(await readServingWeights(weights), join(config.data_dir, 'backend.json'), { batch: TYPICAL_BATCH });
    log.info('model', { weights: basename(weights), backend, reason });
    chosen.set(weights, backend);
  }
  return (weights) => chosen.get(weights) ?? 'wasm';
}

/** What a stranger was refused goes to the log only: it must not push what was done out of a file of bounded size. */
export function auditCall({ by, method, url, status }: { by: string; method: string; url: string; status: number }, audit: AuditLog, log: Log): void {
  const entry = { by, action: `${method} ${url}`, status };
  if (status === 401) log.warn('refused', entry);
  else {
    log.info('audit', entry);
    void audit.write(entry);
  }
}

export function tlsError(log: Log, section: string): (thrown: unknown) => void {
  return (thrown) => log.error('the certificate was changed, and the one before stays in use', { section, error: messageOf(thrown) });
}

/** Removes what is older than the retention, every hour. Returns what ends it. */
export function expireHourly(store: ResultStore, retentionDays: number, nowMs: () => number, log: Log): () => void {
  if (retentionDays === 0) return () => undefined;
  const expire = (): void => {
    store.expire(nowMs() - retentionDays * DAY_MS).catch((thrown: unknown) => log.warn('retention', { error: messageOf(thrown) }));
  };
  const timer = setInterval(expire, HOUR_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function makeSources(config: Config, stages: IngestStages, clock: Clock, positions: SourcePositions, log: Log): { sources: Source[]; http: HttpSource; broker: BrokerSource | undefined } {
  const http = new HttpSource(stages, clock);
  const brokerSettings = brokerSettingsOf(config);
  const broker = brokerSettings && new BrokerSource(stages, clock, { ...brokerSettings, onTlsError: tlsError(log, 'broker'), onUsersError: (thrown) => log.error('users of the broker not read again', { error: messageOf(thrown) }) });
  const mqttSettings = mqttSettingsOf(config);
  const mqtt = mqttSettings && new MqttSource(stages, clock, mqttSettings);
  const kafkaSettings = kafkaSettingsOf(config);
  const kafka = kafkaSettings && new KafkaSource(stages, clock, kafkaSettings, positions.of('kafka'));
  return { sources: [http, ...(broker ? [broker] : []), ...(mqtt ? [mqtt] : []), ...(kafka ? [kafka] : [])], http, broker };
}

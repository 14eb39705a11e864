import { findInfluxd, startInfluxd, type Influxd } from '../servers/influxd.js';
import { KafkaServer, kafkaMissing } from '../servers/kafka.js';
import { readTopic } from '../servers/kafka-topic.js';
import { FleetMessages, produceFleet } from './fleet.js';
import { committed, compare, truth } from './truth.js';
import { Workers, type LogLine } from './workers.js';

/** Why a cluster cannot be tried on this machine. */
export const clusterObstacle = kafkaMissing ?? (findInfluxd() === undefined ? 'influxd is not installed' : undefined);

export interface TrialOptions {
  readings: number;
  devices: number;
  workers: number;
  partitions: number;
  /** A worker is killed so often, and another started; where none owns anything yet, as soon as one does. */
  killEveryMs: number;
  /** Kills at the most. */
  kills: number;
  /** For how long the broker is gone, once; 0: never. */
  brokerGoneMs: number;
  /** Once, the snapshot of a partition is deleted and its owner killed. */
  loseSnapshot: boolean;
  sessionTimeoutMs: number;
  snapshotMessages: number;
  kafkaVersion?: string;
  /** Where the logs of the workers go. */
  logFile?: string;
  /** Workers are those of `npm run build`. */
  built?: boolean;
  seed: number;
  /** Messages are written so fast, so that the workers keep up; 0 or undefined: as fast as it goes, and what the workers do is to catch up. */
  messagesPerS?: number;
  progress?: (line: string) => void;
}

export interface TrialReport {
  kafka: string;
  messages: number;
  readings: number;
  kills: number;
  /** Result messages, device rows included, that are missing, or there once too often or with other numbers. */
  missing: number;
  surplus: number;
  scored: number;
  events: number;
  events_different: number;
  influx_readings: number;
  /** Points that it has too few (or, negative, too many): of readings, and of scores, device rows included. */
  influx_missing: number;
  influx_scores_missing: number;
  dead_letters: number;
  dead_letters_missing: number;
  takeover_pause_median_ms: number;
  takeover_pause_max_ms: number;
  /** Of these: from the assignment until the snapshot was loaded, and until the replay was done. */
  takeover_load_median_ms: number;
  takeover_load_max_ms: number;
  takeover_replay_median_ms: number;
  takeover_replay_max_ms: number;
  replayed_max: number;
  snapshot_bytes_max: number;
  /** Partitions of which there was no snapshot (yet), by the logs of the workers; and whether the one whose snapshot was deleted was rebuilt, and said so. */
  rebuilt: number;
  lost_rebuilt: boolean | null;
  seconds: number;
  readings_per_s: number;
}

const TOPICS = { input: 'readings', results: 'gruard.results', events: 'gruard.events', dead: 'readings.dead', snapshots: 'gruard.snapshots' };
const WAIT_MS = 250;
const MOST_MS = 1_500_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });
const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

/** A cluster of real processes over a real broker and InfluxDB, while workers are killed: what a reader of committed messages and the store hold in the end, against a single run. */
export async function clusterTrial(options: TrialOptions, signal?: AbortSignal): Promise<TrialReport> {
  const server = await KafkaServer.start({ version: options.kafkaVersion });
  const influxd = await startInfluxd({ index: 'inmem' });
  const workers = new Workers({
    time: 'event', model: { backend: 'wasm' }, store: { kind: 'influxdb', retention_days: 0, influxdb: { url: influxd.url } },
    kafka: { brokers: [server.broker], topics: [TOPICS.input], dead_letter_topic: TOPICS.dead },
    cluster: { session_timeout_ms: options.sessionTimeoutMs, snapshot_messages: options.snapshotMessages, snapshot_interval_ms: 30_000, view: false },
  }, options.logFile, options.built);
  const aborted = new Promise<never>((_, reject) => { signal?.addEventListener('abort', () => reject(new Error('broken off'))); });
  try {
    return await Promise.race([run(server, influxd, workers, options), aborted]);
  } finally {
    await workers.remove();
    await influxd.stop();
    await server.remove();
  }
}

async function run(server: KafkaServer, influxd: Influxd, workers: Workers, options: TrialOptions): Promise<TrialReport> {
  const say = options.progress ?? ((): void => undefined);
  await createTopics(server, options.partitions);
  const fleet = new FleetMessages({ devices: options.devices, readings: options.readings, seed: options.seed });
  for (let i = 0; i < options.workers; i++) workers.start();
  await workers.ready(options.workers);
  const began = performance.now();
  let written = false;
  const producing = produceFleet(server, TOPICS.input, fleet, options.partitions, options.messagesPerS).then(() => {
    written = true;
    say(`${fleet.messages} messages written`);
  });
  const disturbing = disturb(server, workers, options, say, async () => written && await lagOf(server, options.partitions) === 0);
  const [{ kills, pauses, loads, replays, lost }] = await Promise.all([disturbing, producing]);
  await untilRead(server, options.partitions);
  const seconds = (performance.now() - began) / 1000;
  await workers.stopAll();
  say('everything is committed; compared with a single run');

  const expected = await truth(server, TOPICS.input, options.partitions, 777);
  say(`a single run makes ${expected.results.length} results and ${expected.events.size} events of them`);
  const actual = await committed(server, TOPICS.results, TOPICS.events);
  const { missing, surplus, eventsDifferent } = compare(expected, actual);
  const letters = await readTopic(server, TOPICS.dead);
  const [stored, scores] = [await influxCount(influxd, 'actual'), await influxCount(influxd, 'anomaly_score')];
  for (const line of workers.log) if (line.level >= 50) say(`worker ${line.worker}: ${JSON.stringify(line)}`);
  const taken = workers.log.filter((line) => line.msg === 'partition taken');
  const rebuilt = workers.log.filter((line) => line.msg.startsWith('no snapshot of a partition'));
  return {
    kafka: server.version, messages: expected.messages, readings: fleet.readings, kills, missing, surplus, scored: actual.scored, events: actual.events.size, events_different: eventsDifferent,
    influx_readings: stored, influx_missing: fleet.readings - stored, influx_scores_missing: actual.scored - scores,
    dead_letters: letters.length, dead_letters_missing: expected.refused - letters.length,
    takeover_pause_median_ms: Math.round(median(pauses)), takeover_pause_max_ms: Math.round(Math.max(0, ...pauses)),
    takeover_load_median_ms: Math.round(median(loads)), takeover_load_max_ms: Math.round(Math.max(0, ...loads)),
    takeover_replay_median_ms: Math.round(median(replays)), takeover_replay_max_ms: Math.round(Math.max(0, ...replays)),
    replayed_max: Math.max(0, ...taken.map((line) => Number(line.replayed))), snapshot_bytes_max: Math.max(0, ...taken.map((line) => Number(line.snapshotBytes))),
    rebuilt: rebuilt.length, lost_rebuilt: lost === undefined ? null : rebuilt.some(({ partition, atMs }) => partition === lost.name && atMs > lost.atMs), seconds: Math.round(seconds), readings_per_s: Math.round(fleet.readings / seconds),
  };
}

async function createTopics(server: KafkaServer, partitions: number): Promise<void> {
  const admin = server.client().admin();
  await admin.connect();
  // The readings are of January: the broker would take them for older than it keeps.
  const kept = [{ name: 'retention.ms', value: '-1' }];
  await admin.createTopics({
    topics: [
      ...[TOPICS.input, TOPICS.results, TOPICS.events].map((topic) => ({ topic, numPartitions: partitions, replicationFactor: 1, configEntries: kept })),
      { topic: TOPICS.dead, numPartitions: 1, replicationFactor: 1, configEntries: kept },
      { topic: TOPICS.snapshots, numPartitions: partitions, replicationFactor: 1, configEntries: [{ name: 'cleanup.policy', value: 'compact' }, { name: 'segment.bytes', value: '16777216' }] },
    ], waitForLeaders: false,
  });
  const names = Object.values(TOPICS);
  for (let known = false; !known;) known = await admin.fetchTopicMetadata({ topics: names }).then(({ topics }) => topics.every((topic) => topic.partitions.length > 0), () => false);
  await admin.disconnect();
}

interface Disturbed {
  kills: number;
  pauses: number[];
  loads: number[];
  replays: number[];
  /** The partition whose snapshot was deleted, and when. */
  lost: { name: string; atMs: number } | undefined;
}

/** Kills, the broker's absence and the lost snapshot, while there is something left to read. */
async function disturb(server: KafkaServer, workers: Workers, options: TrialOptions, say: (line: string) => void, over: () => Promise<boolean>): Promise<Disturbed> {
  const killed: { atMs: number; owned: string[] }[] = [];
  let brokerGone = false;
  let lost: Disturbed['lost'];
  for (let round = 0; killed.length < options.kills; round++) {
    await pause(options.killEveryMs);
    if (await over().catch(() => false)) break;
    if (options.brokerGoneMs > 0 && !brokerGone && round >= 2) {
      brokerGone = true;
      await server.stop('SIGKILL');
      say(`the broker is gone for ${options.brokerGoneMs} ms`);
      await pause(options.brokerGoneMs);
      await server.resume();
      say('the broker is back');
      continue;
    }
    // On a machine that is so busy that no worker comes to own anything within that time, killing on would show nothing.
    while (workers.owned.length === 0) await pause(WAIT_MS);
    const holding = options.loseSnapshot && lost === undefined && round >= 1 ? workers.owned.at(0) : undefined;
    // First dead, so that its owner does not write another one.
    const one = await workers.kill(holding);
    if (holding !== undefined) {
      lost = { name: holding, atMs: performance.now() };
      await loseSnapshot(server, holding, say);
    }
    workers.start();
    if (one.owned.length > 0) killed.push(one);
    say(`kill ${killed.length}: it owned ${one.owned.length} partitions; ${await lagOf(server, options.partitions).catch(() => NaN)} messages behind`);
  }
  while (!await over().catch(() => false)) await pause(WAIT_MS);
  const taken = killed.map(({ atMs, owned }) => ({ atMs, lines: workers.takenAfter(atMs, owned) }));
  return {
    kills: killed.length,
    pauses: taken.flatMap(({ atMs, lines }) => lines.map((line: LogLine) => line.atMs - atMs)),
    loads: taken.flatMap(({ lines }) => lines.map((line) => Number(line.loadedMs))),
    replays: taken.flatMap(({ lines }) => lines.map((line) => Number(line.tookMs) - Number(line.loadedMs))),
    lost,
  };
}

async function loseSnapshot(server: KafkaServer, name: string, say: (line: string) => void): Promise<void> {
  const producer = server.client().producer();
  await producer.connect();
  await producer.send({ topic: TOPICS.snapshots, acks: -1, messages: [{ partition: Number(name.slice(name.lastIndexOf('/') + 1)), key: name, value: null }] });
  await producer.disconnect();
  say(`the snapshot of ${name} is deleted`);
}

async function lagOf(server: KafkaServer, partitions: number): Promise<number> {
  const admin = server.client().admin();
  await admin.connect();
  try {
    const ends = new Map((await admin.fetchTopicOffsets(TOPICS.input)).map(({ partition, high }) => [partition, Number(high)]));
    const [group] = await admin.fetchOffsets({ groupId: 'gruard', topics: [TOPICS.input] });
    let lag = 0;
    for (let partition = 0; partition < partitions; partition++) lag += ends.get(partition)! - Math.max(0, Number(group.partitions.find((one) => one.partition === partition)?.offset ?? 0));
    return lag;
  } finally {
    await admin.disconnect();
  }
}

async function untilRead(server: KafkaServer, partitions: number): Promise<void> {
  const end = performance.now() + MOST_MS;
  while (await lagOf(server, partitions).catch(() => 1) > 0) {
    if (performance.now() > end) throw new Error('the input is not read to its end');
    await pause(WAIT_MS);
  }
}

/** Points with a value, of all series. */
async function influxCount({ url }: Influxd, field: string): Promise<number> {
  const query = `SELECT sum(n) FROM (SELECT count(${field}) AS n FROM gruard_readings WHERE time > 0 GROUP BY device, metric)`;
  const response = await fetch(`${url}/query?db=gruard&q=${encodeURIComponent(query)}`);
  const { results } = await response.json() as { results: { series?: { values: [string, number][] }[] }[] };
  return results[0].series?.[0].values[0][1] ?? 0;
}

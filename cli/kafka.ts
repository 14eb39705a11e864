import { openKafka } from '../core/kafka.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { Config } from '../config/schema.js';
import { kafkaConnectionOf, kafkaSinkTopicsOf } from '../wiring.js';
import { configOf, type CommonOptions } from './options.js';

export interface KafkaSetupOptions extends CommonOptions {
  partitions: number;
  replication?: number;
  retentionDays: number;
  grow?: boolean;
  json?: boolean;
}

interface WantedTopic {
  topic: string;
  role: 'input' | 'results' | 'events' | 'dead letters' | 'alerts' | 'snapshots';
  partitions: number;
  retentionDays: number;
}

interface Outcome {
  topic: string;
  role: WantedTopic['role'];
  outcome: 'created' | 'there' | 'grown' | 'refused';
  detail: string;
}

const DAY_MS = 86_400_000;
/** Only the newest snapshot of a partition is wanted: segments are closed early, and cleaned soon. */
const COMPACTED = [
  { name: 'cleanup.policy', value: 'compact' }, { name: 'segment.bytes', value: String(64 * 1_048_576) }, { name: 'segment.ms', value: String(3_600_000) },
  { name: 'min.cleanable.dirty.ratio', value: '0.1' }, { name: 'delete.retention.ms', value: String(3_600_000) },
];
/** Events, dead letters and alerts are few, and looked at later than readings are. */
const RARE_RETENTION_DAYS = 90;

type Admin = ReturnType<ReturnType<typeof openKafka>['admin']>;

/** `gruard kafka setup`: creates the topics of the settings that are missing; changes nothing that is there unless told to. Exit 1 where one has other partitions than wanted. */
export async function setupKafka(options: KafkaSetupOptions): Promise<void> {
  const config = configOf(options);
  const connection = kafkaConnectionOf(config);
  if (!connection) throw new GruardError('CONFIG_INVALID', 'kafka.brokers is empty: there is no Kafka to set up');
  for (const [name, value] of [['--partitions', options.partitions], ['--retention-days', options.retentionDays], ['--replication', options.replication ?? 1]] as const) {
    if (!(value > 0)) throw new GruardError('USAGE', `${name}: a number above 0 expected`);
  }
  const admin = openKafka(connection).admin();
  try {
    await admin.connect();
    const outcomes = await setUp(admin, wantedTopics(config, options), options);
    for (const { topic, role, outcome, detail } of outcomes) process.stdout.write(options.json ? '' : `${outcome.padEnd(8)} ${topic} (${role}): ${detail}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify({ topics: outcomes })}\n`);
    if (outcomes.some(({ outcome }) => outcome === 'refused')) process.exitCode = 1;
  } catch (thrown) {
    throw new GruardError('BROKER_UNREACHABLE', `kafka.brokers: ${messageOf(thrown)}`, { cause: thrown });
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** The topics that the settings name, whatever they are for. */
export function wantedTopics(config: Config, { partitions, retentionDays }: Pick<KafkaSetupOptions, 'partitions' | 'retentionDays'>): WantedTopic[] {
  const { topics, dead_letter_topic: deadLetters, output } = config.kafka;
  const rare = Math.max(RARE_RETENTION_DAYS, retentionDays);
  const cluster = config.mode === 'cluster';
  const wanted: WantedTopic[] = topics.map((topic) => ({ topic, role: 'input', partitions, retentionDays }));
  if ((output.enabled || cluster) && output.results_topic !== '') wanted.push({ topic: output.results_topic, role: 'results', partitions, retentionDays });
  if ((output.enabled || cluster) && output.events_topic !== '') wanted.push({ topic: output.events_topic, role: 'events', partitions, retentionDays: rare });
  if (deadLetters !== '') wanted.push({ topic: deadLetters, role: 'dead letters', partitions: 1, retentionDays: rare });
  if (cluster) wanted.push({ topic: config.cluster.snapshots_topic, role: 'snapshots', partitions, retentionDays });
  for (const topic of kafkaSinkTopicsOf(config)) wanted.push({ topic, role: 'alerts', partitions: 1, retentionDays: rare });
  return wanted;
}

async function setUp(admin: Admin, wanted: readonly WantedTopic[], { replication, grow }: KafkaSetupOptions): Promise<Outcome[]> {
  const existing = new Set(await admin.listTopics());
  const { brokers } = await admin.describeCluster();
  const replicationFactor = replication ?? Math.min(3, brokers.length);
  const outcomes: Outcome[] = [];
  for (const { topic, role, partitions, retentionDays } of wanted) {
    if (existing.has(topic)) {
      outcomes.push({ topic, role, ...await compare(admin, topic, role, partitions, grow ?? false) });
      continue;
    }
    const configEntries = role === 'snapshots' ? COMPACTED : [{ name: 'cleanup.policy', value: 'delete' }, { name: 'retention.ms', value: String(retentionDays * DAY_MS) }];
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries: replicationFactor > 2 ? [...configEntries, { name: 'min.insync.replicas', value: '2' }] : configEntries }], waitForLeaders: false });
    outcomes.push({ topic, role, outcome: 'created', detail: `${partitions} partitions, ${replicationFactor} replicas, ${role === 'snapshots' ? 'compacted' : `kept for ${retentionDays} days`}` });
  }
  return outcomes;
}

async function compare(admin: Admin, topic: string, role: WantedTopic['role'], partitions: number, grow: boolean): Promise<{ outcome: Outcome['outcome']; detail: string }> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const count = topics[0].partitions.length;
  // Where the snapshots of a partition are depends on their number: one that changes would make the cluster replay everything.
  if (count === partitions || partitions === 1 || role === 'snapshots') return { outcome: 'there', detail: `${count} partitions, left as it is` };
  if (count > partitions) {
    return { outcome: 'refused', detail: `it has ${count} partitions and ${partitions} are wanted: Kafka cannot take partitions away. Give --partitions ${count}, or make a topic of another name and move the producers` };
  }
  if (!grow) {
    const cost = role === 'input'
      ? 'a device then goes on in another partition, and what is still unread in its old one may come after newer readings: those are stored and not scored. Stop the producers, wait until the lag is 0, and run this again with --grow'
      : 'the order of one device\'s messages holds only from there on. Run this again with --grow';
    return { outcome: 'refused', detail: `it has ${count} partitions and ${partitions} are wanted: ${cost}` };
  }
  await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
  return { outcome: 'grown', detail: `from ${count} to ${partitions} partitions` };
}

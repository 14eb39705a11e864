import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { kafkaAddress, openKafka, type KafkaConnection } from '../core/kafka.js';
import type { ReadingSink, Source, SourceStatus } from '../core/source.js';
import { DEFAULT_INLET_LIMITS, type IngestStages, type InletLimits } from './inlet.js';
import { Backlog } from './kafka/backlog.js';
import { DeadLetterTopic } from './kafka/dead-letters.js';
import { FetchTap } from './kafka/fetch-tap.js';
import { MessageTime } from './kafka/message-time.js';
import type { NamingSettings } from './kafka/naming.js';
import { Progress, type Partition } from './kafka/progress.js';
import { RecordIntake } from './kafka/record-intake.js';
import { blockOfMessages, blocksOf, type RecordBlock } from './kafka/records.js';

export interface KafkaSettings extends NamingSettings {
  connection: KafkaConnection;
  topics: string[];
  /** A regular expression; topics whose whole name matches are read too, also those that come later. */
  topicPattern?: string;
  groupId: string;
  /** Where a partition is begun that nobody has read. */
  from: 'earliest' | 'latest';
  /** Messages that cannot be read are put here as well; undefined: nowhere. */
  deadLetterTopic?: string;
  /** `time: event` takes the message's time where the payload has none; else it is the time at which it "came in". */
  eventTime: boolean;
  commitIntervalMs?: number;
  sessionTimeoutMs?: number;
  limits?: InletLimits;
}

const COMMIT_MS = 1000;
/** The least that brokers allow unless told otherwise: after a kill, theirs or ours, the group waits so long for the member that is gone. */
const SESSION_MS = 6000;
/** kafkajs waits so long for a stop, so it is short: an idle consumer asks twice a second. */
const FETCH_WAIT_MS = 500;
const LOOK_AGAIN_MS = 25;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;
const ENDS_MS = 10_000;
const PATTERN_MS = 60_000;
const LEAVE_MS = 3000;

/**
 * Reads Kafka topics with kafkajs `eachBatch`, but the records themselves past it (`FetchTap`). Offsets are committed to the group only for what the journal holds; the journal holds them too, with what was read, and
 * on a restart its word counts: nothing is read into it twice, and nothing is left out, whatever the group was told. While too much is undurable no batch is let go,
 * so that nothing more is fetched, and heartbeats go on.
 */
export class KafkaSource implements Source {
  readonly name = 'kafka';
  readonly #settings: KafkaSettings;
  readonly #clock: Clock;
  readonly #kafka: Kafka;
  readonly #tap = new FetchTap();
  readonly #tapped: Kafka;
  readonly #backlog: Backlog;
  readonly #records: RecordIntake;
  readonly #progress: Progress;
  readonly #deadLetters: DeadLetterTopic | undefined;
  readonly #messageTime = new MessageTime();
  readonly #pattern: RegExp | undefined;
  #wake: () => void = () => undefined;
  #consumer: Consumer | undefined;
  #assigned: Partition[] = [];
  #serving: Promise<void> | undefined;
  #endSession: (reason: Error | undefined) => void = () => undefined;
  #timers: NodeJS.Timeout[] = [];
  #committing: Promise<void> | undefined;
  #paused = false;
  #closed = false;
  #state: SourceStatus['state'] = 'connecting';
  #detail: string | null = null;

  /** `resume` has the positions that the journal holds, by `TOPIC/PARTITION`. Throws CONFIG_INVALID for a pattern that is none. */
  constructor(stages: IngestStages, clock: Clock, settings: KafkaSettings, resume: ReadonlyMap<string, string> = new Map()) {
    this.#settings = settings;
    this.#clock = clock;
    this.#kafka = openKafka(settings.connection);
    this.#tapped = openKafka(settings.connection, this.#tap.socketFactory);
    this.#progress = new Progress(resume);
    this.#pattern = settings.topicPattern ? patternOf(settings.topicPattern) : undefined;
    this.#deadLetters = settings.deadLetterTopic ? new DeadLetterTopic(this.#kafka, settings.deadLetterTopic) : undefined;
    this.#backlog = new Backlog(settings.limits ?? DEFAULT_INLET_LIMITS);
    this.#records = new RecordIntake(this.name, stages, settings, this.#deadLetters && ((letter) => this.#deadLetters!.add(letter)));
  }

  /** Resolves at once: brokers that are not there are tried again, with growing pauses. */
  open(wake: () => void): Promise<void> {
    this.#wake = wake;
    this.#serving = this.#serve();
    this.#every(this.#settings.commitIntervalMs ?? COMMIT_MS, () => this.#commit());
    this.#every(ENDS_MS, () => this.#lookAtEnds());
    if (this.#pattern) this.#every(PATTERN_MS, () => this.#lookForTopics());
    return Promise.resolve();
  }

  drain(sink: ReadingSink): number {
    const ticket = this.#backlog.drain(this.#settings.eventTime ? this.#messageTime.before(sink) : sink, this.#records.take);
    this.#progress.drainedTo(ticket);
    return ticket;
  }

  settle(ticket: number): void {
    this.#backlog.settle(ticket);
    this.#progress.settledTo(ticket);
  }

  get waiting(): number {
    return this.#backlog.waiting;
  }

  positions(): { partition: string; position: string }[] {
    return this.#progress.takeMoved();
  }

  lag(): { partition: string; messages: number }[] {
    return this.#assigned.map(({ topic, partition, settled, end }) => ({ partition: `${topic}/${partition}`, messages: Math.max(0, end - (settled ?? end)) }));
  }

  status(): SourceStatus {
    return { state: this.#state, address: kafkaAddress(this.#settings.connection), detail: this.#detail ?? this.#whatIsRead(), received: this.#backlog.received };
  }

  /** Nothing more is taken; what was can still be settled and committed. */
  pause(): Promise<void> {
    this.#paused = true;
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.pause();
    if (!this.#closed) {
      this.#closed = true;
      for (const timer of this.#timers) clearInterval(timer);
      await inTime(this.#commit());
    }
    this.#endSession(undefined);
    // A broker that is gone is not waited for: the journal knows where we stand.
    await inTime(this.#serving ?? Promise.resolve());
    await inTime(this.#deadLetters?.close() ?? Promise.resolve());
    this.#state = 'stopped';
  }

  /** One session after another: whatever ends one, the next begins where this process stands. */
  async #serve(): Promise<void> {
    let pauseMs = FIRST_RETRY_MS;
    while (!this.#closed) {
      const ended = new Promise<Error | undefined>((resolve) => { this.#endSession = resolve; });
      const consumer = this.#makeConsumer();
      try {
        await consumer.connect();
        await consumer.subscribe({ topics: this.#pattern ? [...this.#settings.topics, this.#pattern] : this.#settings.topics, fromBeginning: this.#settings.from === 'earliest' });
        this.#consumer = consumer;
        await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => this.#eachBatch(payload) });
        const reason = await ended;
        if (this.#state === 'connected') pauseMs = FIRST_RETRY_MS;
        if (reason) throw reason;
      } catch (error) {
        this.#detail = describe(error);
        this.#state = 'disconnected';
      }
      this.#consumer = undefined;
      this.#assigned = [];
      await inTime(consumer.disconnect());
      if (this.#closed) return;
      await new Promise<void>((resolve) => {
        this.#endSession = () => resolve();
        setTimeout(resolve, pauseMs).unref();
      });
      pauseMs = Math.min(LAST_RETRY_MS, pauseMs * 2);
    }
  }

  #makeConsumer(): Consumer {
    const sessionTimeout = this.#settings.sessionTimeoutMs ?? SESSION_MS;
    const consumer = this.#tapped.consumer({
      groupId: this.#settings.groupId, sessionTimeout, heartbeatInterval: Math.floor(sessionTimeout / 4), maxWaitTimeInMs: FETCH_WAIT_MS, allowAutoTopicCreation: false,
      // The group waits so long for a member that began to join and died, and kafkajs a little longer for the answer to a join: 60 s unless told otherwise.
      rebalanceTimeout: 2 * sessionTimeout,
      metadataMaxAge: PATTERN_MS,
      // A new session is cheap, and the only way to begin where this process stands.
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1000, restartOnFailure: () => Promise.resolve(false) },
    });
    const end = this.#endSession;
    consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error));
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => this.#joined(consumer, payload.memberAssignment));
    return consumer;
  }

  /** Called before the first fetch of a generation: every partition goes on where this process, or the journal, stands. */
  #joined(consumer: Consumer, assignment: Record<string, number[]>): void {
    this.#assigned = Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((partition) => this.#progress.partition(topic, partition)));
    for (const { topic, partition, next } of this.#assigned) {
      if (next !== undefined) consumer.seek({ topic, partition, offset: String(next) });
    }
    this.#state = 'connected';
    this.#detail = null;
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const partition = this.#progress.partition(batch.topic, batch.partition);
    partition.end = Number(batch.highWatermark);
    const set = this.#tap.take(batch.topic, batch.partition, batch.messages);
    if (set === 'gone') return;
    try {
      for await (const block of set ? blocksOf(set) : [blockOfMessages(batch.messages)]) {
        if (!await this.#push(payload, partition, block)) return;
      }
    } catch (error) {
      throw error instanceof GruardError ? new GruardError(error.code, `${batch.topic}/${batch.partition} from offset ${partition.next ?? 0}: ${error.message}`) : error;
    }
    payload.resolveOffset(batch.messages[batch.messages.length - 1].offset);
  }

  /** Takes a block as there is room for it. Returns false where somebody else is to go on with it. */
  async #push(payload: EachBatchPayload, partition: Partition, block: RecordBlock): Promise<boolean> {
    for (let at = 0; at < block.n;) {
      if (!payload.isRunning() || payload.isStale()) return false;
      const { room } = this.#backlog;
      if (room === 0 || this.#paused) {
        await new Promise((resolve) => { setTimeout(resolve, LOOK_AGAIN_MS); });
        await payload.heartbeat();
        continue;
      }
      const to = Math.min(block.n, at + room);
      this.#progress.pushed(partition, this.#backlog.received, block.offsets.subarray(at, to));
      this.#backlog.push(partition, block, at, to, this.#clock.nowMs());
      payload.resolveOffset(String(block.offsets[to - 1]));
      at = to;
      this.#wake();
    }
    return true;
  }

  /** One commit at a time; what it does not reach, the next one does. */
  #commit(): Promise<void> {
    this.#committing ??= this.#commitSettled().catch(() => undefined).finally(() => { this.#committing = undefined; });
    return this.#committing;
  }

  async #commitSettled(): Promise<void> {
    const due = this.#assigned.filter(({ settled, committed }) => settled !== undefined && settled !== committed);
    if (due.length === 0 || !this.#consumer) return;
    const offsets = due.map(({ topic, partition, settled }) => ({ topic, partition, offset: String(settled) }));
    await this.#consumer.commitOffsets(offsets);
    due.forEach((partition, i) => { partition.committed = Number(offsets[i].offset); });
  }

  /** While nothing is fetched the broker does not say how far behind we are. */
  async #lookAtEnds(): Promise<void> {
    if (this.#state !== 'connected') return;
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      for (const topic of new Set(this.#assigned.map((partition) => partition.topic))) {
        for (const { partition, high } of await admin.fetchTopicOffsets(topic)) this.#progress.partition(topic, partition).end = Number(high);
      }
    } finally {
      await admin.disconnect();
    }
  }

  /** kafkajs looks for topics that match a pattern once, when a session begins. */
  async #lookForTopics(): Promise<void> {
    if (this.#state !== 'connected') return;
    const admin = this.#kafka.admin();
    try {
      await admin.connect();
      const read = new Set(this.#assigned.map(({ topic }) => topic));
      const added = (await admin.listTopics()).filter((topic) => this.#pattern!.test(topic) && !read.has(topic));
      if (added.length > 0) this.#endSession(undefined);
    } finally {
      await admin.disconnect();
    }
  }

  #every(ms: number, work: () => Promise<void>): void {
    const timer = setInterval(() => { work().catch(() => undefined); }, ms);
    timer.unref();
    this.#timers.push(timer);
  }

  #whatIsRead(): string | null {
    if (this.#state !== 'connected') return null;
    if (this.#assigned.length === 0) return `no partition: another member of the group ${this.#settings.groupId} reads, or no topic matches`;
    const behind = this.lag().reduce((sum, { messages }) => sum + messages, 0);
    return [`${this.#assigned.length} partitions, ${behind} messages behind`, ...(this.#deadLetters?.error ? [this.#deadLetters.error] : [])].join('; ');
  }
}

/** The whole name has to match. kafkajs and we test it again and again, so it has no state. */
function patternOf(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`);
  } catch (error) {
    throw new GruardError('CONFIG_INVALID', `kafka.topic_pattern: ${messageOf(error)}`);
  }
}

/** What kafkajs says, without its advice on retries. */
function describe(error: unknown): string {
  const { message, type, cause } = error as { message?: string; type?: string; cause?: unknown };
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION') return 'a topic of kafka.topics does not exist; `gruard kafka setup` creates it';
  return message || (cause === undefined ? String(error) : describe(cause));
}

/** Gives up waiting, not the work. */
function inTime(work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LEAVE_MS);
    work.catch(() => undefined).finally(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

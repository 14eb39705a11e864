import type { Consumer, EachBatchPayload } from 'kafkajs';
import { messageOf } from '../core/errors.js';
import { partitionName, stickyAssigner } from './assigner.js';
import type { PartitionControl } from './control.js';
import { OwnedPartition, type PartitionParts } from './partition.js';
import { ReplayTurns } from './replay-turns.js';

export interface WorkerOptions {
  topics: string[];
  sessionTimeoutMs: number;
  /** What brings a partition's detector to the settings of this worker goes into the partition's log. */
  detectorSettings: unknown;
  /** Writes a control record. */
  tell: (topic: string, control: PartitionControl, partition: number) => Promise<void>;
  /** Whether an idle partition is told the time: with `time: wall`, where silence is judged by the clock. */
  clockRecords: boolean;
}

export interface WorkerStatus {
  state: 'connecting' | 'connected' | 'disconnected' | 'stopped';
  detail: string | null;
}

/** A fetch waits for so much, or for so long: every one of them, and every transaction, has a price of its own. */
const FETCH_BYTES = 64 * 1024;
const FETCH_WAIT_MS = 250;
/** Of one partition in one fetch: some transactions of it. */
const PARTITION_BYTES = 512 * 1024;
const HEARTBEAT_MS = 500;
const METADATA_MS = 60_000;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;
const LEAVE_MS = 3000;
const IDLE_MS = 10_000;
const ENDS_MS = 10_000;
/** Partitions that may wait for their transactions at once; each gathers while it waits. */
const AT_ONCE = 256;

/**
 * One of any number of equal workers: a member of the consumer group, which takes the partitions that the group gives it and drops at once those that it takes away.
 */
export class Worker {
  readonly #parts: PartitionParts;
  readonly #options: WorkerOptions;
  readonly #owned = new Map<string, OwnedPartition>();
  readonly #taking = new Set<OwnedPartition>();
  readonly #turns = new ReplayTurns<OwnedPartition>((one) => this.#read(one));
  #consumer: Consumer | undefined;
  #aliveAtMs = -Infinity;
  #serving: Promise<void> | undefined;
  #endSession: (reason: Error | undefined) => void = () => undefined;
  #timers: NodeJS.Timeout[] = [];
  #stopping = false;
  #closed = false;
  #state: WorkerStatus['state'] = 'connecting';
  #detail: string | null = null;
  /** What was logged of it: brokers may be gone for hours. */
  #told: string | null = null;
  received = 0;
  takeovers = 0;
  /** Readings of partitions that are not ours any more. */
  #readingsBefore = 0;

  constructor(parts: Omit<PartitionParts, 'isMember'>, options: WorkerOptions) {
    this.#parts = { ...parts, isMember: () => this.#isMember() };
    this.#options = options;
  }

  start(): void {
    this.#serving = this.#serve();
    this.#timers = [setInterval(() => this.#tellTime(), IDLE_MS), setInterval(() => void this.#lookAtEnds(), ENDS_MS)];
    for (const timer of this.#timers) timer.unref();
  }

  get owned(): readonly OwnedPartition[] {
    return [...this.#owned.values()];
  }

  get readings(): number {
    return this.owned.reduce((sum, { cell }) => sum + (cell?.readings ?? 0), this.#readingsBefore);
  }

  status(): WorkerStatus {
    return { state: this.#state, detail: this.#detail };
  }

  /** Commits what was taken, leaves snapshots, and leaves the group. */
  async close(options: { keep: boolean }): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    if (options.keep) await Promise.race([Promise.all(this.owned.map((one) => one.handOver().catch(() => undefined))), later(3 * LEAVE_MS)]);
    this.#closed = true;
    this.#endSession(undefined);
    await inTime(this.#serving ?? Promise.resolve(), 2 * LEAVE_MS);
    await Promise.all(this.owned.map((one) => inTime(one.drop(), LEAVE_MS)));
    this.#state = 'stopped';
  }

  /** One session after another; what is owned is kept from one to the next, and fenced off where somebody else has it meanwhile. */
  async #serve(): Promise<void> {
    let pauseMs = FIRST_RETRY_MS;
    while (!this.#closed) {
      const ended = new Promise<Error | undefined>((resolve) => { this.#endSession = resolve; });
      const consumer = this.#makeConsumer();
      try {
        await consumer.connect();
        await consumer.subscribe({ topics: this.#options.topics, fromBeginning: true });
        this.#consumer = consumer;
        await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, partitionsConsumedConcurrently: AT_ONCE, eachBatch: (payload) => this.#eachBatch(payload) });
        const reason = await ended;
        if (this.#state === 'connected') pauseMs = FIRST_RETRY_MS;
        if (reason) throw reason;
      } catch (error) {
        this.#detail = messageOf(error);
        this.#state = 'disconnected';
        if (this.#detail !== this.#told) this.#parts.log.warn('this worker left the group, and joins it again', { error: this.#detail });
        this.#told = this.#detail;
      }
      this.#consumer = undefined;
      this.#aliveAtMs = -Infinity;
      await inTime(consumer.disconnect(), LEAVE_MS);
      if (this.#closed) return;
      await Promise.race([later(pauseMs), new Promise<void>((resolve) => { this.#endSession = () => resolve(); })]);
      pauseMs = Math.min(LAST_RETRY_MS, pauseMs * 2);
    }
  }

  #makeConsumer(): Consumer {
    const sessionTimeout = this.#options.sessionTimeoutMs;
    const consumer = this.#parts.kafka.consumer({
      groupId: this.#parts.groupId, sessionTimeout, heartbeatInterval: HEARTBEAT_MS, rebalanceTimeout: 2 * sessionTimeout, maxWaitTimeInMs: FETCH_WAIT_MS, minBytes: FETCH_BYTES, maxBytesPerPartition: PARTITION_BYTES,
      allowAutoTopicCreation: false, metadataMaxAge: METADATA_MS, partitionAssigners: [stickyAssigner(() => this.#held())],
      retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1000, restartOnFailure: () => Promise.resolve(false) },
    });
    const end = this.#endSession;
    consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error));
    consumer.on(consumer.events.HEARTBEAT, () => this.#alive(consumer));
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => this.#joined(consumer, payload.memberAssignment));
    return consumer;
  }

  #isMember(): boolean {
    return this.#parts.clock.nowMs() - this.#aliveAtMs < this.#options.sessionTimeoutMs;
  }

  /** The group has just confirmed that we are a member. */
  #alive(consumer: Consumer): void {
    this.#aliveAtMs = this.#parts.clock.nowMs();
    for (const one of this.owned) if (one.failure !== undefined && !this.#taking.has(one)) this.#takeAnew(consumer, one);
    this.#turns.look();
  }

  /** What costs the most to give away first. */
  #held(): string[] {
    const rank = (one: OwnedPartition): number => (!one.ready ? 2 : one.toReplay > 0 ? 1 : 0);
    return this.owned.map((one) => ({ name: one.name, rank: rank(one) })).sort((a, b) => a.rank - b.rank).map(({ name }) => name);
  }

  /** Called before the first fetch of a generation. */
  #joined(consumer: Consumer, assignment: Record<string, number[]>): void {
    if (this.#told !== null) this.#parts.log.info('this worker is in the group again');
    this.#state = 'connected';
    this.#detail = null;
    this.#told = null;
    this.#aliveAtMs = this.#parts.clock.nowMs();
    const assigned = new Set<string>();
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) {
        const name = partitionName(topic, partition);
        assigned.add(name);
        const known = this.#owned.get(name);
        if (known?.ready && !this.#turns.isWaiting(known)) consumer.seek({ topic, partition, offset: String(known.next) });
        else if (known?.ready || (known && this.#taking.has(known))) consumer.pause([{ topic, partitions: [partition] }]);
        else this.#takeAnew(consumer, known ?? this.#own(topic, partition));
      }
    }
    for (const one of this.owned) if (!assigned.has(one.name)) this.#disown(one);
    this.#turns.pass();
  }

  #own(topic: string, partition: number): OwnedPartition {
    const one = new OwnedPartition(this.#parts, topic, partition);
    this.#owned.set(one.name, one);
    return one;
  }

  #disown(one: OwnedPartition): void {
    this.#owned.delete(one.name);
    this.#readingsBefore += one.cell?.readings ?? 0;
    this.#parts.log.info('partition left', { partition: one.name });
    void one.drop();
  }

  /** Takes a partition from whoever had it, ourselves included; nothing is fetched from it meanwhile. */
  #takeAnew(consumer: Consumer, before: OwnedPartition): void {
    let one = before;
    const { topic, partition } = one;
    if (one.failure !== undefined) {
      this.#parts.log.warn('a partition is taken anew', { partition: one.name, reason: messageOf(one.failure) });
      this.#disown(one);
      one = this.#own(topic, partition);
    }
    consumer.pause([{ topic, partitions: [partition] }]);
    this.#taking.add(one);
    this.takeovers++;
    void one.take().then(() => {
      this.#taking.delete(one);
      if (!one.ready) return;
      if (one.toReplay > 0) this.#turns.enter(one);
      else this.#read(one);
      this.#tellSettings(one);
    }).catch((error: unknown) => {
      // Tried again with the next sign that we are a member.
      this.#taking.delete(one);
      one.failure = error;
    });
  }

  /** From where it stands. Between two sessions nothing is to be done: the next one begins so. */
  #read({ topic, partition, next }: OwnedPartition): void {
    this.#consumer?.seek({ topic, partition, offset: String(next) });
    this.#consumer?.resume([{ topic, partitions: [partition] }]);
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const one = this.#owned.get(partitionName(batch.topic, batch.partition));
    if (one?.failure !== undefined) this.#consumer?.pause([{ topic: one.topic, partitions: [one.partition] }]);
    if (!one?.ready || this.#stopping || !payload.isRunning() || payload.isStale()) return;
    const { messages } = batch;
    if (Number(messages[0].offset) > one.next && this.#skips(batch, one)) return;
    one.end = Number(batch.highWatermark);
    this.received += messages.length;
    const lastOffset = Number(batch.lastOffset());
    await one.give(messages, lastOffset, async () => {
      await payload.heartbeat();
      await new Promise((resolve) => { setImmediate(resolve); });
    });
    if (one.ready && one.next > lastOffset) payload.resolveOffset(messages[messages.length - 1].offset);
    else if (one.ready) this.#consumer?.seek({ topic: one.topic, partition: one.partition, offset: String(one.next) });
    if (one.failure !== undefined) this.#consumer?.pause([{ topic: one.topic, partitions: [one.partition] }]);
    this.#turns.pass();
  }

  /** Whether a batch was asked for at an offset beyond the one that is wanted: it is asked for again. Gaps of the log itself (compaction, marks of transactions) are none. */
  #skips(batch: EachBatchPayload['batch'], one: OwnedPartition): boolean {
    const asked = Number((batch as { fetchedOffset?: string | number }).fetchedOffset ?? NaN);
    if (!(asked > one.next) || one.soughtAt === one.next) return false;
    one.soughtAt = one.next;
    this.#consumer?.seek({ topic: one.topic, partition: one.partition, offset: String(one.next) });
    return true;
  }

  #tellSettings(one: OwnedPartition): void {
    const change = one.cell?.settingsTo(this.#options.detectorSettings);
    if (change?.kind !== 'settings') return;
    this.#options.tell(one.topic, change, one.partition).catch((error: unknown) => {
      this.#parts.log.warn('the settings of the detector were not written to a partition; the next takeover does it', { partition: one.name, error: messageOf(error) });
    });
  }

  /** While nothing is fetched, since a store is away, the broker does not say how far behind we are. */
  async #lookAtEnds(): Promise<void> {
    if (this.#state !== 'connected') return;
    for (const topic of new Set(this.owned.map((one) => one.topic))) {
      for (const { partition, high } of await this.#parts.admin.fetchTopicOffsets(topic).catch(() => [])) {
        const one = this.#owned.get(partitionName(topic, partition));
        if (one?.ready) one.end = Math.max(one.end, Number(high));
      }
    }
  }

  /** A partition in which nobody speaks has no time: whoever should have spoken is found silent all the same. */
  #tellTime(): void {
    if (!this.#options.clockRecords) return;
    const nowMs = this.#parts.clock.nowMs();
    for (const one of this.owned) {
      if (!one.ready || nowMs - one.heardMs < IDLE_MS || one.cell!.fleet.deviceCount === 0) continue;
      this.#options.tell(one.topic, { kind: 'clock' }, one.partition).catch(() => undefined);
    }
  }
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms).unref(); });
}

async function inTime(work: Promise<unknown>, ms: number): Promise<void> {
  await Promise.race([work.catch(() => undefined), later(ms)]);
}


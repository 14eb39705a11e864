import type { Admin, Kafka, Producer, TopicMessages } from 'kafkajs';
import { messageOf } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { partitionName } from './assigner.js';

export interface TransactionParts {
  kafka: Kafka;
  admin: Admin;
  groupId: string;
  /** Whether this worker is known to be a member of the group now: a member that is not must not write. */
  isMember: () => boolean;
  log: Log;
}

/** What is committed at once. */
export interface Transaction {
  /** The offset that the partition was read from, and to. */
  start: number;
  next: number;
  /** Where the newest snapshot begins; goes with the offset. */
  snapshotPlace: number | undefined;
  requests: () => Iterable<TopicMessages[]>;
  /** Results first go where writing them twice is harmless: the transaction is what counts. */
  upsert: () => Promise<void>;
}

const TIMEOUT_MS = 30_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 3000;
const MEMBER_MS = 100;
const MARK_MS = 10;
const MARK_TRIES = 200;

/** The transactions of one input partition. Its transactional id fences a former owner, so that what is committed is a gapless course of one log, whoever wrote it. */
export class Transactions {
  /** Why the one in hand is not written yet, while it is tried again. */
  trouble: string | undefined;
  #producer: Producer | undefined;
  #closed = false;

  constructor(private readonly parts: TransactionParts, private readonly topic: string, private readonly partition: number) {}

  /** From here on nobody who had the partition before can commit, and nothing of theirs is under way. */
  async open(): Promise<void> {
    await this.#producer?.disconnect().catch(() => undefined);
    const producer = this.parts.kafka.producer({
      transactionalId: `${this.parts.groupId}-${this.topic}-${this.partition}`, idempotent: true, maxInFlightRequests: 1, transactionTimeout: TIMEOUT_MS,
      allowAutoTopicCreation: false, retry: { retries: 5, initialRetryTime: 50, maxRetryTime: 1000 },
    });
    try {
      await producer.connect();
      await (await producer.transaction()).abort();
      if (this.#closed) throw new Error('dropped');
      this.#producer = producer;
    } catch (error) {
      await producer.disconnect().catch(() => undefined);
      throw error;
    }
  }

  async committed(): Promise<{ offset: number | undefined; snapshotPlace: number | undefined }> {
    const { admin, groupId } = this.parts;
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [this.topic] });
    const mine = partitions.find(({ partition }) => partition === this.partition);
    const offset = Number(mine?.offset ?? -1);
    const place = Number(mine?.metadata || NaN);
    return { offset: offset >= 0 ? offset : undefined, snapshotPlace: Number.isSafeInteger(place) ? place : undefined };
  }

  /** A try that fails writes the same again, with another producer, as long as nobody else was here. Rejects where somebody was, and once closed. */
  async commit(transaction: Transaction): Promise<void> {
    for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(LAST_RETRY_MS, 2 * pauseMs)) {
      await this.#whenMember();
      try {
        await this.#write(transaction);
        break;
      } catch (error) {
        if (this.#closed) throw error;
        this.#failed(error);
      }
      await pause(pauseMs);
      await this.#whenMember();
      try {
        await this.open();
        const { offset = transaction.start } = await this.committed();
        if (offset === transaction.next) break;
        if (offset !== transaction.start) throw new Superseded(`${this.#name} was read to ${offset} by another worker, and to ${transaction.start} by this one`);
      } catch (error) {
        if (error instanceof Superseded) throw error;
        this.#failed(error);
      }
    }
    this.trouble = undefined;
  }

  /** What waits to be a member rejects; what is being written is waited for by whoever began it. */
  end(): void {
    this.#closed = true;
  }

  async disconnect(): Promise<void> {
    await this.#producer?.disconnect().catch(() => undefined);
  }

  async #write({ next, snapshotPlace, requests, upsert }: Transaction): Promise<void> {
    const stored = upsert();
    stored.catch(() => undefined);
    const transaction = await this.#producer!.transaction();
    for (const topicMessages of requests()) await afterTheLast(() => transaction.sendBatch({ acks: -1, topicMessages }));
    const place = { partition: this.partition, offset: String(next), metadata: snapshotPlace === undefined ? '' : String(snapshotPlace) };
    await afterTheLast(() => transaction.sendOffsets({ consumerGroupId: this.parts.groupId, topics: [{ topic: this.topic, partitions: [place] }] }));
    await stored;
    await transaction.commit();
  }

  async #whenMember(): Promise<void> {
    while (!this.#closed && !this.parts.isMember()) await pause(MEMBER_MS);
    if (this.#closed) throw new Error('dropped');
  }

  #failed(error: unknown): void {
    this.trouble = messageOf(error);
    this.parts.log.debug('transaction', { partition: this.#name, error: this.trouble });
  }

  get #name(): string {
    return partitionName(this.topic, this.partition);
  }
}

/** A commit is answered before its marks are written everywhere, and until then nothing can be added to the next transaction; kafkajs does not ask again. */
async function afterTheLast<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if ((error as { type?: string }).type !== 'CONCURRENT_TRANSACTIONS' || tries === MARK_TRIES) throw error;
      await pause(MARK_MS);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

class Superseded extends Error {}

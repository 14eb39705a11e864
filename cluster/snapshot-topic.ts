import type { Admin, Consumer, Kafka, KafkaMessage, Message, Producer } from 'kafkajs';
import { crc32 } from 'node:zlib';
import { GruardError, messageOf } from '../core/errors.js';

/** Of the end of a snapshot, written behind its chunks. */
interface Manifest {
  version: 1;
  /** The input offset behind the last message that the state has seen. */
  offset: number;
  chunks: number;
  bytes: number;
  crc32: number;
}

export interface StoredSnapshot {
  offset: number;
  crc32: number;
  bytes: Buffer;
}

/** Brokers take 1 MiB a message and request unless told otherwise. */
const CHUNK_BYTES = 512 * 1024;
const WAIT_MS = 100;
const READ_MS = 60_000;

/**
 * Snapshots in a compacted topic. A snapshot is chunks with a key each and a manifest behind them, whose key is that of the partition: it is complete when its manifest is
 * there, and the newest manifest is the one that compaction keeps. Chunks of the one before are tombstoned. What a former owner may still write is a state of the same log,
 * so it is never wrong, only older.
 */
export class SnapshotTopic {
  readonly #producer: Producer;
  #connected: Promise<void> | undefined;
  #partitions = 0;
  /** By input partition: what is to be tombstoned once a newer one is complete. */
  readonly #written = new Map<string, { offset: number; chunks: number }>();

  constructor(kafka: Kafka, private readonly admin: Admin, readonly topic: string) {
    this.#producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false, retry: { retries: 3, initialRetryTime: 100 } });
  }

  /** Throws CLUSTER_TOPIC_MISSING. */
  async open(): Promise<void> {
    const found = await this.admin.fetchTopicMetadata({ topics: [this.topic] }).catch((cause: unknown) => {
      throw new GruardError('CLUSTER_TOPIC_MISSING', `${this.topic}: ${messageOf(cause)}`, { cause });
    });
    this.#partitions = found.topics[0].partitions.length;
  }

  /** Where the snapshots of an input partition are. */
  partitionOf(partition: number): number {
    return partition % this.#partitions;
  }

  /** Resolves with the place where the snapshot begins, which makes it quick to find. */
  async write(topic: string, partition: number, offset: number, bytes: Buffer): Promise<number> {
    this.#connected ??= this.#producer.connect();
    await this.#connected;
    const name = `${topic}/${partition}`;
    const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
    let begin = -1;
    for (let i = 0; i < chunks; i++) {
      const at = await this.#send(partition, { key: `${name}/${offset}/${i}`, value: bytes.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES) });
      if (i === 0) begin = at;
    }
    const manifest: Manifest = { version: 1, offset, chunks, bytes: bytes.length, crc32: crc32(bytes) };
    await this.#send(partition, { key: name, value: JSON.stringify(manifest) });
    const before = this.#written.get(name);
    this.#written.set(name, { offset, chunks });
    if (before && before.offset !== offset) for (let i = 0; i < before.chunks; i++) await this.#send(partition, { key: `${name}/${before.offset}/${i}`, value: null });
    return begin;
  }

  async #send(partition: number, message: Message): Promise<number> {
    const [metadata] = await this.#producer.send({ topic: this.topic, acks: -1, messages: [{ ...message, partition: this.partitionOf(partition) }] });
    return Number(metadata.baseOffset ?? -1);
  }

  /** What was read is to be tombstoned by whoever writes the next. */
  took(topic: string, partition: number, { offset, bytes }: StoredSnapshot): void {
    this.#written.set(`${topic}/${partition}`, { offset, chunks: Math.ceil(bytes.length / CHUNK_BYTES) });
  }

  async close(): Promise<void> {
    await this.#producer.disconnect().catch(() => undefined);
  }
}

interface Reading {
  partition: number;
  end: number;
  take: (message: KafkaMessage) => void;
  done: () => void;
}

/**
 * Reads partitions of the snapshot topic from where it is told. kafkajs reads in groups only, so this is a group of one member that has joined once and for all, commits
 * nothing, and pauses every partition that nobody waits for: a takeover does not wait for a group to form.
 */
export class SnapshotReader {
  readonly #consumer: Consumer;
  readonly #readings = new Map<number, Reading>();
  /** By partition of the topic: several input partitions may share one, and are read one after the other. */
  readonly #turns = new Map<number, Promise<unknown>>();
  #joined: Promise<void> | undefined;

  constructor(kafka: Kafka, private readonly admin: Admin, private readonly source: SnapshotTopic, readonly groupId: string) {
    this.#consumer = kafka.consumer({ groupId, maxWaitTimeInMs: WAIT_MS, allowAutoTopicCreation: false, maxBytesPerPartition: 4 * 1024 * 1024 });
  }

  open(): Promise<void> {
    this.#joined ??= this.#join();
    return this.#joined;
  }

  async #join(): Promise<void> {
    const consumer = this.#consumer;
    const { topic } = this.source;
    await consumer.connect();
    await consumer.subscribe({ topics: [topic] });
    const joined = new Promise<void>((resolve) => {
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        const partitions = payload.memberAssignment[topic] ?? [];
        consumer.pause([{ topic, partitions: partitions.filter((partition) => !this.#readings.has(partition)) }]);
        resolve();
      });
    });
    await consumer.run({
      autoCommit: false, partitionsConsumedConcurrently: 16,
      eachBatch: async ({ batch }) => {
        const reading = this.#readings.get(batch.partition);
        if (!reading) return;
        for (const message of batch.messages) reading.take(message);
        if (Number(batch.lastOffset()) + 1 >= reading.end) reading.done();
      },
    });
    await joined;
  }

  /** The newest complete snapshot of an input partition; `from` is where it is known to begin. undefined where there is none. */
  async newest(topic: string, partition: number, from: number | undefined): Promise<StoredSnapshot | undefined> {
    await this.open();
    const own = this.source.partitionOf(partition);
    const turn = (this.#turns.get(own) ?? Promise.resolve()).then(() => this.#newest(topic, partition, own, from));
    this.#turns.set(own, turn.catch(() => undefined));
    return turn;
  }

  async #newest(topic: string, partition: number, own: number, from: number | undefined): Promise<StoredSnapshot | undefined> {
    const bounds = (await this.admin.fetchTopicOffsets(this.source.topic)).find((one) => one.partition === own);
    const [low, high] = [Number(bounds?.low ?? 0), Number(bounds?.high ?? 0)];
    const found = await this.#read(topic, partition, own, from !== undefined && from > low && from < high ? from : low, high);
    if (found || from === undefined || from <= low) return found;
    return this.#read(topic, partition, own, low, high);
  }

  async #read(topic: string, partition: number, own: number, from: number, end: number): Promise<StoredSnapshot | undefined> {
    if (from >= end) return undefined;
    const assembly = new Assembly(`${topic}/${partition}`);
    const place = [{ topic: this.source.topic, partitions: [own] }];
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`the snapshot of ${topic}/${partition} was not read within ${READ_MS} ms`)), READ_MS);
        this.#readings.set(own, { partition: own, end, take: (message) => assembly.take(message), done: resolve });
        this.#consumer.seek({ topic: this.source.topic, partition: own, offset: String(from) });
        this.#consumer.resume(place);
      });
    } finally {
      clearTimeout(timer);
      this.#consumer.pause(place);
      this.#readings.delete(own);
    }
    return assembly.newest;
  }

  async close(): Promise<void> {
    await this.#consumer.disconnect().catch(() => undefined);
    await this.admin.deleteGroups([this.groupId]).catch(() => undefined);
  }
}

/** Puts chunks together again, as they come in the order of the log. */
export class Assembly {
  newest: StoredSnapshot | undefined;
  #chunks = new Map<string, Buffer>();

  constructor(readonly name: string) {}

  take({ key, value }: Pick<KafkaMessage, 'key' | 'value'>): void {
    const text = key?.toString() ?? '';
    if (text === this.name) {
      if (value) this.#complete(value);
      else this.newest = undefined;
    } else if (text.startsWith(`${this.name}/`)) {
      if (value) this.#chunks.set(text, value);
      else this.#chunks.delete(text);
    }
  }

  #complete(value: Buffer): void {
    const manifest = JSON.parse(value.toString()) as Manifest;
    if (manifest.version !== 1) throw new GruardError('FORMAT_VERSION', `the snapshot of ${this.name} has version ${String(manifest.version)}`);
    const chunks = Array.from({ length: manifest.chunks }, (_, i) => this.#chunks.get(`${this.name}/${manifest.offset}/${i}`));
    this.#chunks = new Map();
    const bytes = Buffer.concat(chunks.filter((chunk) => chunk !== undefined));
    if (bytes.length === manifest.bytes) this.newest = { offset: manifest.offset, crc32: manifest.crc32, bytes };
  }
}

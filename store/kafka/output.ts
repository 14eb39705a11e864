import { Partitioners, type Message, type Producer } from 'kafkajs';
import type { Batch } from '../../core/batch.js';
import { GruardError } from '../../core/errors.js';
import { openKafka, type KafkaConnection } from '../../core/kafka.js';
import type { SeriesNames } from '../../core/results.js';
import { PoisonError, type FollowerTarget } from '../follower.js';
import { CursorFile } from '../cursor.js';
import { anomalyRecord, ResultRecords, verdictRecord, type OutputRecord } from './records.js';

export interface KafkaOutputSettings {
  connection: KafkaConnection;
  /** undefined: not written. */
  resultsTopic?: string;
  eventsTopic?: string;
  cursorPath: string;
}

interface Cursor {
  version: 1;
  position: number;
}

/** A broker takes 1 MiB a partition and request unless told otherwise; what is sent together stays below, wherever it goes. */
const REQUEST_BYTES = 512 * 1024;
const RECORD_OVERHEAD_BYTES = 32;
/** The same message would be refused for ever. */
const REFUSALS = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD']);

/**
 * Writes results and events to topics, keyed by device, so that a device's own are in order. The producer is idempotent; the position is in a cursor file that is
 * written after the brokers have everything, so a kill in between writes some messages a second time, with the same bytes.
 */
export class KafkaOutput implements FollowerTarget {
  readonly #settings: KafkaOutputSettings;
  readonly #names: SeriesNames;
  readonly #cursor: CursorFile<Cursor>;
  readonly #results = new ResultRecords();
  #producer: Producer | undefined;

  constructor(settings: KafkaOutputSettings, names: SeriesNames) {
    this.#settings = settings;
    this.#names = names;
    this.#cursor = CursorFile.at(settings.cursorPath);
  }

  async position(): Promise<number> {
    const cursor = await this.#cursor.read();
    if (cursor && cursor.version !== 1) throw new GruardError('FORMAT_VERSION', `${this.#cursor.path} has version ${String(cursor.version)}`);
    return cursor?.position ?? -1;
  }

  async apply(batch: Batch, position: number): Promise<void> {
    let request = new Request();
    for (const { topic, record } of this.#recordsOf(batch)) {
      request.add(topic, record);
      if (request.bytes < REQUEST_BYTES) continue;
      await this.#send(request);
      request = new Request();
    }
    if (request.bytes > 0) await this.#send(request);
    await this.#cursor.write({ version: 1, position });
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.disconnect().catch(() => undefined);
  }

  * #recordsOf(batch: Batch): Generator<{ topic: string; record: OutputRecord }> {
    const { resultsTopic, eventsTopic } = this.#settings;
    if (resultsTopic !== undefined) {
      for (let row = 0; row < batch.n; row++) {
        const record = this.#results.of(batch, row, this.#names);
        if (record) yield { topic: resultsTopic, record };
      }
    }
    if (eventsTopic !== undefined) {
      for (const event of batch.events) yield { topic: eventsTopic, record: anomalyRecord(event) };
      for (const verdict of batch.verdicts) yield { topic: eventsTopic, record: verdictRecord(verdict) };
    }
  }

  /** After a failure nobody knows which sequence numbers the brokers have seen: the next try is that of a new producer. */
  async #send({ messages }: Request): Promise<void> {
    try {
      const producer = await this.#connected();
      await producer.sendBatch({ acks: -1, topicMessages: [...messages].map(([topic, list]) => ({ topic, messages: list })) });
    } catch (error) {
      await this.close();
      const { type, message } = error as { type?: string; message: string };
      if (type !== undefined && REFUSALS.has(type)) throw new PoisonError(`the brokers refuse a message: ${message}`);
      throw error;
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#producer) return this.#producer;
    const producer = openKafka(this.#settings.connection).producer({
      idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false, createPartitioner: Partitioners.DefaultPartitioner, retry: { retries: 1, initialRetryTime: 100 },
    });
    await producer.connect();
    this.#producer = producer;
    return producer;
  }
}

/** Messages by topic, until there are enough for a request. */
class Request {
  readonly messages = new Map<string, Message[]>();
  bytes = 0;

  add(topic: string, { key, value }: OutputRecord): void {
    let list = this.messages.get(topic);
    if (!list) this.messages.set(topic, list = []);
    list.push({ key, value });
    this.bytes += Buffer.byteLength(value) + Buffer.byteLength(key) + RECORD_OVERHEAD_BYTES;
  }
}

import type { Message } from 'kafkajs';
import { Batch } from '../core/batch.js';
import type { Fleet } from '../core/fleet.js';
import { anomalyRecord, ResultRecords, verdictRecord, type OutputRecord } from '../store/kafka/records.js';
import type { Refused } from './cell.js';

/** Where what comes of a partition's messages is written. */
export interface OutputTopics {
  results: { topic: string; partitions: number };
  events: { topic: string; partitions: number };
  deadLetters: string | undefined;
}

const BATCH_ROWS = 16_384;
/** A broker takes 1 MiB a partition and request unless told otherwise. */
const REQUEST_BYTES = 256 * 1024;
const RECORD_OVERHEAD_BYTES = 32;

/** What came of the messages from one input offset to another: the content of one transaction. */
export class Outcome {
  readonly batches: Batch[] = [];
  readonly letters: Message[] = [];
  /** Names of devices that are forgotten. */
  readonly retired: string[] = [];
  rows = 0;
  /** The offset behind the last message. */
  next: number;

  constructor(readonly start: number) {
    this.next = start;
  }

  get empty(): boolean {
    return this.next === this.start;
  }

  /** Copies a stepped batch. */
  add(from: Batch): void {
    let to = this.batches.at(-1);
    if (!to || to.n + from.n > to.capacity) this.batches.push(to = new Batch(Math.max(BATCH_ROWS, from.n)));
    for (const column of ['seriesId', 'timestampMs', 'value', 'flags', 'yhat', 'yhatLower', 'yhatUpper', 'anomalyScore'] as const) to[column].set(from[column].subarray(0, from.n), to.n);
    to.n += from.n;
    this.rows += from.n;
    to.declarations.push(...from.declarations);
    to.events.push(...from.events);
    to.verdicts.push(...from.verdicts);
  }

  refuse({ message, reason, detail }: Refused, topic: string, partition: number): void {
    this.letters.push({
      key: message.key, value: message.value,
      headers: { ...message.headers, gruard_reason: reason, gruard_detail: detail, gruard_topic: topic, gruard_partition: String(partition), gruard_offset: message.offset },
    });
  }
}

/** Writes outcomes of one partition as messages. Everything of it goes to one partition of each topic: the order of a device stays, and a transaction concerns few. */
export class OutcomeWriter {
  readonly #results = new ResultRecords();

  constructor(private readonly topics: OutputTopics, private readonly fleet: Fleet, private readonly partition: number) {}

  /** Requests of a size that brokers take. */
  * requestsOf(outcome: Outcome): Generator<{ topic: string; messages: Message[] }[]> {
    let request = new Map<string, Message[]>();
    let bytes = 0;
    for (const [topic, message] of this.#messagesOf(outcome)) {
      const list = request.get(topic);
      if (list) list.push(message);
      else request.set(topic, [message]);
      bytes += sizeOf(message);
      if (bytes < REQUEST_BYTES) continue;
      yield [...request].map(([name, messages]) => ({ topic: name, messages }));
      request = new Map();
      bytes = 0;
    }
    if (bytes > 0) yield [...request].map(([name, messages]) => ({ topic: name, messages }));
  }

  * #messagesOf({ batches, letters, retired }: Outcome): Generator<[topic: string, message: Message]> {
    const { results, events, deadLetters } = this.topics;
    const resultsPartition = this.partition % results.partitions;
    const eventsPartition = this.partition % events.partitions;
    const event = ({ key, value }: OutputRecord): [string, Message] => [events.topic, { key, value, partition: eventsPartition }];
    for (const batch of batches) {
      for (let row = 0; row < batch.n; row++) {
        const record = this.#results.of(batch, row, this.fleet);
        if (record) yield [results.topic, { key: record.key, value: record.value, partition: resultsPartition }];
      }
      for (const one of batch.events) yield event(anomalyRecord(one));
      for (const one of batch.verdicts) yield event(verdictRecord(one));
    }
    for (const device of retired) yield event({ key: device, value: JSON.stringify({ type: 'retired', device }) });
    if (deadLetters !== undefined) for (const letter of letters) yield [deadLetters, letter];
  }
}

function sizeOf({ key, value }: Message): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
}

import { Partitioners, type Kafka, type Producer } from 'kafkajs';
import { openKafka } from '../core/kafka.js';
import { bodyOf, deviceOf, type Notification } from './notification.js';
import type { KafkaSinkSettings } from './settings.js';
import { SinkRefusal, type AlertSink } from './sink.js';

/** The brokers are there and will never take this message. */
const REFUSALS = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD']);

/** Writes each notification to a topic, keyed by device, with its idempotency key in the header `idempotency-key`. */
export class KafkaSink implements AlertSink {
  readonly name: string;
  readonly #kafka: Kafka;
  #producer: Producer | undefined;

  constructor(readonly settings: KafkaSinkSettings) {
    this.name = settings.name;
    this.#kafka = openKafka(settings.connection);
  }

  async deliver(notification: Notification): Promise<void> {
    try {
      const producer = await this.#connected();
      const message = { key: deviceOf(notification), value: JSON.stringify(bodyOf(notification)), headers: { 'idempotency-key': notification.key } };
      await producer.send({ topic: this.settings.topic, acks: -1, timeout: this.settings.timeoutMs, messages: [message] });
    } catch (error) {
      await this.close();
      const { type, message } = error as { type?: string; message: string };
      if (type !== undefined && REFUSALS.has(type)) throw new SinkRefusal(message);
      throw error;
    }
  }

  async close(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.disconnect().catch(() => undefined);
  }

  async #connected(): Promise<Producer> {
    if (this.#producer) return this.#producer;
    const producer = this.#kafka.producer({ allowAutoTopicCreation: false, createPartitioner: Partitioners.DefaultPartitioner, retry: { retries: 1, initialRetryTime: 100 } });
    await producer.connect();
    this.#producer = producer;
    return producer;
  }
}

import type { Kafka, Producer } from 'kafkajs';
import type { Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { controlMessage, type PartitionControl } from './control.js';

/** Puts control records into input partitions. */
export class ControlWriter {
  readonly #producer: Producer;
  #connected: Promise<void> | undefined;

  /** `partitionsOf` is asked anew each time: a topic may have been given more of them. */
  constructor(kafka: Kafka, private readonly inputs: readonly string[], private readonly partitionsOf: (topic: string) => Promise<number>, private readonly clock: Clock) {
    this.#producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 5, initialRetryTime: 100, maxRetryTime: 1000 } });
  }

  async tell(topic: string, control: PartitionControl, partition: number): Promise<void> {
    await this.#send([{ topic, partitions: [partition] }], control);
  }

  /** Throws BROKER_UNREACHABLE. */
  async tellAll(control: PartitionControl): Promise<void> {
    try {
      const inputs = await Promise.all(this.inputs.map(async (topic) => ({ topic, partitions: Array.from({ length: await this.partitionsOf(topic) }, (_, partition) => partition) })));
      await this.#send(inputs, control);
    } catch (cause) {
      throw new GruardError('BROKER_UNREACHABLE', `not written to the input topics: ${messageOf(cause)}`, { cause });
    }
  }

  async #send(to: readonly { topic: string; partitions: number[] }[], control: PartitionControl): Promise<void> {
    this.#connected ??= this.#producer.connect().catch((error: unknown) => {
      this.#connected = undefined;
      throw error;
    });
    await this.#connected;
    const nowMs = this.clock.nowMs();
    await this.#producer.sendBatch({ acks: -1, topicMessages: to.map(({ topic, partitions }) => ({ topic, messages: partitions.map((partition) => controlMessage(control, nowMs, partition)) })) });
  }

  async close(): Promise<void> {
    await this.#producer.disconnect().catch(() => undefined);
  }
}

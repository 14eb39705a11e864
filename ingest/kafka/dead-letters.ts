import { CompressionTypes, type IHeaders, type Kafka, type Producer } from 'kafkajs';

export interface KafkaDeadLetter {
  topic: string;
  partition: number;
  offset: number;
  key: Buffer | null;
  value: Uint8Array;
  headers: IHeaders | undefined;
  reason: string;
  detail: string;
}

/** Waiting for the broker; what comes beyond is counted and left to gruard's own dead letters, since nothing may wait for a dead letter. */
const MOST_WAITING = 10_000;
const MOST_WAITING_BYTES = 16 * 1024 * 1024;
const MOST_A_REQUEST = 500;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

/** Puts what could not be read into a topic, as it came, with the reason in headers. Never on the data path. */
export class DeadLetterTopic {
  readonly #producer: Producer;
  #connected = false;
  #waiting: KafkaDeadLetter[] = [];
  #waitingBytes = 0;
  #sending: Promise<void> | undefined;
  #closed = false;
  #wakeRetry: () => void = () => undefined;
  /** Not sent: too many at once. */
  dropped = 0;
  error: string | null = null;

  constructor(kafka: Kafka, readonly topic: string) {
    this.#producer = kafka.producer({ allowAutoTopicCreation: false });
  }

  add(letter: KafkaDeadLetter): void {
    if (this.#closed || this.#waiting.length >= MOST_WAITING || this.#waitingBytes + letter.value.length > MOST_WAITING_BYTES) {
      this.dropped++;
      return;
    }
    this.#waiting.push(letter);
    this.#waitingBytes += letter.value.length;
    this.#sending ??= this.#sendAll().finally(() => { this.#sending = undefined; });
  }

  async #sendAll(): Promise<void> {
    let pauseMs = FIRST_RETRY_MS;
    while (this.#waiting.length > 0) {
      const letters = this.#waiting.slice(0, MOST_A_REQUEST);
      try {
        if (!this.#connected) await this.#producer.connect();
        this.#connected = true;
        await this.#producer.send({ topic: this.topic, acks: -1, compression: CompressionTypes.None, messages: letters.map(messageOf) });
        this.#waiting.splice(0, letters.length);
        this.#waitingBytes -= letters.reduce((sum, { value }) => sum + value.length, 0);
        this.error = null;
        pauseMs = FIRST_RETRY_MS;
      } catch (error) {
        this.error = `dead letters do not reach the topic ${this.topic}: ${(error as Error).message}`;
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          this.#wakeRetry = resolve;
          setTimeout(resolve, pauseMs).unref();
        });
        pauseMs = Math.min(LAST_RETRY_MS, pauseMs * 2);
      }
    }
  }

  /** Sends what waits, if the broker takes it at once. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeRetry();
    await this.#sending;
    await this.#producer.disconnect().catch(() => undefined);
  }
}

function messageOf({ topic, partition, offset, key, value, headers, reason, detail }: KafkaDeadLetter): { key: Buffer | null; value: Buffer; headers: IHeaders } {
  return {
    key,
    value: Buffer.from(value.buffer, value.byteOffset, value.length),
    headers: { ...headers, gruard_reason: reason, gruard_detail: detail, gruard_topic: topic, gruard_partition: String(partition), gruard_offset: String(offset) },
  };
}

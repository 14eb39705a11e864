import { connectAsync, type MqttClient } from 'mqtt';
import { GruardError, messageOf } from '../core/errors.js';
import { withoutPassword } from './mqtt.js';

export interface PublisherSettings {
  url: string;
  username?: string;
  password?: string;
  /** The broker is of this process: its certificate need not be one that this machine trusts. */
  own?: boolean;
  /** Messages that the broker has not acknowledged yet, at the most. */
  window?: number;
}

/** Publishes at QoS 1 with a bounded number of messages in flight: `publish` waits for room, so a slow broker slows whoever publishes. */
export class Publisher {
  readonly #client: MqttClient;
  readonly #window: number;
  #inFlight = 0;
  #waiters: (() => void)[] = [];
  #failure: unknown;
  #closed = false;
  /** Messages that the broker has acknowledged. */
  acknowledged = 0;

  private constructor(client: MqttClient, window: number) {
    this.#client = client;
    this.#window = window;
    // A lost connection is made again by mqtt.js, which also sends again what was not acknowledged.
    client.on('error', () => undefined);
  }

  /** Throws BROKER_UNREACHABLE. */
  static async connect(settings: PublisherSettings): Promise<Publisher> {
    try {
      const client = await connectAsync(settings.url, {
        username: settings.username || undefined, password: settings.password || undefined, connectTimeout: 5000, reconnectPeriod: 500, rejectUnauthorized: settings.own !== true,
      }, false);
      return new Publisher(client, settings.window ?? 256);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      throw new GruardError('BROKER_UNREACHABLE', `${withoutPassword(settings.url)}: ${messageOf(error) || String(code)}`, { cause: error });
    }
  }

  /** Resolves once the message is on its way. Throws BROKER_UNREACHABLE once it is closed, and where an earlier message failed for good. */
  async publish(topic: string, payload: string): Promise<void> {
    while (this.#inFlight >= this.#window && !this.#closed) await this.#settled();
    this.#throwFailure();
    this.#inFlight++;
    this.#client.publish(topic, payload, { qos: 1 }, (error) => {
      this.#inFlight--;
      if (error) this.#failure ??= error;
      else this.acknowledged++;
      for (const waiter of this.#waiters.splice(0)) waiter();
    });
  }

  /** Resolves once everything is acknowledged. */
  async flush(): Promise<void> {
    while (this.#inFlight > 0 && !this.#closed) await this.#settled();
    this.#throwFailure();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.endAsync(true);
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => { this.#waiters.push(resolve); });
  }

  #throwFailure(): void {
    if (this.#closed) throw new GruardError('BROKER_UNREACHABLE', 'the connection was closed here');
    if (this.#failure !== undefined) throw new GruardError('BROKER_UNREACHABLE', messageOf(this.#failure), { cause: this.#failure });
  }
}

import { connectAsync, type MqttClient } from 'mqtt';
import { gaussian, seededRandom, type Random } from '../../core/random.js';

const START_MS = Date.UTC(2026, 0, 1);
const PERIOD_MS = 60_000;
export const METRICS = ['temperature', 'pressure'];
const MOST_WAITING = 200;

/** Devices that publish at QoS 1, and the oracle: what the broker has acknowledged, it must deliver, and gruard must have. */
export class PublishingFleet {
  /** [device] timestamps that the broker has acknowledged. */
  readonly acknowledged = new Map<string, number[]>();
  published = 0;
  readonly #random: Random;
  #client: MqttClient | undefined;
  #waiting = 0;
  #round = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;
  /** [device] readings left of a fault. */
  readonly #faults = new Map<string, number>();

  constructor(private readonly url: string, readonly devices: readonly string[], private readonly roundMs: number, seed: number) {
    this.#random = seededRandom(seed);
  }

  /** How often every device has published. */
  get rounds(): number {
    return this.#round;
  }

  async start(): Promise<void> {
    this.#client = await connectAsync(this.url, { clientId: 'fleet' });
    this.#loop = this.#publishAll();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    while (this.#waiting > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await this.#client?.endAsync();
  }

  async #publishAll(): Promise<void> {
    while (!this.#stopped) {
      const atMs = START_MS + this.#round++ * PERIOD_MS;
      this.devices.forEach((device, i) => this.#publish(device, i, atMs));
      do await new Promise((resolve) => setTimeout(resolve, this.roundMs)); while (this.#waiting > MOST_WAITING && !this.#stopped);
    }
  }

  #publish(device: string, i: number, atMs: number): void {
    const hours = atMs / 3_600_000;
    const left = this.#faults.get(device) ?? (this.#random() < 0.004 ? 12 : 0);
    this.#faults.set(device, Math.max(0, left - 1));
    const temperature = 20 + i + 3 * Math.sin(hours / 4 + i) + 0.2 * gaussian(this.#random) + (left > 0 ? 15 : 0);
    const pressure = 1000 + 5 * Math.cos(hours / 3) + 0.5 * gaussian(this.#random);
    this.#waiting++;
    this.published++;
    this.#client!.publish(`plant/${device}`, JSON.stringify({ timestamp: atMs, temperature, pressure }), { qos: 1 }, (error) => {
      this.#waiting--;
      if (error) return;
      const times = this.acknowledged.get(device) ?? [];
      times.push(atMs);
      this.acknowledged.set(device, times);
    });
  }
}

import { connectAsync, type MqttClient } from 'mqtt';
import { gaussian, seededRandom, type Random } from '../../core/random.js';

const START_MS = Date.UTC(2026, 0, 1);
const PERIOD_MS = 60_000;
export const METRICS = ['temperature', 'pressure'];
const MOST_WAITING = 200;
/** Faults a reading. */
const FAULT_RATE = 0.002;

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
  /** [device] readings left of a fault, and how far off it is. */
  readonly #faults = new Map<string, { left: number; size: number }>();

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

  /** Every so often a device is off for some readings, each time by another amount: what repeats itself would stop alarming. */
  #fault(device: string): number {
    const fault = this.#faults.get(device) ?? { left: 0, size: 0 };
    this.#faults.set(device, fault);
    if (fault.left === 0) {
      if (this.#random() >= FAULT_RATE) return 0;
      fault.left = 12;
      fault.size = (this.#random() < 0.5 ? -1 : 1) * 10 * Math.exp(3 * this.#random());
    }
    fault.left--;
    return fault.size;
  }

  #publish(device: string, i: number, atMs: number): void {
    const hours = atMs / 3_600_000;
    const off = this.#fault(device);
    const temperature = 20 + i + 3 * Math.sin(hours / 4 + i) + 0.2 * gaussian(this.#random) + off;
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

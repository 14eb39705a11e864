import { fork, type ChildProcess } from 'node:child_process';
import { connectAsync, type MqttClient } from 'mqtt';
import type { Look, Order } from './target.js';

const START_MS = Date.UTC(2026, 0, 1);

/** A gruard in a process of its own. */
export class Target {
  private constructor(private readonly child: ChildProcess, readonly addresses: { page: string; mqtt: string | null }) {}

  static async start(overrides: Record<string, unknown>): Promise<Target> {
    const settings = { 'api.port': 0, 'broker.port': 0, 'api.requests_per_second': 100_000, 'model.backend': 'wasm', time: 'event', ...overrides };
    const child = fork(new URL('./target.ts', import.meta.url), [JSON.stringify(settings)], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const { ready } = await answer<{ ready: Target['addresses'] }>(child);
    return new Target(child, ready);
  }

  look(): Promise<Look> {
    return this.#order({ look: true });
  }

  /** Lets the store's writes stand still, or go on. */
  stall(stall: boolean): Promise<Look> {
    return this.#order({ stall });
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.send({ end: true } satisfies Order);
    const tooLong = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await gone;
    clearTimeout(tooLong);
  }

  /** Timestamps of the readings of a series that the store has, in order. */
  async stored(device: string, metric: string): Promise<number[]> {
    const times: number[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page = await fetch(new URL(`/v1/devices/${device}/series/${metric}?start=0&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, this.addresses.page));
      if (!page.ok) throw new Error(`${device}: ${page.status} ${await page.text()}`);
      const { items, next_cursor } = await page.json() as { items: { timestamp: string }[]; next_cursor: string | null };
      for (const { timestamp } of items) times.push(Date.parse(timestamp));
      cursor = next_cursor;
    }
    return times;
  }

  async #order(order: Order): Promise<Look> {
    const look = answer<Look>(this.child);
    this.child.send(order);
    return look;
  }
}

function answer<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`gruard ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

interface Sent {
  device: string;
  atMs: number;
  payload: string;
  sentMs: number;
}

const PATIENCE_MS = 15_000;

/** Devices that publish at QoS 1 at a steady pace, and remember when each reading was acknowledged. */
export class Publisher {
  /** [device] timestamp -> when it was acknowledged (performance.now), in order of sending. */
  readonly acknowledged = new Map<string, Map<number, number>>();
  sent = 0;
  lastAckMs = 0;
  #round = 0;
  readonly #timer: NodeJS.Timeout;
  readonly #again: NodeJS.Timeout;
  /** [device and timestamp] what the broker has not acknowledged. */
  readonly #waiting = new Map<string, Sent>();

  private constructor(private readonly client: MqttClient, private readonly devices: readonly string[], roundMs: number, private readonly mostUnacknowledged: number) {
    for (const device of devices) this.acknowledged.set(device, new Map());
    this.#timer = setInterval(() => this.#publish(), roundMs);
    // As a device does that hears nothing: over several deaths of a broker mqtt.js may forget what was under way.
    this.#again = setInterval(() => {
      const before = performance.now() - PATIENCE_MS;
      for (const [key, sent] of this.#waiting) if (sent.sentMs < before) this.#send(key, sent);
    }, 1000);
  }

  /** `count` devices, each a reading every `roundMs`; pauses while `mostUnacknowledged` wait. */
  static async start(url: string, count: number, roundMs: number, mostUnacknowledged = 2000): Promise<Publisher> {
    const client = await connectAsync(url, { clientId: 'publisher', reconnectPeriod: 100 });
    client.on('error', () => undefined);
    return new Publisher(client, Array.from({ length: count }, (_, i) => `pump${i}`), roundMs, mostUnacknowledged);
  }

  get acknowledgements(): number {
    return this.sent - this.#waiting.size;
  }

  /** Publishes no more; resolves when all is acknowledged. */
  async finish(): Promise<void> {
    clearInterval(this.#timer);
    const endMs = performance.now() + 60_000;
    while (this.#waiting.size > 0 && performance.now() < endMs) await new Promise((resolve) => { setTimeout(resolve, 20); });
    clearInterval(this.#again);
    await this.client.endAsync(true);
    if (this.#waiting.size > 0) throw new Error(`${this.#waiting.size} of ${this.sent} messages were not acknowledged within a minute`);
  }

  #publish(): void {
    if (this.#waiting.size > this.mostUnacknowledged) return;
    const atMs = START_MS + this.#round++ * 1000;
    for (const device of this.devices) {
      this.sent++;
      this.#send(`${device} ${atMs}`, { device, atMs, payload: `{"timestamp":${atMs},"flow":${20 + Math.sin(this.#round / 10)}}`, sentMs: 0 });
    }
  }

  #send(key: string, sent: Sent): void {
    sent.sentMs = performance.now();
    this.#waiting.set(key, sent);
    this.client.publish(`plant/${sent.device}`, sent.payload, { qos: 1 }, (error) => {
      if (error || !this.#waiting.delete(key)) return;
      this.lastAckMs = performance.now();
      this.acknowledged.get(sent.device)!.set(sent.atMs, this.lastAckMs);
    });
  }
}

/** Of what was acknowledged, how much the store does not have, and how much it has more than once. `excused`: whether a reading need not be there. */
export async function audit(target: Target, publisher: Publisher, excused: (acknowledgedMs: number) => boolean = () => false): Promise<{ lost: number; excused: number; twice: number }> {
  const result = { lost: 0, excused: 0, twice: 0 };
  for (const [device, acknowledged] of publisher.acknowledged) {
    const stored = await target.stored(device, 'flow');
    const distinct = new Set(stored);
    result.twice += stored.length - distinct.size;
    for (const [atMs, acknowledgedMs] of acknowledged) {
      if (distinct.has(atMs)) continue;
      if (excused(acknowledgedMs)) result.excused++;
      else result.lost++;
    }
  }
  return result;
}

/** Waits until `condition` holds. @throws after `timeoutMs`. */
export async function until(what: string, condition: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!await condition()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

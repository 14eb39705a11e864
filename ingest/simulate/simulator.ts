import type { Clock } from '../../core/clock.js';
import { seededRandom, type Random } from '../../core/random.js';
import { Publisher, type PublisherSettings } from '../publisher.js';
import type { InjectedFault, SimulatedDevice } from './device.js';
import { simulatedFleet } from './fleet.js';
import type { FaultKind } from './kinds.js';

export interface SimulatorOptions {
  broker: PublisherSettings;
  clock: Clock;
  devices?: number;
  seed?: number;
  /** How long before now the simulated time begins. */
  historyMs?: number;
  /** Simulated time per time, once it has caught up. */
  speed?: number;
  /** Time (not simulated) between two faults. */
  faultIntervalMs?: number;
  /** Told when a fault begins: with the time at which its device first reports it. */
  onFault?: (fault: InjectedFault) => void;
  onError?: (error: unknown) => void;
}

export interface SimulatorProgress {
  /** Where the simulated clock stands. Epoch ms. */
  simulatedMs: number;
  /** Of the history; 1 once caught up. */
  fraction: number;
  readings: number;
  faults: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** History is sent as gateways send what they have stored: a message a site and ten minutes. */
const SLICE_MS = 10 * MINUTE_MS;
const STEP_MS = 100;
const FIRST_FAULT_MS = 1500;

const FAULT_LASTS_MS: Record<FaultKind, number> = {
  spike: 1, shift: 1.5 * HOUR_MS, drift: 5 * HOUR_MS, stuck: 3 * HOUR_MS, variance: 1.5 * HOUR_MS, missed_cycle: 3 * HOUR_MS, leak: 4 * HOUR_MS,
};

/**
 * A fleet that publishes over real MQTT: first its last three days as fast as the broker takes them, then on at some times the speed of time,
 * with a fault injected every few seconds. It knows nothing of gruard but a broker's address.
 */
export class Simulator {
  readonly #options: SimulatorOptions;
  readonly #random: Random;
  readonly #fleet: SimulatedDevice[];
  readonly #startMs: number;
  readonly #faultIntervalMs: number;
  #publisher: Publisher | undefined;
  #run: Promise<void> | undefined;
  #stopping = false;
  #nextFaultMs = Infinity;
  #caughtUp = false;
  readonly #progress: SimulatorProgress;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    const seed = options.seed ?? 1;
    this.#random = seededRandom(seed);
    this.#startMs = options.clock.nowMs() - (options.historyMs ?? 3 * DAY_MS);
    this.#fleet = simulatedFleet(options.devices ?? 300, this.#startMs, seed);
    this.#faultIntervalMs = options.faultIntervalMs ?? 12_000;
    this.#progress = { simulatedMs: this.#startMs, fraction: 0, readings: 0, faults: 0 };
  }

  get devices(): number {
    return this.#fleet.length;
  }

  /** True once the broker has acknowledged all of the history. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  get progress(): Readonly<SimulatorProgress> {
    return this.#progress;
  }

  /** Resolves once connected; goes on publishing until `stop`. Throws BROKER_UNREACHABLE. */
  async start(): Promise<void> {
    this.#publisher = await Publisher.connect(this.#options.broker);
    this.#run = this.#publishAll().catch((error: unknown) => {
      if (!this.#stopping) this.#options.onError?.(error);
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#publisher?.close();
    await this.#run;
  }

  async #publishAll(): Promise<void> {
    const nowMs = await this.#catchUp();
    const { clock, speed = 60 } = this.#options;
    const liveMs = clock.nowMs();
    this.#nextFaultMs = liveMs + FIRST_FAULT_MS;
    while (!this.#stopping) {
      const wallMs = clock.nowMs();
      await this.#live(nowMs + (wallMs - liveMs) * speed);
      if (wallMs >= this.#nextFaultMs) {
        this.#nextFaultMs = wallMs + this.#faultIntervalMs;
        this.#injectFault();
      }
      await new Promise((resolve) => { setTimeout(resolve, STEP_MS); });
    }
  }

  /** Returns the simulated time at which it ended: that is now. */
  async #catchUp(): Promise<number> {
    const { clock } = this.#options;
    let atMs = this.#startMs;
    while (!this.#stopping && atMs < clock.nowMs()) {
      atMs = Math.min(atMs + SLICE_MS, clock.nowMs());
      for (const [site, reports] of this.#reportsUntil(atMs)) await this.#publisher!.publish(`${site}/gateway`, `[${reports.join(',')}]`);
      this.#progress.simulatedMs = atMs;
      this.#progress.fraction = Math.min(1, (atMs - this.#startMs) / (clock.nowMs() - this.#startMs));
    }
    await this.#publisher!.flush();
    this.#progress.fraction = 1;
    this.#caughtUp = true;
    return atMs;
  }

  /** What the devices of each site have to say up to then, in the order of time. */
  #reportsUntil(untilMs: number): Map<string, string[]> {
    const due: { site: string; timestampMs: number; json: string }[] = [];
    for (const device of this.#fleet) {
      while (device.nextMs <= untilMs) {
        const first = device.nextMs < this.#startMs + 2 * device.kind.intervalMs;
        const { timestampMs, values } = this.#report(device);
        const tags = first ? { tags: { site: device.site, kind: device.kind.name } } : {};
        due.push({ site: device.site, timestampMs, json: JSON.stringify({ device: device.name, timestamp: timestampMs, ...Object.fromEntries(values), ...tags }) });
      }
    }
    due.sort((a, b) => a.timestampMs - b.timestampMs);
    const bySite = new Map<string, string[]>();
    for (const { site, json } of due) {
      const list = bySite.get(site);
      if (list) list.push(json);
      else bySite.set(site, [json]);
    }
    return bySite;
  }

  /** From here on each device speaks for itself. */
  async #live(untilMs: number): Promise<void> {
    for (const device of this.#fleet) {
      while (device.nextMs <= untilMs && !this.#stopping) {
        const { timestampMs, values } = this.#report(device);
        await this.#publisher!.publish(`${device.site}/${device.name}`, JSON.stringify({ timestamp: timestampMs, ...Object.fromEntries(values) }));
      }
    }
    this.#progress.simulatedMs = untilMs;
  }

  #report(device: SimulatedDevice): { timestampMs: number; values: Map<string, number> } {
    const report = device.report();
    this.#progress.readings += report.values.size;
    return report;
  }

  /** The first ones go to devices that report often, so that there is soon something to see. */
  #injectFault(): void {
    const healthy = this.#fleet.filter((device) => device.fault === undefined && device.kind.faults.length > 0);
    const eager = this.#progress.faults < 3 ? healthy.filter((device) => device.kind.intervalMs <= 5 * MINUTE_MS) : healthy;
    if (eager.length === 0) return;
    const device = eager[Math.floor(this.#random() * eager.length)];
    const faults = device.kind.faults;
    const { kind, metric } = this.#progress.faults === 0 ? faults.find((f) => f.kind === 'shift') ?? faults[0] : faults[Math.floor(this.#random() * faults.length)];
    const startMs = device.nextMs;
    const fault = { device: device.name, metric, kind, startMs, endMs: startMs + FAULT_LASTS_MS[kind] };
    device.inject(fault);
    this.#progress.faults++;
    this.#options.onFault?.(fault);
  }
}

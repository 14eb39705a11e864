import { seededRandom, type Random } from '../../core/random.js';
import type { DeviceKind, FaultKind, Forced, Machine } from './kinds.js';

/** A fault as it was injected. Times are the simulation's, epoch ms. */
export interface InjectedFault {
  device: string;
  metric: string;
  kind: FaultKind;
  startMs: number;
  endMs: number;
}

const GAP_CHANCE = 0.0008;
const MOST_GAP_MS = 3 * 3_600_000;

/** One device: when it reports next, what it then says, and the fault that it has, if it has one. */
export class SimulatedDevice {
  nextMs: number;
  fault: InjectedFault | undefined;

  readonly #random: Random;
  readonly #machine: Machine;
  #lastMs: number;
  /** What a stuck sensor goes on saying. */
  #frozen: number | undefined;

  constructor(
    readonly name: string,
    readonly site: string,
    readonly kind: DeviceKind,
    startMs: number,
    seed: number,
  ) {
    this.#random = seededRandom(seed);
    this.#machine = kind.make(this.#random);
    this.#lastMs = startMs;
    this.nextMs = startMs + Math.floor(this.#random() * kind.intervalMs);
  }

  inject(fault: InjectedFault): void {
    this.fault = fault;
    this.#frozen = undefined;
  }

  /** The values at `nextMs`, by metric; moves on to the next time. */
  report(): { timestampMs: number; values: Map<string, number> } {
    const timestampMs = this.nextMs;
    if (this.fault && timestampMs >= this.fault.endMs) this.fault = undefined;
    const fault = this.fault && timestampMs >= this.fault.startMs ? this.fault : undefined;
    const raw = this.#machine(timestampMs, timestampMs - this.#lastMs, forcedBy(fault));
    const values = new Map<string, number>();
    this.kind.metrics.forEach(({ name, scale, decimals }, i) => {
      const value = fault?.metric === name ? this.#faulty(fault, raw[i], scale, timestampMs) : raw[i];
      values.set(name, Number(value.toFixed(decimals)));
    });
    this.#lastMs = timestampMs;
    this.nextMs += this.#interval();
    return { timestampMs, values };
  }

  #faulty(fault: InjectedFault, value: number, scale: number, timestampMs: number): number {
    switch (fault.kind) {
      case 'spike':
        return value + 7 * scale;
      case 'shift':
        return value + 4 * scale;
      case 'drift':
        return value + (8 * scale * (timestampMs - fault.startMs)) / (fault.endMs - fault.startMs);
      case 'stuck':
        this.#frozen ??= value;
        return this.#frozen;
      case 'variance':
        return value + 3 * scale * (2 * this.#random() - 1);
      case 'missed_cycle':
      case 'leak':
        return value;
    }
  }

  /** Now and then a device is not heard of for a while, and comes back as though nothing had been. */
  #interval(): number {
    const { intervalMs, irregularity } = this.kind;
    const interval = intervalMs * (1 + irregularity * (2 * this.#random() - 1));
    // Drawn whether they are used or not: a fault changes what a device says, not when it says it.
    const chance = this.#random();
    const gap = this.#random() * MOST_GAP_MS;
    return Math.max(1000, Math.round(interval + (chance < GAP_CHANCE && !this.fault ? gap : 0)));
  }
}

const HEALTHY: Forced = { off: false, leak: 0 };

function forcedBy(fault: InjectedFault | undefined): Forced {
  if (fault?.kind === 'missed_cycle') return { off: true, leak: 0 };
  if (fault?.kind === 'leak') return { off: false, leak: 6 };
  return HEALTHY;
}

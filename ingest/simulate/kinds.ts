import { gaussian, type Random } from '../../core/random.js';

export type FaultKind = 'spike' | 'shift' | 'drift' | 'stuck' | 'variance' | 'missed_cycle' | 'leak';

export interface SimulatedMetric {
  name: string;
  /** A deviation of this size is large for this metric: the unit of faults. */
  scale: number;
  decimals: number;
}

/** What a fault does to the machine itself (and not only to what a sensor says of it). */
export interface Forced {
  /** The duty cycle does not start. */
  off: boolean;
  /** Flow that runs all the time, in the unit of the kind. */
  leak: number;
}

/** One machine: its values at a time, in the order of the kind's metrics. `elapsedMs` is the time since the last call. */
export type Machine = (timeMs: number, elapsedMs: number, forced: Forced) => number[];

/** A kind of device: how many there are, how often they report, what can go wrong with them. */
export interface DeviceKind {
  name: string;
  /** Part of the fleet. */
  share: number;
  intervalMs: number;
  /** Each interval is this much longer or shorter, at random (0.5: anything from half to one and a half). */
  irregularity: number;
  metrics: SimulatedMetric[];
  faults: { kind: FaultKind; metric: string }[];
  make: (random: Random) => Machine;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** 0 at night, 1 in the working day, with soft edges; `shiftHours` moves it. */
function occupancy(timeMs: number, shiftHours: number): number {
  const hour = ((timeMs / HOUR_MS - shiftHours) % 24 + 24) % 24;
  return 1 / (1 + Math.exp(-(hour - 7) * 2.5)) - 1 / (1 + Math.exp(-(hour - 18) * 2.5));
}

/** -1 .. 1 over the day, warmest in the afternoon. */
function daily(timeMs: number): number {
  return Math.sin(((timeMs % DAY_MS) / DAY_MS - 0.375) * 2 * Math.PI);
}

const between = (random: Random, low: number, high: number): number => low + (high - low) * random();

const coldStore: DeviceKind = {
  name: 'cold-store', share: 0.2, intervalMs: 5 * MINUTE_MS, irregularity: 0.05,
  metrics: [{ name: 'temperature', scale: 0.9, decimals: 2 }, { name: 'compressor_power', scale: 220, decimals: 0 }],
  faults: [{ kind: 'spike', metric: 'temperature' }, { kind: 'shift', metric: 'temperature' }, { kind: 'drift', metric: 'temperature' }, { kind: 'stuck', metric: 'temperature' }],
  make(random) {
    const setpoint = random() < 0.5 ? between(random, -20, -17) : between(random, 2, 5);
    const periodMs = between(random, 60, 90) * MINUTE_MS;
    const phase = random();
    return (timeMs, _elapsedMs, { off }) => {
      const position = (timeMs / periodMs + phase) % 1;
      const duty = 0.45 + 0.08 * daily(timeMs);
      const cooling = position < duty && !off;
      const sawtooth = position < duty ? 0.8 - 1.6 * (position / duty) : -0.8 + 1.6 * ((position - duty) / (1 - duty));
      return [setpoint + sawtooth + 0.25 * daily(timeMs) + 0.08 * gaussian(random), cooling ? 450 + 12 * gaussian(random) : 8 + gaussian(random)];
    };
  },
};

const pump: DeviceKind = {
  name: 'pump', share: 0.15, intervalMs: 5 * MINUTE_MS, irregularity: 0.02,
  metrics: [{ name: 'flow', scale: 6, decimals: 2 }, { name: 'pressure', scale: 1.6, decimals: 2 }],
  faults: [{ kind: 'missed_cycle', metric: 'flow' }, { kind: 'shift', metric: 'pressure' }, { kind: 'variance', metric: 'pressure' }, { kind: 'spike', metric: 'pressure' }],
  make(random) {
    const runFlow = between(random, 10, 16);
    const phase = random();
    return (timeMs, _elapsedMs, { off }) => {
      const running = (timeMs / (2 * HOUR_MS) + phase) % 1 < 0.42 + 0.05 * daily(timeMs) && !off;
      return running ? [runFlow + 0.3 * gaussian(random), 4.2 + 0.08 * gaussian(random)] : [Math.abs(0.02 * gaussian(random)), 1.1 + 0.03 * gaussian(random)];
    };
  },
};

const hvac: DeviceKind = {
  name: 'hvac', share: 0.2, intervalMs: 15 * MINUTE_MS, irregularity: 0.1,
  metrics: [{ name: 'supply_temperature', scale: 1.5, decimals: 1 }, { name: 'fan_speed', scale: 12, decimals: 0 }, { name: 'co2', scale: 120, decimals: 0 }],
  faults: [{ kind: 'shift', metric: 'supply_temperature' }, { kind: 'stuck', metric: 'co2' }, { kind: 'drift', metric: 'supply_temperature' }],
  make(random) {
    const shiftHours = between(random, -1, 1);
    return (timeMs) => {
      const people = occupancy(timeMs, shiftHours);
      return [22 - 5 * people + 0.8 * daily(timeMs) + 0.2 * gaussian(random), 30 + 45 * people + 1.5 * gaussian(random), 430 + 380 * people + 18 * gaussian(random)];
    };
  },
};

const waterMeter: DeviceKind = {
  name: 'water-meter', share: 0.25, intervalMs: 15 * MINUTE_MS, irregularity: 0.02,
  metrics: [{ name: 'flow', scale: 5, decimals: 2 }, { name: 'volume', scale: 40, decimals: 1 }],
  faults: [{ kind: 'leak', metric: 'flow' }, { kind: 'spike', metric: 'flow' }],
  make(random) {
    let volume = between(random, 1000, 90_000);
    const shiftHours = between(random, -1.5, 1.5);
    const size = between(random, 6, 12);
    return (timeMs, elapsedMs, { leak }) => {
      const use = Math.max(0, size * occupancy(timeMs, shiftHours) * (1 + 0.15 * gaussian(random)) + 0.05 * gaussian(random));
      const flow = use + leak;
      volume += (flow * elapsedMs) / MINUTE_MS / 1000;
      return [flow, volume];
    };
  },
};

/** Reports at irregular times, as people open and close it. */
const door: DeviceKind = {
  name: 'door', share: 0.1, intervalMs: 30 * MINUTE_MS, irregularity: 0.9,
  metrics: [{ name: 'open', scale: 1, decimals: 0 }, { name: 'battery', scale: 0.15, decimals: 3 }],
  faults: [{ kind: 'shift', metric: 'battery' }],
  make(random) {
    let battery = between(random, 2.9, 3.05);
    return (timeMs) => {
      battery -= 0.000_002;
      return [random() < 0.1 + 0.35 * occupancy(timeMs, 0) ? 1 : 0, battery + 0.004 * gaussian(random)];
    };
  },
};

const vibration: DeviceKind = {
  name: 'vibration', share: 0.1, intervalMs: 10 * MINUTE_MS, irregularity: 0.05,
  metrics: [{ name: 'rms_velocity', scale: 0.6, decimals: 3 }, { name: 'bearing_temperature', scale: 3, decimals: 1 }],
  faults: [{ kind: 'variance', metric: 'rms_velocity' }, { kind: 'drift', metric: 'bearing_temperature' }, { kind: 'shift', metric: 'rms_velocity' }],
  make(random) {
    const level = between(random, 1.4, 2.4);
    const shiftHours = between(random, -1, 1);
    let warmth = 0;
    return (timeMs) => {
      const running = occupancy(timeMs, shiftHours);
      warmth += 0.15 * (running - warmth);
      return [0.2 + level * running + 0.06 * gaussian(random), 24 + 2 * daily(timeMs) + 22 * warmth + 0.3 * gaussian(random)];
    };
  },
};

/** Shares add up to 1. */
export const KINDS: DeviceKind[] = [coldStore, pump, hvac, waterMeter, door, vibration];

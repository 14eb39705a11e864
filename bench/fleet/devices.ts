import type { Random } from '../../core/random.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { autoregressiveNoise, chance, dwell, logUniform, pick, uniform } from '../../model/train/generator/draws.js';
import { drawTimes } from '../../model/train/generator/sampling.js';
import type { DeviceInput, DeviceOutput, MakeDetector, SeriesOutput } from '../harness.js';
import { deviceScore, medianPeriodMs, runByPeriod } from '../harness.js';
import { JUDGED_FROM_ROW, hash } from './build.js';
import { DIFFICULTIES } from './faults.js';
import type { Difficulty } from './faults.js';
import type { LabelledScores, Operating } from './judge.js';
import { exposure, falseAlarmRows, operatingAt, thresholdForRate } from './judge.js';

/**
 * Devices of several metrics that a few hidden drivers move together (load, weather, duty): metric = mix of the drivers, behind a lag, plus its own noise.
 * A correlation break replaces one metric's share of the drivers by that of another time, or its mirror image: its own values stay as usual as ever.
 */
export const DEVICE_FAULT_KINDS = ['correlation', 'decoupled', 'spike', 'shift', 'stuck'] as const;
export type DeviceFaultKind = (typeof DEVICE_FAULT_KINDS)[number];

export interface DeviceFault {
  kind: DeviceFaultKind;
  difficulty: Difficulty;
  metric: number;
  start: number;
  end: number;
}

export interface FleetDevice {
  input: DeviceInput;
  family: string;
  faults: DeviceFault[];
}

export interface DeviceFleetOptions {
  devices?: number;
  seed?: number;
  minRows?: number;
  maxRows?: number;
  faults?: boolean;
  /** Each metric comes in a message of its own, the metrics of a row spread over its period. */
  apart?: boolean;
}

const CLEARANCE_ROWS = 150;
const FAMILIES = ['pump_station', 'motor', 'air_handler', 'greenhouse'] as const;
/** Hidden drivers of each family, and how many metrics show them. */
const DRIVERS: Record<(typeof FAMILIES)[number], { drivers: readonly Driver[]; metrics: readonly number[] }> = {
  pump_station: { drivers: ['duty', 'day'], metrics: [3, 4, 6] },
  motor: { drivers: ['levels', 'walk'], metrics: [4, 5, 8] },
  air_handler: { drivers: ['day', 'walk', 'levels'], metrics: [4, 6, 8] },
  greenhouse: { drivers: ['day', 'walk'], metrics: [2, 3, 5] },
};
type Driver = 'duty' | 'day' | 'levels' | 'walk';

export function buildDevices(options: DeviceFleetOptions = {}): FleetDevice[] {
  const count = options.devices ?? 32;
  return Array.from({ length: count }, (_, k) => {
    const family = FAMILIES[k % FAMILIES.length];
    return buildDevice(`${family}-${k}`, family, seededRandom(hash(`${family} ${k} ${options.seed ?? 0}`)), options, k);
  });
}

function buildDevice(name: string, family: (typeof FAMILIES)[number], random: Random, options: DeviceFleetOptions, k: number): FleetDevice {
  const rows = Math.round(logUniform(random, options.minRows ?? 1000, options.maxRows ?? 8000));
  const periodS = pick(random, [10, 60, 300]);
  const timestampMs = drawTimes(random, { length: rows, periodS, irregular: false });
  const { drivers, metrics } = DRIVERS[family];
  const courses = drivers.map((driver) => driverCourse(driver, timestampMs, random));
  const shapes = Array.from({ length: pick(random, metrics) }, () => ({
    mix: courses.map(() => (chance(random, 0.7) ? 1 : 0.2) * (chance(random, 0.5) ? 1 : -1) * uniform(random, 0.5, 1.5)),
    lag: chance(random, 0.4) ? uniform(random, 0.3, 0.9) : 0,
    noise: logUniform(random, 0.02, 0.3),
    scale: logUniform(random, 0.1, 1000),
    offset: gaussian(random) * logUniform(random, 0.1, 1000),
  }));
  const driven = shapes.map(({ mix, lag }) => {
    const x = new Float64Array(rows);
    for (let t = 0, held = NaN; t < rows; t++) {
      const now = mix.reduce((sum, weight, d) => sum + weight * courses[d][t], 0);
      held = Number.isNaN(held) ? now : lag * held + (1 - lag) * now;
      x[t] = held;
    }
    return x;
  });
  const faults = options.faults === false ? [] : placeFaults(rows, shapes.length, random, k);
  const values = driven.map((x, m) => {
    const { noise, scale, offset } = shapes[m];
    const clean = Float64Array.from(x);
    for (const fault of faults) if (fault.metric === m) breakDriven(x, clean, fault, random);
    const out = x.map((value) => offset + scale * (value + noise * gaussian(random)));
    for (const fault of faults) if (fault.metric === m) breakValues(out, fault, scale, noise, random);
    return out;
  });
  return { input: { device: name, metrics: shapes.map((_, m) => `m${m}`), timestampMs, values }, family, faults };
}

function driverCourse(driver: Driver, timestampMs: Float64Array, random: Random): Float64Array {
  const n = timestampMs.length;
  if (driver === 'walk') return autoregressiveNoise(random, n, 1 - 1 / logUniform(random, 10, 200));
  const out = new Float64Array(n);
  const phase = random();
  const cycleMs = pick(random, [86_400_000, 21_600_000, 7_200_000]);
  const mean = logUniform(random, 8, 80);
  let level = 0;
  let left = 0;
  for (let t = 0; t < n; t++) {
    if (driver === 'day') out[t] = 1.3 * Math.sin(2 * Math.PI * (timestampMs[t] / cycleMs + phase));
    else {
      if (left-- <= 0) {
        level = driver === 'duty' ? (level > 0 ? -1 : 1) : 1.2 * gaussian(random);
        left = dwell(random, mean, driver === 'duty' ? 0.1 : 0.7);
      }
      out[t] = level;
    }
  }
  return out;
}

function placeFaults(rows: number, metrics: number, random: Random, k: number): DeviceFault[] {
  const from = Math.max(300, Math.round(rows * 0.15));
  const count = Math.min(5, 1 + Math.floor((rows - from) / 800));
  const stretch = (rows - from) / count;
  return Array.from({ length: count }, (_, i): DeviceFault => {
    const kind = DEVICE_FAULT_KINDS[(k + i) % DEVICE_FAULT_KINDS.length];
    const difficulty = pick(random, DIFFICULTIES);
    const length = kind === 'spike' ? pick(random, [1, 2, 3]) : Math.round(uniform(random, 60, Math.min(300, stretch - CLEARANCE_ROWS - 20)));
    const low = from + i * stretch;
    const start = Math.round(low + random() * Math.max(0, stretch - CLEARANCE_ROWS - length));
    return { kind, difficulty, metric: Math.floor(random() * metrics), start, end: start + length - 1 };
  });
}

/** Correlation: the driven part follows the drivers of another time. Decoupled: it moves the other way (or less of it), about its mean. */
function breakDriven(x: Float64Array, clean: Float64Array, { kind, difficulty, start, end }: DeviceFault, random: Random): void {
  const rest = { easy: 0, medium: 0.3, hard: 0.5 }[difficulty];
  if (kind === 'correlation') {
    const away = Math.floor(uniform(random, 0.2, 0.8) * start);
    for (let t = start; t <= end; t++) x[t] = rest * clean[t] + (1 - rest) * clean[t - away];
  }
  if (kind === 'decoupled') {
    const mean = clean.subarray(0, start).reduce((sum, value) => sum + value / start, 0);
    const gain = { easy: -1, medium: -0.5, hard: 0 }[difficulty];
    for (let t = start; t <= end; t++) x[t] = mean + gain * (clean[t] - mean);
  }
}

function breakValues(out: Float64Array, { kind, difficulty, start, end }: DeviceFault, scale: number, noise: number, random: Random): void {
  const sign = chance(random, 0.5) ? 1 : -1;
  const height = sign * scale * ({ easy: 4, medium: 2.5, hard: 1.5 }[difficulty] + 3 * noise);
  if (kind === 'spike') for (let t = start; t <= end; t++) out[t] += height;
  if (kind === 'shift') for (let t = start; t <= end; t++) out[t] += height * 0.6;
  if (kind === 'stuck') out.fill(out[start - 1], start, end + 1);
}

export interface DeviceReport {
  devices: number;
  faults: number;
  messages: number;
  atProduct: Operating;
  atRate: Operating;
  /** By alarms of the device as a whole that none of its metrics raised, at the product's threshold. */
  byDevice: Operating;
  /** Share of the correlation breaks caught whose event names the broken metric first. */
  namedFirst: number;
  /** The same, among its first two. */
  namedRight: number;
}

/** The same readings, each in a message of its own: row r becomes the rows r m .. r m + m - 1. */
export function inMessagesApart({ device, metrics, timestampMs, values }: DeviceInput): DeviceInput {
  const m = metrics.length;
  const rows = timestampMs.length;
  const times = new Float64Array(rows * m);
  const spread = values.map(() => new Float64Array(rows * m).fill(NaN));
  const gap = (row: number): number => (row + 1 < rows ? timestampMs[row + 1] - timestampMs[row] : timestampMs[row] - timestampMs[row - 1]) / m;
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < m; k++) {
      times[row * m + k] = timestampMs[row] + Math.floor(k * gap(row));
      spread[k][row * m + k] = values[k][row];
    }
  }
  return { device, metrics, timestampMs: times, values: spread };
}

/** What was judged in messages apart, as if each row had been one message: the highest of its messages. */
function together(output: DeviceOutput, metrics: number): DeviceOutput {
  const highest = (from: Float32Array): Float32Array => Float32Array.from({ length: from.length / metrics }, (_, row) => Math.max(...from.subarray(row * metrics, (row + 1) * metrics)));
  const one = (series: SeriesOutput): SeriesOutput => ({ ...series, score: highest(series.score) });
  return { ...output, series: output.series.map(one), whole: output.whole && one(output.whole) };
}

async function run(make: MakeDetector, devices: readonly FleetDevice[], apart: boolean): Promise<DeviceOutput[]> {
  const outputs = await runByPeriod(make, devices.map(({ input }) => (apart ? inMessagesApart(input) : input)));
  return apart ? outputs.map((output, i) => together(output, devices[i].input.metrics.length)) : outputs;
}

export interface CleanDeviceReport {
  /** Alarms of the device as a whole that none of its metrics raised: declustered, after the first JUDGED_FROM_ROW messages. */
  byPeriod: { periodS: number; devices: number; days: number; alarmsPerDeviceDay: number; alarmsPer2000: number }[];
}

/** Devices without faults: every alarm of the device as a whole is false. */
export async function evaluateCleanDevices(make: MakeDetector, options: DeviceFleetOptions = {}): Promise<CleanDeviceReport> {
  const devices = buildDevices({ ...options, faults: false });
  const outputs = await run(make, devices, options.apart ?? false);
  const found = new Map<number, { devices: number; days: number; messages: number; alarms: number }>();
  devices.forEach(({ input }, i) => {
    const key = Math.round(medianPeriodMs(input.timestampMs) / 1000);
    const sum = found.get(key) ?? { devices: 0, days: 0, messages: 0, alarms: 0 };
    found.set(key, sum);
    const alone = ownAlarms(outputs[i]);
    const judged = { name: input.device, family: '', group: '', from: JUDGED_FROM_ROW, timestampMs: input.timestampMs, score: alone, faults: [] };
    const { readings, days } = exposure([judged]);
    sum.devices++;
    sum.messages += readings;
    sum.days += days;
    sum.alarms += falseAlarmRows(judged, 1).length;
  });
  return {
    byPeriod: [...found].sort((a, b) => a[0] - b[0]).map(([periodS, { devices: count, days, messages, alarms }]) => ({
      periodS, devices: count, days, alarmsPerDeviceDay: alarms / days, alarmsPer2000: (2000 * alarms) / messages,
    })),
  };
}

/** [rows] the score of the device as a whole where it is above those of its metrics, else 0. */
function ownAlarms({ series, whole }: DeviceOutput): Float32Array {
  const out = new Float32Array(whole?.score.length ?? 0);
  out.forEach((_, row) => {
    const score = whole!.score[row];
    if (series.every((one) => one.score[row] < score)) out[row] = score;
  });
  return out;
}

/** Runs a detector over the devices of several metrics. A message is judged by the highest score of its rows, the device's own included. */
export async function evaluateDevices(make: MakeDetector, options: DeviceFleetOptions = {}): Promise<DeviceReport> {
  const devices = buildDevices(options);
  const outputs = await run(make, devices, options.apart ?? false);
  const labelled = devices.map((device, i): LabelledScores => ({
    name: device.input.device, family: device.family, group: 'device', from: JUDGED_FROM_ROW,
    timestampMs: device.input.timestampMs, score: deviceScore(outputs[i]), faults: device.faults,
  }));
  const byDevice = labelled.map((one, i) => ({ ...one, score: ownAlarms(outputs[i]) }));
  const atProduct = operatingAt(labelled, 1);
  let broken = 0;
  let named = 0;
  let first = 0;
  devices.forEach((device, i) => {
    for (const fault of device.faults) {
      if (fault.kind !== 'correlation' && fault.kind !== 'decoupled') continue;
      const from = device.input.timestampMs[fault.start];
      const to = device.input.timestampMs[fault.end];
      const event = outputs[i].events.find((one) => one.openedMs >= from && one.openedMs <= to);
      if (!event) continue;
      broken++;
      if (event.metrics[0].metric === `m${fault.metric}`) first++;
      if (event.metrics.slice(0, 2).some(({ metric }) => metric === `m${fault.metric}`)) named++;
    }
  });
  return {
    devices: devices.length, faults: labelled.reduce((sum, one) => sum + one.faults.length, 0), messages: exposure(labelled).readings,
    atProduct, atRate: operatingAt(labelled, thresholdForRate(labelled)), byDevice: operatingAt(byDevice, 1),
    namedFirst: broken > 0 ? first / broken : NaN, namedRight: broken > 0 ? named / broken : NaN,
  };
}

import { gaussian, type Random } from '../../core/random.js';
import { pick, uniform } from '../../model/train/generator/draws.js';

export const FAULT_KINDS = ['spike', 'shift', 'drift', 'stuck', 'burst', 'missed_cycle', 'phase', 'leak'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const DIFFICULTIES = ['easy', 'medium', 'hard'] as const;
export type Difficulty = (typeof DIFFICULTIES)[number];

/** Rows [start, end] of a series that are faulty. */
export interface Fault {
  kind: FaultKind;
  difficulty: Difficulty;
  start: number;
  end: number;
}

/** What the size of a fault is measured by. */
export interface Texture {
  /** Robust standard deviation of one step to the next, over the root of 2: what the eye takes for noise. */
  noise: number;
  /** From the 0.5th to the 99.5th percentile. */
  range: number;
  /** Readings of the regular cycle; 0 where there is none. */
  cycle: number;
  /** The longest run of equal values. */
  longestRun: number;
  /** A counter: it hardly ever falls. Faults then go into its increments. */
  counter: boolean;
  /** All values are whole numbers, or none is negative: faulty ones keep to it. */
  whole: boolean;
  positive: boolean;
}

/** Sizes as noise x a + range x b. */
const SIZES: Record<'spike' | 'shift' | 'burst', Record<Difficulty, [number, number]>> = {
  spike: { easy: [15, 2.5], medium: [12, 1.4], hard: [10, 0.7] },
  shift: { easy: [8, 2], medium: [6, 1.1], hard: [5, 0.6] },
  burst: { easy: [10, 0.8], medium: [8, 0.45], hard: [6, 0.2] },
};
const LENGTHS: Record<FaultKind, [number, number]> = {
  spike: [1, 3], shift: [50, 200], drift: [120, 400], stuck: [30, 150], burst: [20, 100], missed_cycle: [0, 0], phase: [0, 0], leak: [250, 800],
};
/** A cycle must be short enough to be known from some repetitions, and long enough to have a shape. */
export const MOST_CYCLE_READINGS = 400;
const LEAST_CYCLE_READINGS = 8;
/** Cycles by which a change of phase goes ahead. */
const AHEAD: Record<Difficulty, number> = { easy: 0.5, medium: 0.4, hard: 0.25 };
export const MOST_AHEAD = AHEAD.easy;

/** Rows that a fault of this kind needs, or 0 where this series cannot show it. */
export function faultRows(kind: FaultKind, texture: Texture, difficulty: Difficulty, random: Random): number {
  const [low, high] = LENGTHS[kind];
  const drawn = Math.round(uniform(random, low, high + 1) - 0.5);
  switch (kind) {
    case 'stuck':
      // Only a run that is clearly longer than the usual ones is a fault at all.
      return texture.longestRun * 3 > high ? 0 : Math.max(drawn, texture.longestRun * 3);
    case 'missed_cycle':
      return texture.cycle === 0 ? 0 : Math.round(texture.cycle * (difficulty === 'easy' ? 2 : 1));
    case 'phase':
      return texture.cycle === 0 ? 0 : Math.round(texture.cycle * 1.5);
    default:
      return drawn;
  }
}

/** First row at which a fault of this kind is fair: the cycle must have been seen four times. */
export function faultFrom(kind: FaultKind, texture: Texture): number {
  return kind === 'missed_cycle' || kind === 'phase' ? 150 + 4 * texture.cycle : 150;
}

/**
 * Puts a fault into `values`, in place. A change of phase moves all that follows: put faults in from the first to the last, into a series with rows to spare, whose
 * last rows are none of it any more.
 */
export function injectFault(values: Float64Array, fault: Fault, texture: Texture, random: Random): void {
  if (!texture.counter) {
    inject(values, fault, texture, random);
    keepKind(values, fault, texture);
    return;
  }
  const steps = Float64Array.from(values, (x, t) => (t === 0 ? 0 : x - values[t - 1]));
  inject(steps, fault, texture, random);
  if (fault.kind === 'stuck') steps.fill(0, fault.start, fault.end + 1);
  for (let t = fault.start; t <= fault.end; t++) steps[t] = Math.max(0, texture.whole ? Math.round(steps[t]) : steps[t]);
  for (let t = fault.start; t < values.length; t++) values[t] = values[t - 1] + steps[t];
}

function inject(x: Float64Array, fault: Fault, texture: Texture, random: Random): void {
  const { start, end, difficulty } = fault;
  const rows = end - start + 1;
  const sign = directionOf(x, fault, texture, random);
  switch (fault.kind) {
    case 'spike': {
      const height = sign * size('spike', difficulty, texture);
      for (let t = start; t <= end; t++) x[t] += height;
      return;
    }
    case 'shift': {
      const height = sign * size('shift', difficulty, texture);
      for (let t = start; t <= end; t++) x[t] += height;
      return;
    }
    case 'drift': {
      const height = sign * 1.4 * size('shift', difficulty, texture);
      for (let t = start; t <= end; t++) x[t] += (height * (t - start + 1)) / rows;
      return;
    }
    case 'leak': {
      // One way only, slower than a drift; repaired at the end.
      const height = (texture.counter || sign > 0 ? 1 : -1) * 1.6 * size('shift', difficulty, texture);
      for (let t = start; t <= end; t++) x[t] += (height * (t - start + 1)) / rows;
      return;
    }
    case 'stuck':
      x.fill(x[start - 1], start, end + 1);
      return;
    case 'burst': {
      const deviation = size('burst', difficulty, texture);
      for (let t = start; t <= end; t++) x[t] += deviation * gaussian(random);
      return;
    }
    case 'missed_cycle':
      return missCycles(x, fault, texture, random);
    case 'phase': {
      const ahead = Math.round(texture.cycle * AHEAD[difficulty]);
      for (let t = start; t + ahead < x.length; t++) x[t] = x[t + ahead];
      return;
    }
  }
}

/** Up or down (a leak down); up where the readings cannot go far enough below zero. */
function directionOf(x: Float64Array, { kind, difficulty, start }: Fault, texture: Texture, random: Random): number {
  const sign = kind === 'leak' || random() < 0.5 ? -1 : 1;
  return texture.positive && x[start] < size(kind === 'spike' ? 'spike' : 'shift', difficulty, texture) ? 1 : sign;
}

/** The cycle does not come: its lowest tenth (a rest) stands in its place; in hard ones 60 % of its height is missing. */
function missCycles(x: Float64Array, { start, end, difficulty }: Fault, texture: Texture, random: Random): void {
  const cycle = Math.round(texture.cycle);
  const before = Array.from(x.subarray(Math.max(0, start - 2 * cycle), start)).sort((a, b) => a - b);
  const rest = before[Math.floor(before.length * 0.1)];
  const kept = difficulty === 'hard' ? 0.4 : 0;
  for (let t = start; t <= end; t++) x[t] = rest + kept * (x[t] - rest) + (1 - kept) * (texture.whole ? 0 : texture.noise * gaussian(random));
}

function size(kind: keyof typeof SIZES, difficulty: Difficulty, texture: Texture): number {
  const [noise, range] = SIZES[kind][difficulty];
  return noise * texture.noise + range * texture.range;
}

function keepKind(x: Float64Array, { kind, start, end }: Fault, { whole, positive }: Texture): void {
  if (kind === 'phase' || kind === 'stuck') return;
  for (let t = start; t <= end; t++) {
    if (whole) x[t] = Math.round(x[t]);
    if (positive) x[t] = Math.max(0, x[t]);
  }
}

/** Whether the fault changes the readings at all: by a tenth of the range, and three times the noise, at its largest; a cycle's by half of that on average. */
export function isVisible(clean: Float64Array, faulty: Float64Array, { kind, start, end }: Fault, texture: Texture): boolean {
  const step = (x: Float64Array, t: number): number => (texture.counter ? x[t] - x[t - 1] : x[t]);
  let largest = 0;
  let mean = 0;
  for (let t = start; t <= end; t++) {
    const change = Math.abs(step(faulty, t) - step(clean, t));
    largest = Math.max(largest, change);
    mean += change / (end - start + 1);
  }
  if (kind === 'stuck') return mean > 0;
  const least = Math.max(0.1 * texture.range, 3 * texture.noise);
  return kind === 'missed_cycle' || kind === 'phase' ? mean > least / 2 : largest > least;
}

/** Measures a clean series. */
export function textureOf(values: Float64Array): Texture {
  const falls = values.reduce((count, x, t) => count + (t > 0 && x < values[t - 1] ? 1 : 0), 0);
  const rises = values.reduce((count, x, t) => count + (t > 0 && x > values[t - 1] ? 1 : 0), 0);
  const counter = falls <= values.length * 0.005 && rises > values.length * 0.1;
  const x = counter ? Float64Array.from(values.subarray(1), (v, t) => Math.max(0, v - values[t])) : values;
  const sorted = Float64Array.from(x).sort();
  const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  const range = quantile(0.995) - quantile(0.005);
  const steps = new Float64Array(x.length - 1);
  for (let t = 1; t < x.length; t++) steps[t - 1] = Math.abs(x[t] - x[t - 1]);
  steps.sort();
  const noise = (1.4826 * steps[steps.length >> 1]) / Math.SQRT2;
  let longestRun = 1;
  for (let t = 1, run = 1; t < values.length; t++) {
    run = values[t] === values[t - 1] ? run + 1 : 1;
    longestRun = Math.max(longestRun, run);
  }
  return {
    noise: noise > 0 ? noise : 0.01 * range,
    range: range > 0 ? range : 1,
    cycle: cycleOf(x, range),
    longestRun, counter,
    whole: values.every(Number.isInteger),
    positive: values.every((v) => v >= 0),
  };
}

/** Readings of the cycle: the first peak of the autocorrelation that is near its best, and high enough that a missed cycle means something. */
export function cycleOf(x: Float64Array, range: number): number {
  const rows = Math.min(x.length, 4000);
  if (!(range > 0)) return 0;
  let mean = 0;
  for (let t = 0; t < rows; t++) mean += x[t] / rows;
  const longest = Math.min(MOST_CYCLE_READINGS, Math.floor(rows / 6));
  const r = new Float64Array(longest + 2);
  for (let lag = 0; lag <= longest + 1; lag++) {
    let sum = 0;
    for (let t = lag; t < rows; t++) sum += (x[t] - mean) * (x[t - lag] - mean);
    r[lag] = sum / (rows - lag);
  }
  if (!(r[0] > 0)) return 0;
  const peaks: number[] = [];
  let trough = 1;
  for (let lag = 1; lag <= longest; lag++) {
    trough = Math.min(trough, r[lag] / r[0]);
    if (lag >= LEAST_CYCLE_READINGS && r[lag] > r[lag - 1] && r[lag] >= r[lag + 1] && r[lag] / r[0] - trough > 0.5 && r[lag] / r[0] > 0.5) peaks.push(lag);
  }
  if (peaks.length === 0) return 0;
  const best = Math.max(...peaks.map((lag) => r[lag]));
  return peaks.find((lag) => r[lag] > 0.85 * best) ?? 0;
}

export function drawDifficulty(random: Random): Difficulty {
  return pick(random, DIFFICULTIES);
}

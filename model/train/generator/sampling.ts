import { gaussian, type Random } from '../../../core/random.js';
import { chance, logUniform, pick, uniform } from './draws.js';

/** Usual sampling periods in seconds. */
const PERIODS_S = [1, 2, 5, 10, 15, 30, 60, 60, 120, 300, 300, 600, 600, 900, 1800, 3600] as const;
const FIRST_MS = 1_577_836_800_000; // 2020-01-01
const SPAN_MS = 5 * 365 * 86_400_000;

export interface SamplingOptions {
  length: number;
  periodS: number;
  /** Jitter, lost readings and gaps for some series; false: strictly on time. */
  irregular: boolean;
}

export function drawPeriodS(random: Random): number {
  return pick(random, PERIODS_S);
}

/** [length] timestamps in whole ms, rising: on time, with jitter, with lost readings, with gaps, in any mixture. */
export function drawTimes(random: Random, { length, periodS, irregular }: SamplingOptions): Float64Array {
  const jitter = irregular && chance(random, 0.35) ? logUniform(random, 0.002, 0.3) : 0;
  const loss = irregular && chance(random, 0.25) ? logUniform(random, 0.001, 0.15) : 0;
  const gaps = irregular && chance(random, 0.3) ? logUniform(random, 500, 5000) : Infinity;
  const out = new Float64Array(length);
  let beat = 0;
  let last = -Infinity;
  const startMs = FIRST_MS + Math.floor(random() * SPAN_MS);
  for (let t = 0; t < length; t++) {
    while (loss > 0 && random() < loss) beat++;
    if (random() < 1 / gaps) beat += Math.round(logUniform(random, 3, 500));
    const shift = jitter === 0 ? 0 : Math.max(-0.45, Math.min(0.45, jitter * gaussian(random)));
    last = out[t] = Math.max(last + 1, startMs + Math.round((beat + shift) * periodS * 1000));
    beat++;
  }
  return out;
}

/** Puts units on clean values, in place: any scale and offset, and the steps of a quantised sensor for some. */
export function putUnits(random: Random, values: Float64Array): void {
  const n = values.length;
  const spread = robustSpread(values);
  const step = chance(random, 0.3) ? spread * logUniform(random, 0.003, 0.3) : 0;
  const scale = (logUniform(random, 0.01, 1000) / spread) * (chance(random, 0.5) ? 1 : 10);
  const offset = chance(random, 0.3) ? 0 : uniform(random, -1, 1) * spread * logUniform(random, 1, 300);
  for (let t = 0; t < n; t++) {
    const x = step > 0 ? Math.round((values[t] + offset) / step) * step : values[t] + offset;
    values[t] = x * scale;
  }
}

/** Mean absolute deviation, at least 1e-9: a size that one spike cannot set. */
function robustSpread(values: Float64Array): number {
  let mean = 0;
  for (const x of values) mean += x / values.length;
  let spread = 0;
  for (const x of values) spread += Math.abs(x - mean) / values.length;
  return Math.max(spread, 1e-9);
}

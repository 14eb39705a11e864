import type { Random } from '../../../core/random.js';
import { logUniform } from './draws.js';
import { counter, sawTooth, spikeTrain, visits } from './events.js';
import type { Family } from './family.js';
import { drawPeriodS, drawTimes, putUnits } from './sampling.js';
import { cycle, multiplicative, seasonal, smooth, traffic } from './seasonal.js';
import { dutyCycle, flat, levels, onOff } from './states.js';
import { autoregressive, heavyTailed, randomWalk, regimeSwitch } from './stochastic.js';

/** Raised whenever the same seed gives other series: it is part of the data hash in the weights' metadata. */
export const GENERATOR_VERSION = 1;

const TABLE = {
  seasonal, cycle, multiplicative, traffic, smooth,
  autoregressive, 'heavy-tailed': heavyTailed, 'random-walk': randomWalk, 'regime-switch': regimeSwitch,
  levels, 'duty-cycle': dutyCycle, 'on-off': onOff, flat,
  'spike-train': spikeTrain, 'saw-tooth': sawTooth, counter, visits,
} satisfies Record<string, Family>;

export type FamilyName = keyof typeof TABLE;

/** Every family, in a fixed order. */
export const FAMILIES = Object.keys(TABLE) as FamilyName[];

/** Families whose values mean something as they are (whole counts that only rise): no scale, offset or steps are put on. */
const KEEPS_UNITS: ReadonlySet<FamilyName> = new Set(['counter', 'traffic']);

export interface GeneratedSeries {
  /** [n] epoch ms, rising. */
  timestampMs: Float64Array;
  /** [n] finite. */
  value: Float64Array;
  family: FamilyName;
}

export interface SeriesOptions {
  /** Readings; drawn log-uniformly from 500 to 16,000 when left out. */
  length?: number;
  /** Seconds between readings; drawn from the usual ones, 1 s to 1 h, when left out. */
  periodS?: number;
  /** False: strictly on time, no jitter, lost readings or gaps. Default true: some series have them. */
  irregular?: boolean;
  /** False: values as the family makes them, of about unit size, not quantised. Default true. */
  units?: boolean;
}

/** One clean series of a family: a pure function of the random source. */
export function generateSeries(family: FamilyName, random: Random, options: SeriesOptions = {}): GeneratedSeries {
  const n = options.length ?? Math.round(logUniform(random, 500, 16_000));
  const periodS = options.periodS ?? drawPeriodS(random);
  const timestampMs = drawTimes(random, { length: n, periodS, irregular: options.irregular ?? true });
  const seconds = timestampMs.map((ms) => ms / 1000);
  const value = TABLE[family]({ random, n, seconds, periodS });
  if ((options.units ?? true) && !KEEPS_UNITS.has(family)) putUnits(random, value);
  return { timestampMs, value, family };
}

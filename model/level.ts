import { WIDTH } from './covariance.js';

// Words of a metric's series.
export const SWEEP = 0; // int: the device's sweep in which it was read last, + 1
export const COUNT = 1; // int: readings
export const AGE = 2; // int: readings that taught SLOW
export const FAST = 3; // EW-8 of the value
export const SLOW = 4; // EW-150 of it: its normal, as it was while it has a part in an open state
export const LONG = 5; // EW-30 of FAST - SLOW
export const PART = 6; // its part in the open state: FAST - SLOW as learned since it opened; 0 for none
export const SCALE = 7; // 1 / standard deviation of FAST - SLOW; 0 while it is too young
export const COVARIANCE = 8; // [16] of FAST - SLOW with that of the metrics of its block
export const PRECISION = COVARIANCE + WIDTH; // [16] a row of the inverted correlation matrix
export const HOUR_OFF = PRECISION + WIDTH; // EW-8, in open states, of how far it is from what is usual at its hour; Infinity where that is far, NaN where the hour does not tell
export const OWN_EVENT = HOUR_OFF + 1; // int: 1 while it is in an event of its own and the device is not judged, after a state
export const METRIC_WORDS = OWN_EVENT + 1;

/** Readings from which a metric's spread is known. */
export const SETTLED_READINGS = 200;
const FAST_READINGS = 8;
export const SLOW_READINGS = 150;
const LONG_READINGS = 30;
/** Of a metric that has no part in the state that is open: it goes on, slowly. */
const BESIDES_READINGS = 500;
/** One wild reading is no state: it may move the mean of eight by four deviations. */
const REACH = 32;
/** Its square is still a float32. */
const LARGEST = 1e18;

/**
 * Takes a metric's reading.
 *
 * @param still whether a normal that takes part stands still (not that of a metric which wanders by nature)
 * @param rests whether the metric is in an event of its own while its device is not judged: its normal stands still as well
 */
export function observeLevel(s: Float32Array, ints: Int32Array, at: number, open: boolean, v: number, still: boolean, rests: boolean): void {
  const n = ints[at + COUNT]++;
  const slow = s[at + SLOW];
  const reach = n > SETTLED_READINGS && s[at + SCALE] > 0 ? REACH / s[at + SCALE] + Math.abs(s[at + FAST] - slow) : LARGEST;
  const held = v > slow + reach ? slow + reach : v < slow - reach ? slow - reach : v;
  s[at + FAST] = n === 0 ? held : s[at + FAST] + (n < FAST_READINGS ? 1 / (n + 1) : 1 / FAST_READINGS) * (held - s[at + FAST]);
  ints[at + OWN_EVENT] = rests && still ? 1 : 0;
  const stands = ints[at + OWN_EVENT] === 1 || (open && s[at + PART] !== 0 && still);
  if (n === 0) s[at + SLOW] = held;
  else if (!stands) s[at + SLOW] += rateOfNormal(ints, at, open) * (held - slow);
  const off = s[at + FAST] - s[at + SLOW];
  s[at + LONG] += (off - s[at + LONG]) / LONG_READINGS;
}

function rateOfNormal(ints: Int32Array, at: number, open: boolean): number {
  if (open) return 1 / BESIDES_READINGS;
  const age = ++ints[at + AGE];
  return age < SLOW_READINGS ? 1 / (age + 1) : 1 / SLOW_READINGS;
}

/** While a state is open: how far a reading is from what is usual at its hour, as HOUR_OFF has it. */
export function observeHour(s: Float32Array, at: number, off: number): void {
  const before = s[at + HOUR_OFF];
  s[at + HOUR_OFF] = !Number.isFinite(before) || !Number.isFinite(off) ? off : before + (off - before) / FAST_READINGS;
}

/**
 * Turns a reading into the network's inputs: each series learns its own level, scale, roughness and period, so that one set of
 * shared weights serves a whole fleet. docs/training.md has the equations. model/kernel/normalise.h is the same for the WASM kernel, to
 * the bit: a change here is made there too (test/conformance/normaliser.test.ts). Arithmetic and Math.sqrt/log/exp only (V8 has its own): the same
 * bits on every machine.
 */

/** Number of features of a reading. */
export const FEATURES = 7;

// Offsets of a series' state, float64 (counters near 1e9 with small increments need them). u is the working value: the reading, or the increment of a counter.
export const COUNT = 0; // readings since the statistics (re)started
export const MEAN = 1; // EW mean of u
const VARIANCE = 2; // EW variance of u
const FAST_MEAN = 3; // EW mean of u, rate 1/12
const FAST_ROUGHNESS = 4; // EW squared difference of u, fast
const SLOW_ROUGHNESS = 5; // EW squared difference of u, slow
export const LAST_VALUE = 6; // the last reading, as it came
export const LAST_WORKING = 7; // the last u
const LAST_MS = 8; // the last reading's timestamp
export const LOG_PERIOD = 9; // ln of the learned period in ms
export const READINGS = 10; // readings since the series began
const CLIPPED_RUN = 11; // readings in a row that lay beyond the clip
const UP_RATE = 12; // EW share of readings above the one before
const DOWN_RATE = 13; // EW share of readings below the one before
export const COUNTER = 14; // 1 while the series is taken as a counter
export const POSITION = 15; // asinh of (u - mean) / scale: where the forecast starts from
const PERIOD_RUN = 16; // differences in a row that were longer (positive) or shorter (negative) than the period by more than the clip
const LAST_DT = 17; // the last time difference in ms
const LAST_LOG_DT = 18; // its logarithm, since most differences are equal
const FALLS = 19; // the share of readings below the one before, as remembered for days
export const FLOATS = 20;

const SLOWEST_RATE = 1 / 512;
const FAST_RATE = 1 / 12;
const ROUGHNESS_RATE = 1 / 16;
const CLIP_SIGMAS = 4;
/** The clip widens by this factor a reading while readings stay beyond it: a spike is held off, a new level is learned in about 50 readings. */
const CLIP_GROWTH = 1.1;
const MAX_CLIPPED_RUN = 300;
/** The network sees asinh(z) within +-4 (z within +-27.3). */
const FEATURE_LIMIT = 4;
/** Squares of readings beyond this would overflow. */
const VALUE_LIMIT = 1e120;
/** A time difference moves ln(period) as if it were off by no more than this. */
const PERIOD_CLIP = 0.35;
/** A reading whose ln(dt / period) is within this is on time. */
const ON_TIME = 0.1;
/** A time difference longer than this many learned periods is a gap. */
const GAP_RATIO = 1.5;
const MAX_GAP_PERIODS = 1024;
const COUNTER_AFTER = 48;
const DIRECTION_RATE = 1 / 200;
/** The clear morning of a solar panel, read every ten seconds, is 2,000 rises in a row: what fell on the day before is no counter. */
const FALLS_RATE = 1 / 10_000;

function asinh(x: number): number {
  const a = x < 0 ? -x : x;
  // Near 0 the series x - x^3/6 + 3x^5/40, where the logarithm would cancel.
  const q = a * a;
  const y = a < 0.01 ? a * (1 - q * (1 / 6 - q * (3 / 40))) : Math.log(a + Math.sqrt(q + 1));
  return x < 0 ? -y : y;
}

function clip(x: number, limit: number): number {
  return x > limit ? limit : x < -limit ? -limit : x;
}

/** Scale S of the series, in its units; never 0. */
export function scaleAt(s: Float64Array, at: number): number {
  const m = s[at + MEAN];
  const floor = 1e-6 * (m < 0 ? -m : m) + 1e-9;
  const sigma = Math.sqrt(s[at + VARIANCE]);
  return sigma > floor ? sigma : floor;
}

/**
 * Learns the period and returns dt / period; 1 where that is on time or nothing is known. The estimate is a running mean of ln dt whose steps are
 * clipped, so that it stays near the median and gaps do not move it; the clip opens while differences stay away on one side,
 * so that a device set to another rate is followed within about 20 readings.
 */
function periodRatio(s: Float64Array, at: number, dtMs: number): number {
  const n = s[at + READINGS] - 1; // time differences seen before this one
  const logDt = dtMs === s[at + LAST_DT] ? s[at + LAST_LOG_DT] : Math.log(dtMs > 0.001 ? dtMs : 0.001);
  s[at + LAST_DT] = dtMs;
  s[at + LAST_LOG_DT] = logDt;
  if (n === 0) {
    s[at + LOG_PERIOD] = logDt;
    return 1;
  }
  const off = logDt - s[at + LOG_PERIOD];
  const run = s[at + PERIOD_RUN];
  if (off > PERIOD_CLIP) s[at + PERIOD_RUN] = run > 0 ? (run < 40 ? run + 1 : run) : 1;
  else if (off < -PERIOD_CLIP) s[at + PERIOD_RUN] = run < 0 ? (run > -40 ? run - 1 : run) : -1;
  else s[at + PERIOD_RUN] = 0;
  const widening = run === 0 ? 1 : Math.exp(0.25 * (run < 0 ? -run : run));
  const rate = n < 31 ? 1 / (n + 1) : widening < 8 ? widening / 32 : 0.25;
  s[at + LOG_PERIOD] += rate * clip(off, PERIOD_CLIP * widening);
  return off < ON_TIME && off > -ON_TIME ? 1 : Math.exp(clip(off, 7));
}

/** Tells counters from other series; restarts the statistics when the answer changes. */
function learnDirection(s: Float64Array, at: number, value: number): void {
  const change = value - s[at + LAST_VALUE];
  const t = s[at + READINGS] - 1;
  const rate = t < 199 ? 1 / (t + 1) : DIRECTION_RATE;
  const falls = change < 0 ? 1 : 0;
  s[at + UP_RATE] += rate * ((change > 0 ? 1 : 0) - s[at + UP_RATE]);
  s[at + DOWN_RATE] += rate * (falls - s[at + DOWN_RATE]);
  s[at + FALLS] += (t < 9999 ? 1 / (t + 1) : FALLS_RATE) * (falls - s[at + FALLS]);
  const was = s[at + COUNTER];
  const rises = s[at + UP_RATE] > 0.1 && s[at + DOWN_RATE] < 0.01 && s[at + FALLS] < 0.01 && value >= 0 && t >= COUNTER_AFTER;
  const is = was === 1 ? (s[at + DOWN_RATE] < 0.05 ? 1 : 0) : rises ? 1 : 0;
  if (is === was) return;
  s[at + COUNTER] = is;
  s[at + COUNT] = 0;
  s[at + VARIANCE] = s[at + FAST_ROUGHNESS] = s[at + SLOW_ROUGHNESS] = s[at + CLIPPED_RUN] = 0;
}

/** The working value: the reading itself, or a counter's increment a period. A counter that was reset tells nothing: the mean of its latest, within the clip of the mean. */
function workingValue(s: Float64Array, at: number, value: number, ratio: number): number {
  if (s[at + COUNTER] === 0) return value;
  const rise = value - s[at + LAST_VALUE];
  const mean = s[at + MEAN];
  if (rise < 0) return s[at + COUNT] === 0 ? 0 : mean + clip(s[at + FAST_MEAN] - mean, CLIP_SIGMAS * scaleAt(s, at));
  return ratio > GAP_RATIO ? rise / ratio : rise;
}

/** One reading of the series whose state begins at s[at]; its features go to features[f .. f + 7). */
export function normalise(s: Float64Array, at: number, timestampMs: number, value: number, learning: number, features: Float32Array, f: number): void {
  let ratio = 1;
  if (s[at + READINGS] > 0) {
    ratio = periodRatio(s, at, timestampMs - s[at + LAST_MS]);
    learnDirection(s, at, value);
  }
  s[at + READINGS]++;
  const u = clip(workingValue(s, at, value, ratio), VALUE_LIMIT);
  const t = s[at + COUNT];
  const gap = ratio > GAP_RATIO ? (ratio < MAX_GAP_PERIODS ? ratio : MAX_GAP_PERIODS) : 1;

  const startingRate = t < 512 ? 1 / (t + 1) : 0;
  const slowRate = (startingRate > SLOWEST_RATE ? startingRate : SLOWEST_RATE) * learning;
  learnLevel(s, at, u, t, slowRate);
  const mean = s[at + MEAN];
  const scale = scaleAt(s, at);
  const inverse = 1 / scale;

  // A difference across a gap is scaled as a random walk's would grow, so that a gap alone does not look rough.
  const difference = t === 0 ? 0 : (u - s[at + LAST_WORKING]) / (gap === 1 ? 1 : Math.sqrt(gap));
  const square = difference * difference;
  const floor = 1e-4 * scale * scale;
  const fast = s[at + FAST_ROUGHNESS];
  const limit = 100 * (fast > floor ? fast : floor);
  const fastRate = startingRate > ROUGHNESS_RATE ? startingRate : ROUGHNESS_RATE;
  s[at + FAST_ROUGHNESS] = fast + fastRate * ((square < limit ? square : limit) - fast);
  s[at + SLOW_ROUGHNESS] += slowRate * ((square < 100 * scale * scale ? square : 100 * scale * scale) - s[at + SLOW_ROUGHNESS]);

  // After a gap the fast mean catches up, halfway at most: one reading is thin evidence.
  const meanRate = startingRate > FAST_RATE ? startingRate : FAST_RATE * (gap < 6 ? gap : 6);
  s[at + FAST_MEAN] = t === 0 ? u : s[at + FAST_MEAN] + meanRate * (u - s[at + FAST_MEAN]);

  const position = asinh((u - mean) * inverse);
  const inverseVariance = inverse * inverse;
  features[f] = clip(position, FEATURE_LIMIT);
  features[f + 1] = clip(asinh(3 * difference * inverse), 6);
  features[f + 2] = clip(asinh((s[at + FAST_MEAN] - mean) * inverse), FEATURE_LIMIT);
  features[f + 3] = 0.25 * Math.log((s[at + FAST_ROUGHNESS] + floor) * inverseVariance);
  features[f + 4] = 0.25 * Math.log((s[at + SLOW_ROUGHNESS] + floor) * inverseVariance);
  features[f + 5] = 1 / Math.sqrt(t + 1);
  features[f + 6] = ratio === 1 ? 0 : 0.5 * clip(Math.log(ratio), 6);

  s[at + POSITION] = position;
  s[at + LAST_WORKING] = u;
  s[at + LAST_VALUE] = value;
  s[at + LAST_MS] = timestampMs;
  s[at + COUNT] = t + 1;
}

/** EW mean and variance of u, the deviation clipped. */
function learnLevel(s: Float64Array, at: number, u: number, t: number, rate: number): void {
  if (t === 0) {
    s[at + MEAN] = u;
    s[at + VARIANCE] = 0;
    return;
  }
  let deviation = u - s[at + MEAN];
  if (t >= 10) {
    const run = s[at + CLIPPED_RUN];
    const limit = CLIP_SIGMAS * scaleAt(s, at);
    if (deviation > limit || deviation < -limit) {
      deviation = clip(deviation, run === 0 ? limit : limit * Math.exp(run * Math.log(CLIP_GROWTH)));
      if (rate > 0 && run < MAX_CLIPPED_RUN) s[at + CLIPPED_RUN] = run + 1;
    } else {
      s[at + CLIPPED_RUN] = 0;
    }
  }
  s[at + MEAN] += rate * deviation;
  s[at + VARIANCE] = (1 - rate) * (s[at + VARIANCE] + rate * deviation * deviation);
}

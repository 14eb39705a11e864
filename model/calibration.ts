import type { ChannelPrior, Tuning } from './tuning.js';

/**
 * How rare is it for this series to show something so novel on this channel? The channel's events (novel readings, those
 * within 40 readings of each other being one) come at a rate and with a mean size; both start from what clean series of that
 * age show and follow what this series shows, so a channel that is noisy here pays for it here, and a clean one speaks up.
 *
 *   d = v if v > 1.5 M else 0, M <- max(M e^(-1/40), v)     do not repeat
 *   h = ln(1 + d / 0.02) / (1 + 1400 / t)                    size
 *   gamma = (n + 2) / (G a + 2)                              this series' rate over the expected one
 *   b = (sum of h + 3 b0) / (n + 3),  k = min(n + 3, 3)
 *   s = k ln(1 + h / (k b)) - ln(gamma a g)                  log of the readings between two events of this size
 *
 * g is the expected rate now for a = 1, and G what it has summed to. The size's tail is a power law (Lomax), which is what an exponential
 * of unknown mean looks like from a few events.
 */
export const CALIBRATION_WORDS = 5;
const PEAK = 0; // M
export const SIZES = 1; // sum of h
export const COUNT = 2; // n
export const LATEST = 3; // int: reading of the latest event
export const CLUSTER = 4; // the largest h of the latest event

export const PEAK_DECAY = Math.exp(-1 / 40);
const CLUSTER_READINGS = 40;
const NOVELTY_UNIT = 0.02;
export const SILENT = -100;

/** What clean series of some age show on a channel whose prior has a = 1. */
export interface Expected {
  /** g: the rate of events a reading, now. */
  now: number;
  /** G: what it has summed to. */
  sum: number;
  /** Unit of sizes: they shrink as a series has shown more. */
  sizeUnit: number;
}

/** Log odds of novelty `v` > 0 on a channel whose state begins at `at`; SILENT where it repeats the last. Learns from it. */
export function calibrate(
  s: Float32Array, ints: Int32Array, at: number, v: number, t: number, expected: Expected, prior: ChannelPrior, tuning: Tuning,
): number {
  const peak = s[at + PEAK];
  const decayed = peak * PEAK_DECAY;
  s[at + PEAK] = v > decayed ? v : decayed;
  if (v <= 1.5 * peak) return SILENT;
  return surprise(s, ints, at, Math.log(1 + v / NOVELTY_UNIT) * expected.sizeUnit, t, expected, prior, tuning);
}

/** The same for a size that is already on a log scale. */
export function surprise(
  s: Float32Array, ints: Int32Array, at: number, h: number, t: number, expected: Expected, prior: ChannelPrior, tuning: Tuning,
): number {
  const since = t - ints[at + LATEST];
  const kept = Math.exp(-since * tuning.forget);
  const sameEvent = s[at + COUNT] > 0 && since <= CLUSTER_READINGS;
  let n = s[at + COUNT] * kept;
  let sizes = s[at + SIZES] * kept;
  let nBefore = n;
  let sizesBefore = sizes;
  if (sameEvent) {
    // The event does not count against itself.
    nBefore = n > 1 ? n - 1 : 0;
    sizesBefore = sizes > s[at + CLUSTER] ? sizes - s[at + CLUSTER] : 0;
  }
  const gamma = (nBefore + tuning.rateWeight) / (expected.sum * prior.a + tuning.rateWeight);
  const b = (sizesBefore + tuning.sizeWeight * prior.b) / (nBefore + tuning.sizeWeight);
  const shape = nBefore + tuning.sizeWeight < tuning.shapeLimit ? nBefore + tuning.sizeWeight : tuning.shapeLimit;
  const odds = shape * Math.log(1 + h / (b * shape)) - Math.log(gamma * prior.a * expected.now);
  if (!sameEvent) {
    n += 1;
    sizes += h;
    s[at + CLUSTER] = h;
  } else if (h > s[at + CLUSTER]) {
    sizes += h - s[at + CLUSTER];
    s[at + CLUSTER] = h;
  }
  s[at + COUNT] = n;
  s[at + SIZES] = sizes;
  ints[at + LATEST] = t;
  return odds;
}

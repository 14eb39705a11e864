import { gaussian, type Random } from '../../../core/random.js';

/** Seeded draws that the families share. All are pure functions of the random source. */

export function uniform(random: Random, low: number, high: number): number {
  return low + (high - low) * random();
}

/** Uniform in the logarithm: as likely between 1 and 10 as between 10 and 100. low > 0. */
export function logUniform(random: Random, low: number, high: number): number {
  return Math.exp(uniform(random, Math.log(low), Math.log(high)));
}

export function chance(random: Random, probability: number): boolean {
  return random() < probability;
}

export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)];
}

export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random());
}

/** Student-t of small integer degrees of freedom: a normal over the root of a mean square of normals. */
export function studentT(random: Random, dof: number): number {
  let sum = 0;
  for (let i = 0; i < dof; i++) {
    const x = gaussian(random);
    sum += x * x;
  }
  return gaussian(random) / Math.sqrt(sum / dof);
}

/** Poisson count: Knuth's product below mean 30, the normal approximation above. */
export function poisson(random: Random, mean: number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * gaussian(random)));
  const limit = Math.exp(-mean);
  let count = 0;
  let product = random();
  while (product > limit) {
    count++;
    product *= random();
  }
  return count;
}

/** A dwell time in readings, at least 1: regular (a few per cent of spread) to memoryless (spread 1). */
export function dwell(random: Random, mean: number, spread: number): number {
  if (spread > 0.9) return Math.max(1, Math.round(exponential(random, mean)));
  return Math.max(1, Math.round(mean * (1 + spread * gaussian(random))));
}

/** Stationary AR(1) noise of unit variance: x[t] = phi x[t-1] + sqrt(1 - phi^2) e[t]. */
export function autoregressiveNoise(random: Random, n: number, phi: number): Float64Array {
  const out = new Float64Array(n);
  const drive = Math.sqrt(1 - phi * phi);
  let x = gaussian(random);
  for (let t = 0; t < n; t++) {
    out[t] = x;
    x = phi * x + drive * gaussian(random);
  }
  return out;
}

/** The measurement noise of a series: white, coloured or heavy-tailed, of about unit size. */
export function sensorNoise(random: Random, n: number): Float64Array {
  const kind = random();
  if (kind < 0.45) return autoregressiveNoise(random, n, 0);
  if (kind < 0.8) return autoregressiveNoise(random, n, uniform(random, 0.2, 0.95));
  const out = new Float64Array(n);
  const dof = pick(random, [3, 4, 6]);
  for (let t = 0; t < n; t++) out[t] = studentT(random, dof) / Math.sqrt(dof / (dof - 2));
  return out;
}

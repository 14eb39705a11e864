import { gaussian, type Random } from '../../../core/random.js';
import { autoregressiveNoise, chance, logUniform, pick, poisson, sensorNoise, uniform } from './draws.js';
import { DAY_S, type Course, type Family } from './family.js';

/** A periodic profile of mean 0 and about unit size: a few harmonics with falling weights, as a table of one turn. */
function profile(random: Random, harmonics: number): (phase: number) => number {
  const size = 256;
  const table = new Float64Array(size + 1);
  for (let k = 1; k <= harmonics; k++) {
    const weight = gaussian(random) / k;
    const shift = 2 * Math.PI * random();
    for (let i = 0; i <= size; i++) table[i] += weight * Math.cos((2 * Math.PI * k * i) / size + shift);
  }
  let square = 0;
  for (let i = 0; i < size; i++) square += table[i] * table[i];
  const unit = 1 / Math.sqrt(square / size + 1e-12);
  return (phase) => {
    const x = (phase - Math.floor(phase)) * size;
    const i = Math.floor(x);
    return unit * (table[i] + (x - i) * (table[i + 1] - table[i]));
  };
}

/** A day's profile, weaker or shifted at weekends for some series; phase by the calendar. */
function calendar({ random, n, seconds }: Course): Float64Array {
  const day = profile(random, pick(random, [1, 1, 2, 3, 6]));
  const week = profile(random, 3);
  const weekly = chance(random, 0.4) ? uniform(random, 0.2, 1) : 0;
  const weekendFactor = chance(random, 0.4) ? uniform(random, 0, 0.8) : 1;
  const zone = random();
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    const days = seconds[t] / DAY_S + zone;
    const weekend = Math.floor(days) % 7 >= 5;
    out[t] = day(days) * (weekend ? weekendFactor : 1) + weekly * week(days / 7);
  }
  return out;
}

/** Daily and weekly mixes (temperatures, loads) with noise and a slowly changing amplitude. */
export const seasonal: Family = (course) => {
  const { random, n } = course;
  const out = calendar(course);
  const noise = sensorNoise(random, n);
  const size = logUniform(random, 0.02, 1);
  const drift = autoregressiveNoise(random, n, 1 - 1 / logUniform(random, 200, 5000));
  const wander = chance(random, 0.5) ? uniform(random, 0, 0.4) : 0;
  for (let t = 0; t < n; t++) out[t] = out[t] * (1 + 0.5 * wander * drift[t]) + wander * drift[t] + size * noise[t];
  return out;
};

/** A machine's own cycle of any waveform, 6 to 400 readings long, its length and size wobbling a little. */
export const cycle: Family = ({ random, n }) => {
  const length = logUniform(random, 6, 400);
  const wave = profile(random, pick(random, [1, 2, 4, 8, 16]));
  const wobble = chance(random, 0.5) ? logUniform(random, 0.002, 0.1) : 0;
  const noise = sensorNoise(random, n);
  const size = logUniform(random, 0.01, 0.7);
  const out = new Float64Array(n);
  let phase = random();
  let speed = 1;
  let height = 1;
  for (let t = 0; t < n; t++) {
    out[t] = height * wave(phase) + size * noise[t];
    phase += speed / length;
    if (phase >= 1) {
      phase -= 1;
      speed = Math.max(0.3, 1 + wobble * gaussian(random));
      height = 1 + wobble * gaussian(random);
    }
  }
  return out;
};

/** A positive quantity whose noise grows with its level: exp of a calendar pattern and noise (pressures, latencies, loads). */
export const multiplicative: Family = (course) => {
  const { random, n } = course;
  const pattern = chance(random, 0.6) ? calendar(course) : autoregressiveNoise(random, n, uniform(random, 0.9, 0.999));
  const depth = uniform(random, 0.1, 0.9);
  const noise = sensorNoise(random, n);
  const size = logUniform(random, 0.02, 0.5);
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) out[t] = Math.exp(depth * pattern[t] + size * Math.max(-6, Math.min(6, noise[t])));
  return out;
};

/** Counts a period, with the calendar's rhythm: requests, people, parts made. Over-dispersed for some. */
export const traffic: Family = (course) => {
  const { random, n } = course;
  const pattern = calendar(course);
  const mean = logUniform(random, 0.1, 2000);
  const depth = chance(random, 0.8) ? uniform(random, 0.2, 1.2) : 0;
  const excess = chance(random, 0.5) ? uniform(random, 0.05, 0.6) : 0;
  const slow = autoregressiveNoise(random, n, uniform(random, 0.3, 0.98));
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) out[t] = poisson(random, mean * Math.exp(depth * pattern[t] + excess * slow[t]));
  return out;
};

/** A smooth, nearly noiseless course: room temperatures and tanks behind a low-pass filter, seen by a good sensor. */
export const smooth: Family = (course) => {
  const { random, n } = course;
  const pattern = calendar(course);
  const drive = autoregressiveNoise(random, n, uniform(random, 0.9, 0.999));
  const inertia = 1 / logUniform(random, 5, 200);
  const share = uniform(random, 0, 1);
  const size = logUniform(random, 0.0005, 0.03);
  const out = new Float64Array(n);
  let x = pattern[0];
  for (let t = 0; t < n; t++) {
    x += inertia * (share * pattern[t] + (1 - share) * drive[t] - x);
    out[t] = x + size * inertia * 20 * gaussian(random);
  }
  return out;
};

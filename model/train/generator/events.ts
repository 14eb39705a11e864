import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, chance, dwell, exponential, logUniform, pick, poisson, uniform } from './draws.js';
import { DAY_S, type Family } from './family.js';

/** Spike trains: regular, daily or random spikes that decay at once or slowly, over a quiet base. */
export const spikeTrain: Family = ({ random, n, periodS }) => {
  const daily = Math.round(DAY_S / periodS);
  const spacing = chance(random, 0.25) && daily >= 20 && daily < 2000 ? daily : logUniform(random, 8, 600);
  const spread = pick(random, [0, 0.05, 0.3, 1]);
  const sizeSpread = uniform(random, 0, 0.6);
  const decay = chance(random, 0.5) ? 0 : uniform(random, 0.3, 0.97);
  const base = autoregressiveNoise(random, n, pick(random, [0, 0, 0.8]));
  const size = logUniform(random, 0.003, 0.3);
  const out = new Float64Array(n);
  let left = dwell(random, spacing, spread);
  let x = 0;
  for (let t = 0; t < n; t++) {
    x *= decay;
    if (left-- <= 0) {
      x += Math.exp(sizeSpread * gaussian(random));
      left = dwell(random, spacing, spread);
    }
    out[t] = x + size * base[t];
  }
  return out;
};

/** Saw-tooth: a tank that drains and is filled, a buffer, a heap with its collector; slopes and turning points vary. */
export const sawTooth: Family = ({ random, n }) => {
  const length = logUniform(random, 10, 800);
  const spread = logUniform(random, 0.005, 0.3);
  const rising = chance(random, 0.5) ? 1 : -1;
  const roughness = chance(random, 0.5) ? logUniform(random, 0.05, 1) : 0;
  const noise = logUniform(random, 0.001, 0.1);
  const refill = chance(random, 0.6) ? 1 : logUniform(random, 0.05, 0.5);
  const out = new Float64Array(n);
  let x = 0;
  let limit = 1 + spread * gaussian(random);
  let filling = false;
  for (let t = 0; t < n; t++) {
    x += filling ? -refill : (1 / length) * Math.max(0, 1 + roughness * gaussian(random));
    if (!filling && x >= limit) filling = true;
    else if (filling && x <= 0) {
      filling = false;
      x = 0;
      limit = Math.max(0.3, 1 + spread * gaussian(random));
    }
    out[t] = rising * x + noise * gaussian(random);
  }
  return out;
};

/** Counters that only rise: energy, pulses, bytes; steady, rhythmic or in bursts, and reset now and then. */
export const counter: Family = ({ random, n, seconds }) => {
  const rate = logUniform(random, 0.3, 300);
  const depth = chance(random, 0.5) ? uniform(random, 0.2, 1) : 0;
  const burst = chance(random, 0.3) ? logUniform(random, 5, 100) : 0;
  const reset = chance(random, 0.3) ? logUniform(random, 1000, 10_000) : Infinity;
  const continuous = chance(random, 0.4);
  const wander = autoregressiveNoise(random, n, uniform(random, 0.2, 0.98));
  const spread = logUniform(random, 0.01, 0.5);
  const out = new Float64Array(n);
  let total = logUniform(random, 1, 1e7) * rate;
  let running = true;
  for (let t = 0; t < n; t++) {
    if (burst > 0 && random() < 1 / burst) running = !running;
    const now = running ? rate * Math.exp(depth * Math.sin((2 * Math.PI * seconds[t]) / DAY_S) + spread * wander[t]) : 0;
    total = random() < 1 / reset ? 0 : total + (continuous ? now : poisson(random, now));
    out[t] = total;
  }
  return out;
};

/** Load that comes in visits: bursts of random length and height over a floor (people in a room, jobs on a machine). */
export const visits: Family = ({ random, n, seconds }) => {
  const spacing = logUniform(random, 10, 400);
  const length = spacing * uniform(random, 0.05, 0.6);
  const night = chance(random, 0.6) ? uniform(random, 0.05, 1) : 1;
  const lag = uniform(random, 0, 0.95);
  const noise = logUniform(random, 0.005, 0.3);
  const out = new Float64Array(n);
  let height = 0;
  let left = 0;
  let x = 0;
  for (let t = 0; t < n; t++) {
    const hour = (seconds[t] / 3600) % 24;
    const rate = (hour > 7 && hour < 19 ? 1 : night) / spacing;
    if (left > 0) left--;
    else if (random() < rate) {
      left = Math.round(exponential(random, length)) + 1;
      height = logUniform(random, 0.3, 1.5);
    } else height = 0;
    x = lag * x + (1 - lag) * height;
    out[t] = x + noise * gaussian(random);
  }
  return out;
};

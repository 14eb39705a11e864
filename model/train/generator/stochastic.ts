import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, chance, dwell, logUniform, pick, studentT, uniform } from './draws.js';
import type { Family } from './family.js';

/** Stationary noise: AR(1), a damped oscillation (AR(2)), or plain white. */
export const autoregressive: Family = ({ random, n }) => {
  const kind = random();
  if (kind < 0.25) return autoregressiveNoise(random, n, 0);
  if (kind < 0.7) return autoregressiveNoise(random, n, pick(random, [-0.5, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995]));
  const radius = uniform(random, 0.7, 0.995);
  const turn = Math.cos((2 * Math.PI) / logUniform(random, 4, 100));
  const out = new Float64Array(n);
  let a = 0;
  let b = 0;
  for (let t = 0; t < n; t++) {
    const x = 2 * radius * turn * a - radius * radius * b + gaussian(random);
    b = a;
    a = x;
    out[t] = x;
  }
  return out;
};

/** Heavy tails and clustered volatility: Student-t steps through an AR(1), with a GARCH(1,1) size for some. */
export const heavyTailed: Family = ({ random, n }) => {
  const dof = pick(random, [2, 3, 4, 5]);
  const phi = chance(random, 0.5) ? uniform(random, 0, 0.9) : 0;
  const clustered = chance(random, 0.5) ? uniform(random, 0.05, 0.2) : 0;
  const out = new Float64Array(n);
  let x = 0;
  let variance = 1;
  for (let t = 0; t < n; t++) {
    const e = Math.sqrt(variance) * studentT(random, dof);
    variance = 1 - 0.95 + clustered * Math.min(e * e, 50) + (0.95 - clustered) * variance;
    x = phi * x + e;
    out[t] = x;
  }
  return out;
};

/** Random walks: free, drifting, held by a weak spring, or reflected at bounds; seen with or without noise. */
export const randomWalk: Family = ({ random, n }) => {
  const spring = chance(random, 0.5) ? 1 / logUniform(random, 200, 10_000) : 0;
  const drift = chance(random, 0.3) ? 0.1 * gaussian(random) : 0;
  const tails = chance(random, 0.4);
  const noise = chance(random, 0.4) ? logUniform(random, 0.1, 5) : 0;
  const wall = chance(random, 0.3) ? logUniform(random, 10, 100) : Infinity;
  const active = chance(random, 0.3) ? uniform(random, 0.02, 0.5) : 1;
  const out = new Float64Array(n);
  let x = 0;
  for (let t = 0; t < n; t++) {
    if (random() < active) x += drift - spring * x + (tails ? studentT(random, 3) : gaussian(random));
    if (x > wall) x = 2 * wall - x;
    if (x < -wall) x = -2 * wall - x;
    out[t] = x + noise * gaussian(random);
  }
  return out;
};

/** Two to four regimes of other level, size and memory, switched at long, memoryless intervals. */
export const regimeSwitch: Family = ({ random, n }) => {
  const regimes = Array.from({ length: pick(random, [2, 2, 3, 4]) }, () => ({
    level: uniform(random, 0, 4) * gaussian(random),
    size: logUniform(random, 0.1, 3),
    phi: pick(random, [0, 0.3, 0.7, 0.95]),
  }));
  const mean = logUniform(random, 60, 2000);
  const out = new Float64Array(n);
  let regime = regimes[0];
  let left = dwell(random, mean, 1);
  let x = 0;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      regime = pick(random, regimes);
      left = dwell(random, mean, 1);
    }
    x = regime.phi * x + Math.sqrt(1 - regime.phi * regime.phi) * gaussian(random);
    out[t] = regime.level + regime.size * x;
  }
  return out;
};

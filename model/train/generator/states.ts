import { gaussian, type Random } from '../../../core/random.js';
import { chance, dwell, exponential, logUniform, pick, sensorNoise, uniform } from './draws.js';
import { DAY_S, type Family } from './family.js';

/** Semi-Markov levels: a process that rests on one of a few levels for a typical time each, and goes on along a habit. */
export const levels: Family = ({ random, n }) => {
  const states = Array.from({ length: pick(random, [2, 3, 4, 6]) }, () => ({
    level: 3 * gaussian(random),
    mean: logUniform(random, 3, 300),
    spread: pick(random, [0.02, 0.1, 0.4, 1]),
    size: logUniform(random, 0.01, 0.5),
  }));
  const habit = chance(random, 0.6) ? uniform(random, 0.8, 1) : 0;
  const lag = chance(random, 0.3) ? uniform(random, 0.3, 0.95) : 0;
  const noise = sensorNoise(random, n);
  const out = new Float64Array(n);
  let state = 0;
  let left = dwell(random, states[0].mean, states[0].spread);
  let x = states[0].level;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      state = random() < habit ? (state + 1) % states.length : Math.floor(random() * states.length);
      left = dwell(random, states[state].mean, states[state].spread);
    }
    x = lag * x + (1 - lag) * states[state].level;
    out[t] = x + states[state].size * noise[t];
  }
  return out;
};

/** Duty cycles: a compressor or heater that ramps up while on and decays while off, regular to a few per cent. */
export const dutyCycle: Family = ({ random, n }) => {
  const on = logUniform(random, 3, 150);
  const off = on * logUniform(random, 0.3, 5);
  const spread = logUniform(random, 0.01, 0.4);
  const rise = uniform(random, 0.02, 1);
  const fall = uniform(random, 0.02, 1);
  const noise = sensorNoise(random, n);
  const size = logUniform(random, 0.003, 0.2);
  const out = new Float64Array(n);
  let running = false;
  let left = dwell(random, off, spread);
  let x = 0;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      running = !running;
      left = dwell(random, running ? on : off, spread);
    }
    x += running ? rise * (1 - x) : -fall * x;
    out[t] = x + size * noise[t];
  }
  return out;
};

/** On/off: a contact, a motor, a lamp. By the clock, regular, or at random; the on level may carry noise. */
export const onOff: Family = ({ random, n, seconds }) => {
  const byClock = chance(random, 0.35);
  const noise = chance(random, 0.5) ? logUniform(random, 0.005, 0.2) : 0;
  const start = uniform(random, 4, 12) / 24;
  const span = uniform(random, 1, 12) / 24;
  const workdays = chance(random, 0.5);
  const on = logUniform(random, 2, 200);
  const off = on * logUniform(random, 0.2, 20);
  const spread = pick(random, [0.05, 0.3, 1]);
  const out = new Float64Array(n);
  let running = false;
  let left = dwell(random, off, spread);
  for (let t = 0; t < n; t++) {
    if (byClock) {
      const days = seconds[t] / DAY_S;
      const hour = days - Math.floor(days);
      running = hour >= start && hour < start + span && !(workdays && Math.floor(days) % 7 >= 5);
    } else if (left-- <= 0) {
      running = !running;
      left = dwell(random, running ? on : off, spread);
    }
    out[t] = running ? 1 + noise * gaussian(random) : 0;
  }
  return out;
};

/** Flat with rare changes: set points, valve positions, tariffs; now and then a short excursion. */
export const flat: Family = ({ random, n }) => {
  const mean = logUniform(random, 100, 4000);
  const excursion = chance(random, 0.3) ? logUniform(random, 300, 3000) : Infinity;
  const noise = chance(random, 0.5) ? logUniform(random, 1e-4, 0.05) : 0;
  const out = new Float64Array(n);
  let level = 0;
  let left = dwell(random, mean, 1);
  let away = exponential(random, excursion);
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      level = chance(random, 0.3) ? 0 : level + nextStep(random);
      left = dwell(random, mean, 1);
    }
    if (away-- <= -uniform(random, 1, 20)) away = exponential(random, excursion);
    out[t] = level + (away < 0 ? 2 : 0) + noise * gaussian(random);
  }
  return out;
};

function nextStep(random: Random): number {
  return chance(random, 0.5) ? pick(random, [-1, -0.5, 0.5, 1]) : gaussian(random);
}

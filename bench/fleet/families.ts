import { gaussian } from '../../core/random.js';
import { autoregressiveNoise, chance, dwell, exponential, logUniform, pick, poisson, uniform } from '../../model/train/generator/draws.js';
import type { Course } from '../../model/train/generator/family.js';

/** Sensors that no network is trained on: physical models with units and clock time, where the trainer's families are statistical shapes. */
export interface BenchFamily {
  /** Sampling periods that suit it, seconds. */
  periodsS: readonly number[];
  make(course: Course): Float64Array;
}

const DAY_S = 86_400;

function hourOf(seconds: number): number {
  return (seconds % DAY_S) / 3600;
}

function isWorkday(seconds: number): boolean {
  return Math.floor(seconds / DAY_S) % 7 < 5;
}

/** Smooth rise and fall between two hours, 0 to 1. */
function plateau(hour: number, start: number, end: number, edgeHours: number): number {
  return 1 / (1 + Math.exp(-(hour - start) / edgeHours)) - 1 / (1 + Math.exp(-(hour - end) / edgeHours));
}

/** Power of an air compressor, kW: loads and unloads between two pressures, faster while the plant draws more air; a surge at each start. */
function compressor({ random, n, seconds, periodS }: Course): Float64Array {
  const loaded = uniform(random, 20, 90);
  const unloaded = loaded * uniform(random, 0, 0.35);
  const fillS = uniform(random, 90, 400);
  const emptyS = uniform(random, 120, 900);
  const dayFactor = uniform(random, 0.3, 1);
  const surge = chance(random, 0.5) ? uniform(random, 0.1, 0.5) : 0;
  const noise = loaded * logUniform(random, 0.003, 0.03);
  const demand = autoregressiveNoise(random, n, Math.exp(-periodS / 1800));
  const out = new Float64Array(n);
  let pressure = random();
  let filling = false;
  for (let t = 0; t < n; t++) {
    const draw = Math.max(0.2, 1 + dayFactor * (plateau(hourOf(seconds[t]), 6, 18, 0.5) - 0.5) + 0.1 * demand[t]);
    const starts = !filling && pressure <= 0;
    if (starts) filling = true;
    else if (filling && pressure >= 1) filling = false;
    pressure += filling ? periodS / fillS : (-periodS / emptyS) * draw;
    out[t] = (filling ? loaded : unloaded) * (starts ? 1 + surge : 1) + noise * gaussian(random);
  }
  return out;
}

/** Level of a tank, m: people draw by day, a pump fills it at a low mark, the float ripples. */
function tank({ random, n, seconds, periodS }: Course): Float64Array {
  const height = uniform(random, 1, 8);
  const low = height * uniform(random, 0.15, 0.4);
  const high = height * uniform(random, 0.7, 0.95);
  const drawPerS = (high - low) / uniform(random, 2 * 3600, 18 * 3600);
  const fillPerS = drawPerS * uniform(random, 3, 10);
  const rhythm = uniform(random, 0.2, 0.9);
  const ripple = height * logUniform(random, 0.0005, 0.01);
  const out = new Float64Array(n);
  let level = uniform(random, low, high);
  let filling = false;
  for (let t = 0; t < n; t++) {
    if (level < low) filling = true;
    if (level > high) filling = false;
    const use = Math.max(0, 1 + rhythm * Math.sin((2 * Math.PI * (hourOf(seconds[t]) - 9)) / 24)) * (chance(random, 0.1) ? uniform(random, 1, 2) : 1);
    level += periodS * ((filling ? fillPerS : 0) - drawPerS * use);
    out[t] = level + ripple * gaussian(random);
  }
  return out;
}

/** Passages through a door in a period: opening hours, a lunch peak, quiet weekends. */
function door({ random, n, seconds, periodS }: Course): Float64Array {
  const perHour = logUniform(random, 10, 400);
  const open = uniform(random, 6, 10);
  const close = uniform(random, 16, 22);
  const lunch = uniform(random, 0, 1.5);
  const weekend = pick(random, [0, 0.2, 1.3]);
  const night = logUniform(random, 0.001, 0.05);
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    const hour = hourOf(seconds[t]);
    const rate = night + plateau(hour, open, close, 0.3) * (1 + lunch * Math.exp(-((hour - 12.5) ** 2) / 0.8));
    out[t] = poisson(random, perHour * (periodS / 3600) * rate * (isWorkday(seconds[t]) ? 1 : weekend));
  }
  return out;
}

/** Temperature of a cold room, degrees C: compressor between two marks, doors that let warmth in, a defrost every few hours. */
function fridge({ random, n, seconds, periodS }: Course): Float64Array {
  const mark = uniform(random, -20, 4);
  const band = uniform(random, 0.8, 3);
  const outside = mark + uniform(random, 18, 35);
  const lossPerS = band / (outside - mark) / uniform(random, 600, 2400);
  const coolPerS = (band / uniform(random, 300, 1200)) + lossPerS * (outside - mark);
  const defrostEveryS = pick(random, [6, 8, 12]) * 3600;
  const defrosts = chance(random, 0.6);
  const doorsPerHour = uniform(random, 0, 3);
  const noise = logUniform(random, 0.01, 0.15);
  const out = new Float64Array(n);
  let air = mark;
  let cooling = false;
  for (let t = 0; t < n; t++) {
    const defrosting = defrosts && seconds[t] % defrostEveryS < 1200;
    if (air > mark + band / 2) cooling = true;
    if (air < mark - band / 2) cooling = false;
    const working = hourOf(seconds[t]) > 7 && hourOf(seconds[t]) < 20;
    if (working && random() < (doorsPerHour * periodS) / 3600) air += band * uniform(random, 0.2, 0.8);
    air += periodS * (lossPerS * (outside - air) - (cooling && !defrosting ? coolPerS : 0) + (defrosting ? coolPerS * 0.5 : 0));
    out[t] = air + noise * gaussian(random);
  }
  return out;
}

/** An energy meter, kWh, that only rises: base load, office hours, a boiler that switches. */
function meter({ random, n, seconds, periodS }: Course): Float64Array {
  const base = logUniform(random, 0.2, 10);
  const office = base * uniform(random, 0.5, 5);
  const boiler = chance(random, 0.5) ? base * uniform(random, 0.5, 2) : 0;
  const step = pick(random, [0, 0.01, 0.1]);
  const out = new Float64Array(n);
  let total = logUniform(random, 10, 1e5);
  let left = 0;
  let on = false;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      on = !on;
      left = dwell(random, Math.max(2, 1500 / periodS), 0.3);
    }
    const use = base + (isWorkday(seconds[t]) ? office : office * 0.1) * plateau(hourOf(seconds[t]), 7.5, 18, 0.4) + (on ? boiler : 0);
    total += (periodS / 3600) * use * Math.max(0.1, 1 + 0.08 * gaussian(random));
    out[t] = step > 0 ? Math.floor(total / step) * step : total;
  }
  return out;
}

/** Supply air temperature, degrees C: a schedule of set points, followed with a lag and an overshoot. */
function ventilation({ random, n, seconds, periodS }: Course): Float64Array {
  const day = uniform(random, 18, 24);
  const night = day - uniform(random, 2, 8);
  const start = uniform(random, 5, 8);
  const end = uniform(random, 16, 21);
  const lagS = uniform(random, 300, 3600);
  const springy = uniform(random, 0, 0.9);
  const weather = autoregressiveNoise(random, n, Math.exp(-periodS / 40_000));
  const noise = logUniform(random, 0.02, 0.3);
  const out = new Float64Array(n);
  const keep = Math.exp(-periodS / lagS);
  let air = night;
  let pull = 0;
  for (let t = 0; t < n; t++) {
    const hour = hourOf(seconds[t]);
    const target = isWorkday(seconds[t]) && hour >= start && hour < end ? day : night;
    pull = springy * keep * pull + (1 - keep) * (target - air);
    air += pull;
    out[t] = air + 0.4 * weather[t] + noise * gaussian(random);
  }
  return out;
}

/** Round-trip time to a gateway, ms: a floor, a long tail, busy hours, retries. */
function latency({ random, n, seconds }: Course): Float64Array {
  const floor = logUniform(random, 5, 80);
  const busy = uniform(random, 0, 1.5);
  const tail = uniform(random, 0.1, 0.6);
  const retry = chance(random, 0.5) ? uniform(random, 0.002, 0.02) : 0;
  const slow = autoregressiveNoise(random, n, 0.97);
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    const load = busy * plateau(hourOf(seconds[t]), 8, 22, 1.5) + 0.2 * slow[t];
    out[t] = floor * (1 + Math.exp(load + tail * gaussian(random)) * 0.4) + (random() < retry ? floor * uniform(random, 2, 4) : 0);
  }
  return out;
}

/** Output of a solar panel, W: the sun's arc, clouds that come and go, nothing by night. */
function solar({ random, n, seconds, periodS }: Course): Float64Array {
  const peak = logUniform(random, 100, 8000);
  const noon = uniform(random, 11.5, 13.5);
  const half = uniform(random, 4.5, 7.5);
  const cloudiness = uniform(random, 0, 1.2);
  const clouds = autoregressiveNoise(random, n, Math.exp(-periodS / 5400));
  const weather = autoregressiveNoise(random, n, Math.exp(-periodS / 90_000));
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    const arc = Math.max(0, Math.cos(((hourOf(seconds[t]) - noon) / half) * (Math.PI / 2)));
    const visible = Math.abs(hourOf(seconds[t]) - noon) < half;
    const shade = 1 / (1 + Math.exp(2 * (cloudiness * (clouds[t] + weather[t]) - 1.5)));
    out[t] = visible ? peak * arc ** 1.3 * shade * (1 + 0.01 * gaussian(random)) : 0;
  }
  return out;
}

/** Vibration of a machine, mm/s RMS: grows with the square of its speed, which follows orders and resonates at one of them; still between shifts. */
function vibration({ random, n, seconds, periodS }: Course): Float64Array {
  const speeds = Array.from({ length: pick(random, [2, 3, 4]) }, () => uniform(random, 0.4, 1));
  const resonance = uniform(random, 0.4, 1);
  const size = uniform(random, 1, 6);
  const shifts = chance(random, 0.5);
  const holdReadings = logUniform(random, 600, 7200) / periodS;
  const spread = logUniform(random, 0.02, 0.15);
  const out = new Float64Array(n);
  let speed = speeds[0];
  let target = speed;
  let left = 0;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      target = pick(random, speeds);
      left = dwell(random, Math.max(5, holdReadings), 0.5);
    }
    const hour = hourOf(seconds[t]);
    const running = !shifts || (hour >= 6 && hour < 22);
    speed += (1 - Math.exp(-periodS / 60)) * ((running ? target : 0) - speed);
    const rms = size * (speed * speed + 0.5 * speed * Math.exp(-((speed - resonance) ** 2) / 0.005)) + 0.05;
    out[t] = rms * Math.exp(spread * gaussian(random));
  }
  return out;
}

/** CO2 in a room, ppm: people come and go, the air changes at a rate. */
function co2({ random, n, seconds, periodS }: Course): Float64Array {
  const airChangePerS = uniform(random, 0.5, 4) / 3600;
  const people = pick(random, [2, 8, 25]);
  const perPerson = (airChangePerS * uniform(random, 300, 1200)) / people;
  const meetings = chance(random, 0.5);
  const noise = logUniform(random, 2, 15);
  const out = new Float64Array(n);
  let ppm = 420;
  let inside = 0;
  for (let t = 0; t < n; t++) {
    const hour = hourOf(seconds[t]);
    const open = isWorkday(seconds[t]) && hour > 7.5 && hour < 18;
    const wanted = open ? people * (meetings ? (Math.floor(hour) % 2 === 0 ? 1 : 0.2) : plateau(hour, 8.5, 17, 0.5)) : 0;
    if (random() < 1 - Math.exp(-periodS / 900)) inside = Math.max(0, Math.round(wanted + 0.15 * people * gaussian(random) * (wanted > 0 ? 1 : 0)));
    ppm += periodS * (inside * perPerson - airChangePerS * (ppm - 420));
    out[t] = Math.round(ppm + noise * gaussian(random));
  }
  return out;
}

/** Voltage of a vehicle's battery, V: it falls while driving, dips under load, and rises on the charger to a plateau. */
function battery({ random, n, periodS }: Course): Float64Array {
  const full = pick(random, [12.8, 25.6, 51.2]);
  const driveS = uniform(random, 3600, 4 * 3600);
  const chargeS = driveS * uniform(random, 0.4, 1);
  const sag = full * uniform(random, 0.005, 0.03);
  const noise = full * logUniform(random, 0.0003, 0.003);
  const out = new Float64Array(n);
  let charge = random();
  let charging = false;
  let stop = uniform(random, 0.15, 0.3);
  for (let t = 0; t < n; t++) {
    charge += charging ? (periodS / chargeS) * (charge > 0.85 ? 0.4 : 1) : (-periodS / driveS) * uniform(random, 0.6, 1.4);
    if (charging && charge >= 0.99) charging = false;
    else if (!charging && charge <= stop) {
      charging = true;
      stop = uniform(random, 0.15, 0.3);
    }
    const open = full * (0.9 + 0.1 * charge - 0.04 * Math.exp(-12 * charge));
    out[t] = open + (charging ? full * 0.02 : -sag * uniform(random, 0.5, 1.5)) + noise * gaussian(random);
  }
  return out;
}

/** A sewage pump: 1 while it runs, 0 while it rests; the inflow has a daily rhythm. */
function pump({ random, n, seconds, periodS }: Course): Float64Array {
  const runS = uniform(random, 180, 900);
  const restS = runS * uniform(random, 1, 5);
  const rhythm = uniform(random, 0, 0.6);
  const spread = logUniform(random, 0.02, 0.2);
  const out = new Float64Array(n);
  let running = false;
  let left = 0;
  for (let t = 0; t < n; t++) {
    if (left-- <= 0) {
      running = !running;
      const inflow = 1 + rhythm * Math.sin((2 * Math.PI * (hourOf(seconds[t]) - 8)) / 24);
      left = dwell(random, (running ? runS : restS / inflow) / periodS, spread);
    }
    out[t] = running ? 1 : 0;
  }
  return out;
}

/** Water level at a quay, m: the tide's half-days (12.42 and 12 h, so spring and neap), the weather's surge, waves. */
function tide({ random, n, seconds, periodS }: Course): Float64Array {
  const height = uniform(random, 0.3, 4);
  const spring = uniform(random, 0.1, 0.4);
  const surge = autoregressiveNoise(random, n, Math.exp(-periodS / 60_000));
  const waves = height * logUniform(random, 0.003, 0.05);
  const storms = exponential(random, 0.1);
  const out = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    const hours = seconds[t] / 3600;
    const level = Math.cos((2 * Math.PI * hours) / 12.4206) + spring * Math.cos((2 * Math.PI * hours) / 12);
    out[t] = height * (level + 0.1 * (1 + storms) * surge[t]) + waves * gaussian(random);
  }
  return out;
}

/** Known while developing. */
export const DEVELOPMENT_FAMILIES = {
  compressor: { periodsS: [10, 30, 60], make: compressor },
  tank: { periodsS: [60, 300, 600], make: tank },
  door: { periodsS: [300, 600, 900], make: door },
  fridge: { periodsS: [30, 60, 120], make: fridge },
  meter: { periodsS: [300, 900], make: meter },
  ventilation: { periodsS: [60, 300, 600], make: ventilation },
  latency: { periodsS: [10, 60, 600], make: latency },
} satisfies Record<string, BenchFamily>;

/** Held back: run to report, not to choose constants. */
export const HELD_BACK_FAMILIES = {
  solar: { periodsS: [300, 900, 3600], make: solar },
  vibration: { periodsS: [10, 30, 60], make: vibration },
  co2: { periodsS: [120, 300, 600], make: co2 },
  battery: { periodsS: [30, 60, 120], make: battery },
  pump: { periodsS: [10, 30, 60], make: pump },
  tide: { periodsS: [300, 600, 1800], make: tide },
} satisfies Record<string, BenchFamily>;

export type FamilyGroup = 'trained' | 'development' | 'held_back';


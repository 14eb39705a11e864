import type { Random } from '../../core/random.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { autoregressiveNoise, chance, logUniform, pick, uniform } from '../../model/train/generator/draws.js';
import type { DeviceInput, MakeDetector } from '../harness.js';
import { runDetector } from '../harness.js';
import { hash } from './build.js';
import { add, compare, compareAlwaysOn, f1, none, precision, recall } from './pointwise.js';

/**
 * Runs of a water loop on a test bench: eight sensors at 1 Hz for some 19 minutes; the first 400 s are known to be good, then a fault that lasts minutes
 * (a valve closes, a rotor is out of balance, the loop cavitates ...) changes level, variance or coupling of some sensors, and then the loop recovers.
 */
export const VALVE_SENSORS = ['vibration_1', 'vibration_2', 'current', 'pressure', 'temperature', 'case_temperature', 'voltage', 'flow'] as const;
export const CLEAN_ROWS = 400;
const ROWS = 1150;
/** So that the head measured on the real bench scores here what it scored there (referenceHead). */
const STRENGTH = [2.1, 11] as const;
/** A third of these faults shows in nothing but temperatures that wander as far by themselves. */
export const WEAK_STRENGTH = [0.8, 4] as const;
const START_MS = Date.UTC(2024, 2, 9, 10, 0, 0);

export interface ValveRun {
  input: DeviceInput;
  /** [rows] 1 while the fault is there. */
  faulty: Uint8Array;
}

export interface ValveOptions {
  runs?: number;
  seed?: number;
  /** The faults' strength is drawn log-uniformly from this, in standard deviations of a sensor. */
  strength?: readonly [number, number];
  /** Rows that a fault lasts. */
  lasts?: readonly [number, number];
  /** Of the sensors; those behind the eighth are further ones of the same kinds. */
  sensors?: number;
}

export function buildValveRuns(options: ValveOptions = {}): ValveRun[] {
  const { runs = 24, seed = 0 } = options;
  return Array.from({ length: runs }, (_, k) => buildRun(`valve-${k}`, seededRandom(hash(`valve ${k} ${seed}`)), options));
}

function buildRun(name: string, random: Random, { strength = STRENGTH, lasts = [280, 480], sensors = VALVE_SENSORS.length }: ValveOptions): ValveRun {
  const start = Math.round(uniform(random, 430, 650));
  const end = Math.min(ROWS - 40, start + Math.round(uniform(random, lasts[0], lasts[1])));
  const faulty = new Uint8Array(ROWS).fill(1, start, end);
  const faultShape = courseOf(start, end, random);
  const wander = autoregressiveNoise(random, ROWS, 0.99);
  const metrics = Array.from({ length: sensors }, (_, s) => (s < VALVE_SENSORS.length ? VALVE_SENSORS[s] : `${VALVE_SENSORS[s % VALVE_SENSORS.length]}_${s}`));
  const touched = touchedSensors(random, sensors, strength);
  const values = metrics.map((sensor, s) => sensorValues(sensor, touched.get(s), faultShape, wander, random));
  const timestampMs = new Float64Array(ROWS);
  for (let t = 0, beat = 0; t < ROWS; t++, beat += chance(random, 0.02) ? 2 : 1) timestampMs[t] = START_MS + beat * 1000;
  return { input: { device: name, metrics, timestampMs, values }, faulty };
}

interface Effect {
  /** In standard deviations of the sensor. */
  level: number;
  /** Factor on its noise. */
  variance: number;
  /** What is left of its coupling to the others. */
  coupling: number;
}

/** Two to five sensors change, strongly or weakly. */
function touchedSensors(random: Random, sensors: number, [weakest, strongest]: readonly [number, number]): Map<number, Effect> {
  const order = Array.from({ length: sensors }, (_, s) => ({ s, key: random() })).sort((a, b) => a.key - b.key).map(({ s }) => s);
  const strength = logUniform(random, weakest, strongest);
  return new Map(order.slice(0, pick(random, [2, 3, 4, 5])).map((s) => [s, {
    level: strength * gaussian(random),
    variance: chance(random, 0.4) ? logUniform(random, 0.4, 3) : 1,
    coupling: chance(random, 0.5) ? uniform(random, -0.5, 0.5) : 1,
  }]));
}

/** 0 to 1: sudden, or closing in steps; back at once or slowly. */
function courseOf(start: number, end: number, random: Random): Float64Array {
  const rise = pick(random, [1, 5, 60, 120]);
  const fall = pick(random, [1, 5, 30]);
  return Float64Array.from({ length: ROWS }, (_, t) => Math.max(0, Math.min(1, (t - start + 1) / rise, (end - t) / fall)));
}

function sensorValues(sensor: string, effect: Effect | undefined, course: Float64Array, wander: Float64Array, random: Random): Float64Array {
  const slow = sensor.includes('temperature');
  const own = autoregressiveNoise(random, ROWS, slow ? 0.98 : pick(random, [0, 0, 0.3, 0.6]));
  const coupling = uniform(random, 0.1, 0.6) * (chance(random, 0.5) ? 1 : -1);
  const trend = slow ? gaussian(random) * 0.004 : 0;
  const scale = logUniform(random, 0.01, 10);
  const offset = uniform(random, 1, 100) * scale;
  const step = chance(random, 0.4) ? uniform(random, 0.1, 1) : 0;
  return Float64Array.from({ length: ROWS }, (_, t) => {
    const f = course[t];
    const noise = own[t] * (1 + ((effect?.variance ?? 1) - 1) * f) * Math.sqrt(1 - coupling * coupling);
    const shared = coupling * wander[t] * (1 + ((effect?.coupling ?? 1) - 1) * f);
    const x = noise + shared + trend * t + (effect?.level ?? 0) * f;
    return offset + scale * (step > 0 ? Math.round(x / step) * step : x);
  });
}

/**
 * The state head that was measured on the real test bench (F1 .81 where always on gives .70), as a yardstick for these runs: EW-10 minus EW-100 in its
 * spread at the clean start, root mean square over the sensors, on at 1.5 x the 99th percentile of the clean start, off below .8 of that, the slow mean still in between.
 */
export function referenceHead(values: readonly Float64Array[]): Uint8Array {
  const flags = new Uint8Array(ROWS);
  const [fast, slow, spread] = [0, 0, 0].map(() => new Float64Array(values.length));
  const start: number[] = [];
  let on = Infinity;
  for (let t = 0; t < ROWS; t++) {
    const open = t > 0 && flags[t - 1] === 1;
    let sum = 0;
    values.forEach((x, s) => {
      fast[s] += Math.max(1 / (t + 1), 0.1) * (x[t] - fast[s]);
      if (!open) slow[s] += Math.max(1 / (t + 1), 0.01) * (x[t] - slow[s]);
      const off = fast[s] - slow[s];
      if (t >= 20 && t < CLEAN_ROWS) spread[s] += (off * off - spread[s]) / (t - 19);
      if (spread[s] > 0) sum += (off * off) / spread[s];
    });
    const r = Math.sqrt(sum / values.length);
    if (t >= 100 && t < CLEAN_ROWS) start.push(r);
    if (t === CLEAN_ROWS) on = 1.5 * start.sort((a, b) => a - b)[Math.floor(0.99 * start.length)];
    if (t >= CLEAN_ROWS) flags[t] = r > (open ? 0.8 * on : on) ? 1 : 0;
  }
  return flags;
}

export interface ValveReport {
  runs: number;
  /** Of the `*` row's in_event, over the rows behind the clean start of all runs. */
  f1: number;
  precision: number;
  recall: number;
  /** The same for a detector that always alarms: the share of faulty rows decides it. */
  f1AllOnes: number;
  /** The same for the reference head. */
  f1Reference: number;
  /** Of the clean start. */
  falseShareInCleanStart: number;
  /** Faults in which an event was open at all, and events that opened during faults, a fault caught. */
  caught: number;
  eventsPerFault: number;
  perRun: { name: string; f1: number }[];
}

export async function evaluateValve(make: MakeDetector, options: ValveOptions = {}): Promise<ValveReport> {
  const built = buildValveRuns(options);
  const [counts, always, reference] = [none(), none(), none()];
  let early = 0;
  let caught = 0;
  let during = 0;
  const perRun: ValveReport['perRun'] = [];
  for (const { input, faulty } of built) {
    // By itself, as a backtest of a file would: each run is another fleet.
    const [output] = await runDetector(make, [input]);
    const flag = output.whole?.inEvent ?? output.series[0].inEvent;
    const one = compare(flag, faulty, CLEAN_ROWS);
    add(counts, one);
    add(reference, compare(referenceHead(input.values), faulty, CLEAN_ROWS));
    add(always, compareAlwaysOn(faulty, CLEAN_ROWS));
    if (one.hit > 0) caught++;
    during += output.events.filter((event) => faulty[input.timestampMs.indexOf(event.openedMs)] === 1).length;
    for (let row = 0; row < CLEAN_ROWS; row++) early += flag[row];
    perRun.push({ name: input.device, f1: f1(one) });
  }
  return {
    runs: built.length, f1: f1(counts),
    precision: precision(counts), recall: recall(counts),
    f1AllOnes: f1(always), f1Reference: f1(reference),
    caught: caught / built.length, eventsPerFault: during / Math.max(1, caught),
    falseShareInCleanStart: early / (CLEAN_ROWS * built.length), perRun,
  };
}

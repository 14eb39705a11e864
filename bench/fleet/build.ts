import type { Random } from '../../core/random.js';
import { seededRandom } from '../../core/random.js';
import { chance, logUniform, pick } from '../../model/train/generator/draws.js';
import { FAMILIES, generateSeries } from '../../model/train/generator/index.js';
import type { FamilyName } from '../../model/train/generator/index.js';
import { drawTimes } from '../../model/train/generator/sampling.js';
import type { BenchFamily, FamilyGroup } from './families.js';
import { DEVELOPMENT_FAMILIES, HELD_BACK_FAMILIES } from './families.js';
import type { Difficulty, Fault, FaultKind, Texture } from './faults.js';
import { DIFFICULTIES, FAULT_KINDS, MOST_AHEAD, MOST_CYCLE_READINGS, faultFrom, faultRows, injectFault, isVisible, textureOf } from './faults.js';

/** A series of the benchmark, with the faults that were put into it (none in a clean one). */
export interface FleetSeries {
  name: string;
  family: string;
  group: FamilyGroup;
  periodS: number;
  timestampMs: Float64Array;
  values: Float64Array;
  faults: Fault[];
}

export interface FleetOptions {
  /** `development`: the trainer's families and those known while developing. `held_back`: other seeds, and also the families held back. */
  split?: 'development' | 'held_back';
  seriesPerFamily?: number;
  /** Added to the split's own seed. */
  seed?: number;
  minReadings?: number;
  maxReadings?: number;
  /** False: clean series, for false alarms. */
  faults?: boolean;
  /** Only these families. */
  families?: readonly string[];
  /** Only series that are read this often. */
  periodsS?: readonly number[];
}

const SPLIT_SEED = { development: 0x51ee7, held_back: 0xb1d5 };
/** Rows around a fault that are free of other faults, so that each detection has one cause. */
const CLEARANCE_ROWS = 120;
const MOST_FAULTS = 6;
/** Another place or kind is tried where a fault would not show (a cycle missed on a day off, a fall of what is 0 already). */
const PLACE_ATTEMPTS = 5;
/** Rows that are made behind a series' end: after a change of phase it goes on with what would have come later. */
const SPARE_ROWS = MOST_FAULTS * Math.ceil(MOST_AHEAD * MOST_CYCLE_READINGS);
/** Nothing is judged before: a detector may warm up. */
export const JUDGED_FROM_ROW = 150;

interface Source {
  name: string;
  group: FamilyGroup;
  make(random: Random, readings: number): { periodS: number; timestampMs: Float64Array; values: Float64Array };
}

function sources(split: 'development' | 'held_back'): Source[] {
  const own = (group: FamilyGroup, table: Record<string, BenchFamily>): Source[] => Object.entries(table).map(([name, family]) => (
    { name, group, make: (random, readings) => makeOwn(family, random, readings) }
  ));
  return [
    ...FAMILIES.map((name): Source => ({ name, group: 'trained', make: (random, readings) => makeTrained(name, random, readings) })),
    ...own('development', DEVELOPMENT_FAMILIES),
    ...(split === 'held_back' ? own('held_back', HELD_BACK_FAMILIES) : []),
  ];
}

function makeTrained(name: FamilyName, random: Random, readings: number): ReturnType<Source['make']> {
  const periodS = pick(random, [10, 60, 300, 600, 1800]);
  const made = generateSeries(name, random, { length: readings, periodS });
  return { periodS, timestampMs: made.timestampMs, values: made.value };
}

function makeOwn(family: BenchFamily, random: Random, readings: number): ReturnType<Source['make']> {
  const periodS = pick(random, family.periodsS);
  const timestampMs = drawTimes(random, { length: readings, periodS, irregular: chance(random, 0.3) });
  const seconds = timestampMs.map((ms) => ms / 1000);
  return { periodS, timestampMs, values: family.make({ random, n: readings, seconds, periodS }) };
}

/** The benchmark's series, the same for the same options. Each series has its own seed: leaving a family out changes no other. */
export function buildFleet(options: FleetOptions = {}): FleetSeries[] {
  const split = options.split ?? 'development';
  const perFamily = options.seriesPerFamily ?? 6;
  const used = new Map<string, number>();
  const fleet: FleetSeries[] = [];
  for (const source of sources(split)) {
    if (options.families && !options.families.includes(source.name)) continue;
    for (let k = 0; k < perFamily; k++) {
      const random = seededRandom(hash(`${source.name} ${k} ${SPLIT_SEED[split] + (options.seed ?? 0)}`));
      const readings = Math.round(logUniform(random, options.minReadings ?? 500, options.maxReadings ?? 16_000));
      const { periodS, timestampMs, values } = source.make(random, readings + SPARE_ROWS);
      if (options.periodsS && !options.periodsS.includes(periodS)) continue;
      const faults = options.faults === false ? [] : placeFaults(values, readings, used, random);
      fleet.push({
        name: `${source.name}-${k}`, family: source.name, group: source.group, periodS,
        timestampMs: timestampMs.slice(0, readings), values: values.slice(0, readings), faults,
      });
    }
  }
  return fleet;
}

/** Puts one fault into every stretch of the series' first `rows`, up to six, of the kinds that are the rarest in the fleet so far. */
function placeFaults(values: Float64Array, rows: number, used: Map<string, number>, random: Random): Fault[] {
  const texture = textureOf(values.subarray(0, rows));
  const from = Math.max(JUDGED_FROM_ROW, Math.round(rows * 0.1));
  const count = Math.min(MOST_FAULTS, 1 + Math.floor(rows / 1000));
  const stretch = (rows - from) / count;
  const faults: Fault[] = [];
  for (let k = 0; k < count; k++) {
    const low = Math.round(from + k * stretch);
    for (let attempt = 0; attempt < PLACE_ATTEMPTS; attempt++) {
      const fault = placeFault(texture, low, Math.round(low + stretch) - CLEARANCE_ROWS, used, random);
      if (!fault) break;
      const faulty = Float64Array.from(values);
      injectFault(faulty, fault, texture, random);
      if (!isVisible(values, faulty, fault, texture)) continue;
      values.set(faulty);
      faults.push(fault);
      const key = `${fault.kind} ${fault.difficulty}`;
      used.set(key, (used.get(key) ?? 0) + 1);
      break;
    }
  }
  return faults;
}

function placeFault(texture: Texture, low: number, high: number, used: Map<string, number>, random: Random): Fault | undefined {
  const rarity = (kind: FaultKind, difficulty: Difficulty): number => used.get(`${kind} ${difficulty}`) ?? 0;
  const choices = FAULT_KINDS.flatMap((kind) => DIFFICULTIES.map((difficulty) => ({ kind, difficulty, order: rarity(kind, difficulty) + 0.5 * random() })))
    .sort((a, b) => a.order - b.order);
  for (const { kind, difficulty } of choices) {
    const rows = faultRows(kind, texture, difficulty, random);
    const first = Math.max(low, Math.ceil(faultFrom(kind, texture)));
    if (rows === 0 || first + rows > high) continue;
    const start = first + Math.floor(random() * (high - first - rows + 1));
    return { kind, difficulty, start, end: start + rows - 1 };
  }
  return undefined;
}

/** FNV-1a. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

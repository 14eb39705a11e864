import type { Random } from '../../core/random.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { exponential, poisson } from '../../model/train/generator/draws.js';
import type { MakeDetector } from '../harness.js';
import { runDetector } from '../harness.js';
import { hash } from './build.js';
import { TAIL_ROWS } from './judge.js';

/**
 * Weeks of things that people know, none of which is broken: what is an alarm there is one too many. Weekends, night jobs and things that are done every other day are
 * what the families of the generated fleet hardly have.
 */

const DAY_MS = 86_400_000;
/** A Monday. */
const START_MS = Date.UTC(2024, 0, 1);
/** The weeks in which a series shows what it does. */
export const FIRST_WEEKS = 3;

/** A reading, drawn in the order of time: hour of the day, day of the week (0 is Monday), day. */
export type Reading = (hour: number, weekday: number, day: number) => number;
export type Kind = (random: Random, periodS: number) => Reading;

const SERIES: Record<string, Kind> = {
  /** Temperature of an office: warm on workdays, set back at night and at weekends. */
  'office, °C': (random) => {
    const weather = autoregression(random, 0.998);
    const start = 6 + random();
    let air = 18;
    return (hour, weekday) => {
      air += 0.04 * ((weekday < 5 && hour > start && hour < 18 ? 21.5 : 17) - air) + 0.004 * weather();
      return Math.round(10 * (air + 0.3 * weather() + 0.05 * gaussian(random))) / 10;
    };
  },
  /** Power of a machine in two shifts with two breaks, five days a week. */
  'shifts, kW': (random) => {
    const jitter = daily(() => 0.1 * gaussian(random));
    return (hour, weekday, day) => {
      const on = weekday < 5 && hour > 6 + jitter(day) && hour < 22 + jitter(day);
      const pause = Math.abs(hour - 10) < 0.15 || Math.abs(hour - 18) < 0.25;
      return on ? (pause ? 3 : 11 + gaussian(random)) : 1.2 + 0.05 * gaussian(random);
    };
  },
  /** A server: busy on workdays, a backup every night, a long one on Sundays. */
  'server, % CPU': (random) => {
    const backup = daily(() => 0.5 + 0.4 * random());
    return (hour, weekday, day) => {
      const works = hour >= 2 && hour < 2 + (weekday === 6 ? 2.5 : 0) + backup(day);
      const use = works ? 75 + 5 * gaussian(random) : weekday < 5 && hour > 8 && hour < 18 ? 30 + 8 * gaussian(random) : 6 + 2 * gaussian(random);
      return Math.min(100, Math.max(0, use));
    };
  },
  /** Water drawn in a house: mornings, evenings, nothing at night. */
  'water, l': (random) => (hour, weekday) => {
    const peaks = bell(hour, weekday > 4 ? 8.5 : 7, 0.8) + 0.8 * bell(hour, 19.5, 1.4) + (hour > 8 && hour < 22 ? 0.3 : 0);
    return random() < 0.8 * peaks ? Math.round(10 * exponential(random, 12)) / 10 : 0;
  },
  /** Trips of an elevator. */
  'elevator, trips': (random) => (hour, weekday) => poisson(random, (weekday < 5 ? 1 : 0.25) * (8 * bell(hour, 8.5, 1) + 6 * bell(hour, 12.5, 1) + 7 * bell(hour, 17.5, 1)) + 0.05),
  /** A street light, from dusk to dawn, which come earlier and later by and by. */
  'street light, W': (random) => {
    const jitter = daily(() => 0.1 * gaussian(random));
    return (hour, _weekday, day) => (hour > 17 - 0.03 * day + jitter(day) || hour < 7 + 0.03 * day + jitter(day) ? 58 + 0.6 * gaussian(random) : 0.4 + 0.02 * gaussian(random));
  },
  /** Irrigation, for forty minutes every other day. */
  'irrigation, l/min': (random) => (hour, _weekday, day) => (day % 2 === 0 && hour >= 5 && hour < 5.7 ? 18 + 0.4 * gaussian(random) : 0),
  /** A boiler between two marks, heated further for an hour and a half on Sundays. */
  'boiler, °C': (random) => {
    let water = 55;
    let heats = false;
    return (hour, weekday) => {
      const hot = weekday === 6 && hour >= 3 && hour < 4.5;
      if (water < (hot ? 69 : 52)) heats = true;
      if (water > (hot ? 71 : 58)) heats = false;
      water += heats ? 1.6 : -0.35 - (random() < 0.1 ? 2 * random() : 0);
      return water + 0.1 * gaussian(random);
    };
  },
  /** Air of a meeting room, on workdays. */
  'meeting room, ppm': (random) => {
    let air = 420;
    let used = false;
    let left = 0;
    return (hour, weekday) => {
      if (left-- <= 0) {
        used = !used && weekday < 5 && hour > 8 && hour < 17 && random() < 0.5;
        left = 3 + Math.floor(6 * random());
      }
      air += used ? 0.12 * (1100 - air) : 0.08 * (420 - air);
      return Math.round(air + 4 * gaussian(random));
    };
  },
  /** A solar panel under clouds. */
  'solar panel, W': (random) => {
    const weather = autoregression(random, 0.995);
    const clouds = autoregression(random, 0.9);
    return (hour) => {
      const sun = Math.abs(hour - 13) < 6 ? Math.cos(((hour - 13) / 6) * (Math.PI / 2)) : 0;
      return 4000 * sun * (1 - 0.45 * Math.min(1, Math.max(0, 0.5 + 0.5 * weather() + 0.4 * clouds())));
    };
  },
  /** A batch process of four steps, day and night. */
  'batch, °C': (random) => {
    let left = 40;
    let step = 0;
    return () => {
      if (left-- <= 0) {
        step = (step + 1) % 4;
        left = [30, 12, 20, 8][step] * (1 + 0.15 * gaussian(random)) + 1;
      }
      return [20, 80, 95, 45][step] + 1.2 * gaussian(random);
    };
  },
  /** Outdoor temperature. */
  'outdoors, °C': (random) => {
    const weather = autoregression(random, 0.9985);
    return (hour, _weekday, day) => 8 + 0.05 * day + 4 * Math.cos(((hour - 15) / 12) * Math.PI) + 3.5 * weather() + 0.15 * gaussian(random);
  },
  /** A gate: open or not. */
  'gate, 0/1': (random) => {
    let open = 0;
    return (hour, weekday) => {
      if (open > 0) open--;
      else if (random() < (weekday < 6 && hour > 6 && hour < 20 ? 0.06 : 0.002)) open = 1 + Math.floor(3 * random());
      return open > 0 ? 1 : 0;
    };
  },
};

export function autoregression(random: Random, keep: number): () => number {
  let x = 0;
  return () => (x = keep * x + Math.sqrt(1 - keep * keep) * gaussian(random));
}

/** A number that is drawn anew each day. */
export function daily(draw: () => number): (day: number) => number {
  let of = -1;
  let drawn = 0;
  return (day) => {
    if (day !== of) drawn = draw();
    of = day;
    return drawn;
  };
}

export function bell(hour: number, middle: number, width: number): number {
  return Math.exp(-((hour - middle) ** 2) / (2 * width * width));
}

/** Faults that are put into such a series when it has shown what it does: what is known of a week must not hide them. */
const WEEK_FAULTS = ['spike', 'shift', 'stuck', 'burst', 'drift', 'rest', 'stays'] as const;
export type WeekFault = (typeof WEEK_FAULTS)[number];
const FAULT_DAYS: Record<WeekFault, number> = { spike: 0, shift: 1 / 4, stuck: 1, burst: 1 / 8, drift: 1 / 2, rest: 1, stays: 2 };

/** Puts a fault into rows `start` on, in place; returns the row behind it. Sizes are in ranges of what was before: `rest` and `stays` are the lowest and the highest of it. */
function putFault(values: Float64Array, kind: WeekFault, start: number, rowsADay: number, random: Random): number {
  const before = values.slice(0, start).sort();
  const low = before[Math.floor(0.02 * start)];
  const high = before[Math.floor(0.98 * start)];
  const size = (high > low ? high - low : 1) * (random() < 0.5 ? -1 : 1);
  const rows = Math.max(1, Math.round(FAULT_DAYS[kind] * rowsADay));
  const held = values[start - 1];
  for (let k = 0; k < rows; k++) {
    const row = start + k;
    if (kind === 'spike') values[row] += 0.8 * size;
    else if (kind === 'shift') values[row] += 0.5 * size;
    else if (kind === 'drift') values[row] += (0.9 * size * k) / rows;
    else if (kind === 'burst') values[row] += 0.35 * size * gaussian(random);
    else values[row] = kind === 'stuck' ? held : kind === 'rest' ? low : high;
  }
  return start + rows;
}

export interface WeeksOptions {
  /** Things that people know (a walk through a week), where left out. */
  things?: Record<string, Kind>;
  seed?: number;
  /** Series of each kind. */
  series?: number;
  weeks?: number;
  periodS?: number;
}

export interface WeeksReport {
  periodS: number;
  weeks: number;
  /** Events that opened, a series and week: in the first weeks, and after them; and the share of the time after them that was in one. */
  byKind: { kind: string; first: number; later: number; inEvent: number }[];
  first: number;
  later: number;
  inEvent: number;
  faults: Record<WeekFault, FaultsTold>;
}

/** Of the faults put into the week before the last. */
export interface FaultsTold {
  /** Share that a reading from their start to some rows after their end tells. */
  told: number;
  /** Of these, share of the rows from that one to their end that are in an event. */
  held: number;
  /** Of these, share of which no event is open from half a day to a day after their end. */
  over: number;
}

interface WeeksRun {
  timestampMs: Float64Array;
  rowsADay: number;
  periodS: number;
  things: Record<string, Kind>;
  kinds: { kind: string; name: string }[];
  make: MakeDetector;
  seed: number;
}

export async function evaluateWeeks(make: MakeDetector, { things = SERIES, seed = 0, series = 3, weeks = 10, periodS = 600 }: WeeksOptions = {}): Promise<WeeksReport> {
  const rowsADay = Math.round(DAY_MS / 1000 / periodS);
  const timestampMs = Float64Array.from({ length: 7 * weeks * rowsADay }, (_, row) => START_MS + 1000 * periodS * row);
  const kinds = Object.keys(things).flatMap((kind) => Array.from({ length: series }, (_, k) => ({ kind, name: `${kind} ${k}` })));
  const run: WeeksRun = { timestampMs, rowsADay, periodS, things, kinds, make, seed };
  const outputs = await runDetector(make, kinds.map(({ kind, name }) => ({ device: name, metrics: ['value'], timestampMs, values: [valuesOf(run, kind, name)] })));
  const start = START_MS + FIRST_WEEKS * 7 * DAY_MS;
  const byKind = Object.keys(things).map((kind) => {
    const own = outputs.filter((_, i) => kinds[i].kind === kind);
    const first = mean(own, ({ events }) => events.filter((event) => event.openedMs < start).length) / FIRST_WEEKS;
    const later = mean(own, ({ events }) => events.filter((event) => event.openedMs >= start).length) / (weeks - FIRST_WEEKS);
    const inEvent = mean(own, ({ series: [{ inEvent: flags }] }) => mean([...flags.subarray(FIRST_WEEKS * 7 * rowsADay)], (flag) => flag));
    return { kind, first, later, inEvent };
  });
  const faults = {} as Record<WeekFault, FaultsTold>;
  for (const fault of WEEK_FAULTS) faults[fault] = await toldOf(run, fault, weeks);
  return { periodS, weeks, byKind, first: mean(byKind, (one) => one.first), later: mean(byKind, (one) => one.later), inEvent: mean(byKind, (one) => one.inEvent), faults };
}

function valuesOf({ timestampMs, rowsADay, periodS, things, seed }: WeeksRun, kind: string, name: string): Float64Array {
  return drawWeeks(things[kind](seededRandom(hash(`${name} ${seed}`)), periodS), timestampMs.length, rowsADay);
}

/** Its first readings, from the midnight that a Monday begins with. */
export function drawWeeks(read: Reading, rows: number, rowsADay: number): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => read((24 * (row % rowsADay)) / rowsADay, Math.floor(row / rowsADay) % 7, Math.floor(row / rowsADay)));
}

async function toldOf(run: WeeksRun, fault: WeekFault, weeks: number): Promise<FaultsTold> {
  const places: [number, number][] = [];
  const outputs = await runDetector(run.make, run.kinds.map(({ kind, name }) => {
    const random = seededRandom(hash(`${fault} ${name} ${run.seed}`));
    const values = valuesOf(run, kind, name);
    const start = Math.floor((7 * (weeks - 2) + 5 * random()) * run.rowsADay);
    places.push([start, putFault(values, fault, start, run.rowsADay, random)]);
    return { device: name, metrics: ['value'], timestampMs: run.timestampMs, values: [values] };
  }));
  const told = outputs.flatMap(({ series: [{ score, inEvent }] }, i) => {
    const [start, end] = places[i];
    const first = score.subarray(start, end + TAIL_ROWS).findIndex((one) => one > 1);
    if (first < 0) return [];
    const during = inEvent.subarray(Math.min(start + first, end - 1), end);
    return [{ held: mean([...during], (flag) => flag), over: inEvent.subarray(end + run.rowsADay / 2, end + run.rowsADay).some((flag) => flag > 0) ? 0 : 1 }];
  });
  return { told: told.length / outputs.length, held: mean(told, (one) => one.held), over: mean(told, (one) => one.over) };
}

function mean<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((sum, one) => sum + of(one), 0) / list.length;
}

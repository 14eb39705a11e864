import { gaussian, seededRandom } from '../../core/random.js';

/**
 * Situations that every fleet meets and that must not alarm (or must alarm as long as they last): reusable in tests of the detector.
 * Each is a series with rows to look at; times are UTC, values are a made-up sensor of about unit noise unless said otherwise.
 */
export interface Scenario {
  name: string;
  timestampMs: Float64Array;
  values: Float64Array;
  /** Rows of interest, by what they are. */
  marks: Record<string, number>;
}

export interface ScenarioOptions {
  seed?: number;
  periodMs?: number;
}

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2024, 2, 1);

/** A day's rhythm that follows local time: at `marks.change` the clocks go forward by an hour and the rhythm comes an hour earlier (UTC). */
export function daylightSaving({ seed = 1, periodMs = 600_000 }: ScenarioOptions = {}): Scenario {
  const days = 42;
  const change = Math.round((30 * DAY_MS) / periodMs);
  return build('daylight saving', Math.round((days * DAY_MS) / periodMs), periodMs, seed, { change }, (t, atMs, noise) => (
    50 + 20 * dayShape(atMs + (t >= change ? 3_600_000 : 0)) + noise
  ));
}

/** A quiet series with a job at six every morning that lifts it for one reading: `marks.first` is the first such reading, then one a day. */
export function dailySpike({ seed = 2, periodMs = 600_000 }: ScenarioOptions = {}): Scenario {
  const perDay = Math.round(DAY_MS / periodMs);
  const first = 4 * perDay + Math.round(perDay / 4);
  return build('spike at six', 30 * perDay, periodMs, seed, { first, perDay }, (t, _atMs, noise) => (
    20 + noise + (t >= first && (t - first) % perDay === 0 ? 40 : 0)
  ));
}

/** The series pauses for `hours` before `marks.resume` and goes on as if nothing had happened. */
export function gap({ seed = 3, periodMs = 600_000, hours = 30 }: ScenarioOptions & { hours?: number } = {}): Scenario {
  const rows = Math.round((21 * DAY_MS) / periodMs);
  const resume = Math.round(rows * 0.6);
  const scenario = build('gap', rows, periodMs, seed, { resume }, (t, atMs, noise) => 50 + 20 * dayShape(atMs + (t >= resume ? hours * 3_600_000 : 0)) + noise);
  for (let t = resume; t < rows; t++) scenario.timestampMs[t] += hours * 3_600_000;
  return scenario;
}

/** A device that is away for three weeks and comes back a little elsewhere (two noise deviations): `marks.resume`. */
export function returningDevice({ seed = 4, periodMs = 600_000 }: ScenarioOptions = {}): Scenario {
  const rows = Math.round((28 * DAY_MS) / periodMs);
  const resume = rows >> 1;
  const away = 21 * DAY_MS;
  const scenario = build('returning device', rows, periodMs, seed, { resume }, (t, atMs, noise) => 50 + 10 * dayShape(atMs + (t >= resume ? away : 0)) + noise + (t >= resume ? 2 : 0));
  for (let t = resume; t < rows; t++) scenario.timestampMs[t] += away;
  return scenario;
}

/** The level jumps by ten deviations at `marks.start` and stays: the fault must still be open at the end, ten adaptation times on. */
export function persistentShift({ seed = 5, periodMs = 60_000, adaptationReadings = 512 }: ScenarioOptions & { adaptationReadings?: number } = {}): Scenario {
  const start = 1500;
  return build('persistent shift', start + 10 * adaptationReadings + 500, periodMs, seed, { start }, (t, _atMs, noise) => 20 + noise + (t >= start ? 10 : 0));
}

/** The level jumps by ten deviations at `marks.start` and returns at `marks.end`. */
export function passingShift({ seed = 6, periodMs = 60_000, readings = 200 }: ScenarioOptions & { readings?: number } = {}): Scenario {
  const start = 1500;
  return build('passing shift', start + readings + 1000, periodMs, seed, { start, end: start + readings }, (t, _atMs, noise) => (
    20 + noise + (t >= start && t < start + readings ? 10 : 0)
  ));
}

/** Equal values from `marks.start` on, on a series that is never still. */
export function stuckSensor({ seed = 7, periodMs = 60_000, readings = 300 }: ScenarioOptions & { readings?: number } = {}): Scenario {
  const start = 1200;
  const scenario = build('stuck sensor', start + readings + 300, periodMs, seed, { start, end: start + readings }, (_t, atMs, noise) => 20 + 5 * dayShape(atMs) + noise);
  scenario.values.fill(scenario.values[start - 1], start, start + readings);
  return scenario;
}

/** The device stops at `marks.last` (its last reading); another series would have to go on for time to pass. */
export function silence({ seed = 8, periodMs = 60_000 }: ScenarioOptions = {}): Scenario {
  return build('silence', 1000, periodMs, seed, { last: 999 }, (_t, _atMs, noise) => 20 + noise);
}

/** Single readings of a sensor's error codes among good ones, at `marks.zero`, `marks.minus127`, `marks.eightyFive`, `marks.sixteenBits`. */
export function impossibleValues({ seed = 9, periodMs = 60_000 }: ScenarioOptions = {}): Scenario {
  const marks = { zero: 800, minus127: 1000, eightyFive: 1200, sixteenBits: 1400 };
  const scenario = build('impossible values', 1600, periodMs, seed, marks, (_t, _atMs, noise) => 21.5 + 0.3 * noise);
  scenario.values[marks.zero] = 0;
  scenario.values[marks.minus127] = -127;
  scenario.values[marks.eightyFive] = 85;
  scenario.values[marks.sixteenBits] = 65_535;
  return scenario;
}

/** Scenarios that must raise no alarm around their mark, with the mark's name. */
export const QUIET_SCENARIOS: readonly { make: (options?: ScenarioOptions) => Scenario; mark: string }[] = [
  { make: gap, mark: 'resume' },
  { make: returningDevice, mark: 'resume' },
];

function dayShape(atMs: number): number {
  const turn = (2 * Math.PI * (atMs % DAY_MS)) / DAY_MS;
  return Math.sin(turn) + 0.3 * Math.sin(2 * turn + 1);
}

function build(name: string, rows: number, periodMs: number, seed: number, marks: Record<string, number>,
  valueAt: (t: number, atMs: number, noise: number) => number): Scenario {
  const random = seededRandom(seed);
  const timestampMs = Float64Array.from({ length: rows }, (_, t) => START_MS + t * periodMs);
  return { name, timestampMs, values: timestampMs.map((atMs, t) => valueAt(t, atMs, gaussian(random))), marks };
}

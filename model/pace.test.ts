import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../core/random.js';
import { Pace, PACE_WORDS } from './pace.js';
import { DEFAULT_TUNING } from './tuning.js';

interface Reading {
  value: number;
  missing?: number;
  tick?: number;
  learning?: boolean;
}

/** Highs and lows of so many readings, in turn, a low one first; `edit` changes a length. */
function pulses(count: number, low: number, high: number, { jitter = 0, edit = (_: number, length: number): number => length } = {}): { readings: Reading[]; starts: number[] } {
  const random = seededRandom(3);
  const readings: Reading[] = [];
  const starts: number[] = [];
  for (let k = 0; k < count; k++) {
    starts.push(readings.length);
    const usual = Math.max(1, Math.round((k % 2 ? high : low) * Math.exp(jitter * gaussian(random))));
    for (let i = edit(k, usual); i > 0; i--) readings.push({ value: k % 2 ? 1 : -1 });
  }
  return { readings, starts };
}

function run(readings: readonly Reading[]): number[] {
  const { buffer } = new Float32Array(PACE_WORDS);
  const pace = new Pace(DEFAULT_TUNING.pace, DEFAULT_TUNING.paceUsual);
  pace.select(new Float32Array(buffer), new Int32Array(buffer), 0);
  pace.bound(-1, 1);
  return readings.map(({ value, tick = 0, missing = 0, learning = true }) => {
    pace.step(value, tick, missing, learning);
    return pace.finding.excess;
  });
}

describe('the pace', () => {
  it('has nothing to say of regular pulses, also where their length changes by and by', () => {
    expect(Math.max(...run(pulses(60, 30, 12, { jitter: 0.05 }).readings))).toBeLessThan(1);
    expect(Math.max(...run(pulses(60, 30, 12, { edit: (k, length) => Math.round(length * (1 + 0.4 * Math.sin(k / 12))) }).readings))).toBeLessThan(1);
  });

  it('tells of a pulse that is too short when it ends', () => {
    const { readings, starts } = pulses(40, 30, 12, { jitter: 0.05, edit: (k, length) => (k === 31 ? 5 : length) });
    const excess = run(readings);
    expect(excess[starts[32]]).toBeGreaterThan(1.3);
    expect(excess.filter((x) => x > 1)).toHaveLength(1);
  });

  it('tells of a pulse that does not come as soon as it is due', () => {
    const { readings, starts } = pulses(40, 30, 12, { edit: (k, length) => (k === 30 ? 2 * length + 12 : length) });
    const told = run(readings).findIndex((x) => x >= 1);
    expect(told - starts[30]).toBeGreaterThan(30);
    expect(told - starts[30]).toBeLessThan(50);
  });

  it('has nothing to say of a pause as long as a week before it, at the same time of the week, whatever came of the first', () => {
    const WEEK_TICKS = 7 * 256;
    // Three pauses and three pulses a day; every Sunday's second pause goes on for two times.
    const long = (weeks: readonly number[]): number[] => {
      const { readings } = pulses(6 * 7 * 6, 30, 12, { edit: (k, length) => (k % 42 === 38 && weeks.includes(Math.floor(k / 42)) ? 72 : length) });
      let tick = 0;
      return run(readings.map((one) => ({ ...one, tick: Math.floor((tick += WEEK_TICKS / 882)), learning: false })).map((one, t) => ({ ...one, learning: t < 882 * 3 })));
    };
    const usual = long([]).filter((x) => x > 1);
    expect(usual).toHaveLength(0);
    expect(long([3]).filter((x) => x > 1).length).toBeGreaterThan(0);
  });

  it('has nothing to say where times are as they come', () => {
    const { readings } = pulses(200, 30, 12, { jitter: 0.9 });
    expect(Math.max(...run(readings))).toBeLessThan(1);
  });

  it('does not judge by its end a time that a gap or an event has touched', () => {
    const { readings, starts } = pulses(40, 30, 12, { edit: (k, length) => (k === 30 ? 8 : length) });
    expect(run(readings)[starts[31]]).toBeGreaterThan(1);
    for (const touched of [{ missing: 40 }, { learning: false }]) {
      const edited = readings.map((one, t) => (t === starts[30] + 3 ? { ...one, ...touched } : one));
      expect(Math.max(...run(edited))).toBeLessThan(1);
    }
  });

  it('does not judge a time that began in a gap', () => {
    const { readings, starts } = pulses(40, 30, 12);
    const missed = 8; // of the twelve of a high time, its beginning among them
    const edited = readings.flatMap((one, t) => (t >= starts[31] && t < starts[31] + missed ? [] : t === starts[31] + missed ? [{ ...one, missing: missed }] : [one]));
    expect(Math.max(...run(edited))).toBeLessThan(1);
  });

  it('does not hold a time against a kind of which none was seen as a whole', () => {
    const { readings, starts } = pulses(60, 30, 12);
    const inLow = new Set(starts.filter((_, k) => k % 2 === 0).map((start) => start + 10));
    expect(Math.max(...run(readings.map((one, t) => (inLow.has(t) ? { ...one, missing: 20 } : one))))).toBeLessThan(1);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../core/random.js';
import { DAY_TICKS } from './calendar.js';
import { Clock, CLOCK_WORDS } from './clock.js';

/** Readings a day, one every five minutes; edges must last for half an hour. */
const DAY = 288;
const LASTING = 6;
const HOUR = DAY / 24;

interface Edit {
  gap?: (t: number) => boolean;
  learning?: (t: number) => boolean;
}

/** What a clock says of readings that are high or not, from Monday midnight on. */
function run(high: readonly boolean[], { gap = () => false, learning = () => true }: Edit = {}): number[] {
  const { buffer } = new Float32Array(CLOCK_WORDS);
  const clock = new Clock();
  clock.select(new Float32Array(buffer), new Int32Array(buffer), 0);
  const monday = 20_000 * DAY_TICKS;
  return high.flatMap((is, t) => {
    if (gap(t)) return [-1];
    clock.step(is, monday + Math.floor((t * DAY_TICKS) / DAY), LASTING, t > 0 && gap(t - 1), learning(t));
    return [clock.finding.excess];
  });
}

interface Day {
  opens: number;
  closes: number;
}

/** Days of a door that is open between two hours, give or take ten minutes; `undefined` is a day on which it stays shut. */
function door(days: number, of: (day: number) => Day | undefined, seed = 1): boolean[] {
  const random = seededRandom(seed);
  return Array.from({ length: days }, (_, day) => of(day)).flatMap((hours) => {
    const opens = hours ? HOUR * hours.opens + 2 * gaussian(random) : Infinity;
    const closes = hours ? HOUR * hours.closes + 2 * gaussian(random) : -Infinity;
    return Array.from({ length: DAY }, (_, k) => k >= opens && k < closes);
  });
}

const OFFICE = { opens: 7, closes: 18 };
const workday = (day: number): Day | undefined => (day % 7 < 5 ? OFFICE : undefined);
const most = (excess: readonly number[], from: number, to = excess.length): number => Math.max(...excess.slice(from, to));

describe('the clock', () => {
  it('has nothing to say of a door that keeps its hours, with weekends and without', () => {
    expect(most(run(door(40, () => OFFICE)), 0)).toBeLessThan(1);
    expect(most(run(door(40, workday)), 0)).toBeLessThan(1);
  });

  it('tells when it opens at three in the morning, once it has been open for half an hour', () => {
    const excess = run(door(15, (day) => (day === 11 ? { opens: 3, closes: 18 } : workday(day))));
    const opens = 11 * DAY + 3 * HOUR;
    expect(most(excess, 0, opens)).toBeLessThan(1);
    expect(most(excess, opens, opens + 24)).toBeGreaterThan(3);
  });

  it('tells when it stays open until late', () => {
    const excess = run(door(15, (day) => (day === 11 ? { opens: 7, closes: 23 } : workday(day))));
    expect(most(excess, 11 * DAY + 22 * HOUR)).toBeGreaterThan(2);
  });

  it('has nothing to say of daylight saving time, and tells of hours that have moved further three times at most', () => {
    const told = (by: number): number => run(door(40, (day) => (day < 20 ? OFFICE : { opens: 7 + by, closes: 18 + by }))).filter((one) => one > 1).length;
    expect(told(1)).toBe(0);
    expect(told(3)).toBeGreaterThan(0);
    expect(told(3)).toBeLessThanOrEqual(3);
  });

  it('tells of a workday on which it stayed shut, after the hour, once; of no weekend', () => {
    const excess = run(door(35, (day) => (day === 28 ? undefined : workday(day))));
    expect(most(excess, 0, 28 * DAY + 7 * HOUR)).toBeLessThan(1);
    const told = excess.map((one, t) => (one > 1 ? t : -1)).filter((t) => t >= 0);
    expect(told).toHaveLength(1);
    expect(told[0] / DAY - 28).toBeGreaterThan(7 / 24);
    expect(told[0] / DAY - 28).toBeLessThan(10 / 24);
  });

  it('does not miss what days of the week do not have in common', () => {
    const random = seededRandom(5);
    const opens = Array.from({ length: 60 }, () => random() < 0.6);
    expect(most(run(door(60, (day) => (opens[day] ? OFFICE : undefined))), 0)).toBeLessThan(1);
  });

  it('does not miss a day that a gap or an event hid, and learns nothing from one', () => {
    const hidden = (t: number): boolean => t >= 28 * DAY + 4 * HOUR && t < 28 * DAY + 12 * HOUR;
    const shut = door(45, (day) => (day === 28 ? undefined : workday(day)));
    expect(most(run(shut, { gap: hidden }), 0)).toBeLessThan(1);
    expect(most(run(shut, { learning: (t) => !hidden(t) }), 0)).toBeLessThan(1);
    // A week later it is missed again.
    const again = run(door(45, (day) => (day === 28 || day === 35 ? undefined : workday(day))), { learning: (t) => !hidden(t) });
    expect(most(again, 35 * DAY)).toBeGreaterThan(1);
  });

  it('counts its days by the rises, also where these are about midnight', () => {
    const random = seededRandom(9);
    const high = new Array<boolean>(12 * 7 * DAY).fill(false);
    for (let day = 1; day < 12 * 7; day++) {
      if (day % 7 > 4) continue;
      const start = day * DAY + Math.round(8 * (random() - 0.5));
      high.fill(true, start, start + 8 * HOUR);
    }
    expect(most(run(high), 0)).toBeLessThan(1);
    // A Tuesday later it does not start.
    const missed = 11 * 7 + 1;
    high.fill(false, missed * DAY - 2 * HOUR, missed * DAY + 10 * HOUR);
    expect(most(run(high), missed * DAY - 2 * HOUR, missed * DAY + 6 * HOUR)).toBeGreaterThan(1);
  });

  it('does not say of a day that it did not rise where a gap began in it', () => {
    const hidden = (t: number): boolean => t >= 28 * DAY + 6 * HOUR && t < 29 * DAY + 6 * HOUR;
    const shut = door(45, (day) => (day === 35 ? undefined : workday(day)));
    expect(most(run(shut, { gap: hidden }), 35 * DAY, 36 * DAY)).toBeGreaterThan(1);
  });

  it('takes no edge for one that does not last', () => {
    const blinks = door(20, () => OFFICE).map((is, t) => is !== (t % 41 === 0));
    expect(most(run(blinks), 0)).toBeLessThan(1);
  });

  it('says nothing where edges have no hour, however many there are', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 20, max: 700 }), (seed, length) => {
      const random = seededRandom(seed);
      let high = false;
      let left = 0;
      const readings = Array.from({ length: 30 * DAY }, () => {
        if (left-- <= 0) {
          high = !high;
          left = Math.round(length * (0.3 + 1.4 * random()));
        }
        return high;
      });
      // Four edges of an hour by chance are possible; more than one in twenty beyond it are not.
      const told = run(readings).filter((one) => one > 1).length;
      expect(told).toBeLessThanOrEqual(1 + (30 * DAY) / length / 20);
    }), { numRuns: 60 });
  });

  it('survives any order of times', () => {
    fc.assert(fc.property(fc.array(fc.record({ high: fc.boolean(), tick: fc.integer({ min: -1e9, max: 2e9 }), lasting: fc.integer({ min: 1, max: 9 }), gap: fc.boolean(), learning: fc.boolean() })), (steps) => {
      const { buffer } = new Float32Array(CLOCK_WORDS);
      const clock = new Clock();
      clock.select(new Float32Array(buffer), new Int32Array(buffer), 0);
      for (const { high, tick, lasting, gap, learning } of steps) {
        clock.step(high, tick, lasting, gap, learning);
        expect(clock.finding.excess).toBeGreaterThanOrEqual(-1);
        expect(clock.finding.excess).toBeLessThan(100);
      }
    }));
  });
});

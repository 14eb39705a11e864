import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Records, ROW } from '../records.js';
import { CHANNELS, DEFAULT_TUNING, type Channel, type Tuning } from '../tuning.js';

const INTERVALS = 4;

const UNPADDED = { ...DEFAULT_TUNING, rarePad: 0 };

function channel(theta = 0.5): (v: number) => number {
  const records = new Records(UNPADDED, INTERVALS, CHANNELS);
  records.reserve(1);
  let t = 0;
  return (v) => records.kernel.novelty(records.params, records.arena, 0, 0, v, theta, t++);
}

describe('natural functions', () => {
  const { kernel } = new Records(DEFAULT_TUNING, INTERVALS, CHANNELS);
  const ulps = (a: number, b: number): number => Math.abs(a - b) / (Number.EPSILON * Math.max(Math.abs(b), Number.MIN_VALUE / Number.EPSILON));

  it('exp and ln are within two units in the last place', () => {
    fc.assert(fc.property(fc.double({ min: -745, max: 709, noNaN: true }), fc.double({ min: 1e-300, max: 1e300, noNaN: true }), fc.double({ min: 0.5, max: 2, noNaN: true }), (x, y, near) => {
      expect(ulps(kernel.natural(0, x), Math.exp(x))).toBeLessThan(2);
      expect(ulps(kernel.natural(0, near), Math.exp(near))).toBeLessThan(2);
      expect(ulps(kernel.natural(1, y), Math.log(y))).toBeLessThan(2);
      expect(ulps(kernel.natural(1, near), Math.log(near))).toBeLessThan(2);
    }), { numRuns: 2000 });
  });

  it('have the limits of those of JavaScript', () => {
    for (const x of [0, -0, 1, -1, 710, -746, Infinity, -Infinity, NaN]) {
      expect(kernel.natural(0, x)).toBe(Math.exp(x));
      expect(kernel.natural(1, x)).toBe(Math.log(x));
    }
  });
});

describe('novelty', () => {
  it('is the distance to what was seen, over its range', () => {
    const of = channel();
    expect(of(0)).toBe(0);
    of(10);
    of(4);
    expect(of(4)).toBe(0);
    expect(of(14)).toBeCloseTo(0.4, 2);
    expect(of(14)).toBe(0);
  });

  it('finds a value in a hole of what was seen', () => {
    const of = channel();
    for (let k = 0; k < 50; k++) of(k % 2 === 0 ? 0 : 100);
    expect(of(50)).toBeCloseTo(0.5, 1);
    expect(of(50)).toBe(0);
  });

  it('is 0 for every value right after it was seen, and never negative or above 10', () => {
    fc.assert(fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e6), max: Math.fround(1e6) }), { minLength: 1, maxLength: 60 }), (values) => {
      const of = channel();
      for (const v of values) {
        const first = of(v);
        expect(first).toBeGreaterThanOrEqual(0);
        expect(first).toBeLessThanOrEqual(10);
        expect(of(v)).toBe(0);
      }
    }));
  });

  it('gives the place of the interval that was hit longest ago to a new one', () => {
    const of = channel(0.05);
    for (const v of [0, 1000, 400, 600, 200]) of(v);
    // Five values, four places: 0 went.
    expect(of(1000)).toBe(0);
    expect(of(0)).toBeGreaterThan(0.1);
  });
});

describe('what goes beyond what is usual', () => {
  type Excess = readonly [Channel, number];

  /** A series that is fed reading by reading, with what goes beyond what is usual on channels that are judged elsewhere; a reading gives its log odds. */
  function series(channels: readonly Channel[], { tuning = {}, periodMs = 0, forgotten = 1 }: { tuning?: Partial<Tuning>; periodMs?: number; forgotten?: number } = {}): (excess: readonly Excess[], u?: number) => number {
    const records = new Records({ ...DEFAULT_TUNING, ...tuning }, INTERVALS, channels);
    records.reserve(1);
    return (excess, u = 0) => {
      records.rows.fill(0);
      records.rows[ROW.scale] = 1;
      records.rows[ROW.periodMs] = periodMs;
      records.rows[ROW.u] = u;
      records.look(1);
      for (const [channel, value] of excess) records.excess(0, CHANNELS.indexOf(channel), value, forgotten);
      records.conclude(1);
      return records.rows[ROW.odds];
    };
  }

  /** Log odds of a pace that is off, `apart` readings after a season that went on being so, or did for one reading. */
  function odds(apart: number, standing: boolean, standingWeight = DEFAULT_TUNING.standingWeight): number {
    const feed = series(['season', 'pace'], { tuning: { standingWeight }, forgotten: 0.1 });
    const later: Excess = ['season', standing ? 5 : 0.1];
    for (let t = 0; t < 1000; t++) feed([]);
    feed([['season', 6]]);
    for (let t = 1; t < apart; t++) feed([later]);
    return feed([later, ['pace', 6]]);
  }

  it('supports what another channel finds while it goes on, if it began lately', () => {
    expect(odds(20, true)).toBeGreaterThan(odds(20, false) + 1);
    expect(odds(40, true)).toBeGreaterThan(odds(40, false) + 1);
    expect(odds(41, true)).toBe(odds(41, false));
    expect(odds(20, true, 0)).toBe(odds(20, false));
  });

  it('is no alarm by itself for as long as it does', () => {
    const feed = series(['season'], { forgotten: 0.1 });
    const found = Array.from({ length: 40 }, (_, t) => feed([['season', t < 30 ? 0.1 : 6 + 0.1 * (t - 30)]]));
    expect(found[30]).toBeGreaterThan(0);
    expect(Math.max(...found.slice(31))).toBe(found[0]);
  });

  it('is supported by no more than a bound, however much goes beyond at once', () => {
    const at = (channels: readonly Channel[], excess: number): number => {
      const feed = series(CHANNELS);
      for (let t = 0; t < 999; t++) feed([]);
      return feed(channels.map((channel) => [channel, excess]));
    };
    const few = at(['pace', 'span'], 10) - at(['pace'], 10);
    const all = at(['pace', 'span', 'season', 'clock', 'level', 'rough'], 10) - at(['pace'], 10);
    expect(few).toBeGreaterThan(1);
    expect(all).toBeGreaterThan(few);
    expect(at(['pace', 'span', 'season', 'clock', 'level', 'rough'], 1000) - at(['pace'], 1000)).toBeCloseTo(all, 3);
  });

  it('is supported by a value like none before, lately', () => {
    const after = (readings: number, spike: number): number => {
      const feed = series(['x', 'season'], { forgotten: 0.1 });
      for (let t = 0; t < 1000 + readings; t++) feed([['season', 0]], t === 1000 ? spike : t % 7);
      return feed([['season', 6]], (1000 + readings) % 7);
    };
    expect(after(30, 40)).toBeGreaterThan(after(30, 3) + 1);
    expect(after(41, 40)).toBe(after(41, 3));
  });

  it('is no record where it comes again and again', () => {
    const feed = series(['season']);
    const all = Array.from({ length: 6000 }, (_, t) => feed([['season', t % 60 === 59 ? 6 : 0]]));
    const found = all.filter((_, t) => t % 60 === 59);
    const { offset } = DEFAULT_TUNING.prior.season;
    // As often as it came, less what a few of them may be by chance, and no larger than usual.
    expect(found[99]).toBeLessThan(Math.log(60) + 2 + offset);
    expect(found[4]).toBeGreaterThan(found[99] + 2);
  });

  it('counts for two weeks, or for some thousand readings if that is longer', () => {
    const again = (periodMs: number): number => {
      const feed = series(['season'], { periodMs });
      for (let t = 0; t < 11_999; t++) feed([['season', t < 2000 && t % 200 === 100 ? 6 : 0]]);
      return feed([['season', 6]]);
    };
    expect(again(600_000)).toBe(again(1_200_000));
    expect(again(60_000)).toBeLessThan(again(600_000) - 0.5);
  });
});

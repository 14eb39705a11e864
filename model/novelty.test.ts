import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { novelty, noveltyWords } from './novelty.js';

const INTERVALS = 4;

function channel(theta = 0.5): (v: number) => number {
  const s = new Float32Array(noveltyWords(INTERVALS));
  const ints = new Int32Array(s.buffer);
  let t = 0;
  return (v) => novelty(s, ints, 0, INTERVALS, v, theta, t++, 0);
}

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

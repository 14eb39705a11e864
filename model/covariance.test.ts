import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../core/random.js';
import { blame, invert, surpriseOf, WIDTH } from './covariance.js';

/** Correlations of n metrics that share a hidden course by `loads`. */
function correlations(loads: readonly number[]): Float64Array {
  const matrix = new Float64Array(WIDTH * WIDTH);
  loads.forEach((a, i) => loads.forEach((b, j) => (matrix[i * WIDTH + j] = i === j ? 1.005 : a * b)));
  return matrix;
}

/** y' P y */
function explained(precision: Float64Array, y: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += y[i] * precision[i * WIDTH + j] * y[j];
  return sum;
}

const loads = fc.array(fc.double({ min: -0.97, max: 0.97, noNaN: true }), { minLength: 2, maxLength: WIDTH });

describe('a correlation matrix', () => {
  it('times its inverse is one', () => {
    fc.assert(fc.property(loads, (of) => {
      const matrix = correlations(of);
      const inverse = Float64Array.from(matrix);
      invert(inverse, of.length);
      of.forEach((_, i) => of.forEach((__, j) => {
        let product = 0;
        for (let k = 0; k < of.length; k++) product += matrix[i * WIDTH + k] * inverse[k * WIDTH + j];
        expect(product).toBeCloseTo(i === j ? 1 : 0, 6);
      }));
    }));
  });

  it('blames the metric that left the others, not those that it was compared with', () => {
    const random = seededRandom(1);
    const of = [0.95, 0.95, -0.9, 0.95, 0.9];
    const precision = correlations(of);
    invert(precision, of.length);
    const gains = new Float64Array(WIDTH);
    for (let culprit = 0; culprit < of.length; culprit++) {
      // The course stands at 1.5 deviations; one metric shows the opposite of it. No metric by itself is out of the ordinary.
      const y = Float64Array.from({ length: WIDTH }, (_, i) => (i < of.length ? (i === culprit ? -1 : 1) * 1.5 * of[i] + 0.1 * gaussian(random) : 0));
      expect(blame(precision, y, of.length, 6, gains)).toBe(1);
      expect(gains.indexOf(Math.max(...gains))).toBe(culprit);
      expect(gains[culprit]).toBeLessThanOrEqual(explained(precision, y, of.length) + 1e-9);
    }
  });
});

it('is less surprised the fewer readings taught it, and never by what is usual', () => {
  expect(surpriseOf(8, 8, 100)).toBe(0);
  expect(surpriseOf(50, 8, 20)).toBeLessThan(surpriseOf(50, 8, 100));
  expect(surpriseOf(50, 8, 100)).toBeLessThan(surpriseOf(60, 8, 100));
  // ln of chi-squared's tail: P(q > 50) with 8 degrees of freedom is 4.1e-8.
  expect(surpriseOf(50, 8, 1e9)).toBeGreaterThan(12);
  expect(surpriseOf(50, 8, 1e9)).toBeLessThan(-Math.log(4.1e-8));
});

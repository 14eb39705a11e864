import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../../core/random.js';
import { Normaliser } from '../normaliser.js';
import { encodeSeries, type TrainingSeries } from './examples.js';

function series(value: (t: number) => number, n = 300): TrainingSeries {
  return { name: 'test', timestampMs: Float64Array.from({ length: n }, (_, t) => t * 1000), value: Float64Array.from({ length: n }, (_, t) => value(t)) };
}

describe('encodeSeries', () => {
  it('asks for the mean of the next 1, 8, 32 readings, as a move in asinh units from the last', () => {
    const random = seededRandom(1);
    const noisy = series(() => gaussian(random));
    const { targets, present } = encodeSeries(noisy);
    const normaliser = new Normaliser();
    normaliser.reserve(1);
    const t = 200;
    for (let i = 0; i <= t; i++) normaliser.step(Uint32Array.of(0), 1, noisy.timestampMs.subarray(i, i + 1), noisy.value.subarray(i, i + 1), new Float32Array(7));
    [1, 8, 32].forEach((horizon, i) => {
      const mean = noisy.value.subarray(t + 1, t + 1 + horizon).reduce((a, b) => a + b, 0) / horizon;
      const z = (mean - normaliser.mean(0)) / normaliser.scale(0);
      expect(targets[t * 3 + i]).toBeCloseTo(Math.asinh(z) - normaliser.position(0), 5);
      expect(present[t * 3 + i]).toBe(1);
    });
  });

  it('has no targets beyond the end, while settling, or outside the part that is scored', () => {
    const { present } = encodeSeries(series((t) => t % 7));
    const counts = (p: Float32Array): number[] => [0, 1, 2].map((i) => p.filter((_, k) => k % 3 === i).reduce((a, b) => a + b, 0));
    expect(counts(present)).toEqual([300 - 4 - 1, 300 - 4 - 8, 300 - 4 - 32]);
    expect(counts(encodeSeries(series((t) => t % 7), { from: 100, to: 200 }).present)).toEqual([100, 100, 100]);
  });

  it('does not reach across the moment at which a series turns out to be a counter', () => {
    const { present } = encodeSeries(series((t) => 1000 + 3 * t + (t % 3)));
    const missing = Array.from({ length: 250 }, (_, t) => present[t * 3 + 1]).reduce((count, p, t) => (t >= 4 && p === 0 ? count + 1 : count), 0);
    expect(missing).toBe(8);
  });
});

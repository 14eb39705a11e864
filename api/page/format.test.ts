import { describe, expect, it } from 'vitest';
import { ago, duration, quantity, score, sentence } from './format.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('what a person reads', () => {
  it('durations carry over and drop what is too fine', () => {
    expect([0, 4400, 59 * MINUTE, 119.6 * MINUTE, 90 * MINUTE, 26 * HOUR + 5 * MINUTE, 80 * HOUR].map(duration)).toEqual(['0 s', '4 s', '59 min', '2 h', '1 h 30 min', '26 h', '3 days']);
    expect(ago(1000, 2000)).toBe('just now');
    expect(ago(5000, 1000)).toBe('just now');
  });

  it('quantities keep some four digits', () => {
    expect([21.437, -18.9, 0.01234, 1234.6, 0, 1e9, 1e-5, null, NaN].map(quantity)).toEqual(['21.44', '−18.90', '0.012', '1235', '0', '1.00e+9', '1.00e-5', '–', '–']);
    expect([0.4, 12.3, null].map(score)).toEqual(['0.40', '12', '–']);
    expect(['ok', 'warming_up', 'clock_skewed'].map(sentence)).toEqual(['OK', 'Warming up', 'Clock skewed']);
  });
});

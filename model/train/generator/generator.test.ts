import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../core/random.js';
import { FAMILIES, generateSeries } from './index.js';

describe.each(FAMILIES)('family %s', (family) => {
  it('is reproducible from its seed, and another seed gives another series', () => {
    const a = generateSeries(family, seededRandom(7), { length: 800 });
    const b = generateSeries(family, seededRandom(7), { length: 800 });
    expect(b).toEqual(a);
    expect(generateSeries(family, seededRandom(8), { length: 800 }).value).not.toEqual(a.value);
  });

  it('gives finite values at rising times, of the length asked for, and few constant series', () => {
    let varying = 0;
    for (let seed = 0; seed < 20; seed++) {
      const { timestampMs, value } = generateSeries(family, seededRandom(seed), { length: 4000 });
      expect(value).toHaveLength(4000);
      expect(value.every(Number.isFinite)).toBe(true);
      expect(timestampMs.every((ms, t) => Number.isInteger(ms) && (t === 0 || ms > timestampMs[t - 1]))).toBe(true);
      if (new Set(value).size > 1) varying++;
    }
    expect(varying).toBeGreaterThanOrEqual(14);
  });
});

describe('generateSeries', () => {
  it('draws lengths from 500 to 16,000 and keeps time strictly when asked to', () => {
    const random = seededRandom(3);
    const lengths = Array.from({ length: 60 }, () => generateSeries('autoregressive', random).value.length);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(500);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(16_000);
    const { timestampMs } = generateSeries('seasonal', random, { length: 500, periodS: 60, irregular: false });
    expect(timestampMs.every((ms, t) => t === 0 || ms - timestampMs[t - 1] === 60_000)).toBe(true);
  });

  it('makes counters that fall only when they are reset', () => {
    for (let seed = 0; seed < 20; seed++) {
      const { value } = generateSeries('counter', seededRandom(seed), { length: 2000 });
      for (let t = 1; t < value.length; t++) expect(value[t] >= value[t - 1] || value[t] === 0).toBe(true);
    }
  });
});

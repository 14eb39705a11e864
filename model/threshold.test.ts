import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ageOf, rarityOf, thresholdOf } from './threshold.js';
import { CHANNELS, DEFAULT_TUNING } from './tuning.js';

const rarity = fc.double({ min: -8, max: 12, noNaN: true });
const channel = fc.constantFrom(...CHANNELS);
const readings = fc.integer({ min: 101, max: 1_000_000 });

describe('the threshold of a series', () => {
  test('is the one that was chosen where one false alarm in 2,057 readings is allowed, whatever the age', () => {
    fc.assert(fc.property(channel, readings, (loudest, n) => {
      expect(thresholdOf(DEFAULT_TUNING, loudest, rarityOf(600_000, 0.07), n)).toBeCloseTo(DEFAULT_TUNING.threshold, 9);
    }));
  });

  test('rises with the rate of readings, and falls with the false alarms allowed', () => {
    fc.assert(fc.property(channel, rarity, fc.double({ min: 0.01, max: 3, noNaN: true }), readings, (loudest, r, more, n) => {
      expect(thresholdOf(DEFAULT_TUNING, loudest, r + more, n)).toBeGreaterThanOrEqual(thresholdOf(DEFAULT_TUNING, loudest, r, n));
    }));
    expect(rarityOf(60_000, 0.07)).toBeGreaterThan(rarityOf(600_000, 0.07));
    expect(rarityOf(60_000, 1)).toBeLessThan(rarityOf(60_000, 0.07));
  });

  test('asks less of an old series that is read often: the tail of what it shows is lighter', () => {
    fc.assert(fc.property(channel, fc.double({ min: 0.1, max: 12, noNaN: true }), readings, fc.integer({ min: 1, max: 10_000 }), (loudest, r, n, more) => {
      expect(thresholdOf(DEFAULT_TUNING, loudest, r, n + more)).toBeLessThanOrEqual(thresholdOf(DEFAULT_TUNING, loudest, r, n));
    }));
    expect(thresholdOf(DEFAULT_TUNING, 'x', 2.3, 150) - thresholdOf(DEFAULT_TUNING, 'x', 2.3, 10_000)).toBeGreaterThan(1);
  });

  test('takes what is read more often than every minute for no older than its minutes', () => {
    expect([10_000, 60_000, 600_000].map((periodMs) => ageOf(12_000, periodMs))).toEqual([2000, 12_000, 12_000]);
  });

  test('goes on without a step where more than one in 2,057 is allowed', () => {
    expect(thresholdOf(DEFAULT_TUNING, 'x', 1e-9, 150)).toBeCloseTo(thresholdOf(DEFAULT_TUNING, 'x', -1e-9, 150), 6);
  });
});

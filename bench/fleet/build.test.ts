import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../core/random.js';
import { JUDGED_FROM_ROW, buildFleet } from './build.js';
import { DEVELOPMENT_FAMILIES, HELD_BACK_FAMILIES } from './families.js';
import { FAULT_KINDS, cycleOf, faultRows, injectFault, textureOf } from './faults.js';
import type { Difficulty, FaultKind } from './faults.js';

const OPTIONS = { seriesPerFamily: 2, maxReadings: 2500 };

describe('the generated fleet', () => {
  test('is the same for the same seed, and another for another', () => {
    const digest = (options: object): number => buildFleet({ ...OPTIONS, ...options }).reduce((sum, one) => sum + one.values.reduce((a, b) => a + Math.sin(b), 0), 0);
    expect(digest({})).toBe(digest({}));
    expect(digest({ seed: 1 })).not.toBe(digest({}));
    expect(digest({ split: 'held_back' })).not.toBe(digest({}));
  });

  test('is finite, in time order, with faults of every kind, apart from each other, none before the judged rows', () => {
    const fleet = buildFleet({ seriesPerFamily: 3 });
    const kinds = new Map<string, number>();
    for (const { values, timestampMs, faults } of fleet) {
      expect(values.every(Number.isFinite)).toBe(true);
      expect(timestampMs.every((ms, t) => t === 0 || ms > timestampMs[t - 1])).toBe(true);
      let free = JUDGED_FROM_ROW;
      for (const { kind, start, end } of faults) {
        expect(start).toBeGreaterThanOrEqual(free);
        expect(end).toBeLessThan(values.length);
        free = end + 20;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
    }
    expect([...kinds.keys()].sort()).toEqual([...FAULT_KINDS].sort());
    expect(Math.min(...kinds.values())).toBeGreaterThan(10);
  });

  test('differs from the clean fleet in the faulty rows only, but for changes of phase and counters, which move what follows', () => {
    const clean = buildFleet({ ...OPTIONS, faults: false });
    const faulty = buildFleet(OPTIONS);
    let checked = 0;
    faulty.forEach(({ faults, values }, i) => {
      if (textureOf(clean[i].values).counter || faults.some((fault) => fault.kind === 'phase')) return;
      checked++;
      values.forEach((x, t) => {
        if (!faults.some(({ start, end }) => t >= start && t <= end)) expect(x).toBe(clean[i].values[t]);
      });
      for (const { start, end, kind } of faults) {
        const changed = values.subarray(start, end + 1).some((x, k) => x !== clean[i].values[start + k]);
        expect(changed, `${kind} of ${faulty[i].name}`).toBe(true);
      }
    });
    expect(checked).toBeGreaterThan(15);
  });

  test('keeps families back from development', () => {
    const names = new Set(buildFleet(OPTIONS).map((one) => one.family));
    for (const name of Object.keys(DEVELOPMENT_FAMILIES)) expect(names).toContain(name);
    for (const name of Object.keys(HELD_BACK_FAMILIES)) expect(names).not.toContain(name);
    const held = new Set(buildFleet({ ...OPTIONS, split: 'held_back' }).map((one) => one.family));
    for (const name of Object.keys(HELD_BACK_FAMILIES)) expect(held).toContain(name);
  });
});

describe('faults', () => {
  const wave = (): Float64Array => Float64Array.from({ length: 800 }, (_, t) => 10 * Math.sin((2 * Math.PI * t) / 40) + Math.sin(t * 7.3) * 0.2);
  const put = (kind: FaultKind, difficulty: Difficulty, start: number, rows: number): Float64Array => {
    const x = wave();
    injectFault(x, { kind, difficulty, start, end: start + rows - 1 }, textureOf(wave()), seededRandom(3));
    return x;
  };

  test('a cycle is found by its length, and none in noise', () => {
    expect(cycleOf(wave(), 20)).toBe(40);
    const random = seededRandom(5);
    expect(cycleOf(Float64Array.from({ length: 2000 }, () => random()), 1)).toBe(0);
  });

  test('a missed cycle rests, a stuck sensor repeats itself, a changed phase runs ahead', () => {
    const missed = put('missed_cycle', 'medium', 400, 40).subarray(400, 440);
    expect(Math.max(...missed) - Math.min(...missed)).toBeLessThan(10);
    expect(new Set(put('stuck', 'medium', 400, 50).subarray(399, 450)).size).toBe(1);
    const ahead = put('phase', 'easy', 400, 60);
    expect(ahead[450]).toBe(wave()[470]);
  });

  test('an easy one is larger than a hard one', () => {
    const size = (difficulty: Difficulty): number => Math.abs(put('shift', difficulty, 400, 50)[420] - wave()[420]);
    expect(size('easy')).toBeGreaterThan(size('medium'));
    expect(size('medium')).toBeGreaterThan(size('hard'));
  });

  test('a counter stays one: it goes on from where the fault has left it', () => {
    const random = seededRandom(9);
    let total = 0;
    const x = Float64Array.from({ length: 600 }, () => (total += 5 + random()));
    const before = Float64Array.from(x);
    injectFault(x, { kind: 'stuck', difficulty: 'easy', start: 300, end: 339 }, textureOf(before), random);
    expect(x.every((value, t) => t === 0 || value >= x[t - 1])).toBe(true);
    expect(x[339]).toBe(x[299]);
    expect(x[341] - x[340]).toBeCloseTo(before[341] - before[340], 9);
  });

  test('a series that is often still cannot show a stuck sensor, one without a cycle no missed one', () => {
    const still = textureOf(Float64Array.from({ length: 600 }, (_, t) => Math.floor(t / 200) % 2));
    expect(faultRows('stuck', still, 'easy', seededRandom(1))).toBe(0);
    expect(faultRows('missed_cycle', { ...still, cycle: 0 }, 'easy', seededRandom(1))).toBe(0);
  });
});

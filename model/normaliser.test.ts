import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../core/random.js';
import { FEATURES, Normaliser } from './normaliser.js';

function run(values: number[], options: { times?: number[]; learning?: (t: number) => number; slot?: number } = {}) {
  const normaliser = new Normaliser();
  const slot = options.slot ?? 0;
  normaliser.reserve(slot + 1);
  const features = new Float32Array(FEATURES);
  const rows: number[][] = [];
  values.forEach((value, t) => {
    const time = options.times?.[t] ?? 1_700_000_000_000 + t * 60_000;
    normaliser.step(Uint32Array.of(slot), 1, Float64Array.of(time), Float64Array.of(value), features, Float32Array.of(options.learning?.(t) ?? 1));
    rows.push([...features]);
  });
  return { normaliser, slot, rows, last: rows[rows.length - 1] };
}

const noise = (n: number, seed = 1): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: n }, () => gaussian(random));
};

describe('Normaliser', () => {
  it('learns level and scale, whatever the units', () => {
    const small = run(noise(3000).map((x) => 20 + 0.5 * x));
    expect(small.normaliser.mean(0)).toBeCloseTo(20, 0);
    expect(small.normaliser.scale(0)).toBeGreaterThan(0.45);
    expect(small.normaliser.scale(0)).toBeLessThan(0.55);
    const large = run(noise(3000).map((x) => 2e6 + 5e4 * x));
    large.last.forEach((feature, i) => expect(feature).toBeCloseTo(small.last[i], 4));
  });

  it('writes finite, bounded features for any finite readings', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 60 }), fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 60, maxLength: 60 }), (values, steps) => {
        let time = 0;
        const { rows } = run(values, { times: values.map((_, i) => (time += steps[i])) });
        for (const row of rows) for (const feature of row) expect(Math.abs(feature)).toBeLessThan(30);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps the increments of a counter near 1e9 exact', () => {
    const increments = noise(600).map((x) => Math.max(0, 5 + x));
    let total = 1e9;
    const { normaliser } = run(increments.map((d) => (total += d)));
    expect(normaliser.isCounter(0)).toBe(true);
    expect(normaliser.mean(0)).toBeCloseTo(5, 0);
    expect(normaliser.scale(0)).toBeGreaterThan(0.8);
    expect(normaliser.scale(0)).toBeLessThan(1.2);
    const anchor = new Float64Array(4);
    normaliser.anchor(0, anchor);
    expect([...anchor]).toEqual([normaliser.mean(0), normaliser.scale(0), normaliser.position(0), total]);
  });

  it('passes over the reset of a counter', () => {
    let total = 5000;
    const { rows } = run(noise(400).map((x, t) => (total = t === 300 ? 2 : total + Math.max(0, 5 + x))));
    expect(Math.abs(rows[300][0])).toBeLessThan(0.5);
    expect(Math.abs(rows[301][0])).toBeLessThan(2);
  });

  it('takes the reset of a counter for no more than its level, also where it jumped just before', () => {
    const increments = [...new Array<number>(400).fill(5), 5000, 5, 5];
    let total = 0;
    const { normaliser } = run([...noise(400).map((x) => (total += Math.max(0, 5 + x))), ...increments.map((d) => (total += d)), 0]);
    expect(normaliser.working(0)).toBeLessThan(25);
  });

  it('does not take noise or a slow rise with noise for a counter', () => {
    expect(run(noise(500)).normaliser.isCounter(0)).toBe(false);
    expect(run(noise(500).map((x, t) => 100 + 0.3 * t + x)).normaliser.isCounter(0)).toBe(false);
  });

  it('does not take the clear morning of a solar panel for a counter once it has seen an afternoon', () => {
    const day = 1440;
    const { normaliser } = run(Array.from({ length: 2.5 * day }, (_, t) => Math.max(0, -900 * Math.cos((2 * Math.PI * t) / day))));
    expect(normaliser.isCounter(0)).toBe(false);
    // The first morning is one, for all that is known; since its afternoon the statistics have not begun anew.
    expect(normaliser.count(0)).toBeGreaterThan(1.5 * day);
  });

  it('takes what rests for most of the day and counts for forty minutes for a counter', () => {
    let total = 1000;
    const draw = noise(5000);
    const values = draw.map((x, t) => (total += t % 1440 >= 700 && t % 1440 < 740 ? 5 + Math.abs(x) : 0));
    expect(run(values).normaliser.isCounter(0)).toBe(true);
  });

  it('reports time: 0 when on time, more after a gap, and the gap disturbs no other feature', () => {
    const values = noise(800);
    const times = values.map((_, t) => 1_700_000_000_000 + t * 60_000 + (t >= 700 ? 6 * 3_600_000 : 0));
    const gap = run(values, { times });
    const steady = run(values);
    expect(gap.rows[699][6]).toBe(0);
    expect(gap.rows[700][6]).toBeGreaterThan(2);
    expect(gap.rows[701][6]).toBe(0);
    expect(gap.normaliser.periodMs(0)).toBeCloseTo(60_000, -3.5);
    for (let i = 0; i < 6; i++) expect(Math.abs(gap.rows[701][i] - steady.rows[701][i])).toBeLessThan(0.6);
  });

  it('learns the period although the first difference is a gap', () => {
    const times = noise(200).map((_, t) => 1_700_000_000_000 + t * 10_000 + (t > 0 ? 3_600_000 : 0));
    expect(run(noise(200), { times }).normaliser.periodMs(0)).toBeLessThan(11_000);
  });

  it('learns nothing of level and scale while held back, and a new level in about fifty readings otherwise', () => {
    const values = noise(1400).map((x, t) => x + (t >= 1000 ? 40 : 0));
    const held = run(values, { learning: (t) => (t >= 1000 ? 0 : 1) });
    const free = run(values);
    expect(Math.abs(held.normaliser.mean(0))).toBeLessThan(0.5);
    expect(held.last[0]).toBe(4);
    expect(free.normaliser.mean(0)).toBeGreaterThan(15);
    expect(free.last[0]).toBeLessThan(1.5);
    // A lone spike moves the level by no more than its clip: 4 of 512 sigmas.
    expect(Math.abs(run(noise(1001).map((x, t) => (t === 1000 ? 1000 : x))).normaliser.mean(0))).toBeLessThan(0.2);
  });

  it('restores a state bit for bit, in another slot on another page', () => {
    const first = run(noise(100));
    const copy = new Uint8Array(first.normaliser.bytesPerSlot + 3);
    first.normaliser.write(0, copy, 3);
    const other = new Normaliser();
    other.reserve(3000);
    other.read(2500, copy, 3);
    const a = new Float32Array(FEATURES);
    const b = new Float32Array(FEATURES);
    const time = Float64Array.of(1_700_000_000_000 + 100 * 60_000);
    first.normaliser.step(Uint32Array.of(0), 1, time, Float64Array.of(0.3), a);
    other.step(Uint32Array.of(2500), 1, time, Float64Array.of(0.3), b);
    expect(b).toEqual(a);
    other.clear(2500);
    expect(other.count(2500)).toBe(0);
    expect(other.periodMs(2500)).toBe(0);
  });
});

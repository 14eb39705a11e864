import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RecentReadings } from './recent.js';

it('finds what was added, with its value, and nothing else', () => {
  fc.assert(fc.property(fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 4e12 }), fc.double({ noNaN: true })), { maxLength: 30, selector: ([s, t]) => `${s} ${t}` }), (readings) => {
    const recent = new RecentReadings(1024);
    readings.forEach(([s, t, v]) => recent.add(s, t, v));
    for (const [s, t, v] of readings) {
      expect(recent.find(s, t)).toBe(v);
      expect(recent.find(s + 100, t)).toBeUndefined();
    }
  }));
});

it('remembers a burst of one series as well as one of many, and forgets the oldest first', () => {
  for (const seriesOf of [(): number => 7, (i: number): number => 1 + i % 5000]) {
    const recent = new RecentReadings();
    const n = 30_000;
    for (let i = 0; i < n; i++) recent.add(seriesOf(i), 1_700_000_000_000 + i * 1000, i);
    let forgotten = 0;
    for (let i = 0; i < n; i++) if (recent.find(seriesOf(i), 1_700_000_000_000 + i * 1000) !== i) forgotten++;
    expect(forgotten / n).toBeLessThan(0.005);
  }
  const small = new RecentReadings(1);
  for (let i = 0; i < 6; i++) small.add(1, i, i);
  expect([0, 1, 2, 3, 4, 5].map((t) => small.find(1, t))).toEqual([undefined, undefined, 2, 3, 4, 5]);
});

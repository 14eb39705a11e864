import { describe, expect, it } from 'vitest';
import { Bench, noise, PERIOD_MS } from '../test/fed-device.js';

const MINUTE_MS = 60_000;

/** Readings of a machine that pulses once in 60. */
function pulses(bench: Bench, readings: number, draw: () => number, height = 5, minutes = 8): void {
  for (let k = 0; k < readings; k++) bench.feed({ power: (Math.round(bench.nowMs / MINUTE_MS) % 60 < minutes ? height : 0) + 0.02 * draw() }, 'pump', MINUTE_MS);
}

/** Share of the readings from `from` to `to` that are in an event. */
function share(bench: Bench, from: number, to = bench.inEvent.length): number {
  const part = bench.inEvent.slice(from, to);
  return part.filter(Boolean).length / part.length;
}

describe('an event of a series with a cycle', () => {
  it.each([[0.5, 8], [0.65, 20], [0.7, 30]])('lasts from pulse to pulse while they are lower than ever (by %s, for %s minutes), and is over when one was as it should be', (height, minutes) => {
    const bench = new Bench();
    const draw = noise(41);
    pulses(bench, 6000, draw, 5, minutes);
    const from = bench.scores.length;
    pulses(bench, 150, draw, 5 * height, minutes);
    const to = bench.scores.length;
    const told = bench.scores.findIndex((score, row) => row >= from && score > 1);
    expect(told).toBeGreaterThanOrEqual(from);
    expect(told).toBeLessThan(from + 60);
    expect(share(bench, told, to)).toBeGreaterThan(0.95);
    pulses(bench, 300, draw, 5, minutes);
    expect(bench.open).toEqual([]);
    expect(share(bench, to + 120)).toBe(0);
    expect([...bench.events.values()].filter((event) => event.openedMs > bench.nowMs - (300 + 150) * MINUTE_MS)).toHaveLength(1);
  });

  it.each([
    ['goes on for three cycles where they keep another shape, which is learned anew and told no more', (at: number) => Math.sin(4 * Math.PI * at), 240, 300],
    ['is over when most of one was as ever, at another phase', (at: number) => Math.sin(2 * Math.PI * (at + 0.4)), 50, 110],
  ])('%s', (_, shape, holds, ended) => {
    const bench = new Bench();
    const draw = noise(42);
    const wave = (readings: number, of: (at: number) => number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ power: of(bench.scores.length / 90) + 0.1 * draw() }, 'pump', MINUTE_MS);
    };
    wave(4500, (at) => Math.sin(2 * Math.PI * at));
    const from = bench.scores.length;
    wave(900, shape);
    const told = bench.scores.findIndex((score, row) => row >= from && score > 1);
    expect(told).toBeGreaterThanOrEqual(from);
    expect(share(bench, told, from + holds)).toBeGreaterThan(0.9);
    expect(share(bench, from + ended)).toBe(0);
    expect(bench.events.size).toBe(1);
  });

  it('is not held open by a spike in it', () => {
    const bench = new Bench();
    const draw = noise(43);
    const wave = (readings: number, spike = 0): void => {
      for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + 3 * Math.sin((2 * Math.PI * bench.scores.length) / 96) + spike + 0.1 * draw() }, 'pump', PERIOD_MS);
    };
    wave(4000);
    const from = bench.scores.length;
    wave(1, 30);
    wave(60);
    expect(bench.scores[from]).toBeGreaterThan(1);
    expect(share(bench, from, from + 6)).toBeGreaterThan(0.5);
    expect(share(bench, from + 20)).toBe(0);
  });

  it('of days is over within two hours after a fault of the level', () => {
    const bench = new Bench();
    const draw = noise(45);
    const days = (readings: number, by: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + 3 * Math.sin((2 * Math.PI * bench.scores.length) / 1440) + by + 0.2 * draw() }, 'pump', MINUTE_MS);
    };
    days(20_000, 0);
    const from = bench.scores.length;
    days(240, 15);
    expect(share(bench, from, from + 240)).toBeGreaterThan(0.95);
    days(1440, 0);
    expect(share(bench, from + 240 + 120)).toBe(0);
  });

  it('holds that of no other series: a device that is new and beyond a limit meanwhile', () => {
    const ended = (beside: boolean): number | null | undefined => {
      const bench = new Bench({ settings: { rules: [{ device: 'new', metric: 'temperature', max: 50 }] } });
      const draw = noise(46);
      if (beside) pulses(bench, 6100, draw);
      else bench.nowMs += 6100 * MINUTE_MS;
      for (let k = 0; k < 140; k++) {
        if (beside) pulses(bench, 1, draw, 2.5);
        else bench.nowMs += MINUTE_MS;
        if (k >= 100) bench.message({ temperature: k === 110 || k === 111 ? 60 : 20 + 0.1 * Math.sin(k) }, 'new');
      }
      if (beside) expect(bench.open.map((event) => event.device)).toEqual(['pump']);
      return [...bench.events.values()].find((event) => event.device === 'new')?.resolvedMs;
    };
    expect(ended(false)).toBeTypeOf('number');
    expect(ended(true)).toBe(ended(false));
  });

  it('is over when the level, off for long, is half of the way back, not when noise is', () => {
    const bench = new Bench();
    const draw = noise(44);
    let slow = 0;
    const wander = (readings: number, by: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + by + (slow = 0.95 * slow + 0.31 * draw()) });
    };
    wander(4000, 0);
    const from = bench.scores.length;
    wander(300, 4);
    const told = bench.scores.findIndex((score, row) => row >= from && score > 1);
    expect(told).toBeGreaterThanOrEqual(from);
    expect(share(bench, told + 20, from + 300)).toBeGreaterThan(0.9);
    wander(60, 0);
    expect(bench.open).toEqual([]);
  });
});

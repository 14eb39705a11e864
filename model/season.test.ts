import { describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../core/random.js';
import { Season } from './season.js';
import { DEFAULT_TUNING } from './tuning.js';

const HOUR_MS = 3_600_000;

/** A reading of a series of mean 0 and scale 1. */
function step(season: Season, t: number, value: number, { missing = 0, periodMs = 1000, learning = true } = {}): void {
  season.given.set([value, 0, 1, periodMs]);
  season.step(0, t, missing, learning);
}

/** Runs values of mean 0 and scale 1 through a season; what the readings from `from` on showed at most. */
function run(
  values: ArrayLike<number>, from: number, { periodMs = 1000, season = new Season(DEFAULT_TUNING), unlearned = (_: number): boolean => false } = {},
): { mismatch: number; lack: number; season: Season } {
  season.arena.reserve(1);
  let mismatch = 0;
  let lack = 0;
  for (let t = 0; t < values.length; t++) {
    step(season, t, values[t], { periodMs, learning: !unlearned(t) });
    if (t < from || !season.finding.judged) continue;
    mismatch = Math.max(mismatch, season.finding.mismatch);
    lack = Math.max(lack, season.finding.lack);
  }
  return { mismatch, lack, season };
}

function wave(readings: number, cycle: number, noise = 0.1, seed = 1): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: readings }, (_, t) => 1.4 * Math.sin((2 * Math.PI * t) / cycle) + noise * gaussian(random));
}

describe('the season', () => {
  for (const cycle of [12, 37.3, 144, 288, 1440]) {
    it(`finds a cycle of ${cycle} readings, within six of them, and has nothing to say while it goes on`, () => {
      const readings = Math.round(Math.max(400, 6 * cycle));
      const { season } = run(wave(readings, cycle), 0);
      expect(season.cycleReadings(0) / cycle).toBeGreaterThan(0.95);
      expect(season.cycleReadings(0) / cycle).toBeLessThan(1.05);
      const later = run(wave(2 * readings + 20 * cycle, cycle), readings);
      expect(later.mismatch).toBeLessThan(0.3);
      expect(later.lack).toBeLessThan(0.3);
    });
  }

  it('finds none in noise, nor in a level that wanders', () => {
    const random = seededRandom(3);
    const noise = Array.from({ length: 4000 }, () => gaussian(random));
    expect(run(noise, 0).season.cycleReadings(0)).toBe(0);
    let level = 0;
    const walk = Array.from({ length: 4000 }, () => (level += 0.05 * gaussian(random)));
    expect(run(walk, 0).season.cycleReadings(0)).toBe(0);
  });

  it('does not compare the cycles after an event with what came in it', () => {
    const values = wave(4000, 100);
    for (let t = 2000; t < 2400; t++) values[t] = 3;
    const after = (unlearned: (t: number) => boolean): number => run(values, 2470, { unlearned }).mismatch;
    expect(after((t) => t >= 2000 && t < 2400)).toBeLessThan(0.3);
    expect(after(() => false)).toBeGreaterThan(0.5);
  });

  it('does not judge by a cycle that its latest scan did not see', () => {
    const random = seededRandom(9);
    const values = [...wave(1500, 50), ...Array.from({ length: 1500 }, () => gaussian(random))];
    const season = new Season(DEFAULT_TUNING);
    season.arena.reserve(1);
    let doubted = 0;
    for (let t = 0; t < values.length; t++) {
      step(season, t, values[t]);
      if (season.finding.measured && !season.finding.judged && t > 1500 && season.cycleReadings(0) > 0) doubted++;
    }
    expect(doubted).toBeGreaterThan(100);
  });

  it('shows a cycle that is a quarter too early', () => {
    const values = wave(3000, 100);
    const { mismatch } = run([...values.slice(0, 2000), ...values.slice(2025)], 2000);
    expect(mismatch).toBeGreaterThan(0.5);
  });

  it('shows a cycle that does not come, also where cycles wobble', () => {
    const random = seededRandom(5);
    const values: number[] = [];
    let missing = 0;
    for (let k = 0; k < 40; k++) {
      const length = Math.round(48 + 2 * gaussian(random));
      if (k === 30) missing = values.length;
      for (let i = 0; i < length; i++) values.push((i < 16 && k !== 30 ? 2 : -0.7) + 0.05 * gaussian(random));
    }
    expect(run(values.slice(0, missing), 500).lack).toBeLessThan(0.3);
    expect(run(values, missing).lack).toBeGreaterThan(0.7);
  });

  it('takes days of rest for what they are, once it has seen them', () => {
    const random = seededRandom(7);
    const working = (day: number): boolean => day % 7 < 5;
    const values = Array.from({ length: 28 * 48 }, (_, t) => {
      const hour = (t % 48) / 2;
      return (working(Math.floor(t / 48)) && hour > 7 && hour < 18 ? 1.5 : -0.8) + 0.05 * gaussian(random);
    });
    const later = run(values, 14 * 48, { periodMs: HOUR_MS / 2 });
    expect(later.season.cycleReadings(0)).toBeCloseTo(48, -1);
    expect(later.lack).toBeLessThan(0.3);
    expect(later.mismatch).toBeLessThan(0.3);
  });

  it('is not put out of step by readings that did not come', () => {
    const values = wave(2000, 50);
    const season = new Season(DEFAULT_TUNING);
    season.arena.reserve(1);
    let mismatch = 0;
    for (let t = 0; t < values.length; t += t === 1200 ? 32 : 1) {
      step(season, t, values[t], { missing: t === 1232 ? 31 : 0 });
      if (t > 1200 && season.finding.judged) mismatch = Math.max(mismatch, season.finding.mismatch);
    }
    expect(mismatch).toBeLessThan(0.3);
  });

  it('goes on from its saved state as if nothing had been', () => {
    const values = wave(3000, 144, 0.3);
    const whole = run(values, 1500);
    const first = run(values.slice(0, 1500), 0).season;
    const bytes = new Uint8Array(first.arena.bytesPerSlot);
    first.arena.write(0, bytes, 0);
    const restored = new Season(DEFAULT_TUNING);
    restored.arena.reserve(1);
    restored.arena.read(0, bytes, 0);
    let mismatch = 0;
    for (let t = 1500; t < values.length; t++) {
      step(restored, t, values[t]);
      if (restored.finding.judged) mismatch = Math.max(mismatch, restored.finding.mismatch);
    }
    expect(mismatch).toBe(whole.mismatch);
    expect(restored.cycleReadings(0)).toBe(whole.season.cycleReadings(0));
  });
});

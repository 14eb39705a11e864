import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { Bench, calm, noise, PERIOD_MS, START_MS } from '../test/fed-device.js';

describe('health', () => {
  it('finds a device silent by the period that it keeps, and ends that when it is back', () => {
    const bench = new Bench();
    calm(bench, 200, noise(7));
    bench.control({ kind: 'tick', nowMs: bench.nowMs + 5 * PERIOD_MS });
    expect(bench.verdicts.size).toBe(0);
    bench.control({ kind: 'tick', nowMs: bench.nowMs + 11 * PERIOD_MS });
    expect([...bench.verdicts.values()]).toMatchObject([{ device: 'pump', metric: null, kind: 'silent', sinceMs: bench.nowMs, untilMs: null }]);
    bench.feed({ temperature: 20 }, 'pump', 20 * PERIOD_MS);
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'silent', untilMs: bench.nowMs }]);
  });

  it('finds a sensor stuck, and free again', () => {
    const bench = new Bench();
    const draw = noise(8);
    calm(bench, 800, draw);
    for (let k = 0; k < 60; k++) bench.feed({ temperature: 20.25 });
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'stuck', metric: 'temperature', untilMs: null }]);
    expect(bench.open[0]).toMatchObject({ kind: 'stuck' });
    calm(bench, 30, draw);
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'stuck', untilMs: expect.any(Number) as number }]);
    expect(bench.open).toHaveLength(0);
  });

  it.each([-127, 0, 85, 65_535])('knows %d as a value that broken sensors send, and learns nothing from it', (value) => {
    const bench = new Bench();
    const draw = noise(9);
    calm(bench, 300, draw);
    bench.feed({ temperature: value });
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'impossible', metric: 'temperature', untilMs: null }]);
    calm(bench, 1, draw);
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'impossible', untilMs: bench.nowMs }]);
    calm(bench, 60, draw);
    expect(bench.open).toHaveLength(0);
    expect(bench.scores.slice(-50).every((score) => score <= 1)).toBe(true);
  });

  it('takes 0 for a measurement where it was one before: a charger that is switched off', () => {
    const bench = new Bench();
    const draw = noise(9);
    const feed = (readings: number, power: () => number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ power: power() });
    };
    feed(50, () => 0);
    feed(2000, () => 7.2 + 0.05 * draw());
    feed(20, () => 0);
    expect(bench.verdicts.size).toBe(0);
    feed(2000, () => 7.2 + 0.05 * draw());
    feed(1, () => -127);
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'impossible' }]);
  });

  it('takes 0 for a measurement once it stayed, and was no event: a valve that is shut for as long as it is open', () => {
    const bench = new Bench();
    const draw = noise(9);
    for (let cycle = 0; cycle < 8; cycle++) {
      for (let k = 0; k < 300; k++) bench.feed({ flow: 1.2 + 0.02 * draw() }, 'valve', 10_000);
      for (let k = 0; k < 1300; k++) bench.feed({ flow: 0 }, 'valve', 10_000);
    }
    const last = START_MS + 6 * 1600 * 10_000;
    expect([...bench.verdicts.values()].filter((verdict) => verdict.kind === 'impossible' && (verdict.untilMs ?? Infinity) > last)).toEqual([]);
    expect([...bench.events.values()].filter((event) => (event.resolvedMs ?? Infinity) > last)).toEqual([]);
  });

  it('goes on taking 0 for a broken sensor that had stood still at what it measured, or whose series wanders', () => {
    const still = new Bench();
    const at = (k: number): number => 20 + 0.5 * (Math.floor(k / 100) % 3);
    for (let k = 0; k < 3000; k++) still.feed({ temperature: at(k) });
    for (const [zeros, good] of [[3, 200], [5, 0]]) {
      for (let k = 0; k < zeros; k++) still.feed({ temperature: 0 });
      expect([...still.verdicts.values()].filter((verdict) => verdict.kind === 'impossible' && verdict.untilMs === null)).toHaveLength(1);
      for (let k = 0; k < good; k++) still.feed({ temperature: at(k) });
    }
    const walk = new Bench();
    const draw = noise(12);
    let level = 100;
    for (let k = 0; k < 3000; k++) walk.feed({ load: Math.round(16 * (level += 0.1 * draw())) / 16 });
    for (let k = 0; k < 1000; k++) walk.feed({ load: 0 });
    expect([...walk.verdicts.values()].filter((verdict) => verdict.kind === 'impossible')).toMatchObject([{ untilMs: null }]);
  });

  it('takes such a value for a measurement where it is near what is measured', () => {
    const bench = new Bench();
    calm(bench, 300, noise(9), 1);
    bench.feed({ temperature: 0 });
    expect(bench.verdicts.size).toBe(0);
  });

  it('finds a device that flaps, and steady again after a day', () => {
    const bench = new Bench();
    const draw = noise(21);
    const steady = (readings: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + 0.5 * draw() }, 'pump', 60_000);
    };
    steady(100);
    for (let k = 0; k < 4; k++) {
      bench.control({ kind: 'tick', nowMs: bench.nowMs + 99 * 60_000 });
      bench.feed({ temperature: 20 }, 'pump', 100 * 60_000);
      steady(5);
    }
    const flapping = (): unknown[] => [...bench.verdicts.values()].filter((verdict) => verdict.kind === 'flapping');
    expect(flapping()).toMatchObject([{ metric: null, untilMs: null, reason: 'silent and back 4 times within a day' }]);
    steady(1500);
    bench.control({ kind: 'tick', nowMs: bench.nowMs });
    expect(flapping()).toMatchObject([{ untilMs: expect.any(Number) as number }]);
  });

  it.each([
    ['a clock that is an hour behind', (k: number) => k * PERIOD_MS - 3_600_000, ['clock_skewed']],
    // A day's messages, sent within a minute when the network is back.
    ['no clock that is behind where a backlog is sent', (k: number) => k * PERIOD_MS - 86_400_000, []],
  ])('finds %s', (_, timestampAfterStart, expected) => {
    const bench = new Bench();
    const draw = noise(22);
    const batch = new Batch(4);
    const { device } = bench.fleet.addDevice('pump', {}, START_MS);
    const { slot } = bench.fleet.addSeries(device, 'temperature');
    const kinds: string[] = [];
    for (let k = 0; k < 60; k++) {
      batch.reset();
      batch.nowMs = START_MS + (expected.length > 0 ? k * PERIOD_MS : k * 1000);
      // A second has passed as well: a device that sends is not silent, however old its readings are.
      batch.controls.push({ kind: 'tick', nowMs: batch.nowMs });
      batch.push(1, slot, START_MS + timestampAfterStart(k), draw(), 0);
      bench.detector.step(batch);
      kinds.push(...batch.verdicts.map((verdict) => verdict.kind));
    }
    expect(kinds).toEqual(expected);
    const laterMs = batch.nowMs + 11 * PERIOD_MS;
    batch.reset();
    batch.controls.push({ kind: 'tick', nowMs: laterMs });
    bench.detector.step(batch);
    expect(batch.verdicts).toMatchObject([{ kind: 'silent' }]);
  });

  it('finds a clock that runs ahead', () => {
    const bench = new Bench();
    const draw = noise(10);
    const ahead = new Batch(4);
    const { device } = bench.fleet.addDevice('pump', {}, START_MS);
    const { slot } = bench.fleet.addSeries(device, 'temperature');
    const kinds: string[] = [];
    for (let k = 0; k < 10; k++) {
      ahead.reset();
      ahead.nowMs = START_MS + k * PERIOD_MS;
      ahead.push(1, slot, ahead.nowMs + 3_600_000, draw(), 0);
      bench.detector.step(ahead);
      kinds.push(...ahead.verdicts.map((verdict) => verdict.kind));
    }
    expect(kinds).toEqual(['clock_skewed']);
  });
});

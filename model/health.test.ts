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

  it('knows values that broken sensors send', () => {
    const bench = new Bench();
    const draw = noise(9);
    calm(bench, 300, draw);
    bench.feed({ temperature: -127 });
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'impossible', metric: 'temperature', untilMs: null }]);
    calm(bench, 1, draw);
    expect([...bench.verdicts.values()]).toMatchObject([{ kind: 'impossible', untilMs: bench.nowMs }]);
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

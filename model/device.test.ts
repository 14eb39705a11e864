import { describe, expect, it } from 'vitest';
import { Bench, noise, PERIOD_MS } from '../test/fed-device.js';

describe('a device of several metrics', () => {
  /** Two metrics that follow one hidden course, and one of its own; with `broken` the second leaves the first. */
  function pair(bench: Bench, readings: number, draw: () => number, broken: boolean): void {
    for (let k = 0; k < readings; k++) {
      const shared = Math.sin(bench.scores.length / 15) + 0.5 * Math.sin(bench.scores.length / 4.3);
      bench.feed({ inlet: shared + 0.1 * draw(), outlet: 10 + 2 * (broken ? -shared : shared) + 0.2 * draw(), level: draw() });
    }
  }

  it('has a row * for each message, whose score is that of its worst metric at least', () => {
    const bench = new Bench();
    const draw = noise(11);
    pair(bench, 600, draw, false);
    expect(bench.whole).toHaveLength(600);
    bench.feed({ inlet: 30, outlet: 10, level: 0 });
    const whole = bench.whole[600];
    expect(whole.score).toBeGreaterThanOrEqual(bench.scores[600]);
    expect(whole).toMatchObject({ inEvent: true });
  });

  it('finds a broken tie that shows in no metric alone, and names the metrics', () => {
    const bench = new Bench();
    const draw = noise(12);
    pair(bench, 1600, draw, false);
    const before = bench.events.size;
    pair(bench, 120, draw, true);
    expect(bench.whole.slice(1600).some((row) => row.score > 1)).toBe(true);
    const found = [...bench.events.values()].slice(before);
    // Which of the two has left the other cannot be told from the two.
    expect(found.flatMap((event) => event.metrics.map((part) => part.metric)).some((metric) => metric === 'inlet' || metric === 'outlet')).toBe(true);
  });

  it('keeps * in the event for as long as several metrics are off, though each alone is quiet again', () => {
    const bench = new Bench();
    const draw = noise(13);
    for (let k = 0; k < 1000; k++) bench.feed({ a: draw(), b: draw(), c: draw(), d: draw() });
    for (let k = 0; k < 200; k++) bench.feed({ a: 2 + draw(), b: 2 + draw(), c: 2 + draw(), d: 2 + draw() });
    const during = bench.whole.slice(1030, 1200).filter((row) => row.inEvent).length;
    expect(during).toBeGreaterThan(150);
    for (let k = 0; k < 150; k++) bench.feed({ a: draw(), b: draw(), c: draw(), d: draw() });
    expect(bench.whole[bench.whole.length - 1].inEvent).toBe(false);
  });

  it('makes one event of metrics that fail together', () => {
    const bench = new Bench();
    const draw = noise(14);
    for (let k = 0; k < 1000; k++) bench.feed({ a: draw(), b: draw() });
    const before = bench.events.size;
    for (let k = 0; k < 20; k++) bench.feed({ a: 12 + draw(), b: -12 + draw() });
    expect(bench.events.size).toBe(before + 1);
    expect(bench.open[0].metrics.map((part) => part.metric)).toEqual(expect.arrayContaining(['a', 'b']));
  });
});

it('calls events of many devices that open together one incident', () => {
  const bench = new Bench();
  const draw = noise(16);
  const devices = ['a', 'b', 'c', 'd'];
  for (let k = 0; k < 800; k++) {
    bench.nowMs += PERIOD_MS;
    for (const device of devices) bench.message({ flow: 5 + 0.3 * draw() }, device);
  }
  const before = bench.events.size;
  bench.nowMs += PERIOD_MS;
  for (const device of devices) bench.message({ flow: 40 }, device);
  const together = [...bench.events.values()].slice(before);
  expect(together).toHaveLength(4);
  expect(new Set(together.map((event) => event.incident)).size).toBe(1);
  expect(together[0].incident).not.toBeNull();
});

it.each([['two devices', [0, 1]], ['three devices that fail long after each other', [0, 20, 40]]])('makes no incident of %s', (_, periods) => {
  const bench = new Bench({ settings: { incidentWindowMs: 60_000 } });
  const draw = noise(37);
  const devices = ['a', 'b', 'c'];
  const fed = (faulty: string | undefined): void => {
    bench.nowMs += PERIOD_MS;
    for (const device of devices) bench.message({ flow: device === faulty ? 40 : 5 + 0.3 * draw() }, device);
  };
  for (let k = 0; k < 800; k++) fed(undefined);
  const before = bench.events.size;
  for (let k = 0; k < 60; k++) fed(devices[periods.indexOf(k)]);
  const found = [...bench.events.values()].slice(before);
  expect(found.length).toBeGreaterThanOrEqual(periods.length);
  expect(found.every((event) => event.incident === null)).toBe(true);
});

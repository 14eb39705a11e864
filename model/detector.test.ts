import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Batch, DEVICE_METRIC } from '../core/batch.js';
import type { AnomalyEvent } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import { seededRandom } from '../core/random.js';
import { Bench, calm, noise, PERIOD_MS, START_MS } from '../test/fed-device.js';
import { StreamDetector, type DetectorOptions } from './detector.js';

describe('a spike', () => {
  const bench = new Bench();
  beforeAll(() => {
    const draw = noise(1);
    calm(bench, 1500, draw);
    bench.feed({ temperature: 27.9 });
    calm(bench, 40, draw);
  });

  it('scores above 1 at its reading, and only there', () => {
    expect(bench.scores[1500]).toBeGreaterThan(1);
    expect(Math.max(...bench.scores.slice(1501))).toBeLessThanOrEqual(1);
  });

  it('is one event, with the reason in plain words, that ends soon after', () => {
    const events = [...bench.events.values()].filter((event) => event.openedMs > START_MS + 1499 * PERIOD_MS);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ device: 'pump', metric: 'temperature', kind: 'spike', state: 'resolved', actual: 27.9 });
    expect(events[0].reason).toMatch(/^got 27\.9 where 20\.4 was forecast; unusually far above the forecast, as never in \d+ days$/);
    expect(events[0].resolvedMs! - events[0].openedMs).toBeLessThan(20 * PERIOD_MS);
  });

  it('gives the event the same id in another run', () => {
    const other = new Bench();
    const draw = noise(1);
    calm(other, 1500, draw);
    other.feed({ temperature: 27.9 });
    for (const id of other.events.keys()) expect(bench.events.has(id)).toBe(true);
    expect(other.events.size).toBeGreaterThan(0);
  });
});

describe('a fault that lasts', () => {
  const bench = new Bench();
  let event: AnomalyEvent;
  beforeAll(() => {
    const draw = noise(2);
    calm(bench, 1500, draw);
    calm(bench, 5200, draw, 24);
    [event] = bench.open;
  });

  it('is still open after ten times the 512 readings in which the normal adapts', () => {
    expect(bench.open).toHaveLength(1);
    expect(event.openedMs).toBeLessThan(START_MS + 1520 * PERIOD_MS);
    expect(bench.inEvent.slice(-5000).every(Boolean)).toBe(true);
  });

  it('does not alarm over and over, and is reported at a decreasing pace', () => {
    expect(bench.scores.slice(1600).filter((score) => score > 1).length).toBeLessThan(6);
    expect(event.kind).toBe('shift');
  });

  it('ends at once when it is accepted, and the new level is then normal', () => {
    expect(bench.detector.canTakeFeedback(event.id, 'accept')).toBe(true);
    bench.control({ kind: 'feedback', eventId: event.id, verdict: 'accept', atMs: bench.nowMs, by: 'test' });
    expect(bench.open).toHaveLength(0);
    expect(bench.events.get(event.id)).toMatchObject({ state: 'resolved', feedback: { verdict: 'accept', by: 'test' } });
    const before = bench.events.size;
    calm(bench, 600, noise(3), 24);
    expect(bench.events.size).toBe(before);
  });
});

describe('a fault of a series that rises and falls with the day, read every minute', () => {
  it.each([['leaves what the day brings', 15], ['is within it for hours of each day', 8]])('is open for as long as it lasts, and over when it is repaired, where it %s', (_, shift) => {
    const bench = new Bench();
    const draw = noise(41);
    const feed = (days: number, level: number): void => {
      for (let k = 0; k < 1440 * days; k++) bench.feed({ temperature: level + 5 * Math.sin((2 * Math.PI * bench.nowMs) / 86_400_000) + 0.3 * draw() }, 'room', 60_000);
    };
    feed(6, 20);
    expect(bench.open).toHaveLength(0);
    feed(3, 20 + shift);
    expect(bench.inEvent.slice(-3 * 1440 + 10).every(Boolean)).toBe(true);
    feed(1, 20);
    expect(bench.inEvent.slice(-1000).some(Boolean)).toBe(false);
  });
});

describe('an alarm', () => {
  it('is forgotten within a day, and in 250 readings at most: until then one that is no worse is part of it', () => {
    const heard = (stepMs: number, readings: number): boolean => {
      const bench = new Bench();
      const draw = noise(12);
      const feed = (count: number): void => {
        for (let k = 0; k < count; k++) bench.feed({ temperature: 20 + 0.5 * draw() }, 'pump', stepMs);
      };
      feed(1500);
      const { judge } = bench.detector;
      expect(judge.emits(0, 20, 10)).toBe(true);
      feed(readings);
      return judge.emits(0, 12, 10);
    };
    expect([60, 120].map((readings) => heard(600_000, readings))).toEqual([false, true]);
    expect([120, 250].map((readings) => heard(60_000, readings))).toEqual([false, true]);
    expect([20, 60].map((readings) => heard(3_600_000, readings))).toEqual([false, true]);
  });
});

describe('a fault that comes again', () => {
  const bench = new Bench();
  const began: number[] = [];
  beforeAll(() => {
    const draw = noise(21);
    calm(bench, 1500, draw);
    for (let time = 0; time < 3; time++) {
      began.push(bench.scores.length);
      calm(bench, 80, draw, 24);
      calm(bench, 400, draw);
    }
  });

  it('is found again: what came in an event was not taken for seen', () => {
    for (const at of began) expect(Math.max(...bench.scores.slice(at, at + 80))).toBeGreaterThan(1);
  });

  it('leaves no alarm behind when it has gone', () => {
    for (const at of began) expect(Math.max(...bench.scores.slice(at + 100, at + 480))).toBeLessThanOrEqual(1);
  });
});

describe('a state that comes and goes', () => {
  /** Days of 144 readings, in each of which the level is higher for ten hours, by a third more than the day before; after the last it stays so for 2,000. */
  function comesAndGoes(days: number, confirm: boolean): { bench: Bench; share: (from: number, to?: number) => number } {
    const bench = new Bench();
    const draw = noise(17);
    const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
    feed(1500, 50);
    for (let day = 0; day < days; day++) {
      feed(60, 50 + 8 * 1.35 ** day);
      if (confirm) for (const event of bench.open) bench.control({ kind: 'feedback', eventId: event.id, verdict: 'confirm', atMs: bench.nowMs, by: 'ada' });
      feed(84, 50);
    }
    feed(2000, 50 + 8 * 1.35 ** days);
    const share = (from: number, to?: number): number => {
      const flags = bench.inEvent.slice(from, to);
      return flags.filter(Boolean).length / flags.length;
    };
    return { bench, share };
  }
  const dayOf = (k: number): [number, number] => [1500 + 144 * k, 1500 + 144 * k + 60];

  it('is an event for as long as it lasts twice, and then what comes at that time of the day', () => {
    const { share } = comesAndGoes(6, false);
    for (const k of [0, 1]) expect(share(...dayOf(k)), `day ${k}`).toBeGreaterThan(0.9);
    for (const k of [2, 3, 4, 5]) expect(share(...dayOf(k)), `day ${k}`).toBeLessThan(0.5);
  });

  it('is a fault where it stays, the third time too, and never a part of the normal where a person confirmed it', () => {
    const stays = comesAndGoes(2, false);
    expect(stays.share(-1800)).toBe(1);
    expect(stays.bench.open[0].reason).toContain('lasted longer than it ever did');
    const { share } = comesAndGoes(6, true);
    for (let k = 0; k < 6; k++) expect(share(...dayOf(k)), `day ${k}`).toBeGreaterThan(0.9);
    expect(share(-1900)).toBe(1);
  });
});

describe('a state that came and went', () => {
  function outages(times: number, seed: number): Bench {
    const bench = new Bench();
    const draw = noise(seed);
    const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
    feed(1500, 50);
    for (let k = 0; k < times; k++) {
      feed(60 + 7 * (k % 3), 30);
      feed(437 + 97 * k + 31 * seed, 50);
    }
    feed(3000, 30);
    return bench;
  }

  it('is a fault where it stays, although it was learned', () => {
    const heard = [1, 2, 3, 4, 5].flatMap((seed) => [3, 4, 6].map((times) => outages(times, seed).inEvent.slice(-2000)));
    // In one of the six that are left, levels between the two have become normal by then.
    expect(heard.filter((flags) => flags.every(Boolean)).length).toBeGreaterThanOrEqual(12);
  });

  it('is over when it is repaired, although the scale had grown to hold both levels', () => {
    const ended = [1, 2, 3, 4].flatMap((seed) => [2, 3, 4].map((times) => {
      const bench = outages(times, seed);
      calm(bench, 600, noise(seed + 50), 50, 1);
      return bench.inEvent.slice(-400);
    }));
    expect(ended.filter((flags) => !flags.some(Boolean)).length).toBeGreaterThanOrEqual(11);
  });

  it('is told where it lasts for a day, at once or after half of it, although it is always at the same value; that it ends then is no news', () => {
    const bench = new Bench();
    const draw = noise(3);
    const random = seededRandom(3);
    const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
    feed(3000, 20);
    for (let time = 0; time < 5; time++) {
      const from = bench.events.size;
      feed(144, 100);
      expect(bench.events.size, `time ${time + 1}`).toBeGreaterThan(from);
      feed(1500 + Math.floor(300 * random()), 20);
      expect(bench.open, `after time ${time + 1}`).toHaveLength(0);
    }
  });

  describe('as a job that was there each night, so that it is a part of what is normal', () => {
    const MINUTE_MS = 60_000;
    /** Eight nights of five hours, then it hangs for a day and is repaired; the rule is set when it begins to hang. */
    function hangs(settings: object): { bench: Bench; told: boolean } {
      const bench = new Bench();
      const draw = noise(7);
      const feed = (minutes: number, level: number): void => {
        for (let k = 0; k < minutes; k++) bench.feed({ cpu: level + draw() }, 'server', MINUTE_MS);
      };
      feed(3 * 1440 + 60, 20);
      for (let night = 0; night < 8; night++) {
        feed(300, 60);
        feed(1140, 20);
      }
      bench.control({ kind: 'settings', hash: '', settings });
      feed(1440, 60);
      const told = bench.open.some((event) => event.reason.includes('lasted longer than it ever did'));
      feed(1440, 20);
      return { bench, told };
    }

    it('is a fault where it hangs, and over when it is repaired', () => {
      const { bench, told } = hangs({});
      expect(told).toBe(true);
      expect(bench.inEvent.slice(-1440 - 700, -1440).every(Boolean)).toBe(true);
      expect(bench.open).toHaveLength(0);
    });

    it('is told of by no policy that leaves it out', () => {
      for (const rule of [{ direction: 'down' }, { minDeviation: 100 }, { ignore: true }]) {
        expect(hangs({ rules: [{ metric: 'cpu', ...rule }] }).told, JSON.stringify(rule)).toBe(false);
      }
      expect(hangs({ rules: [{ metric: 'cpu', direction: 'up' }] }).told).toBe(true);
    });

    it('is told when the maintenance is over in which it fell due', () => {
      const begins = START_MS + (11 * 1440 + 60 + 400) * MINUTE_MS;
      expect(hangs({ maintenance: [{ device: 'server', startMs: begins, endMs: begins + 300 * MINUTE_MS }] }).told).toBe(true);
    });
  });

  it('is told of by no policy that leaves it out', () => {
    const opened = (rule: object): number => {
      const bench = new Bench({ settings: { rules: [{ metric: 'temperature', ...rule }] } });
      const draw = noise(8);
      for (let time = 0; time < 8; time++) {
        calm(bench, 900, draw, 20, 0.5);
        calm(bench, time < 7 ? 20 : 400, draw, 80, 0.5);
      }
      return bench.events.size;
    };
    expect(opened({})).toBeGreaterThan(0);
    expect(opened({ minDeviation: 200 })).toBe(0);
  });

  it('is not a part of what is alike because one glitch made the range wide', () => {
    const bench = new Bench();
    const draw = noise(9);
    const feed = (readings: number, level: number, deviation = 0.5): void => calm(bench, readings, draw, level, deviation);
    feed(1500, 20);
    feed(1, 2000);
    feed(2000, 20);
    for (const [level, deviation] of [[20, 4], [20, 4], [20, 4], [24, 0.5], [14, 0.5], [27, 0.5]]) {
      const from = bench.scores.length;
      feed(50, level, deviation);
      expect(Math.max(...bench.scores.slice(from)), `${level} ± ${deviation}`).toBeGreaterThan(1);
      feed(750, 20);
    }
  });

  it('is a fault where it stays, be it a job of three hours that ran in three nights only', () => {
    for (let seed = 5; seed < 11; seed++) {
      const bench = new Bench();
      const draw = noise(seed);
      const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
      feed(2880, 50);
      for (let night = 0; night < 3; night++) {
        feed(12, 50);
        feed(18, 70);
        feed(114, 50);
      }
      feed(12, 50);
      feed(600, 70);
      expect(bench.inEvent.slice(-400).every(Boolean), `seed ${seed}`).toBe(true);
    }
  });

  it('is not told of a series that is ignored meanwhile', () => {
    const bench = new Bench();
    const draw = noise(5);
    const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
    feed(1440, 50);
    for (let day = 0; day < 6; day++) {
      feed(12, 50);
      feed(12, 70);
      if (day < 5) feed(120, 50);
    }
    bench.control({ kind: 'settings', hash: '', settings: { rules: [{ metric: 'temperature', ignore: true }] } });
    feed(432, 70);
    feed(600, 50);
    expect(bench.open).toHaveLength(0);
  });
});

it('a false alarm that is over is not what is open now: that goes on', () => {
  const bench = new Bench();
  const draw = noise(3);
  const feed = (readings: number, level: number): void => calm(bench, readings, draw, level, 1);
  feed(1500, 50);
  feed(60, 58);
  feed(300, 50);
  const [first] = bench.events.values();
  feed(40, 20);
  expect(bench.open).toHaveLength(1);
  bench.control({ kind: 'feedback', eventId: first.id, verdict: 'false_alarm', atMs: bench.nowMs, by: 'ada' });
  feed(40, 20);
  expect(bench.inEvent.at(-1)).toBe(true);
  feed(300, 50);
  expect(bench.open).toHaveLength(0);
});

it('hears a plain fault after three hours at a reading a minute nine times of ten, however rare an alarm must be there', () => {
  let heard = 0;
  for (let seed = 50; seed < 90; seed++) {
    const bench = new Bench();
    const draw = noise(seed);
    for (let k = 0; k < 190; k++) bench.feed({ temperature: 20 + draw() }, 'pump', 60_000);
    for (let k = 0; k < 60; k++) bench.feed({ temperature: 40 + draw() }, 'pump', 60_000);
    if (Math.max(...bench.scores.slice(190)) > 1) heard++;
  }
  expect(heard).toBeGreaterThanOrEqual(36);
});

it('accepts a lasting fault by itself after the time that is set for it', () => {
  const bench = new Bench({ settings: { acceptAfterMs: 500 * PERIOD_MS } });
  const draw = noise(2);
  calm(bench, 1500, draw);
  calm(bench, 600, draw, 24);
  expect(bench.open).toHaveLength(1);
  bench.control({ kind: 'tick', nowMs: bench.nowMs });
  expect(bench.open).toHaveLength(0);
});

it.each([
  ['raises the bar for a kind of alarm that was called false', 'false_alarm', -1],
  ['lets a fault that was confirmed not count against the next, said twice no more than once', 'confirm', 1],
] as const)('%s', (_, verdict, sign) => {
  const scoreOfSpike = (times: number): number => {
    const bench = new Bench();
    const draw = noise(4);
    calm(bench, 1500, draw);
    bench.feed({ temperature: 26 });
    const [event] = bench.open;
    for (let k = 0; k < times; k++) bench.control({ kind: 'feedback', eventId: event.id, verdict, atMs: bench.nowMs, by: 'test' });
    calm(bench, 300, draw);
    bench.feed({ temperature: 12 });
    return bench.scores[bench.scores.length - 1];
  };
  const without = scoreOfSpike(0);
  expect(sign * scoreOfSpike(1)).toBeGreaterThan(sign * without);
  if (verdict === 'confirm') expect(scoreOfSpike(2)).toBe(scoreOfSpike(1));
});

describe('settings', () => {
  const spikeScore = (options: DetectorOptions, spike: number): { score: number; events: number } => {
    const bench = new Bench(options);
    calm(bench, 1000, noise(15));
    bench.feed({ temperature: spike });
    return { score: bench.scores[1000], events: bench.open.length };
  };

  it.each([
    ['nothing set', {}, 27, true],
    ['ignore', { rules: [{ metric: 'temp*', ignore: true }] }, 27, false],
    ['the other direction', { rules: [{ device: 'pump', direction: 'down' as const }] }, 27, false],
    ['a smaller deviation than counts', { rules: [{ minDeviation: 100 }] }, 27, false],
    ['a hard limit', { rules: [{ max: 20.4 }] }, 20.5, true],
  ])('%s', (_, settings, spike, alarms) => {
    expect(spikeScore({ settings }, spike).score > 1).toBe(alarms);
  });

  it('opens nothing in a maintenance window', () => {
    const maintenance = [{ device: 'pump', startMs: START_MS, endMs: START_MS + 1e12 }];
    expect(spikeScore({ settings: { maintenance } }, 27)).toMatchObject({ events: 0 });
    expect(spikeScore({}, 27)).toMatchObject({ events: 1 });
  });

  it('come through the journal too', () => {
    const bench = new Bench();
    calm(bench, 1000, noise(15));
    bench.control({ kind: 'settings', hash: 'h', settings: { rules: [{ metric: 'temperature', ignore: true }] } });
    bench.feed({ temperature: 27 });
    expect(bench.scores[1000]).toBe(0);
  });
});

describe('determinism', () => {
  /** Scores of three devices in interleaved messages, fed in batches of `size` messages. */
  function run(size: number, order: string[]): Map<string, number[]> {
    const fleet = new Fleet();
    const detector = new StreamDetector(fleet, null, {});
    for (const name of order) {
      const { device } = fleet.addDevice(name, {}, START_MS);
      for (const metric of ['x', 'y']) fleet.addSeries(device, metric);
    }
    const batch = new Batch(4096);
    const out = new Map<string, number[]>();
    const flush = (): void => {
      detector.step(batch);
      for (let row = 0; row < batch.n; row++) {
        const name = fleet.nameOf(batch.seriesId[row])!;
        const key = `${name.device}/${name.metric}`;
        out.set(key, [...(out.get(key) ?? []), batch.anomalyScore[row], batch.flags[row], batch.timestampMs[row]]);
      }
      batch.reset();
    };
    const draws = new Map(order.map((name) => [name, noise(name.charCodeAt(0))]));
    let messages = 0;
    for (let t = 0; t < 600; t++) {
      for (const name of ['a', 'b', 'c']) {
        const device = fleet.get(name)!;
        const draw = draws.get(name)!;
        const jump = t > 400 && name === 'b' ? 9 : 0;
        const values = [draw() + jump, 3 + draw()];
        values.forEach((value, i) => batch.push(device.seriesIds[i], device.slots[i], START_MS + t * 1000, value, 0));
        if (++messages % size === 0) flush();
      }
    }
    flush();
    return out;
  }

  it('does not depend on where batches end, nor on slots', () => {
    const one = run(1, ['a', 'b', 'c']);
    expect(run(7, ['a', 'b', 'c'])).toEqual(one);
    expect(run(500, ['a', 'b', 'c'])).toEqual(one);
    const turned = run(50, ['c', 'b', 'a']);
    for (const key of one.keys()) expect(turned.get(key)).toEqual(one.get(key));
  });

  it('goes on from its parts and documents as if it had never stopped', () => {
    const draw = noise(17);
    const bench = new Bench();
    calm(bench, 900, draw);
    for (let k = 0; k < 30; k++) bench.feed({ temperature: 26 + 0.5 * draw() });
    expect(bench.open).toHaveLength(1);
    const twin = new Bench();
    const { device } = twin.fleet.addDevice('pump', {}, START_MS);
    twin.fleet.addSeries(device, 'temperature');
    twin.nowMs = bench.nowMs;
    const from = bench.fleet.get('pump')!;
    for (const [k, part] of bench.detector.parts.entries()) {
      const bytes = new Uint8Array(part.bytesPerSlot);
      const slot = part.per === 'series' ? from.slots[0] : from.slot;
      part.write(slot, bytes, 0);
      twin.detector.parts[k].reserve(1);
      twin.detector.parts[k].read(part.per === 'series' ? device.slots[0] : device.slot, bytes, 0);
    }
    for (const [k, part] of bench.detector.documents.entries()) {
      const document: unknown = JSON.parse(JSON.stringify(part.writeDevice(from.id)));
      if (document !== null) twin.detector.documents[k].readDevice(device.id, document);
    }
    const again = noise(18);
    const values = Array.from({ length: 200 }, (_, k) => (k < 50 ? 26 : 20) + 0.5 * again());
    for (const value of values) {
      bench.feed({ temperature: value });
      twin.feed({ temperature: value });
    }
    expect(twin.scores).toEqual(bench.scores.slice(-200));
    expect(twin.inEvent).toEqual(bench.inEvent.slice(-200));
    expect([...twin.events.values()].pop()).toEqual([...bench.events.values()].pop());
  });
});

it('keeps within the state that a series is allowed', () => {
  const engine = new Set(['normaliser', 'forecast']);
  const bytes = (options: DetectorOptions): number => new Bench(options).detector.parts
    .filter((part) => !engine.has(part.name)).reduce((sum, part) => sum + part.bytesPerSlot, 0);
  expect(bytes({})).toBeLessThanOrEqual(3200);
  expect(bytes({ profile: 'compact' })).toBeLessThanOrEqual(1200);
});

it('forgets a device that is retired', () => {
  const bench = new Bench();
  calm(bench, 300, noise(19));
  const device = bench.fleet.get('pump')!;
  expect(bench.detector.warmUp(device)).toEqual({ ready: true, readingsLeft: 0, readyAtMs: null });
  bench.detector.retire(device);
  expect(bench.detector.seriesInfo(device.slots[0])).toMatchObject({ readings: 0, periodMs: null });
  expect(bench.detector.warmUp(device)).toMatchObject({ ready: false });
});

it('says when it will be ready', () => {
  const bench = new Bench();
  calm(bench, 40, noise(20));
  const device = bench.fleet.get('pump')!;
  const { readingsLeft, readyAtMs } = bench.detector.warmUp(device);
  expect(readingsLeft).toBe(60);
  expect(readyAtMs).toBeCloseTo(bench.nowMs + 60 * PERIOD_MS, -4);
  expect(bench.scores.every((score) => score === 0)).toBe(true);
  expect(device.metrics).not.toContain(DEVICE_METRIC);
});

it('gives finite results for any finite readings', () => {
  const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, 20, 20.5, 1e300, -1e300, 5e-324, 1e18), fc.integer({ min: -100, max: 100 }));
  fc.assert(fc.property(fc.array(value, { minLength: 150, maxLength: 300 }), (values) => {
    const fleet = new Fleet();
    const detector = new StreamDetector(fleet, null, {});
    const { device } = fleet.addDevice('any', {}, 0);
    const slots = ['a', 'b'].map((metric) => fleet.addSeries(device, metric).slot);
    const batch = new Batch(8);
    values.forEach((v, t) => {
      batch.reset();
      batch.nowMs = t * 1000;
      for (const slot of slots) batch.push(fleet.idOfSlot(slot), slot, t * 1000, v, 0);
      detector.step(batch);
      for (let row = 0; row < batch.n; row++) expect(Number.isFinite(batch.anomalyScore[row])).toBe(true);
      for (const event of batch.events) expect(JSON.stringify(event)).not.toContain('"peakScore":null');
    });
  }), { numRuns: 25 });
});

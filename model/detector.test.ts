import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Batch, DEVICE_METRIC, FLAG, type Control } from '../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import { gaussian, seededRandom } from '../core/random.js';
import { StreamDetector, type DetectorOptions } from './detector.js';

const PERIOD_MS = 600_000;
const START_MS = Date.UTC(2024, 0, 1);

/** One device fed message by message; keeps what came out. */
class Bench {
  readonly fleet = new Fleet();
  readonly detector: StreamDetector;
  readonly events = new Map<string, AnomalyEvent>();
  readonly verdicts = new Map<string, HealthVerdict>();
  readonly scores: number[] = [];
  readonly inEvent: boolean[] = [];
  readonly whole: { score: number; inEvent: boolean }[] = [];
  nowMs = START_MS;
  readonly #batch = new Batch(64);

  constructor(options: DetectorOptions = {}) {
    this.detector = new StreamDetector(this.fleet, null, options);
  }

  feed(values: Record<string, number>, device = 'pump', stepMs = PERIOD_MS): void {
    this.nowMs += stepMs;
    this.message(values, device);
  }

  message(values: Record<string, number>, device = 'pump'): void {
    const batch = this.#batch;
    batch.nowMs = this.nowMs;
    const known = this.fleet.get(device) ?? this.fleet.addDevice(device, {}, this.nowMs).device;
    for (const [metric, value] of Object.entries(values)) {
      let slot = this.fleet.slotOf(known, metric);
      if (slot < 0) slot = this.fleet.addSeries(known, metric).slot;
      batch.push(this.fleet.idOfSlot(slot), slot, this.nowMs, value, 0);
    }
    known.lastSeenMs = this.nowMs;
    this.#step();
  }

  control(control: Control): void {
    this.#batch.nowMs = this.nowMs;
    this.#batch.controls.push(control);
    this.#step();
  }

  get open(): AnomalyEvent[] {
    return [...this.events.values()].filter((event) => event.state === 'open');
  }

  #step(): void {
    const batch = this.#batch;
    const n = batch.n;
    this.detector.step(batch);
    if (n > 0) {
      this.scores.push(batch.anomalyScore[0]);
      this.inEvent.push((batch.flags[0] & FLAG.IN_EVENT) !== 0);
    }
    for (let row = n; row < batch.n; row++) this.whole.push({ score: batch.anomalyScore[row], inEvent: (batch.flags[row] & FLAG.IN_EVENT) !== 0 });
    for (const event of batch.events) this.events.set(event.id, event);
    for (const verdict of batch.verdicts) this.verdicts.set(verdict.id, verdict);
    batch.reset();
  }
}

function noise(seed: number): () => number {
  const random = seededRandom(seed);
  return () => gaussian(random);
}

/** Readings of a calm sensor: 20 with noise of 0.5. */
function calm(bench: Bench, readings: number, draw: () => number, level = 20): void {
  for (let k = 0; k < readings; k++) bench.feed({ temperature: level + 0.5 * draw() });
}

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
    expect(events[0].reason).toMatch(/^expected .*, got 27\.9.*; the highest value in \d+ days$/);
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

it('accepts a lasting fault by itself after the time that is set for it', () => {
  const bench = new Bench({ settings: { acceptAfterMs: 500 * PERIOD_MS } });
  const draw = noise(2);
  calm(bench, 1500, draw);
  calm(bench, 600, draw, 24);
  expect(bench.open).toHaveLength(1);
  bench.control({ kind: 'tick', nowMs: bench.nowMs });
  expect(bench.open).toHaveLength(0);
});

it('raises the bar for a kind of alarm that was called false', () => {
  const scoreOfSpike = (feedback: boolean): number => {
    const bench = new Bench();
    const draw = noise(4);
    calm(bench, 1500, draw);
    bench.feed({ temperature: 26 });
    const [event] = bench.open;
    if (feedback) bench.control({ kind: 'feedback', eventId: event.id, verdict: 'false_alarm', atMs: bench.nowMs, by: 'test' });
    calm(bench, 300, draw);
    bench.feed({ temperature: 12 });
    return bench.scores[bench.scores.length - 1];
  };
  expect(scoreOfSpike(true)).toBeLessThan(scoreOfSpike(false));
});

describe('what is no anomaly', () => {
  it('a gap and a return', () => {
    let alarms = 0;
    for (let seed = 0; seed < 10; seed++) {
      const bench = new Bench();
      const draw = noise(500 + seed);
      const wave = (): number => 5 * Math.sin(bench.nowMs / 2e7) + 0.3 * draw();
      for (let k = 0; k < 800; k++) bench.feed({ temperature: wave() });
      bench.feed({ temperature: wave() }, 'pump', 3 * 86_400_000);
      for (let k = 0; k < 40; k++) bench.feed({ temperature: wave() });
      alarms += bench.scores.slice(800).filter((score) => score > 1).length;
    }
    expect(alarms).toBe(0);
  });

  it('a daily spike at 6 a.m., after three of them', () => {
    const alarmsByDay = new Array<number>(20).fill(0);
    for (let seed = 0; seed < 6; seed++) {
      const bench = new Bench();
      const draw = noise(60 + seed);
      for (let day = 0; day < 20; day++) {
        const first = bench.scores.length;
        for (let k = 0; k < 144; k++) bench.feed({ temperature: 20 + 0.5 * draw() + (day >= 6 && k === 36 ? 12 : 0) });
        // Other alarms than at the spike and in the hour after it are not of this test.
        alarmsByDay[day] += bench.scores.slice(first + 36, first + 42).filter((score) => score > 1).length;
      }
    }
    expect(alarmsByDay[6]).toBe(6);
    // Of 66 later spikes.
    expect(alarmsByDay.slice(9).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(2);
  });

  it('the first readings of a clean series: two alarms in 500 at most, in the median', () => {
    const alarms = Array.from({ length: 15 }, (_, k) => {
      const bench = new Bench();
      const draw = noise(100 + k);
      for (let t = 0; t < 500; t++) bench.feed({ temperature: 5 * Math.sin(t / (10 + k)) + draw() });
      return bench.scores.filter((score) => score > 1).length;
    }).sort((a, b) => a - b);
    expect(alarms[7]).toBeLessThanOrEqual(2);
  });
});

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
    expect(found.flatMap((event) => event.metrics.map((part) => part.metric))).toEqual(expect.arrayContaining(['outlet']));
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

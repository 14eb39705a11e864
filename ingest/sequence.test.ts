import { beforeEach, describe, expect, it } from 'vitest';
import { Batch, FLAG } from '../core/batch.js';
import { ManualClock } from '../core/clock.js';
import { Fleet } from '../core/fleet.js';
import { DEFAULT_LIMITS, type Limits } from '../core/limits.js';
import { ReasonCounters, type Reason } from '../core/reasons.js';
import { Intake } from './intake.js';
import { Sequencer, type SequencerOptions } from './sequence.js';

const T0 = 1_700_000_000_000;

let clock: ManualClock;
let fleet: Fleet;
let batch: Batch;
let counters: ReasonCounters;
let intake: Intake;
let sequencer: Sequencer;

function setUp(options: Partial<Omit<SequencerOptions, 'limits'>> & { limits?: Partial<Limits> } = {}, capacity = 2000): void {
  clock = new ManualClock(T0);
  fleet = new Fleet();
  counters = new ReasonCounters();
  intake = new Intake(counters, () => undefined);
  sequencer = new Sequencer(fleet, intake, { clock, time: 'wall', ...options, limits: { ...DEFAULT_LIMITS, ...options.limits } });
  batch = new Batch(capacity);
  sequencer.attach(batch);
}

beforeEach(() => setUp());

/** Sends one message; false where it or any of its readings was refused. */
function send(device: string, timestampMs: number, metrics: Record<string, number>, tags?: Record<string, string>): boolean {
  if (!sequencer.begin(device, timestampMs, clock.nowMs(), tags)) return false;
  const taken = Object.entries(metrics).map(([metric, value]) => sequencer.add(metric, value));
  sequencer.end();
  return taken.every(Boolean);
}

const rows = (): [string, string, number, number, number][] =>
  Array.from({ length: batch.n }, (_, i) => {
    const { device, metric } = fleet.nameOf(batch.seriesId[i])!;
    return [device, metric, batch.timestampMs[i] - T0, batch.value[i], batch.flags[i]];
  });
const counted = (): Partial<Record<Reason, number>> => Object.fromEntries(counters.entries().filter(([, n]) => n > 0));

describe('devices and series', () => {
  it('declares what it has not seen, once and in order', () => {
    send('oven3', T0, { temperature: 20, humidity: 40 }, { line: '1' });
    send('oven3', T0 + 1, { temperature: 21 });
    expect(batch.declarations).toEqual([
      { kind: 'device', deviceId: 1, name: 'oven3', tags: {}, atMs: T0 },
      { kind: 'tags', deviceId: 1, tags: { line: '1' } },
      { kind: 'series', seriesId: 1, deviceId: 1, metric: 'temperature' },
      { kind: 'series', seriesId: 2, deviceId: 1, metric: 'humidity' },
    ]);
    expect(rows()).toEqual([['oven3', 'temperature', 0, 20, 0], ['oven3', 'humidity', 0, 40, 0], ['oven3', 'temperature', 1, 21, 0]]);
    expect(intake.accepted).toBe(3);
  });

  it('finds metrics in whatever order they come, and beside the row of the device', () => {
    send('d', T0, { a: 1, b: 2 });
    batch.declarations.push(fleet.addSeries(fleet.get('d')!, '*').declaration);
    send('d', T0 + 1, { c: 3 });
    send('d', T0 + 2, { c: 1, a: 2, b: 3 });
    expect(rows().slice(3)).toEqual([['d', 'c', 2, 1, 0], ['d', 'a', 2, 2, 0], ['d', 'b', 2, 3, 0]]);
    expect(send('d', T0 + 3, { a: 1, b: 1, '*': 5 })).toBe(false);
    expect(counted()).toEqual({ name_invalid: 1 });
  });

  it('makes no device of a message of which nothing is taken', () => {
    expect(send('d', T0, { a: NaN })).toBe(false);
    expect(send('d', T0, { '': 1 })).toBe(false);
    expect(send('\n', T0, { a: 1 })).toBe(false);
    expect(fleet.deviceCount).toBe(0);
    expect(batch.declarations).toEqual([]);
    expect(counted()).toEqual({ not_finite: 1, name_invalid: 2 });
  });

  it('adds up tags, and declares them only when they change', () => {
    send('d', T0, { a: 1 }, { site: 'x', line: '1' });
    const before = batch.declarations.length;
    send('d', T0 + 1, { a: 1 }, { site: 'x' });
    send('d', T0 + 2, { a: 1 });
    expect(batch.declarations.length).toBe(before);
    send('d', T0 + 3, { a: 1 }, { site: 'y' });
    expect(batch.declarations.at(-1)).toEqual({ kind: 'tags', deviceId: 1, tags: { site: 'y', line: '1' } });
    expect(fleet.get('d')!.tags).toEqual({ site: 'y', line: '1' });
  });
});

describe('limits', () => {
  it.each<[Reason, Partial<Limits>, () => unknown]>([
    ['too_many_devices', { devices: 1 }, () => send('e', T0, { a: 1 })],
    ['too_many_series', { series: 1 }, () => send('d', T0 + 1, { b: 1 })],
    ['too_many_metrics', { metricsPerDevice: 1 }, () => send('d', T0 + 1, { b: 1 })],
    ['name_too_long', { nameBytes: 8 }, () => send('d', T0 + 1, { temperature: 1 })],
    ['name_too_long', { nameBytes: 8 }, () => send('däääääää', T0 + 1, { a: 1 })],
    ['timestamp_skewed', { clockSkewMs: 1000 }, () => send('d', T0 + 1001, { a: 1 })],
    ['timestamp_skewed', {}, () => send('d', 12_345_000, { a: 1 })],
    ['timestamp_invalid', {}, () => send('d', -1, { a: 1 })],
    ['timestamp_invalid', {}, () => send('d', 1e18, { a: 1 })],
    ['timestamp_invalid', {}, () => send('d', Infinity, { a: 1 })],
    ['not_finite', {}, () => send('d', T0 + 1, { a: -Infinity })],
  ])('%s', (reason, limits, act) => {
    setUp({ limits });
    send('d', T0, { a: 1 });
    expect(act()).toBe(false);
    expect(counted()).toEqual({ [reason]: 1 });
    expect(batch.n).toBe(1);
    expect(send('d', T0 + 2, { a: 1 })).toBe(true);
  });

  it('keeps the first tags and counts the others', () => {
    setUp({ limits: { tags: 2, nameBytes: 8 } });
    send('d', T0, { a: 1 }, { a: '1', b: '2', c: '3', looooooong: '4', 'x\n': '5' });
    expect(fleet.get('d')!.tags).toEqual({ a: '1', b: '2' });
    expect(counted()).toEqual({ too_many_tags: 1, name_too_long: 1, name_invalid: 1 });
    expect(batch.n).toBe(1);
  });

  it('counts the rows of devices apart from the limit on series', () => {
    setUp({ limits: { metricsPerDevice: 3 } });
    send('d', T0, { a: 1, b: 1 });
    fleet.addSeries(fleet.get('d')!, '*');
    expect(send('d', T0 + 1, { c: 1 })).toBe(true);
    expect(send('d', T0 + 2, { d: 1 })).toBe(false);
  });
});

describe('order', () => {
  it('drops a second reading of the same time, and says where it differs', () => {
    send('d', T0, { a: 1 });
    expect(send('d', T0, { a: 1 })).toBe(false);
    expect(send('d', T0, { a: 2 })).toBe(false);
    expect(counted()).toEqual({ duplicate: 1, duplicate_differs: 1 });
    expect(batch.n).toBe(1);
  });

  it('stores what is late, unscored, and leaves the series where it was', () => {
    send('d', T0, { a: 1 });
    expect(send('d', T0 - 1000, { a: 7 })).toBe(true);
    expect(rows()[1]).toEqual(['d', 'a', -1000, 7, FLAG.LATE]);
    expect(counted()).toEqual({ late: 1 });
    send('d', T0, { a: 1 });
    expect(counted()).toEqual({ late: 1, duplicate: 1 });
  });

  it('knows an old reading that comes again from one that is late', () => {
    for (let i = 0; i < 100; i++) send('d', T0 + i, { a: i });
    send('d', T0 - 5, { a: 3 });
    for (let i = 0; i < 100; i++) send('d', T0 + i, { a: i });
    send('d', T0 - 5, { a: 3 });
    send('d', T0 + 3, { a: 99 });
    expect(counted()).toEqual({ late: 1, duplicate: 101, duplicate_differs: 1 });
    expect(batch.n).toBe(101);
  });

  it('gives a reading without a timestamp the time of its arrival, or the next millisecond', () => {
    send('d', NaN, { a: 1, b: 1 });
    send('d', NaN, { a: 1, b: 2 });
    clock.advance(10);
    send('d', NaN, { a: 3 });
    send('d', T0 + 500, { a: 3 });
    send('d', NaN, { a: 4 });
    expect(rows().map((row) => row[2])).toEqual([0, 0, 1, 1, 10, 500, 501]);
    expect(counted()).toEqual({});
  });

  it('starts again where the journal left off', () => {
    const journaled = new Batch(10);
    const { device, declaration } = fleet.addDevice('d', {}, T0);
    const series = fleet.addSeries(device, 'a');
    journaled.declarations.push(declaration, series.declaration);
    for (let i = 0; i < 5; i++) journaled.push(1, series.slot, T0 + i, i, 0);
    sequencer.observe(journaled);
    for (let i = 0; i < 6; i++) send('d', T0 + i, { a: i });
    expect(rows()).toEqual([['d', 'a', 5, 5, 0]]);
    expect(counted()).toEqual({ duplicate: 5 });
    expect(device.lastSeenMs).toBe(T0 + 5);
  });

  it('keeps its place over a snapshot', () => {
    for (let i = 0; i < 5000; i++) {
      if (sequencer.full) sequencer.attach(batch = new Batch(2000));
      send(`d${i}`, T0 + i, { a: i });
    }
    const bytes = new Uint8Array(16 * fleet.seriesTop + 3);
    for (let slot = 0; slot < fleet.seriesTop; slot++) sequencer.state.write(slot, bytes, 3 + 16 * slot);
    const restored = new Sequencer(fleet, intake, { clock, time: 'event', limits: DEFAULT_LIMITS });
    restored.state.reserve(fleet.seriesTop);
    for (let slot = 0; slot < fleet.seriesTop; slot++) restored.state.read(slot, bytes, 3 + 16 * slot);
    const last = fleet.seriesTop - 1;
    expect(restored.state.lastMs(last)).toBe(sequencer.state.lastMs(last));
    expect(restored.nowMs()).toBe(sequencer.state.watermarkMs);
    restored.state.clear(last);
    expect(restored.state.lastMs(last)).toBe(-Infinity);
  });
});

describe('time', () => {
  it('is the clock, or the latest reading', () => {
    expect(sequencer.nowMs()).toBe(T0);
    setUp({ time: 'event' });
    send('d', T0 - 5_000_000, { a: 1 });
    expect(sequencer.nowMs()).toBe(T0 - 5_000_000);
    send('d', T0 - 6_000_000, { a: 1 });
    expect(sequencer.nowMs()).toBe(T0 - 5_000_000);
  });

  it('lets a simulated fleet run ahead of the clock, but no device run away', () => {
    setUp({ time: 'event', limits: { clockSkewMs: 3_600_000 } });
    for (let h = 0; h < 100; h++) expect(send('d', T0 + h * 3_600_000, { a: h })).toBe(true);
    expect(send('e', T0 + 200 * 3_600_000, { a: 1 })).toBe(false);
    expect(counted()).toEqual({ timestamp_skewed: 1 });
  });
});

describe('room', () => {
  it('is full while a large message and the rows of its devices would still fit', () => {
    setUp({ limits: { metricsPerDevice: 10 } }, 100);
    let sent = 0;
    while (!sequencer.full) {
      send('d', T0 + sent, Object.fromEntries(Array.from({ length: 1 + sent % 10 }, (_, i) => [`m${i}`, i])));
      sent++;
    }
    expect(counted()).toEqual({});
    // One row of the device as a whole a message.
    expect(batch.n + sent).toBeLessThanOrEqual(batch.capacity);
    sequencer.attach(batch = new Batch(100));
    expect(sequencer.full).toBe(false);
  });

  it('never writes past the batch, whatever a decoder pushes', () => {
    setUp({}, 50);
    sequencer.begin('d', T0, T0);
    for (let i = 0; i < 60; i++) sequencer.add(`m${i}`, i);
    sequencer.end();
    expect(batch.n).toBeLessThan(50);
    expect(counters.get('too_many_metrics')).toBe(60 - batch.n);
  });
});

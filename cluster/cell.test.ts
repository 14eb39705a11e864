import fc from 'fast-check';
import type { KafkaMessage } from 'kafkajs';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../core/limits.js';
import { gaussian, seededRandom } from '../core/random.js';
import { ReasonCounters } from '../core/reasons.js';
import { DEFAULT_DECODER_SETTINGS } from '../ingest/decode/index.js';
import { Cell } from './cell.js';
import { controlMessage, type PartitionControl } from './control.js';
import { Outcome, OutcomeWriter } from './outcome.js';
import { packSnapshot, unpackSnapshot } from './snapshot.js';

const START_MS = Date.UTC(2026, 0, 1);
const PERIOD_MS = 30_000;

type Time = 'wall' | 'event';

/** A log with all that a partition may hold: faults, gaps, a message a metric, arrays of devices, repetitions, late ones, poison, and what people say. */
function makeLog(seed: number, turns: number): KafkaMessage[] {
  const random = seededRandom(seed);
  const log: KafkaMessage[] = [];
  const put = (value: string, atMs: number, headers?: KafkaMessage['headers']): void => {
    log.push({ key: Buffer.from('gateway'), value: Buffer.from(value), timestamp: String(atMs), offset: String(log.length * 2 + 5), attributes: 0, headers: headers ?? {} });
  };
  const control = (one: PartitionControl, atMs: number): void => put(String(controlMessage(one, atMs, 0).value), atMs, controlMessage(one, atMs, 0).headers);
  for (let turn = 0; turn < turns; turn++) {
    const atMs = START_MS + turn * PERIOD_MS;
    const fault = turn > 0.8 * turns && turn < 0.9 * turns ? 15 : 0;
    const value = (base: number): string => (base + Math.sin(turn / 5) + 0.1 * gaussian(random)).toFixed(3);
    put(`{"device":"a","timestamp":${atMs},"temperature":${Number(value(20)) + fault},"humidity":${value(50)}}`, atMs);
    // A message for each metric, with one and the same time.
    for (const metric of ['x', 'y', 'z']) put(`{"device":"b","timestamp":${atMs},"${metric}":${value(5)}}`, atMs + 200);
    put(`{"device":"c","timestamp":${atMs - 700_000},"level":${value(3)}}`, atMs + 300);
    put(`[{"device":"d","timestamp":${atMs},"m":${value(1)}},{"device":"e","m":${value(2)}}]`, atMs + 400);
    if (random() < 0.05) log.push({ ...log[log.length - 1], offset: String(log.length * 2 + 5) });
    if (random() < 0.05) put(`{"device":"a","timestamp":${atMs - 3 * PERIOD_MS},"temperature":20}`, atMs + 500);
    if (random() < 0.03) put('{"device":', atMs);
    if (random() < 0.02) control({ kind: 'clock' }, atMs + 600);
    if (turn === Math.floor(0.3 * turns)) control({ kind: 'settings', hash: 'h', settings: { falseAlarmsPerDay: 5, cooldownMs: 60_000 } }, atMs);
    if (turn === Math.floor(0.5 * turns)) control({ kind: 'retire', device: 'd' }, atMs);
    // Everybody is silent for a while, and time goes on.
    if (turn === Math.floor(0.4 * turns)) for (let i = 0; i < 10; i++) control({ kind: 'clock' }, atMs + 60_000 * i);
  }
  return log;
}

function openCell(time: Time): Promise<Cell> {
  return Cell.open({
    topic: 't', partition: 0, limits: DEFAULT_LIMITS, decoder: DEFAULT_DECODER_SETTINGS, naming: { device: 'payload', tagHeaders: [] }, time, detector: { forecaster: 'last_value' }, reasons: new ReasonCounters(),
  });
}

interface Found {
  results: string[];
  newest: Map<string, string>;
  letters: string[];
}

/** Takes the log in pieces that end at `cuts`; at those in `restarts` another cell goes on from a snapshot. */
async function run(log: KafkaMessage[], time: Time, cuts: readonly number[], restarts: ReadonlySet<number> = new Set()): Promise<Found> {
  const found: Found = { results: [], newest: new Map(), letters: [] };
  let cell = await openCell(time);
  const listen = (): Outcome => {
    const outcome = new Outcome(0);
    cell.tell({ stepped: (batch) => outcome.add(batch), refused: (one) => outcome.refuse(one, 't', 0), retired: (device) => outcome.retired.push(device) });
    return outcome;
  };
  let outcome = listen();
  const take = (): void => {
    const writer = new OutcomeWriter({ results: { topic: 'r', partitions: 1 }, events: { topic: 'e', partitions: 1 }, deadLetters: 'l' }, cell.fleet, 0);
    for (const request of writer.requestsOf(outcome)) {
      for (const { topic, messages } of request) {
        for (const { value, headers } of messages) {
          const text = String(value);
          if (topic === 'r') found.results.push(text);
          else if (topic === 'l') found.letters.push(String(headers!.gruard_offset));
          else found.newest.set((JSON.parse(text) as { id?: string; device: string }).id ?? text, text);
        }
      }
    }
  };
  let from = 0;
  for (const to of [...cuts, log.length]) {
    cell.take(log, from, to);
    cell.flush();
    from = to;
    if (!restarts.has(to)) continue;
    take();
    const bytes = await packSnapshot(cell.save());
    const next = cell.next;
    cell = await openCell(time);
    expect(await unpackSnapshot(bytes, crc32(bytes), cell)).toEqual([]);
    expect(cell.next).toBe(next);
    outcome = listen();
  }
  take();
  found.results.sort();
  return found;
}

describe.each(['event', 'wall'] as const)('A cell with time: %s', (time) => {
  it('makes the same of a log wherever it was cut, and wherever another worker went on from a snapshot', async () => {
    const log = makeLog(7, 280);
    const whole = await run(log, time, []);
    expect(whole.results.length).toBeGreaterThan(1000);
    const kinds = [...whole.newest.values()].map((text) => (JSON.parse(text) as { type: string; kind?: string }));
    expect(kinds.some(({ type }) => type === 'anomaly')).toBe(true);
    expect(kinds.some(({ type }) => type === 'retired')).toBe(true);
    if (time === 'wall') {
      expect(kinds.some(({ kind }) => kind === 'silent')).toBe(true);
      expect(kinds.some(({ kind }) => kind === 'clock_skewed')).toBe(true);
    }
    expect(await run(log, time, log.map((_, i) => i))).toEqual(whole);
    const place = fc.integer({ min: 0, max: log.length });
    await fc.assert(fc.asyncProperty(fc.array(place, { maxLength: 30 }), fc.array(place, { maxLength: 3 }), async (cuts, restarts) => {
      const sorted = [...cuts, ...restarts].sort((a, b) => a - b);
      expect(await run(log, time, sorted, new Set(restarts))).toEqual(whole);
    }), { numRuns: 6 });
  });

  it('keeps what people said over a restart, and refuses control records that nobody of ours wrote', async () => {
    const log = makeLog(3, 280);
    const before = await run(log, time, []);
    const open = [...before.newest.values()].map((text) => JSON.parse(text) as { type: string; id: string; state: string; device: string }).find(({ type, device }) => type === 'anomaly' && device === 'a')!;
    const lastMs = Number(log.at(-1)!.timestamp);
    const say = (value: string): void => { log.push({ ...log[0], value: Buffer.from(value), headers: { 'gruard-control': '1' }, timestamp: String(lastMs), offset: String(log.length * 2 + 5) } as KafkaMessage); };
    say(JSON.stringify({ kind: 'feedback', eventId: open.id, verdict: 'confirm', atMs: lastMs, by: 'ann' }));
    say('{"kind":"feedback","eventId":5}');
    say('{"kind":"tick","nowMs":1}');
    const after = await run(log, time, [100, log.length - 3], new Set([log.length - 3]));
    expect(JSON.parse(after.newest.get(open.id)!)).toMatchObject({ feedback: { verdict: 'confirm', by: 'ann' } });
    expect(after.letters.length).toBe(before.letters.length + 2);
    expect(after.results).toEqual(before.results);
  });
});

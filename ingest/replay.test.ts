import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench } from '../test/conformance/sources.js';
import { BrokerSource } from './broker.js';
import { replayCsv, type ReplayProgress } from './replay.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-replay-'));
const path = join(dir, 'oven 3.csv');
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let bench: Bench;
let broker: BrokerSource;
let reading: Promise<unknown>;
let done: boolean;

beforeEach(async () => {
  bench = new Bench();
  broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 10 });
  await broker.open(bench.wake);
  done = false;
  reading = bench.until(broker, () => done);
});
afterEach(async () => {
  done = true;
  await reading;
  await broker.close();
});

describe('replay', () => {
  it('publishes every row with its own time and its exact values, and ends when all are acknowledged', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => ({ ms: 1_600_000_000_000 + i * 300_000, a: Math.sin(i) * 1e-3 + i / 7, b: i % 3 === 0 ? '' : String(-i) }));
    writeFileSync(path, `timestamp,a,b\n${rows.map(({ ms, a, b }) => `${new Date(ms).toISOString()},${a},${b}`).join('\n')}\n`);
    const seen: number[] = [];
    const progress = await replayCsv(path, { broker: { url: broker.url }, clock: systemClock, speed: Infinity, onProgress: (p: ReplayProgress) => seen.push(p.rows) });
    expect(progress).toMatchObject({ rows: 3000, timestampMs: rows.at(-1)!.ms });
    expect(seen.at(-1)).toBe(3000);
    expect(bench.rows.map(({ device, metric, timestampMs, value }) => [device, metric, timestampMs, value])).toEqual(
      rows.flatMap(({ ms, a, b }) => [['oven 3', 'a', ms, a], ...(b === '' ? [] : [['oven 3', 'b', ms, Number(b)]])]),
    );
  });

  it('keeps to the time between the rows, divided by the speed', async () => {
    writeFileSync(path, 'timestamp,a\n1600000000,1\n1600000300,2\n');
    const started = performance.now();
    await replayCsv(path, { broker: { url: broker.url }, clock: systemClock, speed: 1000 });
    expect(performance.now() - started).toBeGreaterThan(290);
    expect(bench.rows).toHaveLength(2);
  });

  it('stops when it is told to, between two rows that are far apart', async () => {
    writeFileSync(path, 'timestamp,a\n1600000000,1\n1700000000,2\n');
    const abort = new AbortController();
    const running = replayCsv(path, { broker: { url: broker.url }, clock: systemClock, speed: 1, signal: abort.signal });
    setTimeout(() => abort.abort(), 100);
    await running;
    expect(bench.rows.length).toBeLessThanOrEqual(2);
  });

  it('says what is wrong with the broker, without the password', async () => {
    writeFileSync(path, 'timestamp,a\n1600000000,1\n');
    const failing = replayCsv(path, { broker: { url: 'mqtt://user:hunter2@127.0.0.1:1' }, clock: systemClock, speed: 1 });
    await expect(failing).rejects.toMatchObject({ code: 'BROKER_UNREACHABLE' });
    await expect(failing).rejects.not.toThrow(/hunter2/);
  });
});

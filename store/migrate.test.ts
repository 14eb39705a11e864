import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FLAG } from '../core/batch.js';
import { anomaly, HOSTILE_NAMES, Rows, verdict } from '../test/conformance/results.js';
import type { Influxd } from '../test/servers/influxd.js';
import { findInfluxd, startInfluxd } from '../test/servers/influxd.js';
import { exportReadings } from './export.js';
import { migrate } from './migrate.js';
import { EmbeddedStore } from './results/embedded.js';
import { InfluxConnection } from './results/influx-connection.js';
import { InfluxStore } from './results/influx.js';

const T0 = Date.UTC(2026, 0, 1);
let dir: string;
let embedded: EmbeddedStore;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-migrate-'));
  embedded = new EmbeddedStore({ path: join(dir, 'results.duckdb') });
  await embedded.open();
  const rows = new Rows();
  await embedded.write(rows.batch([
    ...Array.from({ length: 3000 }, (_, i) => ({ device: `d${i % 3}`, atMs: T0 + i * 100, value: i / 7, yhat: i / 7 + 0.1, score: i % 100 === 0 ? 2 : 0.25, flags: i % 100 === 0 ? FLAG.IN_EVENT : 0 })),
    { device: 'd0', atMs: T0 - 5, value: 1, flags: FLAG.LATE },
    { device: 'd0', metric: '*', atMs: T0, value: NaN, yhat: undefined, flags: FLAG.DEVICE },
    ...HOSTILE_NAMES.map((device, i) => ({ device, metric: device, atMs: T0 + i, value: i })),
  ], {
    events: Array.from({ length: 5 }, (_, i) => anomaly({ id: `e${i}`, metric: `m${i}`, openedMs: T0 + i })),
    verdicts: [verdict({ id: 'v' })],
  }), rows.fleet, 77);
});
afterEach(async () => {
  await embedded.close();
  rmSync(dir, { recursive: true });
});

const records = (path: string): Record<string, string>[] => parse<Record<string, string>>(readFileSync(path), { columns: true });

describe('export', () => {
  test('CSV holds every reading, with names that come back and are no formulas', async () => {
    const path = join(dir, `it's.csv`);
    expect(await exportReadings(embedded, { path, format: 'csv' })).toBe(3002 + HOSTILE_NAMES.length);
    const all = records(path);
    expect(all).toHaveLength(3002 + HOSTILE_NAMES.length);
    for (const hostile of HOSTILE_NAMES) expect(all.filter((row) => row.device.replace(/^'/, '') === hostile && row.metric.replace(/^'/, '') === hostile), JSON.stringify(hostile)).toHaveLength(1);
    expect(all.filter((row) => /^[=+\-@]/.test(row.device))).toEqual([]);
    expect(all.find((row) => row.device === 'd1' && row.timestamp === '2026-01-01T00:00:00.100Z')).toEqual({
      timestamp: '2026-01-01T00:00:00.100Z', device: 'd1', metric: 'temperature', actual: String(1 / 7), yhat: String(1 / 7 + 0.1), yhat_lower: String(1 / 7 + 0.1 - 1), yhat_upper: String(1 / 7 + 0.1 + 1), anomaly_score: '0.25', in_event: '0', revised: '0' });
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  test('a device, a metric and a span can be chosen', async () => {
    const path = join(dir, 'out.csv');
    expect(await exportReadings(embedded, { path, format: 'csv', device: 'd0', metric: 'temperature', startMs: T0 - 5, endMs: T0 + 600 })).toBe(3);
    expect(records(path).map((row) => row.timestamp)).toEqual(['2025-12-31T23:59:59.995Z', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.300Z']);
    expect(await exportReadings(embedded, { path, format: 'csv', force: true, device: `' OR 1=1 --` })).toBe(0);
  });

  test('Parquet can be read back', async () => {
    const path = join(dir, 'out.parquet');
    await exportReadings(embedded, { path, format: 'parquet' });
    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    const rows = await connection.runAndReadAll(`SELECT count(*)::DOUBLE, count(yhat)::DOUBLE, typeof(any_value("timestamp")), count(*) FILTER (in_event)::DOUBLE FROM '${path}'`);
    expect(rows.getRows()[0]).toEqual([3002 + HOSTILE_NAMES.length, 3000, 'TIMESTAMP', 30]);
    connection.closeSync();
    instance.closeSync();
  });

  test('a file that is there is overwritten only where that is said', async () => {
    const path = join(dir, 'out.csv');
    writeFileSync(path, 'mine');
    await expect(exportReadings(embedded, { path, format: 'csv' })).rejects.toMatchObject({ code: 'FILE_EXISTS', message: `${path} is there already` });
    expect([readFileSync(path, 'utf8'), existsSync(`${path}.part`)]).toEqual(['mine', false]);
    expect(await exportReadings(embedded, { path, format: 'csv', force: true })).toBe(3002 + HOSTILE_NAMES.length);
    expect(records(path)).toHaveLength(3002 + HOSTILE_NAMES.length);
  });

  test('a path that cannot be written is a clear error', async () => {
    await expect(exportReadings(embedded, { path: join(dir, 'none', 'out.csv'), format: 'csv' })).rejects.toMatchObject({ code: 'FILE_UNREADABLE', message: expect.stringContaining('none') as string });
  });
});

describe.skipIf(!findInfluxd())('migrate to a real influxd (skipped where it is not installed)', () => {
  let server: Influxd;
  let influx: InfluxStore;

  beforeAll(async () => {
    server = await startInfluxd();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    influx = new InfluxStore({ url: server.url, database: 'migrated', cursorPath: join(dir, 'influx.cursor') });
    await influx.open();
  });

  test('both stores then give the same answers, and the position goes along; a second time changes nothing', async () => {
    for (let time = 0; time < 2; time++) {
      const seen: number[] = [];
      const done = await migrate(embedded, influx, { batchRows: 1000, onProgress: ({ readings }) => seen.push(readings) });
      expect(done).toEqual({ readings: 3002 + HOSTILE_NAMES.length, readingsTotal: 3002 + HOSTILE_NAMES.length, events: 5, verdicts: 1 });
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      for (const series of [...['d0', 'd1', 'd2'].map((device) => ({ device, metric: 'temperature' })), { device: 'd0', metric: '*' }, ...HOSTILE_NAMES.map((name) => ({ device: name, metric: name }))]) {
        expect(await influx.querySeries({ ...series, limit: 2000 })).toEqual(await embedded.querySeries({ ...series, limit: 2000 }));
      }
      expect(await influx.queryEvents({ limit: 100 })).toEqual(await embedded.queryEvents({ limit: 100 }));
      expect(await influx.queryVerdicts({ limit: 100 })).toEqual(await embedded.queryVerdicts({ limit: 100 }));
      expect(await influx.position()).toBe(77);
      const minutes = await new InfluxConnection({ url: server.url, database: 'migrated', cursorPath: '' }).query('SELECT readings, late, anomalous, score_max FROM gruard_fleet');
      expect(minutes[0]).toMatchObject({ time: T0 - 60_000, readings: 1, late: 1, anomalous: 0 });
      expect(minutes[2]).toMatchObject({ time: T0 + 60_000, readings: 600, late: 0, anomalous: 6, score_max: 2 });
    }
  });

  test('the Parquet of InfluxDB is that of the embedded store, of all and of a part, and nothing else is left', async () => {
    await migrate(embedded, influx);
    const [a, b] = [join(dir, 'a.parquet'), join(dir, 'b.parquet')];
    const sql = await (await DuckDBInstance.create(':memory:')).connect();
    for (const part of [{}, { device: 'd1' }, { metric: '*' }, { startMs: T0, endMs: T0 + 60_000 }, { device: 'nobody' }]) {
      const rows = await exportReadings(embedded, { path: a, format: 'parquet', force: true, ...part });
      expect(await exportReadings(influx, { path: b, format: 'parquet', force: true, ...part })).toBe(rows);
      const differs = await sql.runAndReadAll(`(FROM '${a}' EXCEPT ALL FROM '${b}') UNION ALL (FROM '${b}' EXCEPT ALL FROM '${a}')`);
      expect(differs.getRows()).toEqual([]);
      expect((await sql.runAndReadAll(`DESCRIBE FROM '${b}'`)).getRows()).toEqual((await sql.runAndReadAll(`DESCRIBE FROM '${a}'`)).getRows());
    }
    sql.closeSync();
    expect(readdirSync(dir).filter((name) => name.startsWith('b.'))).toEqual(['b.parquet']);
  });

  test('the CSV of InfluxDB is that of the embedded store', async () => {
    await migrate(embedded, influx);
    const [a, b] = [join(dir, 'a.csv'), join(dir, 'b.csv')];
    await exportReadings(embedded, { path: a, format: 'csv' });
    expect(await exportReadings(influx, { path: b, format: 'csv' })).toBe(records(a).length);
    const sorted = (path: string): unknown[] => records(path).map((row) => [row.device, row.metric, row.timestamp, ...['actual', 'yhat', 'yhat_lower', 'yhat_upper', 'anomaly_score'].map((key) => (row[key] === '' ? null : Number(row[key]))), row.in_event, row.revised]).sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1));
    expect(sorted(b)).toEqual(sorted(a));
  });
});

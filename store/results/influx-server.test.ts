import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.js';
import { Rows, anomaly } from '../../test/conformance/results.js';
import type { Influxd } from '../../test/servers/influxd.js';
import { freePort } from '../../test/servers/free-port.js';
import { findInfluxd, startInfluxd } from '../../test/servers/influxd.js';
import { InfluxConnection } from './influx-connection.js';
import type { InfluxOptions } from './influx-connection.js';
import { CursorFile } from '../cursor.js';
import { InfluxStore } from './influx.js';
import type { Advice } from './influx-schema.js';

const series = { device: 'oven3', metric: 'temperature' };
const minute = Date.UTC(2026, 0, 1);

describe.skipIf(!findInfluxd())('the InfluxDB store and its server (skipped where influxd is not installed)', () => {
  let server: Influxd;
  let dir: string;
  let stores: InfluxStore[];
  let advice: Advice[];

  beforeEach(async () => {
    advice = [];
    dir = mkdtempSync(join(tmpdir(), 'gruard-influx-'));
    stores = [];
    server = await startInfluxd();
  });
  afterEach(async () => {
    for (const store of stores) await store.close();
    await server.stop();
    rmSync(dir, { recursive: true });
  });

  const opened = async (options: Partial<InfluxOptions> = {}): Promise<InfluxStore> => {
    const store = new InfluxStore({ url: server.url, database: 'gruard', cursorPath: join(dir, 'influx.cursor'), timeoutMs: 5_000, ...options }, (one) => advice.push(one));
    stores.push(store);
    await store.open();
    return store;
  };
  const raw = (statement: string): ReturnType<InfluxConnection['query']> => new InfluxConnection({ url: server.url, database: 'gruard', cursorPath: '' }).query(statement);

  test('the database, its retention and the hourly aggregates are made', async () => {
    await opened({ retentionDays: 90 });
    const policies = await raw('SHOW RETENTION POLICIES ON gruard');
    expect(policies.map((row) => [row.name, row.duration, row.default])).toEqual([['gruard', '2160h0m0s', true], ['gruard_hourly', '0s', false]]);
    expect((await raw('SHOW CONTINUOUS QUERIES')).map((row) => row.name)).toContain('gruard_hourly');
    await opened({ retentionDays: 180 });
    expect(advice).toEqual([]);
    expect((await raw('SHOW RETENTION POLICIES ON gruard'))[0].duration).toBe('4320h0m0s');
  });

  test('the hourly statement aggregates a series with its tags', async () => {
    const store = await opened();
    const rows = new Rows();
    const hour = Math.floor(minute / 3_600_000) * 3_600_000;
    await store.write(rows.batch([{ atMs: hour, value: 10, yhat: 5, score: 0.5 }, { atMs: hour + 30_000, value: 20, yhat: 7, score: 1.5 }]), rows.fleet, 1);
    // The server runs it at the end of an hour of its own clock: run what it holds, now and for that hour.
    const held = (await raw('SHOW CONTINUOUS QUERIES')).find((row) => row.name === 'gruard_hourly')!.query as string;
    const statement = /BEGIN (.*) END/.exec(held)![1].replace(' GROUP BY', ` WHERE time >= ${hour}ms AND time < ${hour + 3_600_000}ms GROUP BY`);
    await raw(statement);
    const found = await raw('SELECT actual, yhat, yhat_lower, yhat_upper, anomaly_score, device, metric, line FROM "gruard_hourly"."gruard_readings_hourly"');
    expect(found).toEqual([expect.objectContaining({ time: hour, actual: 15, yhat: 6, yhat_lower: 4, yhat_upper: 8, anomaly_score: 1.5, device: 'oven3', metric: 'temperature', line: '1' })]);
  });

  test('what was made by others is left alone, and what to run is said', async () => {
    await raw('CREATE DATABASE gruard WITH DURATION 30d NAME theirs');
    await opened({ retentionDays: 90 });
    expect(advice).toEqual([{ command: 'ALTER RETENTION POLICY "theirs" ON "gruard" DURATION 90d', reason: 'gruard did not make this policy' }]);
    expect((await raw('SHOW RETENTION POLICIES ON gruard')).find((row) => row.name === 'theirs')!.duration).toBe('720h0m0s');
  });

  test('where it is refused, all that an administrator has to run is told once, also where the server comes later; with that run the readings come', async () => {
    const admin = { username: 'root', password: 'rootpw' };
    await server.stop();
    server = await startInfluxd({ auth: true });
    const as = (user: { username?: string; password?: string }, statement: string): ReturnType<InfluxConnection['query']> => new InfluxConnection({ url: server.url, database: 'gruard', cursorPath: '', ...user }).query(statement);
    await as({}, `CREATE USER root WITH PASSWORD 'rootpw' WITH ALL PRIVILEGES`);
    await as(admin, `CREATE USER "plant's" WITH PASSWORD 'pw'`);
    await server.kill();
    const store = await opened({ username: "plant's", password: 'pw', retentionDays: 90 });
    expect(advice).toEqual([]);
    await server.start();
    const rows = new Rows();
    const batch = rows.batch([{ atMs: Date.now(), value: 5 }]);
    for (let i = 0; i < 2; i++) await expect(store.write(batch, rows.fleet, 1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('404 database not found') as string });
    expect(advice.map(({ command }) => command.replace(/ BEGIN .*/, ''))).toEqual([
      'CREATE DATABASE "gruard" WITH DURATION 90d REPLICATION 1 NAME "gruard"',
      'CREATE RETENTION POLICY "gruard_hourly" ON "gruard" DURATION INF REPLICATION 1',
      'CREATE CONTINUOUS QUERY "gruard_hourly" ON "gruard" RESAMPLE FOR 3h',
      `GRANT ALL ON "gruard" TO "plant's"`,
    ]);
    expect(advice[0].reason).toMatch(/403 error authorizing query: plant's not authorized to execute statement 'CREATE DATABASE/);
    for (const { command } of advice) await as(admin, command);
    await store.write(batch, rows.fleet, 1);
    expect((await store.querySeries({ ...series, limit: 1 })).items[0].actual).toBe(5);
    // Prepared again, it finds all that it needs.
    const told = advice.length;
    await opened({ username: "plant's", password: 'pw', retentionDays: 90 });
    expect(advice).toHaveLength(told);
    expect((await as(admin, 'SHOW CONTINUOUS QUERIES')).map((row) => row.name)).toContain('gruard_hourly');
  });

  test('a user who may not read the database, and one whom the server does not know', async () => {
    await server.stop();
    server = await startInfluxd({ auth: true });
    const as = (user: { username?: string; password?: string }, statement: string): ReturnType<InfluxConnection['query']> => new InfluxConnection({ url: server.url, database: 'gruard', cursorPath: '', ...user }).query(statement);
    await as({}, `CREATE USER root WITH PASSWORD 'rootpw' WITH ALL PRIVILEGES`);
    for (const statement of ['CREATE DATABASE gruard', `CREATE USER writer WITH PASSWORD 'pw'`, 'GRANT WRITE ON gruard TO writer']) await as({ username: 'root', password: 'rootpw' }, statement);
    await opened({ username: 'writer', password: 'pw' });
    expect(advice).toEqual([{ command: 'GRANT ALL ON "gruard" TO "writer"', reason: 'this user may not read the database' }]);
    const store = await opened({ username: 'writer', password: 'wrong' });
    expect(advice).toHaveLength(1);
    const rows = new Rows();
    await expect(store.write(rows.batch([{ atMs: minute }]), rows.fleet, 1)).rejects.toMatchObject({ message: expect.stringContaining('401 authorization failed') as string });
  });

  test('a server that is down is waited for, and nothing is lost', async () => {
    await server.kill();
    const store = await opened();
    const rows = new Rows();
    const batch = rows.batch([{ atMs: minute, value: 5 }]);
    await expect(store.write(batch, rows.fleet, 1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') as string });
    await expect(store.querySeries({ ...series, limit: 1 })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await store.position()).toBe(-1);
    await server.start();
    await store.write(batch, rows.fleet, 1);
    expect((await store.querySeries({ ...series, limit: 1 })).items[0].actual).toBe(5);
    expect(await store.position()).toBe(1);
  });

  test('a database that someone dropped is made again', async () => {
    const store = await opened();
    const rows = new Rows();
    await raw('DROP DATABASE gruard');
    const batch = rows.batch([{ atMs: minute, value: 5 }]);
    await expect(store.write(batch, rows.fleet, 1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('not found') as string });
    await store.write(batch, rows.fleet, 1);
    expect((await store.querySeries({ ...series, limit: 1 })).items).toHaveLength(1);
  });

  test('points beyond the retention are counted and hold nothing up', async () => {
    const store = await opened({ retentionDays: 1 });
    const rows = new Rows();
    const nowMs = systemClock.nowMs();
    await store.write(rows.batch([{ atMs: 1000 }, { atMs: nowMs }]), rows.fleet, 1);
    expect(store.beyondRetention).toBeGreaterThanOrEqual(1);
    expect((await store.querySeries({ ...series, limit: 10 })).items.map((point) => point.timestampMs)).toEqual([nowMs]);
  });

  test('a minute of the fleet is counted once, also when batches are written again after a restart', async () => {
    const store = await opened();
    const rows = new Rows();
    const first = rows.batch([{ atMs: minute, yhat: 1, score: 2.5 }, { atMs: minute + 59_999, yhat: 1 }, { atMs: minute - 1, value: 1, flags: 1 }]);
    const second = rows.batch([{ atMs: minute + 30_000, device: 'pump', yhat: 1, score: 1.5 }, { metric: '*', atMs: minute + 30_000, value: NaN, flags: 8 }]);
    await store.write(first, rows.fleet, 1);
    const cursor = readFileSync(join(dir, 'influx.cursor'));
    await store.write(second, rows.fleet, 2);
    const counts = async (): Promise<unknown> => (await raw('SELECT readings, late, anomalous, score_max FROM gruard_fleet')).map((row) => ({ ...row }));
    const expected = [
      { time: minute - 60_000, readings: 1, late: 1, anomalous: 0, score_max: 0 },
      { time: minute, readings: 3, late: 0, anomalous: 2, score_max: 2.5 },
    ];
    expect(await counts()).toEqual(expected);
    writeFileSync(join(dir, 'influx.cursor'), cursor);
    const again = await opened();
    expect(await again.position()).toBe(1);
    await again.write(second, rows.fleet, 2);
    expect(await counts()).toEqual(expected);
  });

  test('the cursor file is replaced whole, and a damaged one is refused', async () => {
    const store = await opened();
    await store.write(new Rows().batch([]), new Rows().fleet, 41);
    expect(existsSync(join(dir, 'influx.cursor.new'))).toBe(false);
    writeFileSync(join(dir, 'influx.cursor'), '{"version":1,"posi');
    await expect(opened()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
    await CursorFile.at(join(dir, 'influx.cursor')).write({ version: 2 });
    await expect(opened()).rejects.toMatchObject({ code: 'FORMAT_VERSION' });
  });

  test('many series in small requests over several lanes all arrive', async () => {
    const store = await opened({ parallel: 3, linesPerRequest: 97, gzip: true });
    const rows = new Rows();
    await store.write(rows.batch(Array.from({ length: 4000 }, (_, i) => ({ device: `d${i % 20}`, atMs: minute + i, value: i }))), rows.fleet, 1);
    for (let d = 0; d < 20; d++) {
      const { items } = await store.querySeries({ device: `d${d}`, metric: 'temperature', limit: 1000 });
      expect(items.map((point) => point.actual)).toEqual(Array.from({ length: 200 }, (_, i) => i * 20 + d));
    }
  });

  test('a device whose tags change keeps one history', async () => {
    const store = await opened();
    const rows = new Rows();
    const batch = rows.batch([{ atMs: minute, value: 1, yhat: 2 }, { atMs: minute + 1, value: 2, yhat: 2 }]);
    await store.write(batch, rows.fleet, 1);
    const declaration = { kind: 'tags', deviceId: rows.fleet.get('oven3')!.id, tags: { line: '2' } } as const;
    rows.fleet.apply(declaration);
    batch.declarations = [declaration];
    await store.write(batch, rows.fleet, 2);
    await store.write(rows.batch([{ atMs: minute + 2, value: 3 }]), rows.fleet, 3);
    expect((await store.querySeries({ ...series, limit: 10 })).items.map((point) => [point.timestampMs - minute, point.actual])).toEqual([[0, 1], [1, 2], [2, 3]]);
    expect((await store.querySeries({ ...series, startMs: minute, limit: 2 })).items).toHaveLength(2);
  });

  test('an event with hundreds of metrics is stored whole', async () => {
    const store = await opened();
    const event = anomaly({ id: 'wide', metrics: Array.from({ length: 256 }, (_, i) => ({ metric: `m${i}`.padEnd(250, 'x'), contribution: i / 256 })) });
    const batch = new Rows().batch([], { events: [event] });
    await store.write(batch, new Rows().fleet, 1);
    expect(await store.getEvent('wide')).toEqual(event);
  });
});

describe('the InfluxDB store with a user or token', () => {
  interface Seen { url: string; authorization: string | undefined; body: string }
  let seen: Seen[];
  let url: string;
  let close: () => void;
  let dir: string;
  let version: string;
  /** The status of a write without lines: 404 where there is no database. */
  let empty: number;
  let advice: Advice[];

  beforeEach(async () => {
    empty = 204;
    advice = [];
    seen = [];
    dir = mkdtempSync(join(tmpdir(), 'gruard-influx-'));
    const body = async (request: IncomingMessage): Promise<string> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const all = Buffer.concat(parts);
      return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(all) : all).toString();
    };
    const server = createServer((request, response) => {
      void body(request).then((text) => {
        seen.push({ url: request.url!, authorization: request.headers.authorization, body: text });
        response.setHeader('x-influxdb-version', version);
        if (request.url!.startsWith('/query')) response.end('{"results":[{}]}');
        else response.writeHead(request.url!.startsWith('/write') && text === '' ? empty : 204).end();
      });
    });
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${port}`;
    close = () => server.close();
  });
  afterEach(() => {
    close();
    rmSync(dir, { recursive: true });
  });

  const use = async (options: Partial<InfluxOptions>): Promise<InfluxStore> => {
    const store = new InfluxStore({ url, database: 'gruard', cursorPath: join(dir, 'cursor'), ...options }, (one) => advice.push(one));
    await store.open();
    const rows = new Rows();
    await store.write(rows.batch([{ atMs: 5 }]), rows.fleet, 1);
    await store.querySeries({ ...series, limit: 1 });
    return store;
  };

  test('a token goes with every request, and a server without the statements gets none of them', async () => {
    version = 'v2.7.12';
    await use({ token: 's3cret', retentionDays: 30 });
    expect(new Set(seen.map((request) => request.authorization))).toEqual(new Set(['Token s3cret']));
    expect(seen.filter((request) => /CREATE|SHOW|ALTER/i.test(request.body + request.url))).toEqual([]);
    expect(advice).toEqual([]);
  });

  test('what has to be run on a server of version 2 or 3 is told where there is no database', async () => {
    empty = 404;
    version = 'v2.7.12';
    await use({ token: 's3cret', retentionDays: 30 });
    version = '3.1.0';
    await use({ token: 's3cret', retentionDays: 30 });
    expect(advice.map(({ command }) => command)).toEqual([
      'influx bucket create --name gruard --retention 30d', 'influx v1 dbrp create --db gruard --rp gruard --default --bucket-id BUCKET_ID',
      'influxdb3 create database --retention-period 30d gruard',
    ]);
    expect(JSON.stringify(advice)).not.toContain('s3cret');
  });

  test('a user and password go as basic authentication', async () => {
    version = '1.8.10';
    await use({ username: 'gruard', password: 'pa:ss' });
    expect(new Set(seen.map((request) => request.authorization))).toEqual(new Set([`Basic ${Buffer.from('gruard:pa:ss').toString('base64')}`]));
  });

  test('without either nothing is sent', async () => {
    version = '1.8.10';
    await use({});
    expect(new Set(seen.map((request) => request.authorization))).toEqual(new Set([undefined]));
  });

  test('an address that is not one is refused with the name of the setting', () => {
    for (const bad of ['localhost:8086', 'ftp://x', 'nonsense', 'http://user:pass@host:8086']) {
      expect(() => new InfluxStore({ url: bad, database: 'd', cursorPath: 'x' })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('store.influxdb.url') as string }));
    }
  });
});

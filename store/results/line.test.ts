import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Batch, FLAG } from '../../core/batch.js';
import { HOSTILE_NAMES } from '../../test/conformance/results.js';
import type { Influxd } from '../../test/servers/influxd.js';
import { findInfluxd, startInfluxd } from '../../test/servers/influxd.js';
import { InfluxConnection } from './influx-connection.js';
import { decodeName, encodeName, ReadingLines } from './line.js';
import { tagIs } from './influx-queries.js';

const anyName = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc.constantFrom(...HOSTILE_NAMES),
  fc.string({ unit: fc.constantFrom('%', '2', '5', 'C', '0', 'A', '\\', '\n', '\r', '\0', ' ', ',', '=', '"', "'"), minLength: 1, maxLength: 12 }),
);

describe('names in line protocol', () => {
  test('any name comes back from its stored form', () => {
    fc.assert(fc.property(anyName, (name) => decodeName(encodeName(name)) === name));
  });

  test('two names never share a stored form', () => {
    fc.assert(fc.property(anyName, anyName, (a, b) => (encodeName(a) === encodeName(b)) === (a === b)));
  });

  test('usual names are stored as they are', () => {
    for (const name of ['oven3', 'plant/line 1', 'humidity_%', '50% open', 'a.b.c', 'Füllstand', '100%2']) expect(encodeName(name)).toBe(name);
  });

  test('a line has no newline but the one at its end', () => {
    fc.assert(fc.property(anyName, anyName, fc.dictionary(anyName, anyName, { maxKeys: 3 }), (device, metric, tags) => {
      const batch = new Batch(1);
      batch.push(1, 0, 5, 1.5, 0);
      const lines = new ReadingLines();
      lines.begin(batch, { nameOf: () => ({ device, metric, tags }) });
      expect(lines.lineOf(batch, 0)).toMatch(/^[^\n]*\n$/);
    }));
  });

  test('a row with nothing finite, or at a time that InfluxDB cannot hold, has no line', () => {
    const batch = new Batch(3);
    batch.push(1, 0, 5, NaN, FLAG.LATE);
    batch.push(1, 0, 9.3e12, 1, 0);
    batch.push(1, 0, -9.3e12, 1, 0);
    const lines = new ReadingLines();
    lines.begin(batch, { nameOf: () => ({ device: 'd', metric: 'm', tags: {} }) });
    expect([0, 1, 2].map((row) => lines.lineOf(batch, row))).toEqual(['', '', '']);
  });

  test('new tags of a device are used from the batch that brings them', () => {
    const tags = { line: '1' };
    const batch = new Batch(1);
    batch.push(1, 0, 5, 1, FLAG.LATE);
    const lines = new ReadingLines();
    const names = { nameOf: () => ({ device: 'd', metric: 'm', tags }) };
    lines.begin(batch, names);
    expect(lines.lineOf(batch, 0)).toBe('gruard_readings,device=d,metric=m,line=1 actual=1,revised=t 5\n');
    tags.line = '2';
    batch.declarations = [{ kind: 'tags', deviceId: 1, tags }];
    lines.begin(batch, names);
    expect(lines.lineOf(batch, 0)).toBe('gruard_readings,device=d,metric=m,line=2 actual=1,revised=t 5\n');
  });
});

describe.skipIf(!findInfluxd())('lines in a real influxd (skipped where it is not installed)', () => {
  let server: Influxd;
  let connection: InfluxConnection;
  let run = 0;

  beforeAll(async () => {
    server = await startInfluxd();
    connection = new InfluxConnection({ url: server.url, database: 'lines', cursorPath: '', gzip: true });
    await connection.query('CREATE DATABASE lines');
  });
  afterAll(() => server.stop());

  test('any names, tags, numbers and times come back as they were written', async () => {
    const number = fc.double({ noDefaultInfinity: false, noNaN: false });
    // Shorter than InfluxDB's limit, and not one that it or gruard uses itself.
    const tagKey = anyName.filter((key) => !/^(time|device|metric|actual|yhat.*|anomaly_score|in_event|revised|tag_.*|n|_.*)$/.test(key));
    await fc.assert(fc.asyncProperty(anyName, anyName, fc.dictionary(tagKey, anyName, { maxKeys: 3 }), number, number, fc.integer({ min: -9e12, max: 9e12 }), async (device, metric, tags, value, yhat, atMs) => {
      const batch = new Batch(1);
      batch.push(1, 0, atMs, value, 0);
      batch.yhat[0] = yhat;
      // A tag of the run keeps the examples apart, which are free to repeat names.
      const n = String(run++);
      const lines = new ReadingLines();
      lines.begin(batch, { nameOf: () => ({ device, metric, tags: { ...tags, n } }) });
      await connection.write(lines.lineOf(batch, 0));
      const rows = await connection.query(`SELECT * FROM gruard_readings WHERE ${tagIs('device', device)} AND ${tagIs('metric', metric)} AND n = '${n}'`);
      expect(rows).toHaveLength(1);
      const finite = (x: number): number | undefined => (Number.isFinite(x) ? (x === 0 ? 0 : x) : undefined);
      expect(rows[0].time).toBe(atMs);
      expect(decodeName(rows[0].device as string)).toBe(device);
      expect(decodeName(rows[0].metric as string)).toBe(metric);
      expect(rows[0].actual ?? undefined).toBe(finite(value));
      expect(rows[0].yhat ?? undefined).toBe(finite(yhat));
      for (const [key, of] of Object.entries(tags)) expect(rows[0][encodeName(key)], JSON.stringify(key)).toBe(encodeName(of));
    }), { numRuns: 80 });
  });
});

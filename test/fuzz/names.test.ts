import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { topicLevel } from '../../alert/mqtt.js';
import { expose } from '../../api/metrics.js';
import { visible } from '../../cli/log.js';
import { plain } from '../../cli/text.js';
import { nameProblem } from '../../ingest/names.js';
import { csvName, csvNameSql } from '../../store/csv.js';
import { AuditLog } from '../../store/audit.js';
import { NASTY } from './mutate.js';

/** Any name that ingest lets in; what is written to a sink must be read back from it as the same name, and as nothing else. */
const taken = fc.oneof(fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }), fc.constantFrom(...NASTY), fc.tuple(fc.constantFrom('=', '+', '-', '@', "'", '"', '$', '/', 'a;=', ';"@', "x;'-", ';;+', '＝'), fc.string({ unit: 'binary', maxLength: 8 })).map((parts) => parts.join('')))
  .filter((name) => nameProblem(name, 256) === undefined);
const any = fc.oneof(taken, fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('a\nb', 'a"\n# TYPE x counter\nx 1', '\u001b]0;x\u0007', 'a\r\nb'));
const RUNS = { numRuns: 500 };
// eslint-disable-next-line no-control-regex -- they are what must not be there
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe('names in what gruard writes', () => {
  it('a Prometheus label is one label of one line', () => {
    fc.assert(fc.property(any, any, (a, b) => {
      const lines = expose([{ name: 'gruard_x', help: a, type: 'gauge', values: [{ labels: { name: a, other: b }, value: 1 }] }]).split('\n');
      expect(lines).toHaveLength(4);
      const labels = /^gruard_x\{name="((?:[^"\\]|\\.)*)",other="((?:[^"\\]|\\.)*)"\} 1$/s.exec(lines[2])!;
      expect(labels.slice(1).map((text) => text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c)))).toEqual([a, b]);
    }), RUNS);
  });

  it('a topic level is one level without wildcards, and another one for every name', () => {
    fc.assert(fc.property(taken, (name) => {
      const level = topicLevel(name);
      expect(level).not.toMatch(/[/+#\0]|^\$/);
      expect(decodeURIComponent(level.replace(/%(?![0-9A-F]{2})/g, '%25'))).toBe(name);
    }), RUNS);
  });

  it('a CSV field is one field, no formula, and comes back', async () => {
    const sql = await (await DuckDBInstance.create(':memory:')).connect();
    const file = join(mkdtempSync(join(tmpdir(), 'gruard-names-')), 'x.csv');
    await fc.assert(fc.asyncProperty(fc.array(taken, { minLength: 1, maxLength: 40 }), async (names) => {
      const line = `${names.map(csvName).join(',')}\n`;
      const rows = parse(line, { relax_column_count: true });
      expect(rows).toHaveLength(1);
      for (const field of rows[0]) expect(field).not.toMatch(/(^|;)"*[=+\-@＝＋－＠]/);
      expect(rows[0].map((field) => field.replace(/(^|;)'/g, '$1'))).toEqual(names);
      // What DuckDB writes is the same.
      await sql.run(`COPY (SELECT ${csvNameSql('name')} AS name FROM (SELECT unnest($names::VARCHAR[]) AS name)) TO '${file}' (FORMAT csv, HEADER false)`, { names: `[${names.map(quoted).join(',')}]` });
      const copied = parse(readFileSync(file, 'utf8'));
      expect(copied.map(([field]) => field)).toEqual(rows[0]);
    }), { numRuns: 60 });
    sql.closeSync();
  });

  it('a line of the log, and of the audit log, is one line', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'gruard-names-'));
    const audit = new AuditLog(dir, (thrown) => { throw thrown; });
    const names = fc.sample(any, { numRuns: 100, seed: 1 });
    for (const name of names) {
      let written = '';
      pino({ base: null }, { write: (text) => { written += text; } }).info({ device: name }, 'message');
      expect(written.trimEnd().split('\n')).toHaveLength(1);
      expect((JSON.parse(written) as { device: string }).device).toBe(name);
      await audit.write({ by: name, action: name });
    }
    const lines = readFileSync(join(dir, 'audit.log'), 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(names.length);
  });

  it('what was refused to one token does not push out what was done', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'gruard-names-'));
    const now = { ms: 120_000 };
    const audit = new AuditLog(dir, (thrown) => { throw thrown; }, { nowMs: () => now.ms });
    for (let i = 0; i < 500; i++) await audit.write({ by: 'grafana', action: 'DELETE /v1/devices/x', status: 403 });
    await audit.write({ by: 'ops', action: 'DELETE /v1/devices/y', status: 403 });
    for (let i = 0; i < 100; i++) await audit.write({ by: 'grafana', action: 'POST /v1/anomalies/a/feedback', status: 200 });
    now.ms += 60_000;
    await audit.write({ by: 'grafana', action: 'DELETE /v1/devices/z', status: 403 });
    const lines = readFileSync(join(dir, 'audit.log'), 'utf8').trimEnd().split('\n');
    expect(lines).toHaveLength(60 + 1 + 100 + 1);
  });

  it('a field of the log as text holds no control character, nor does its key', () => {
    fc.assert(fc.property(any, any, (a, b) => {
      const found = visible({ name: a, [a]: [b, { [b]: a }], count: 1, none: null });
      expect(Object.values(found as object)).toContain(1);
      const texts = (value: unknown): string[] => (typeof value === 'object' && value !== null ? Object.entries(value).flatMap(([key, item]) => [key, ...texts(item)]) : [String(value)]);
      for (const text of texts(found)) expect(text).not.toMatch(HARMFUL);
    }), RUNS);
  });

  it('a terminal sees no control of its own', () => {
    fc.assert(fc.property(any, (name) => {
      expect(plain(name)).not.toMatch(HARMFUL);
    }), RUNS);
  });
});

/** A list element of DuckDB's text form of a list. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

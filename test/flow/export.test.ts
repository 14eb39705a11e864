import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { health } from '../../cli/health.js';
import { exportStore } from '../../cli/store.js';
import { createToken } from '../../store/tokens.js';
import { startGruard, until } from './gruard.js';

let dir: string;
let gruard: Awaited<ReturnType<typeof startGruard>> | undefined;
let printed: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-export-'));
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => { printed += String(text); return true; });
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = 0;
  await gruard?.close();
  gruard = undefined;
});

/** The settings file that a user of this server would give to every command. */
function settings(api: Record<string, unknown> = {}): string {
  const file = join(dir, 'gruard.yaml');
  writeFileSync(file, JSON.stringify({ data_dir: gruard!.dataDir, api: { port: Number(new URL(gruard!.addresses.page).port), ...api } }));
  return file;
}

async function filled(overrides: Record<string, unknown> = {}, token = ''): Promise<void> {
  gruard = await startGruard(overrides);
  const lines = Array.from({ length: 300 }, (_, i) => `m,device=oven-${i % 3} temperature=${i} ${(1_760_000_000 + i) * 1000}`).join('\n');
  const headers = { 'content-type': 'text/plain', ...(token !== '' && { authorization: `Bearer ${token}` }) };
  expect((await fetch(new URL('v1/readings', gruard.addresses.page), { method: 'POST', headers, body: lines })).status).toBe(202);
}

const rowsOf = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n').slice(1);

describe('gruard export while the server runs', () => {
  it('asks the server: CSV and Parquet, all and a part, and the same file as from a stopped one', async () => {
    await filled();
    const config = settings();
    const all = join(dir, 'all.csv');
    await until(async () => {
      await exportStore({ config, out: all, format: 'csv', force: true });
      return rowsOf(all).length === 300;
    }, 'everything is exported');
    expect(printed).toContain('300 readings written');
    expect(existsSync(`${all}.part`)).toBe(false);
    await expect(exportStore({ config, out: all, format: 'csv' })).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(rowsOf(all)).toHaveLength(300);
    await expect(exportStore({ config, out: join(dir, 'none', 'all.csv'), format: 'csv' })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    const part = join(dir, 'part.csv');
    await exportStore({ config, out: part, format: 'csv', device: 'oven-1', start: '2025-10-09T08:53:31Z', end: '2025-10-09T08:53:38Z' });
    expect(rowsOf(part).map((row) => row.split(',').slice(0, 4))).toEqual([['2025-10-09T08:53:33.000Z', 'oven-1', 'temperature', '13.0'], ['2025-10-09T08:53:36.000Z', 'oven-1', 'temperature', '16.0']]);
    const parquet = join(dir, 'all.parquet');
    await exportStore({ config, out: parquet, format: 'parquet' });
    const sql = await (await DuckDBInstance.create(':memory:')).connect();
    const read = await sql.runAndReadAll(`SELECT count(*)::DOUBLE, count(DISTINCT device)::DOUBLE, max(actual) FROM '${parquet}'`);
    expect(read.getRows()[0]).toEqual([300, 3, 299]);
    sql.closeSync();
    expect(readdirSync(join(gruard!.dataDir, 'export'))).toEqual([]);
    await gruard!.close();
    gruard = undefined;
    const offline = join(dir, 'offline.csv');
    await exportStore({ config, out: offline, format: 'csv' });
    await expect(exportStore({ config, out: offline, format: 'csv' })).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(readFileSync(offline, 'utf8')).toBe(readFileSync(all, 'utf8'));
  }, 60_000);

  it('is let in by token, and leaves no file where it is not', async () => {
    const dataDir = join(dir, 'data');
    const [reader, writer] = [await createToken(dataDir, 'r', ['read']), await createToken(dataDir, 'w', ['write'])];
    await filled({ data_dir: dataDir }, writer);
    const out = join(dir, 'x.csv');
    await expect(exportStore({ config: settings(), out, format: 'csv' })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(exportStore({ config: settings({ token: writer }), out, format: 'csv' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(readdirSync(dir).filter((name) => name.startsWith('x.csv'))).toEqual([]);
    await exportStore({ config: settings({ token: reader }), out, format: 'csv' });
    expect(existsSync(out)).toBe(true);
  }, 60_000);

  it('where the lock is held by something that does not answer, says so', async () => {
    await filled();
    const file = join(dir, 'gruard.yaml');
    writeFileSync(file, JSON.stringify({ data_dir: gruard!.dataDir, api: { port: 1 } }));
    await expect(exportStore({ config: file, out: join(dir, 'x.csv'), format: 'csv' })).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });
});

describe('GET /v1/export', () => {
  it('makes one at a time, ends with its client, and goes on', async () => {
    await filled();
    const url = new URL('v1/export', gruard!.addresses.page);
    const answers = await Promise.all(Array.from({ length: 6 }, () => fetch(url).then(async (response) => ({ status: response.status, text: await response.text() }))));
    expect(answers.map(({ status }) => status)).toContain(200);
    for (const { status, text } of answers) if (status !== 200) expect(JSON.parse(text)).toMatchObject({ status: 429, code: 'BUSY' });
    const gone = new AbortController();
    const lost = fetch(url, { signal: gone.signal });
    gone.abort();
    await expect(lost).rejects.toThrow();
    await until(async () => {
      const { status, headers } = await fetch(url);
      return status === 200 && headers.get('gruard-rows') === '300';
    }, 'the next one is served, with all that was taken');
    expect((await (await fetch(url)).text()).trimEnd().split('\n')).toHaveLength(301);
    expect((await fetch(new URL('?format=xml', url))).status).toBe(400);
  });
});

describe('gruard health', () => {
  it('tells of a server that is well, and fails where there is none', async () => {
    gruard = await startGruard();
    await health({ config: settings() });
    expect(printed).toMatch(/^ok\n/);
    expect(process.exitCode ?? 0).toBe(0);
    await expect(health({ config: settings({ port: 1 }) })).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)('knows the server of its settings by its certificate, whatever that is made out to, and takes no other', async () => {
    const pair = (name: string): { tls_cert_file: string; tls_key_file: string } => {
      const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=plant.example'], { stdio: 'ignore' });
      return { tls_cert_file: cert, tls_key_file: key };
    };
    const [ours, other] = [pair('ours'), pair('other')];
    gruard = await startGruard({ 'api.tls_cert_file': ours.tls_cert_file, 'api.tls_key_file': ours.tls_key_file });
    await health({ config: settings(ours) });
    expect(printed).toMatch(/^ok\n/);
    await expect(health({ config: settings({ ...other, token: 'not to be sent' }) })).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE', message: expect.stringContaining('another certificate') as string });
    await exportStore({ config: settings(ours), out: join(dir, 'tls.csv'), format: 'csv' });
    expect(existsSync(join(dir, 'tls.csv'))).toBe(true);
  });
});

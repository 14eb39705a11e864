import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { anomaly, resultStoreConformance, Rows } from '../../test/conformance/results.js';
import { EmbeddedStore } from './embedded.js';

resultStoreConformance('embedded', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-embedded-'));
  return {
    async open() {
      const store = new EmbeddedStore({ path: join(dir, 'results.duckdb') });
      await store.open();
      return store;
    },
    async remove() {
      rmSync(dir, { recursive: true });
    },
  };
});

describe('embedded store', () => {
  let dir: string;
  let path: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'gruard-embedded-'));
    path = join(dir, 'results.duckdb');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const opened = async (): Promise<EmbeddedStore> => {
    const store = new EmbeddedStore({ path });
    await store.open();
    return store;
  };

  test('a killed writer leaves whole batches up to the position, which is at least what was acknowledged', async () => {
    const writer = fileURLToPath(new URL('../../test/conformance/results-writer.ts', import.meta.url));
    let from = 0;
    for (let kill = 0; kill < 2; kill++) {
      const child = spawn(process.execPath, ['--import', 'tsx', writer, path, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] });
      let acknowledged = -1;
      let seen = '';
      const enough = new Promise<void>((resolve) => child.stdout.on('data', (data: Buffer) => {
        seen += data.toString();
        const lines = seen.split('\n').slice(0, -1);
        acknowledged = Number(lines.at(-1) ?? -1);
        if (acknowledged >= from + 20 + kill * 7) resolve();
      }));
      await Promise.race([enough, once(child, 'exit').then(() => { throw new Error('the writer ended by itself'); })]);
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      const store = await opened();
      const position = await store.position();
      expect(position).toBeGreaterThanOrEqual(acknowledged);
      for (const metric of ['m0', 'm9']) {
        const { items } = await store.querySeries({ device: 'd', metric, limit: 10_000, startMs: 0 });
        expect(items.map((point) => point.timestampMs)).toEqual(Array.from({ length: position + 1 }, (_, i) => i * 1000));
      }
      expect((await store.queryEvents({ limit: 1000 })).items.length).toBe(Math.floor(position / 10) + 1);
      await store.close();
      from = position + 1;
    }
    // Two processes are started: on a machine that is busy with other things that takes its time.
  }, 90_000);

  test('a file that is not a database is a clear error', async () => {
    writeFileSync(path, 'this is not a database, and long enough to be read as the head of one'.repeat(300));
    await expect(opened()).rejects.toMatchObject({ code: 'STORE_DAMAGED', message: expect.stringContaining(path) as string });
  });

  test('a cut file is a clear error', async () => {
    const store = await opened();
    const rows = new Rows();
    await store.write(rows.batch(Array.from({ length: 5000 }, (_, i) => ({ atMs: i }))), rows.fleet, 1);
    await store.close();
    writeFileSync(path, Buffer.alloc(10));
    await expect(opened()).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('a log that is cut gives whole batches, one that is changed a clear error, and neither anything wrong', async () => {
    const store = await opened();
    const rows = new Rows();
    for (let n = 0; n < 20; n++) await store.write(rows.batch([{ atMs: 2 * n }, { atMs: 2 * n + 1 }]), rows.fleet, n);
    const [file, log] = [readFileSync(path), readFileSync(`${path}.wal`)];
    await store.close();
    const found: string[] = [];
    for (let part = 0; part < 8; part++) {
      for (const damage of ['cut', 'changed']) {
        const at = Math.floor(((part + 0.5) / 8) * log.length);
        const bad = damage === 'cut' ? log.subarray(0, at) : Buffer.from(log);
        if (damage === 'changed') bad[at] ^= 4;
        writeFileSync(path, file);
        writeFileSync(`${path}.wal`, bad);
        const again = new EmbeddedStore({ path });
        try {
          await again.open();
          const { items } = await again.querySeries({ device: 'oven3', metric: 'temperature', startMs: 0, limit: 100 });
          expect(items.map((point) => point.timestampMs)).toEqual(Array.from({ length: 2 * ((await again.position()) + 1) }, (_, i) => i));
          found.push(`${damage}: whole`);
        } catch (error) {
          expect(error).toMatchObject({ code: 'STORE_DAMAGED' });
          found.push(`${damage}: refused`);
        }
        await again.close();
      }
    }
    expect(new Set(found)).toEqual(new Set(['cut: whole', 'changed: refused']));
  });

  test('a write that fails leaves nothing of itself and can be done again', async () => {
    const store = await opened();
    const rows = new Rows();
    await store.write(rows.batch([{ atMs: 1 }]), rows.fleet, 1);
    const bad = rows.batch([{ atMs: 2 }, { device: 'new', atMs: 2 }], { events: [anomaly({ id: 'e', reason: null as unknown as string })] });
    await expect(store.write(bad, rows.fleet, 2)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await store.position()).toBe(1);
    expect((await store.querySeries({ device: 'oven3', metric: 'temperature', limit: 10 })).items).toHaveLength(1);
    bad.events = [anomaly({ id: 'e' })];
    await store.write(bad, rows.fleet, 2);
    expect((await store.querySeries({ device: 'oven3', metric: 'temperature', limit: 10 })).items).toHaveLength(2);
    expect((await store.querySeries({ device: 'new', metric: 'temperature', limit: 10 })).items).toHaveLength(1);
    await store.close();
  });

  test('with retention the file stops growing', async () => {
    const store = await opened();
    const rows = new Rows();
    const sizes: number[] = [];
    for (let day = 0; day < 12; day++) {
      const noise = (i: number): number => ((i * 2654435761 + day * 97) % 1_000_003) / 7;
      await store.write(rows.batch(Array.from({ length: 20_000 }, (_, i) => ({ atMs: day * 20_000 + i, value: noise(i), yhat: noise(i + 1) }))), rows.fleet, day);
      await store.expire((day - 1) * 20_000);
      sizes.push(statSync(path).size);
    }
    await store.close();
    expect(Math.max(...sizes.slice(8))).toBeLessThanOrEqual(1.3 * Math.max(...sizes.slice(2, 6)));
  });

  test('a closed store says so', async () => {
    const store = await opened();
    await store.close();
    await expect(store.querySeries({ device: 'a', metric: 'b', limit: 1 })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});

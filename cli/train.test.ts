import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readWeights } from '../model/weights.js';
import { trainCommand } from './train.js';

let folder: string;
let printed: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gruard-train-'));
  printed = '';
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

function run(...options: string[]): Promise<unknown> {
  return trainCommand().exitOverride().parseAsync(['--rows', '3', '--json', ...options], { from: 'user' });
}

describe('gruard train', () => {
  it('writes weights that say how to get them again, a checkpoint, and a report that loads nothing', async () => {
    const out = join(folder, 'w.safetensors');
    const report = join(folder, 'report.html');
    await run('--steps', '2', '--seed', '5', '--family', 'flat', '--out', out, '--report', report);
    const { metadata, config } = await readWeights(out);
    expect(metadata.command).toBe('gruard train --steps 2 --seed 5 --rows 3 --family flat');
    expect(config.layers).toEqual([{ cell: 'gru', units: 32 }]);
    expect(await readdir(folder)).toEqual(['report.html', 'w.safetensors', 'w.safetensors.checkpoint']);
    const html = await readFile(report, 'utf8');
    expect(html.match(/<svg /g)?.length).toBeGreaterThanOrEqual(5);
    expect(html).not.toMatch(/https?:|NaN|<script/);
    expect(JSON.parse(printed)).toMatchObject({ steps: 2 });
  });

  it('trains a network of other cells, which says what it is', { timeout: 120_000 }, async () => {
    const out = join(folder, 'w.safetensors');
    await run('--steps', '2', '--family', 'flat', '--layers', 'elman:6,recurrent:5', '--out', out);
    const { metadata, config, tensors } = await readWeights(out);
    expect(metadata.command).toBe('gruard train --steps 2 --seed 1 --rows 3 --family flat --layers elman:6,recurrent:5');
    expect(config).toMatchObject({ inputs: 7, layers: [{ cell: 'elman', units: 6 }, { cell: 'recurrent', units: 5 }], head: { outputs: 9 } });
    expect(tensors.get('layers.1.kernel')?.shape).toEqual([6, 5]);
    await expect(run('--layers', 'lstm:6', '--init', 'default', '--out', out)).rejects.toMatchObject({ code: 'USAGE' });
    for (const wrong of ['mlp:6', 'gru', 'gru:257', 'gru:0', 'gru:8,gru:8,gru:8,gru:8,gru:8']) await expect(run('--layers', wrong, '--out', out), wrong).rejects.toMatchObject({ code: 'commander.invalidArgument' });
  });

  it('fine-tunes the shipped weights on a CSV file', async () => {
    const csv = join(folder, 'pump.csv');
    const rows = Array.from({ length: 600 }, (_, t) => `${1_700_000_000 + 60 * t},${Math.sin(t / 9).toFixed(4)}`);
    await writeFile(csv, `timestamp,flow\n${rows.join('\n')}\n`);
    const out = join(folder, 'own.safetensors');
    await run('--steps', '2', '--from', csv, '--out', out);
    const [own, shipped] = [await readWeights(out), await readWeights(new URL('../model/weights/default.safetensors', import.meta.url).pathname)];
    const [a, b] = [own, shipped].map((network) => network.tensors.get('head.bias')?.data ?? new Float32Array());
    expect(a).not.toEqual(b);
    a.forEach((x, i) => expect(Math.abs(x - b[i])).toBeLessThan(0.01));
  });

  it('takes the history of a running server, page by page, names as parameters', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://x');
      asked.push(`${url.pathname} ${url.searchParams.get('name') ?? ''} ${url.searchParams.get('metric') ?? ''} ${url.searchParams.get('cursor') ?? ''}`);
      const from = Number(url.searchParams.get('cursor') ?? 0);
      const points = Array.from({ length: 150 }, (_, i) => ({ timestamp: new Date(1.7e12 + (from + i) * 60_000).toISOString(), actual: Math.sin((from + i) / 9) }));
      const page = url.pathname === '/v1/devices' ? { items: [{ id: '../a b', metrics: ['flow', '*'] }], next_cursor: null } : { items: points, next_cursor: from < 150 ? '150' : null };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(page));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const config = join(folder, 'gruard.yaml');
    await writeFile(config, `api:\n  port: ${(server.address() as AddressInfo).port}\n`);
    await run('--steps', '0', '--from-server', '--config', config, '--out', join(folder, 'w'));
    await new Promise((resolve) => server.close(resolve));
    expect(asked).toEqual(['/v1/devices   ', '/v1/devices/-/series/- ../a b flow ', '/v1/devices/-/series/- ../a b flow 150']);
    expect(JSON.parse(printed)).toMatchObject({ steps: 0 });
    expect((JSON.parse(printed) as { coverage_1: number }).coverage_1).toBeGreaterThan(0.5);
  });

  it('refuses a family that does not exist', async () => {
    await expect(run('--family', 'unicorn', '--out', join(folder, 'w'))).rejects.toMatchObject({ code: 'USAGE' });
  });
});

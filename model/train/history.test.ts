import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SeriesQuery } from '../../core/results.js';
import { collectHistory, csvHistory, storeHistory } from './history.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gruard-history-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function csv(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const item of items) out.push(item);
  return out;
}

describe('csvHistory', () => {
  it('gives a series a metric, with the times that are usual in CSV', async () => {
    const path = await csv('pump.csv', 'timestamp,flow,heat\n2024-01-01 00:00:00,1,10\n2024-01-01T00:01:00Z,,11\n1704067320,3,12\n1704067380000,4,x\n1704067380000,5,13\nnever,6,14\n');
    const [flow, heat] = await all(csvHistory([path]));
    expect(flow.name).toBe('pump/flow');
    expect([...flow.value]).toEqual([1, 3, 4]);
    expect([...flow.timestampMs].map((ms) => (ms - flow.timestampMs[0]) / 1000)).toEqual([0, 120, 180]);
    expect([...heat.value]).toEqual([10, 11, 12, 13]);
  });

  it('says what is wrong with a file', async () => {
    await expect(all(csvHistory([await csv('a.csv', 'time,x\n1,2\n')]))).rejects.toMatchObject({ code: 'CSV_INVALID' });
    await expect(all(csvHistory([join(folder, 'absent.csv')]))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(collectHistory(csvHistory([await csv('short.csv', 'timestamp,x\n1,2\n')]))).rejects.toMatchObject({ code: 'CSV_INVALID' });
  });
});

describe('storeHistory', () => {
  it('pages through a result store and leaves out readings without a value', async () => {
    const asked: (string | undefined)[] = [];
    const reader = {
      querySeries: async ({ cursor }: SeriesQuery) => {
        asked.push(cursor);
        const start = cursor === undefined ? 0 : Number(cursor);
        const items = [0, 1].map((i) => ({
          timestampMs: 1000 * (start + i), actual: i === 1 && start === 2 ? null : start + i, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: null, scored: true, inEvent: false, revised: false,
        }));
        return { items, nextCursor: start < 4 ? String(start + 2) : null };
      },
    };
    const [series] = await all(storeHistory(reader, [{ device: 'pump', metric: 'flow' }], { startMs: 0, endMs: 1e6 }));
    expect(series.name).toBe('pump/flow');
    expect([...series.value]).toEqual([0, 1, 2, 4, 5]);
    expect(asked).toEqual([undefined, '2', '4']);
  });
});

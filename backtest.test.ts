import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backtest } from './backtest.js';

describe('where a backtest writes', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-backtest-'));
  const history = join(dir, 'history.csv');
  const text = 'timestamp,x\n2026-01-01,1\n';
  writeFileSync(history, text);
  const run = (out: string) => backtest(history, out, { device: 'd', openDetector: () => Promise.reject(new Error('the file was judged')) });

  it('is never the file that it judges, under whatever name', async () => {
    const link = join(dir, 'link.csv');
    symlinkSync(history, link);
    for (const out of [history, join(dir, '.', 'history.csv'), link]) await expect(run(out)).rejects.toMatchObject({ code: 'USAGE' });
    expect(readFileSync(history, 'utf8')).toBe(text);
  });

  it('is looked at before the file is judged', async () => {
    await expect(run(join(dir, 'none', 'scores.csv'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(run(join(dir, 'scores.csv'))).rejects.toThrow('the file was judged');
  });
});

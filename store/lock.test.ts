import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataDir } from './lock.js';

let dir: string;
const soon = async (): Promise<void> => undefined;
const path = (): string => join(dir, 'gruard.lock');
const owner = (changes: object): string => JSON.stringify({ ...JSON.parse(readFileSync(path(), 'utf8')) as object, id: 'other', ...changes });

beforeEach(() => { dir = mkdtempSync(join(tmpdir(), 'gruard-lock-')); });
afterEach(() => rmSync(dir, { recursive: true }));

describe('the lock of a data directory', () => {
  it('is given to one, and to the next when it is released', async () => {
    const lock = await lockDataDir(dir);
    await expect(lockDataDir(dir)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED', message: expect.stringContaining(`process ${process.pid} on ${hostname()}`) as string });
    await lock.release();
    await (await lockDataDir(dir)).release();
  });

  it('is given to exactly one of many that ask at once, also where a dead owner left it', async () => {
    for (const stale of [false, true]) {
      if (stale) {
        await lockDataDir(dir);
        writeFileSync(path(), owner({ started: '1' }));
      }
      const asked = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDir(dir)));
      expect(asked.filter(({ status }) => status === 'fulfilled').length).toBe(1);
      rmSync(path());
    }
  });

  it('is taken over from a process that was killed, and from a pid that is another process now', async () => {
    const child = spawn('sleep', ['60']);
    await lockDataDir(dir);
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    const held = owner({ pid: child.pid, started: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] });
    writeFileSync(path(), held);
    await expect(lockDataDir(dir)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockDataDir(dir)).release();
  });

  it('of another host holds while somebody touches it, and not when nobody does', async () => {
    await lockDataDir(dir);
    writeFileSync(path(), owner({ host: 'elsewhere/boot' }));
    let touches = 0;
    const touching = async (): Promise<void> => utimesSync(path(), new Date(), new Date(Date.now() + ++touches));
    await expect(lockDataDir(dir, touching)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED', message: expect.stringContaining('elsewhere') as string });
    await (await lockDataDir(dir, soon)).release();
  });

  it('that cannot be made says so', async () => {
    writeFileSync(join(dir, 'file'), '');
    await expect(lockDataDir(join(dir, 'file', 'data'))).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
  });
});

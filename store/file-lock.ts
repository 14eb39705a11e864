import fs from 'node:fs/promises';
import { systemClock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { systemSleep } from './sleep.js';

/** Reading, changing and replacing a small file takes milliseconds: a lock this old was left behind by a process that died. */
const STALE_MS = 10_000;
const TRY_MS = 50;

/** Runs `work` alone among all processes that take the lock of this file: one at a time, each on what the one before it left. Throws DATA_DIR_UNUSABLE where the lock cannot be made. */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  while (!await taken(lock)) await systemSleep(TRY_MS);
  try {
    return await work();
  } finally {
    await fs.rm(lock, { force: true });
  }
}

async function taken(lock: string): Promise<boolean> {
  try {
    await (await fs.open(lock, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw new GruardError('DATA_DIR_UNUSABLE', `${lock}: ${messageOf(error)}`, { cause: error });
  }
  const age = await fs.stat(lock).then(({ mtimeMs }) => systemClock.nowMs() - mtimeMs, () => 0);
  if (age > STALE_MS) await fs.rm(lock, { force: true });
  return false;
}

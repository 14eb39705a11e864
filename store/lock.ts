import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { systemSleep, type Sleep } from './sleep.js';

/** Who holds a data directory. */
interface Owner {
  id: string;
  pid: number;
  /** When that process began, as the system counts it: a pid is used again, a pid with its start is not. Null where the system does not tell. */
  started: string | null;
  /** A host's name and boot: only processes of the same can be looked up. In containers, the container. */
  host: string;
}

/** The owner touches its file this often; a file that lies still for `STALE_MS` belongs to nobody. */
const TOUCH_MS = 2000;
const STALE_MS = 6 * TOUCH_MS;
const LOCK_NAME = 'gruard.lock';

export interface DataDirLock {
  release(): Promise<void>;
}

/**
 * Takes a data directory for this process. Node has no flock, so: a file that is made in one step (link fails where it exists), holding pid and start of the owner,
 * which on the same host tells at once whether he lives; between containers that share a volume the file's age does. Throws DATA_DIR_LOCKED, DATA_DIR_UNUSABLE.
 */
export async function lockDataDir(dir: string, sleep: Sleep = systemSleep): Promise<DataDirLock> {
  const path = join(dir, LOCK_NAME);
  const self: Owner = { id: randomUUID(), pid: process.pid, started: await startOf(process.pid), host: await hostIdentity() };
  try {
    await fs.mkdir(dir, { recursive: true, mode: 0o700 });
    const own = `${path}.${self.id}`;
    await fs.writeFile(own, JSON.stringify(self), { mode: 0o600, flush: true });
    try {
      while (!await linked(own, path)) await displaceStale(path, self, dir, sleep);
    } finally {
      await fs.rm(own, { force: true });
    }
  } catch (cause) {
    if (cause instanceof GruardError) throw cause;
    throw new GruardError('DATA_DIR_UNUSABLE', `${dir}: ${messageOf(cause)}`, { cause });
  }
  return held(path, self);
}

function held(path: string, self: Owner): DataDirLock {
  const touch = setInterval(() => {
    const now = new Date(systemClock.nowMs());
    fs.utimes(path, now, now).catch(() => undefined);
  }, TOUCH_MS);
  touch.unref();
  return {
    async release() {
      clearInterval(touch);
      if ((await ownerOf(path))?.id === self.id) await fs.rm(path, { force: true });
    },
  };
}

async function linked(own: string, path: string): Promise<boolean> {
  try {
    await fs.link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes the lock of an owner who is gone, or throws DATA_DIR_LOCKED. Of several processes that find it stale, one at a time looks again and removes. */
async function displaceStale(path: string, self: Owner, dir: string, sleep: Sleep): Promise<void> {
  const found = await ownerOf(path);
  if (await lives(path, found, self, sleep)) {
    throw new GruardError('DATA_DIR_LOCKED', `${dir} is in use by ${found ? `process ${found.pid} on ${found.host.split('/')[0]}` : 'another process'}`);
  }
  const guard = `${path}.takeover`;
  try {
    await fs.mkdir(guard);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await removeAbandoned(guard);
    await sleep(50);
    return;
  }
  try {
    if ((await ownerOf(path))?.id === found?.id) await fs.rm(path, { force: true });
  } finally {
    await fs.rmdir(guard);
  }
}

/** A process that died while it held the guard left it behind. */
async function removeAbandoned(guard: string): Promise<void> {
  const stat = await fs.stat(guard).catch(() => undefined);
  if (stat && systemClock.nowMs() - stat.mtimeMs > STALE_MS) await fs.rmdir(guard).catch(() => undefined);
}

async function lives(path: string, owner: Owner | undefined, self: Owner, sleep: Sleep): Promise<boolean> {
  if (owner && owner.host === self.host && self.started !== null) return owner.started === await startOf(owner.pid);
  if (owner && owner.host === self.host && !processExists(owner.pid)) return false;
  // Another host, or a file that says nothing: does somebody touch it? Its age alone would trust that both clocks agree.
  const before = await mtimeOf(path);
  for (let waitedMs = 0; waitedMs < STALE_MS; waitedMs += TOUCH_MS / 4) {
    await sleep(TOUCH_MS / 4);
    const now = await mtimeOf(path);
    if (now !== before) return now !== undefined;
  }
  return false;
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function mtimeOf(path: string): Promise<number | undefined> {
  return (await fs.stat(path).catch(() => undefined))?.mtimeMs;
}

async function ownerOf(path: string): Promise<Owner | undefined> {
  try {
    const owner = JSON.parse(await fs.readFile(path, 'utf8')) as Partial<Owner>;
    return typeof owner.id === 'string' && Number.isInteger(owner.pid) && typeof owner.host === 'string' ? owner as Owner : undefined;
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat (proc(5)): ticks after boot at which the process began. The name in field 2 may hold spaces and brackets. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

async function hostIdentity(): Promise<string> {
  const boot = await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${hostname()}/${boot.trim()}`;
}

import type { Random } from '../../core/random.js';
import type { Disk, DiskEntry, DiskFile } from './disk.js';

/** Chances that an operation goes wrong, and how long it takes. All may be changed while the disk is in use. */
export interface DiskFaults {
  /** A write is rejected with EIO; some of its bytes may have reached the disk, and reads may show more of them than the disk has. */
  write: number;
  rename: number;
  read: number;
  open: number;
  /** An operation takes `stallMs`. */
  stall: number;
  stallMs: number;
  /** Growing files beyond this together is rejected with ENOSPC. */
  capacityBytes: number;
  /** Writes are resolved although they are only in the cache: the mutant of a journal that forgets fdatasync. */
  forgetSync: boolean;
}

const NO_FAULTS: DiskFaults = { write: 0, rename: 0, read: 0, open: 0, stall: 0, stallMs: 1500, capacityBytes: Infinity, forgetSync: false };

/** Bytes that reach the disk or do not, together: smaller than any sector, so that writes tear in more places than they ever do. */
const GRAIN_BYTES = 64;

/** What reads see, and what survives a power cut. */
interface Inode {
  cached: Uint8Array;
  durable: Uint8Array;
  /** Writes that are in the cache alone. */
  loose: { at: number; data: Uint8Array }[];
}

interface Pending {
  inode: Inode;
  at: number;
  data: Uint8Array;
}

export type Operation = 'open' | 'write' | 'rename' | 'remove';

/**
 * A disk in memory that behaves as badly as disks may: slow, failing, full, and at a power cut it keeps any part of what was not synced, in any order.
 * Everything follows from the random numbers, so the same seed gives the same disk.
 */
export class SimulatedDisk {
  readonly faults: DiskFaults;
  /** Called when an operation has begun (it may be half done) and when it has been done; a crash may be made in it. */
  onOperation: ((operation: Operation, moment: 'begun' | 'done', name: string) => void) | undefined;
  /** Names as reads see them. */
  #names = new Map<string, Inode>();
  /** Names as a power cut leaves them, without the changes in `#looseNames`, which it may keep in part: a prefix, as a journaling file system does. */
  #durableNames = new Map<string, Inode>();
  #looseNames: ((names: Map<string, Inode>) => void)[] = [];
  #pending = new Set<Pending>();
  #process = { alive: true };

  /** `schedule` runs something after a time; virtual or real. */
  constructor(private readonly random: Random, private readonly schedule: (delayMs: number, run: () => void) => void, faults: Partial<DiskFaults> = {}) {
    this.faults = { ...NO_FAULTS, ...faults };
  }

  /** The disk as one process has it: when it is killed, none of its operations ever ends. */
  attach(): Disk {
    this.#process = { alive: true };
    return new ProcessDisk(this, this.#process);
  }

  /** kill -9: what was written is in the cache; what was being written, perhaps. */
  kill(): void {
    this.#process.alive = false;
    for (const { inode, at, data } of this.#pending) {
      this.#applySome(inode, 'cached', at, data);
      this.#applySome(inode, 'durable', at, data);
    }
    this.#pending.clear();
  }

  /** Only what is durable is left, and some of what was on its way. */
  powerCut(): void {
    this.kill();
    const kept = Math.floor(this.random() * (this.#looseNames.length + 1));
    for (const change of this.#looseNames.slice(0, kept)) change(this.#durableNames);
    this.#looseNames = [];
    for (const inode of new Set(this.#durableNames.values())) {
      for (const { at, data } of inode.loose) this.#applySome(inode, 'durable', at, data);
      inode.loose = [];
      inode.cached = inode.durable.slice();
    }
    this.#names = new Map(this.#durableNames);
  }

  /** The files as they are, for tests that damage them. */
  contents(): Map<string, Uint8Array> {
    return new Map([...this.#names].map(([name, { cached }]) => [name, cached.slice()]));
  }

  /** Puts a file there, durable. */
  put(name: string, bytes: Uint8Array): void {
    const inode: Inode = { cached: bytes.slice(), durable: bytes.slice(), loose: [] };
    this.#names.set(name, inode);
    this.#durableNames.set(name, inode);
  }

  #applySome(inode: Inode, where: 'cached' | 'durable', at: number, data: Uint8Array): void {
    const chance = [0, 0.5, 0.9, 1][Math.floor(this.random() * 4)];
    for (let from = 0; from < data.length; from += GRAIN_BYTES) {
      if (this.random() < chance) place(inode, where, at + from, data.subarray(from, from + GRAIN_BYTES));
    }
  }

  delayed<T>(process: { alive: boolean }, work: () => T): Promise<T> {
    const stalled = this.random() < this.faults.stall;
    const delayMs = stalled ? this.faults.stallMs : 0.05 + this.random() * 2;
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.schedule(delayMs, () => {
        if (!process.alive) return;
        let result: T;
        try {
          result = work();
        } catch (error) {
          return reject(error instanceof Error ? error : new Error(String(error)));
        }
        if (process.alive) resolve(result);
      });
    });
  }

  async list(process: { alive: boolean }, folder: string): Promise<DiskEntry[]> {
    return this.delayed(process, () => {
      const entries: DiskEntry[] = [];
      for (const [name, { cached }] of this.#names) {
        const slash = name.lastIndexOf('/');
        if ((slash < 0 ? '' : name.slice(0, slash)) === folder) entries.push({ name, bytes: cached.length });
      }
      return entries;
    });
  }

  async read(process: { alive: boolean }, name: string, at: number, bytes: number): Promise<Uint8Array> {
    return this.delayed(process, () => {
      this.#fail(this.faults.read, 'EIO');
      const inode = this.#names.get(name);
      if (!inode) throw failure('ENOENT', name);
      return inode.cached.slice(at, at + bytes);
    });
  }

  async open(process: { alive: boolean }, name: string): Promise<Inode> {
    return this.delayed(process, () => {
      this.#fail(this.faults.open, 'EIO');
      let inode = this.#names.get(name);
      if (!inode) {
        const created: Inode = inode = { cached: new Uint8Array(0), durable: new Uint8Array(0), loose: [] };
        this.#names.set(name, created);
        this.#looseNames.push((names) => names.set(name, created));
      }
      this.onOperation?.('open', 'done', name);
      return inode;
    });
  }

  async write(process: { alive: boolean }, inode: Inode, name: string, at: number, data: Uint8Array): Promise<void> {
    const pending: Pending = { inode, at, data };
    if (process.alive) {
      this.#pending.add(pending);
      this.onOperation?.('write', 'begun', name);
    }
    return this.delayed(process, () => {
      this.#pending.delete(pending);
      const growth = Math.max(0, at + data.length - inode.cached.length);
      if (growth > 0 && this.#used() + growth > this.faults.capacityBytes) throw failure('ENOSPC', name);
      if (this.random() < this.faults.write) {
        this.#applySome(inode, 'durable', at, data);
        // The kernel keeps the pages, calls them clean, and will never write them.
        this.#applySome(inode, 'cached', at, data);
        throw failure('EIO', name);
      }
      place(inode, 'cached', at, data);
      if (this.faults.forgetSync) inode.loose.push({ at, data });
      else place(inode, 'durable', at, data);
      this.onOperation?.('write', 'done', name);
    });
  }

  async rename(process: { alive: boolean }, from: string, to: string): Promise<void> {
    return this.delayed(process, () => {
      const inode = this.#names.get(from);
      if (!inode) throw failure('ENOENT', from);
      const change = (names: Map<string, Inode>): void => {
        names.delete(from);
        names.set(to, inode);
      };
      change(this.#names);
      this.#looseNames.push(change);
      this.onOperation?.('rename', 'begun', to);
      this.#fail(this.faults.rename, 'EIO');
      for (const loose of this.#looseNames) loose(this.#durableNames);
      this.#looseNames = [];
      this.onOperation?.('rename', 'done', to);
    });
  }

  async remove(process: { alive: boolean }, name: string): Promise<void> {
    return this.delayed(process, () => {
      if (!this.#names.delete(name)) return;
      this.#looseNames.push((names) => names.delete(name));
      this.onOperation?.('remove', 'done', name);
    });
  }

  #used(): number {
    let bytes = 0;
    for (const { cached } of this.#names.values()) bytes += cached.length;
    return bytes;
  }

  #fail(chance: number, code: string): void {
    if (this.random() < chance) throw failure(code, 'simulated');
  }
}

function failure(code: string, name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: simulated, '${name}'`), { code });
}

function place(inode: Inode, where: 'cached' | 'durable', at: number, data: Uint8Array): void {
  if (inode[where].length < at + data.length) {
    const grown = new Uint8Array(at + data.length);
    grown.set(inode[where]);
    inode[where] = grown;
  }
  inode[where].set(data, at);
}

class ProcessDisk implements Disk {
  constructor(private readonly disk: SimulatedDisk, private readonly process: { alive: boolean }) {}

  list(folder: string): Promise<DiskEntry[]> {
    return this.disk.list(this.process, folder);
  }

  read(name: string, at: number, bytes: number): Promise<Uint8Array> {
    return this.disk.read(this.process, name, at, bytes);
  }

  async open(name: string): Promise<DiskFile> {
    const { disk, process } = this;
    const inode = await disk.open(process, name);
    return {
      write: (buffers, at) => disk.write(process, inode, name, at, Buffer.concat(buffers)),
      close: async () => undefined,
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.disk.rename(this.process, from, to);
  }

  remove(name: string): Promise<void> {
    return this.disk.remove(this.process, name);
  }
}

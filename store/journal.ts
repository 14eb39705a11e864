import type { Batch } from '../core/batch.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf, type ErrorCode } from '../core/errors.js';
import { systemRandom, type Random } from '../core/random.js';
import type { Disk } from './disk/disk.js';
import { RecentRecords } from './recent-records.js';
import { encodeRecord, sealFrame } from './record.js';
import { recoverTail } from './recovery.js';
import type { Damage, Segment } from './segment.js';
import { Segments, setAside } from './segments.js';
import { backOffMs, systemSleep, type Sleep } from './sleep.js';

export interface JournalOptions {
  disk: Disk;
  /** Size at which commits stop until segments can be removed. */
  maxBytes?: number;
  segmentBytes?: number;
  /** Committed records kept in memory, so that followers that keep up never read the disk. */
  recentBytes?: number;
  clock?: Clock;
  sleep?: Sleep;
  random?: Random;
}

/** What `open` found. */
export interface Recovery {
  /** The sequence of the last record, -1 where there is none. */
  lastSequence: number;
  /** The oldest record that is still there; lastSequence + 1 where there is none. */
  firstSequence: number;
  segments: number;
  /** True where the end of the journal was cut off: a commit that a crash interrupted, never acknowledged. */
  tornTail: boolean;
}

export interface JournalStatus {
  state: 'ok' | 'degraded' | 'failing';
  code: ErrorCode | null;
  detail: string;
  firstSequence: number;
  /** Durable up to here. */
  committed: number;
  /** Given to `append` up to here. */
  appended: number;
  waitingBytes: number;
  bytes: number;
  maxBytes: number;
  segments: number;
  commits: number;
  failedCommits: number;
  damage: readonly Damage[];
  /** Who keeps segments from being removed, and from where. */
  retained: readonly { name: string; position: number }[];
}

interface Waiting {
  sequence: number;
  record: Uint8Array;
  resolve: (sequence: number) => void;
  reject: (error: unknown) => void;
}

const MIB = 1024 * 1024;
const MOST_COMMIT_BYTES = 8 * MIB;
const FIRST_RETRY_MS = 20;
const MOST_RETRY_MS = 500;
/** A commit that takes longer than this is worth a word in the health report. */
const SLOW_COMMIT_MS = 1000;
const MOST_DAMAGE_REPORTS = 100;

/**
 * The append-only record of every batch. `append` numbers a batch at once, in call order, and resolves when it is durable; what waits while a commit
 * is under way goes into the next one together (group commit), so the batch grows with the load and an idle journal commits at once.
 *
 * A commit that fails keeps its bytes and writes them again into a new segment, with back-off, for ever: the promise stays pending, the order stays, and
 * `status` says why. Never into the same segment: after a failed fsync the kernel may have thrown the pages away and report success the next time.
 */
export class Journal {
  readonly #disk: Disk;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #sleep: Sleep;
  readonly #random: Random;

  readonly #segments: Segments;
  readonly #recent: RecentRecords;

  #next = 0;
  #committed = -1;

  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #running: Promise<void> | undefined;
  #closing = false;
  readonly #stop = new AbortController();
  #commitSinceMs: number | undefined;
  #failure: GruardError | undefined;
  #commits = 0;
  #failedCommits = 0;

  readonly #damage: Damage[] = [];
  readonly #retained = new Map<string, number>();
  #removing = false;
  #listeners: { after: number; resolve: () => void }[] = [];

  constructor(options: JournalOptions) {
    this.#disk = options.disk;
    this.#maxBytes = options.maxBytes ?? 8192 * MIB;
    this.#clock = options.clock ?? systemClock;
    this.#sleep = options.sleep ?? systemSleep;
    this.#random = options.random ?? systemRandom;
    const segmentBytes = Math.min(options.segmentBytes ?? 16 * MIB, Math.max(64 * 1024, Math.floor(this.#maxBytes / 4)));
    this.#segments = new Segments(this.#disk, this.#maxBytes, segmentBytes, this.#sleep);
    this.#recent = new RecentRecords(options.recentBytes ?? 16 * MIB);
  }

  /** Finds the end, cuts off a torn one, and writes the last commit once more (see `recoverTail`). Throws FORMAT_VERSION, JOURNAL_IO. */
  async open(): Promise<Recovery> {
    try {
      const tail = await recoverTail(this.#disk, await this.#segments.open());
      this.#next = tail.next;
      this.#committed = tail.next - tail.uncertain.length - 1;
      tail.damage.forEach((damage) => this.noteDamage(damage));
      tail.uncertain.forEach((record, i) => {
        const sequence = this.#committed + 1 + i;
        this.#recent.keep(sequence, record, this.#committed);
        this.#enqueue({ sequence, record, resolve: () => undefined, reject: () => undefined });
      });
      return { lastSequence: this.#next - 1, firstSequence: this.firstSequence, segments: this.#segments.count, tornTail: tail.torn };
    } catch (cause) {
      if (cause instanceof GruardError) throw cause;
      throw new GruardError('JOURNAL_IO', `the journal cannot be read: ${messageOf(cause)}`, { cause });
    }
  }

  /** Durable up to this sequence; -1 where nothing is. */
  get committed(): number {
    return this.#committed;
  }

  /** The sequence given out last. */
  get appended(): number {
    return this.#next - 1;
  }

  /** The oldest record still there. */
  get firstSequence(): number {
    return this.#segments.first ?? this.#committed + 1;
  }

  /** Bytes that were appended and are not durable: the bound that slows the sources is on these. */
  get undurableBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * Makes sure that sequences up to this one are never given out (again): the state or a store has seen them, but the journal, wiped or restored, does not reach
   * so far. Call it after `open` for every snapshot and follower position. Returns false, and notes the damage, where records are missing.
   */
  reachTo(sequence: number): boolean {
    if (sequence < this.#next) return true;
    this.noteDamage({ from: this.#next, to: sequence, segment: 'end of the journal' });
    this.#next = sequence + 1;
    if (this.#waitingBytes === 0) this.#committed = sequence;
    return false;
  }

  /** The batch gets its sequence in this call (read it from `appended`) and may be used again when it returns. Resolves with the sequence once it is durable. */
  append(batch: Batch): Promise<number> {
    if (this.#closing) return Promise.reject(new GruardError('SHUTTING_DOWN', 'gruard is stopping'));
    const sequence = this.#next++;
    const record = encodeRecord(batch);
    return new Promise((resolve, reject) => this.#enqueue({ sequence, record, resolve, reject }));
  }

  #enqueue(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#waitingBytes += waiting.record.length;
    this.#running ??= Promise.resolve().then(() => this.#commitAll());
  }

  /** Resolves once `sequence` is durable. */
  async durable(sequence: number, signal?: AbortSignal): Promise<void> {
    while (this.#committed < sequence && !signal?.aborted) await this.moved(sequence - 1, signal);
  }

  /** Resolves when `committed` is past `after`, or the signal is raised. */
  moved(after: number, signal?: AbortSignal): Promise<void> {
    if (this.#committed > after || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const listener = { after, resolve: () => { signal?.removeEventListener('abort', leave); resolve(); } };
      const leave = (): void => {
        this.#listeners = this.#listeners.filter((other) => other !== listener);
        resolve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#listeners.push(listener);
    });
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      group.forEach(({ record, sequence }, i) => sealFrame(record, sequence, i));
      this.#commitSinceMs = this.#clock.nowMs();
      if (!await this.#writeUntilDurable(group)) break;
      this.#commitSinceMs = undefined;
      this.#commits++;
      for (const { sequence, record } of group) {
        this.#waitingBytes -= record.length;
        this.#recent.keep(sequence, record, this.#committed);
      }
      this.#committed = this.#waiting.length === 0 ? this.#next - 1 : this.#waiting[0].sequence - 1;
      for (const { sequence, resolve } of group) resolve(sequence);
      this.#wakeListeners();
    }
    this.#running = undefined;
  }

  /** What waits, up to a size: one commit. Its sequences follow each other without a gap. */
  #takeGroup(): Waiting[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      const { record, sequence } = this.#waiting[count];
      if (count > 0 && (bytes + record.length > Math.min(MOST_COMMIT_BYTES, this.#segments.segmentBytes) || sequence !== this.#waiting[0].sequence + count)) break;
      bytes += record.length;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Tries for ever; false only when the journal is being closed and the disk does not take the bytes. */
  async #writeUntilDurable(group: readonly Waiting[]): Promise<boolean> {
    const records = group.map(({ record }) => record);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#segments.write(records, group[0].sequence);
        this.#failure = undefined;
        return true;
      } catch (cause) {
        this.#failedCommits++;
        this.#failure = this.#reasonOf(cause);
        this.#segments.abandon();
      }
      if (this.#closing) {
        for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(new GruardError('SHUTTING_DOWN', `not durable when gruard stopped: ${this.#failure.message}`));
        this.#waitingBytes = 0;
        return false;
      }
      await this.#sleep(backOffMs(attempt, FIRST_RETRY_MS, MOST_RETRY_MS, this.#random), this.#stop.signal);
    }
  }

  #reasonOf(cause: unknown): GruardError {
    const error = asJournalError(cause);
    const slowest = [...this.#retained].sort((a, b) => a[1] - b[1])[0];
    return cause === error && error.code === 'JOURNAL_FULL' && slowest ? new GruardError('JOURNAL_FULL', `${error.message}; ${slowest[0]} is the furthest behind`) : error;
  }

  #wakeListeners(): void {
    const woken = this.#listeners.filter((listener) => listener.after < this.#committed);
    if (woken.length === 0) return;
    this.#listeners = this.#listeners.filter((listener) => listener.after >= this.#committed);
    for (const listener of woken) listener.resolve();
  }

  /** A record that is still in memory. */
  recent(sequence: number): Uint8Array | undefined {
    return this.#recent.get(sequence);
  }

  /** The sequence of the oldest record in memory that is not before this one. */
  recentFrom(sequence: number): number | undefined {
    return this.#recent.from(sequence);
  }

  /** The segment to read a record from, and the one after it. */
  segmentOf(sequence: number): { segment: Segment | undefined; following: Segment | undefined } {
    return this.#segments.of(sequence);
  }

  get disk(): Disk {
    return this.#disk;
  }

  /** Records that cannot be read: reported, and the segment is copied aside for a person to look at. */
  noteDamage(damage: Damage): void {
    if (this.#damage.some(({ from, to }) => from <= damage.from && to >= damage.to)) return;
    if (this.#damage.length < MOST_DAMAGE_REPORTS) this.#damage.push(damage);
    if (damage.segment.startsWith('journal/')) void setAside(this.#disk, damage.segment);
  }

  /** `name` (a follower, the snapshots) needs every record after `position`. Segments that nobody needs are removed (`startRemoving`). */
  retain(name: string, position: number): void {
    this.#retained.set(name, position);
    this.#trim();
  }

  /** `name` is no more: it holds nothing back. */
  release(name: string): void {
    this.#retained.delete(name);
    this.#trim();
  }

  /** Call it once every follower has been started: until then one that is far behind may still have to say so, and nothing is removed. */
  startRemoving(): void {
    this.#removing = true;
    this.#trim();
  }

  #trim(): void {
    if (!this.#removing || this.#retained.size === 0) return;
    this.#segments.trim(Math.min(...this.#retained.values(), this.#committed) + 1);
  }

  get bytes(): number {
    return this.#segments.bytes;
  }

  status(): JournalStatus {
    const waitedMs = this.#commitSinceMs === undefined ? 0 : this.#clock.nowMs() - this.#commitSinceMs;
    let state: JournalStatus['state'] = 'ok';
    let code: ErrorCode | null = null;
    let detail = `durable up to ${this.#committed}`;
    if (this.#damage.length > 0) {
      const { from, to, segment } = this.#damage[0];
      [state, code, detail] = ['degraded', 'JOURNAL_DAMAGED', `records ${from} to ${to} cannot be read (${segment})`];
    }
    if (waitedMs > SLOW_COMMIT_MS) {
      [state, code, detail] = ['failing', 'JOURNAL_IO', `the disk has not answered for ${waitedMs} ms; nothing is acknowledged until it does`];
    }
    if (this.#failure) [state, code, detail] = ['failing', this.#failure.code, this.#failure.message];
    return {
      state, code, detail, firstSequence: this.firstSequence, committed: this.#committed, appended: this.appended, waitingBytes: this.#waitingBytes,
      bytes: this.bytes, maxBytes: this.#maxBytes, segments: this.#segments.count, commits: this.#commits, failedCommits: this.#failedCommits,
      damage: this.#damage, retained: [...this.#retained].map(([name, position]) => ({ name, position })),
    };
  }

  /** Waits for what was appended, unless the disk refuses it: then those promises are rejected (SHUTTING_DOWN) and nothing of it was acknowledged. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#stop.abort();
    this.#segments.stop();
    await this.#running;
    await this.#segments.close();
  }
}

function asJournalError(cause: unknown): GruardError {
  if (cause instanceof GruardError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new GruardError('JOURNAL_FULL', `the disk is full: ${messageOf(cause)}`, { cause });
  return new GruardError('JOURNAL_IO', `the disk does not take the journal: ${messageOf(cause)}`, { cause });
}

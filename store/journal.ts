import type { Batch } from '../core/batch.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf, type ErrorCode } from '../core/errors.js';
import { systemRandom, type Random } from '../core/random.js';
import { readWhole, replaceFile, type Disk, type DiskFile } from './disk/disk.js';
import { encodeRecord, sealFrame } from './record.js';
import { recoverTail } from './recovery.js';
import { EMPTY_NAME, listSegments, mark, segmentName, SPARE_NAME, type Segment } from './segment.js';
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

/** Records that cannot be read any more: `from` to `to`, both inclusive. */
export interface Damage {
  from: number;
  to: number;
  segment: string;
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
/** Small, and with a pause after each, so that commits hardly wait for zeros. */
const ZERO_CHUNK = new Uint8Array(256 * 1024);
const ZERO_PAUSE_MS = 2;
const EMPTY_BYTES = 4 * MIB;
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
  readonly #segmentBytes: number;
  readonly #recentBytes: number;
  readonly #clock: Clock;
  readonly #sleep: Sleep;
  readonly #random: Random;

  #segments: Segment[] = [];
  /** The segment that is written, and where its next record goes. */
  #current: { segment: Segment; file: DiskFile; at: number } | undefined;
  /** A file of zeros that is ready to become the next segment. */
  #spare: { file: DiskFile; bytes: number } | undefined;
  #preparing: Promise<void> | undefined;
  #nextNumber = 1;

  #next = 0;
  #committed = -1;
  readonly #recent = new Map<number, Uint8Array>();
  #recentHeld = 0;

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
    this.#segmentBytes = Math.min(options.segmentBytes ?? 16 * MIB, Math.max(64 * 1024, Math.floor(this.#maxBytes / 4)));
    this.#recentBytes = options.recentBytes ?? 16 * MIB;
    this.#clock = options.clock ?? systemClock;
    this.#sleep = options.sleep ?? systemSleep;
    this.#random = options.random ?? systemRandom;
  }

  /** Finds the end, cuts off a torn one, and writes the last commit once more (see `recoverTail`). Throws FORMAT_VERSION, JOURNAL_IO. */
  async open(): Promise<Recovery> {
    try {
      await this.#disk.remove(SPARE_NAME);
      await this.#disk.remove(EMPTY_NAME);
      this.#segments = await listSegments(this.#disk);
      this.#nextNumber = (this.#segments.at(-1)?.number ?? 0) + 1;
      const tail = await recoverTail(this.#disk, this.#segments);
      this.#next = tail.next;
      this.#committed = tail.next - tail.uncertain.length - 1;
      tail.damage.forEach((damage) => this.noteDamage(damage));
      tail.uncertain.forEach((record, i) => {
        const sequence = this.#committed + 1 + i;
        this.#remember(sequence, record);
        this.#enqueue({ sequence, record, resolve: () => undefined, reject: () => undefined });
      });
      return { lastSequence: this.#next - 1, firstSequence: this.firstSequence, segments: this.#segments.length, tornTail: tail.torn };
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
    return this.#segments[0]?.first ?? this.#committed + 1;
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
        this.#remember(sequence, record);
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
      if (count > 0 && (bytes + record.length > Math.min(MOST_COMMIT_BYTES, this.#segmentBytes) || sequence !== this.#waiting[0].sequence + count)) break;
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
        await this.#write(records, group[0].sequence);
        this.#failure = undefined;
        return true;
      } catch (cause) {
        this.#failedCommits++;
        this.#failure = asJournalError(cause);
        this.#abandonSegment();
      }
      if (this.#closing) {
        for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(new GruardError('SHUTTING_DOWN', `not durable when gruard stopped: ${this.#failure.message}`));
        this.#waitingBytes = 0;
        return false;
      }
      await this.#sleep(backOffMs(attempt, FIRST_RETRY_MS, MOST_RETRY_MS, this.#random), this.#stop.signal);
    }
  }

  async #write(records: readonly Uint8Array[], first: number): Promise<void> {
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
    if (!this.#current || this.#current.at + bytes > this.#current.segment.bytes) await this.#startSegment(first, bytes);
    const current = this.#current!;
    await current.file.write(records, current.at);
    let at = current.at;
    records.forEach((record, i) => {
      mark(current.segment, first + i, at);
      at += record.length;
    });
    if (current.at === 0) this.#dropRepeated(current.segment);
    current.at = at;
    if (!this.#spare && !this.#closing) this.#preparing ??= this.#prepareSpare().finally(() => { this.#preparing = undefined; });
  }

  /** Goes on in a new file: the spare, or, where that is not ready (at the start, under a load that fills segments faster than zeros are written), an empty one. */
  async #startSegment(first: number, bytes: number): Promise<void> {
    const spare = this.#spare && this.#spare.bytes >= bytes ? this.#spare : undefined;
    // An empty file is slower to write to, so it is soon exchanged for a spare.
    const wanted = Math.max(spare ? spare.bytes : Math.min(this.#segmentBytes, EMPTY_BYTES), bytes);
    if (this.bytes + wanted > this.#maxBytes) {
      const slowest = [...this.#retained].sort((a, b) => a[1] - b[1])[0];
      throw new GruardError('JOURNAL_FULL', `the journal has reached journal.max_bytes (${this.#maxBytes})${slowest ? `; ${slowest[0]} is the furthest behind` : ''}`);
    }
    if (spare) this.#spare = undefined;
    else await this.#disk.remove(EMPTY_NAME);
    const file = spare?.file ?? await this.#disk.open(EMPTY_NAME);
    const number = this.#nextNumber++;
    const segment: Segment = { number, first, name: segmentName(number, first), bytes: wanted, marks: [] };
    try {
      await this.#disk.rename(spare ? SPARE_NAME : EMPTY_NAME, segment.name);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    this.#leaveSegment();
    this.#segments.push(segment);
    this.#current = { segment, file, at: 0 };
  }

  /**
   * Fills a file with zeros, slowly, beside the commits: overwriting allocated blocks needs no metadata, so a small commit in it is one write to the device.
   * An error here is none of the journal's: without a spare the next segment is an empty file.
   */
  async #prepareSpare(): Promise<void> {
    let file: DiskFile | undefined;
    try {
      await this.#disk.remove(SPARE_NAME);
      file = await this.#disk.open(SPARE_NAME);
      for (let at = 0; at < this.#segmentBytes && !this.#closing; at += ZERO_CHUNK.length) {
        await file.write([ZERO_CHUNK.subarray(0, Math.min(ZERO_CHUNK.length, this.#segmentBytes - at))], at);
        await this.#sleep(ZERO_PAUSE_MS, this.#stop.signal);
      }
      this.#spare = { file, bytes: this.#segmentBytes };
    } catch {
      await file?.close().catch(() => undefined);
      await this.#disk.remove(SPARE_NAME).catch(() => undefined);
      await this.#sleep(MOST_RETRY_MS, this.#stop.signal);
    }
  }

  #leaveSegment(): void {
    this.#current?.file.close().catch(() => undefined);
    this.#current = undefined;
  }

  /** After a failed commit: what the segment holds up to here stays good, and where it holds nothing it goes. */
  #abandonSegment(): void {
    if (this.#current?.at === 0) {
      const { name } = this.#current.segment;
      this.#segments = this.#segments.filter((segment) => segment.name !== name);
      this.#disk.remove(name).catch(() => undefined);
    }
    this.#leaveSegment();
  }

  /** Older segments that hold only records which now stand, durable, in this one (`recoverTail`). */
  #dropRepeated(current: Segment): void {
    for (const { name } of this.#segments.filter((segment) => segment !== current && segment.first >= current.first)) {
      this.#segments = this.#segments.filter((segment) => segment.name !== name);
      this.#disk.remove(name).catch(() => undefined);
    }
  }

  #remember(sequence: number, record: Uint8Array): void {
    if (this.#recent.has(sequence)) return;
    this.#recent.set(sequence, record);
    this.#recentHeld += record.length;
    for (const [oldest, bytes] of this.#recent) {
      // What is not committed stands nowhere else for readers.
      if (this.#recentHeld <= this.#recentBytes || oldest >= this.#committed) break;
      this.#recent.delete(oldest);
      this.#recentHeld -= bytes.length;
    }
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
    for (const held of this.#recent.keys()) if (held >= sequence) return held;
    return undefined;
  }

  /** The segment to read a record from, and the one after it. */
  segmentOf(sequence: number): { segment: Segment | undefined; following: Segment | undefined } {
    let at = this.#segments.length - 1;
    while (at > 0 && this.#segments[at].first > sequence) at--;
    return { segment: this.#segments[at], following: this.#segments[at + 1] };
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
    const needed = Math.min(...this.#retained.values(), this.#committed) + 1;
    while (this.#segments.length > 1 && this.#segments[1].first <= needed) {
      this.#disk.remove(this.#segments.shift()!.name).catch(() => undefined);
    }
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
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
      bytes: this.bytes, maxBytes: this.#maxBytes, segments: this.#segments.length, commits: this.#commits, failedCommits: this.#failedCommits,
      damage: this.#damage, retained: [...this.#retained].map(([name, position]) => ({ name, position })),
    };
  }

  /** Waits for what was appended, unless the disk refuses it: then those promises are rejected (SHUTTING_DOWN) and nothing of it was acknowledged. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#stop.abort();
    await this.#running;
    await this.#preparing;
    await this.#spare?.file.close();
    this.#spare = undefined;
    await this.#current?.file.close();
    this.#current = undefined;
    await this.#disk.remove(SPARE_NAME).catch(() => undefined);
  }
}

function asJournalError(cause: unknown): GruardError {
  if (cause instanceof GruardError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new GruardError('JOURNAL_FULL', `the disk is full: ${messageOf(cause)}`, { cause });
  return new GruardError('JOURNAL_IO', `the disk does not take the journal: ${messageOf(cause)}`, { cause });
}

/** Keeps a copy of a damaged segment under journal/damaged; as best it can, since the disk may be the one that is failing. */
async function setAside(disk: Disk, name: string): Promise<void> {
  const copy = name.replace('journal/', 'journal/damaged/');
  try {
    if ((await disk.list('journal/damaged')).some((entry) => entry.name === copy)) return;
    const bytes = await readWhole(disk, name);
    if (bytes) await replaceFile(disk, copy, [bytes]);
  } catch {
    // The segment itself stays until every follower has passed it.
  }
}

import { Batch } from '../core/batch.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { systemRandom, type Random } from '../core/random.js';
import type { Journal } from './journal.js';
import { JournalReader, type StoredRecord } from './reader.js';
import { decodeRecord, rowsOf } from './record.js';
import { backOffMs, systemSleep, type Sleep } from './sleep.js';
import { replaceFile } from './disk/disk.js';

/** Thrown by a target that is there but will never take this batch. */
export class PoisonError extends Error {
  override readonly name = 'PoisonError';
}

/** Where a follower takes the journal: a result store, an alert sink. */
export interface FollowerTarget {
  /** The sequence up to which everything is in the target, as the target itself remembers it; -1 where nothing is. */
  position(): Promise<number>;
  /**
   * Takes what the journal holds up to `position`, and remembers the position with it. May be given the same again after a crash, so it must be idempotent.
   * An empty batch only moves the position. Rejects where the target is not there: the same batch comes again after a while.
   */
  apply(batch: Batch, position: number): Promise<void>;
  /** Whether the target answers at all. With it a record that alone fails again and again is told from a target that is down. */
  reachable?(): Promise<boolean>;
}

export interface FollowerOptions {
  name: string;
  journal: Journal;
  target: FollowerTarget;
  /** Records are put together into one batch of up to so many rows and bytes. */
  rows?: number;
  bytes?: number;
  /** After something was committed, how long to wait for more before it is applied. */
  lingerMs?: number;
  clock?: Clock;
  sleep?: Sleep;
  random?: Random;
}

export interface FollowerStatus {
  name: string;
  state: 'ok' | 'behind' | 'failing' | 'stopped';
  position: number;
  lagRecords: number;
  /** For how long the follower has not been at the journal's end. */
  lagMs: number;
  lastError: string | null;
  attempts: number;
  poisonRecords: number;
}

const FIRST_RETRY_MS = 100;
const MOST_RETRY_MS = 30_000;
/** After so many failures a batch is taken record by record, to find the one that does not go in. */
const ATTEMPTS_TOGETHER = 3;
const ATTEMPTS_ALONE = 5;

/** Carries the committed records of a journal to a target, in order, each at least once; never slows the journal, never gives up. */
export class Follower {
  readonly name: string;
  readonly #journal: Journal;
  readonly #target: FollowerTarget;
  readonly #rows: number;
  readonly #bytes: number;
  readonly #lingerMs: number;
  readonly #clock: Clock;
  readonly #sleep: Sleep;
  readonly #random: Random;
  readonly #stop = new AbortController();
  #batch: Batch;
  #position = -1;
  #reader: JournalReader | undefined;
  #running: Promise<void> | undefined;
  #lastError: string | null = null;
  #attempts = 0;
  #behindSinceMs: number | undefined;
  #poisonRecords = 0;

  constructor(options: FollowerOptions) {
    this.name = options.name;
    this.#journal = options.journal;
    this.#target = options.target;
    this.#rows = options.rows ?? 16_384;
    this.#bytes = options.bytes ?? 8 * 1024 * 1024;
    this.#lingerMs = options.lingerMs ?? 0;
    this.#clock = options.clock ?? systemClock;
    this.#sleep = options.sleep ?? systemSleep;
    this.#random = options.random ?? systemRandom;
    this.#batch = new Batch(this.#rows);
  }

  /** Holds the journal's segments from here on, even before the target has answered; the records then come as the target takes them. */
  start(): void {
    this.#journal.retain(this.name, this.#position);
    this.#running ??= this.#run();
  }

  /** Ends after what is being applied, or at once where the target does not take it: it stays in the journal. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Resolves once everything that is committed now is in the target. */
  async caughtUp(): Promise<void> {
    const goal = this.#journal.committed;
    while (this.#position < goal && !this.#stop.signal.aborted) await this.#sleep(5, this.#stop.signal);
  }

  get position(): number {
    return this.#position;
  }

  status(): FollowerStatus {
    const lagRecords = Math.max(0, this.#journal.committed - this.#position);
    let state: FollowerStatus['state'] = lagRecords > 0 ? 'behind' : 'ok';
    if (this.#attempts > 0) state = 'failing';
    if (this.#stop.signal.aborted) state = 'stopped';
    return {
      name: this.name, state, position: this.#position, lagRecords,
      lagMs: lagRecords > 0 && this.#behindSinceMs !== undefined ? this.#clock.nowMs() - this.#behindSinceMs : 0,
      lastError: this.#lastError, attempts: this.#attempts, poisonRecords: this.#poisonRecords,
    };
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    await this.#retried(async () => this.#moveTo(await this.#target.position()), Infinity);
    let full = false;
    while (!signal.aborted) {
      if (this.#journal.committed <= this.#position) {
        this.#behindSinceMs = undefined;
        await this.#journal.moved(this.#position, signal);
        continue;
      }
      this.#behindSinceMs ??= this.#clock.nowMs();
      // Also after a batch that left something behind, unless it was a full one: a target's price is mostly by the batch.
      if (this.#lingerMs > 0 && !full) await this.#sleep(this.#lingerMs, signal);
      let records: StoredRecord[] = [];
      await this.#retried(async () => {
        this.#reader ??= new JournalReader(this.#journal, this.#position + 1);
        const upTo = this.#journal.committed;
        records = await this.#reader.take(upTo, this.#rows, this.#bytes);
        full = this.#reader.position <= upTo;
        // Nothing readable is left: what is missing is noted as damage by the journal, and there is nothing to carry.
        if (records.length === 0) await this.#applied([], this.#reader.position - 1);
      }, Infinity);
      if (records.length > 0) await this.#deliver(records);
    }
  }

  /** All together; where that fails again and again, one by one. */
  async #deliver(records: readonly StoredRecord[]): Promise<void> {
    const last = records[records.length - 1].sequence;
    if (await this.#retried(() => this.#applied(records, last), records.length > 1 ? ATTEMPTS_TOGETHER : 0)) return;
    for (const record of records) {
      if (this.#stop.signal.aborted) return;
      if (!await this.#retried(() => this.#applied([record], record.sequence), ATTEMPTS_ALONE)) await this.#retried(() => this.#setAside(record), Infinity);
    }
  }

  async #applied(records: readonly StoredRecord[], position: number): Promise<void> {
    const rows = records.reduce((sum, { record }) => sum + rowsOf(record), 0);
    if (rows > this.#batch.capacity) this.#batch = new Batch(rows);
    this.#batch.reset();
    for (const { record } of records) decodeRecord(record, this.#batch);
    await this.#target.apply(this.#batch, position);
    this.#moveTo(position);
  }

  /** Segments may go only after the target has the position: the order of these two lines is the guarantee. */
  #moveTo(position: number): void {
    this.#position = position;
    this.#journal.retain(this.name, position);
  }

  /**
   * Tries until it succeeds (true), the follower stops (true: the position says what was done), or `attempts` failures that are the batch's own fault (false).
   * A target that is down, or of which one cannot tell, is waited for without end.
   */
  async #retried(work: () => Promise<void>, attempts: number): Promise<boolean> {
    let own = 0;
    for (this.#attempts = 0; ; ) {
      try {
        await work();
        this.#attempts = 0;
        this.#lastError = null;
        return true;
      } catch (error) {
        this.#attempts++;
        this.#lastError = messageOf(error);
        if (error instanceof PoisonError || (error instanceof GruardError && error.code === 'JOURNAL_DAMAGED')) own = attempts;
        else if (await this.#answers()) own++;
      }
      if (attempts !== Infinity && own >= attempts) return false;
      if (this.#stop.signal.aborted) return true;
      await this.#sleep(backOffMs(this.#attempts, FIRST_RETRY_MS, MOST_RETRY_MS, this.#random), this.#stop.signal);
      if (this.#stop.signal.aborted) return true;
    }
  }

  async #answers(): Promise<boolean> {
    try {
      return await this.#target.reachable?.() ?? false;
    } catch {
      return false;
    }
  }

  /** A record that the target refuses is kept in a file of its own, counted, and passed. */
  async #setAside({ sequence, record }: StoredRecord): Promise<void> {
    await replaceFile(this.#journal.disk, `poison/${this.name}-${sequence}.record`, [record]);
    await this.#applied([], sequence);
    this.#poisonRecords++;
  }
}

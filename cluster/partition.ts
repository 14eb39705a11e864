import type { KafkaMessage } from 'kafkajs';
import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { ResultStore, SeriesNames } from '../core/results.js';
import type { Batch } from '../core/batch.js';
import { partitionName } from './assigner.js';
import { Cell, type CellSettings, type Refused } from './cell.js';
import { Outcome, OutcomeWriter, type OutputTopics } from './outcome.js';
import { packSnapshot, unpackSnapshot } from './snapshot.js';
import type { SnapshotReader, SnapshotTopic } from './snapshot-topic.js';
import { Transactions, type TransactionParts } from './transactions.js';

/** Results beside the topics: upserts, so that writing twice is writing once. */
export interface UpsertStore {
  /** Rejects where the store is not there. */
  load(batch: Batch, names: SeriesNames): Promise<void>;
  close: ResultStore['close'];
}

/** What all partitions of a worker share. */
export interface PartitionParts extends TransactionParts {
  from: 'earliest' | 'latest';
  cell: Omit<CellSettings, 'topic' | 'partition'>;
  topics: OutputTopics;
  snapshots: SnapshotTopic;
  reader: SnapshotReader;
  /** A store for one partition. */
  openStore: () => UpsertStore;
  snapshotMs: number;
  snapshotMessages: number;
  commitDelayMs: number;
  onRefused: (refused: Refused, topic: string, partition: number) => void;
  clock: Clock;
}

/** How the latest takeover went. */
export interface Takeover {
  offset: number;
  /** The input offset of the snapshot that it began with; undefined where there was none. */
  snapshot: number | undefined;
  snapshotBytes: number;
  replayed: number;
  /** Until the state of the snapshot was there, and until the replay was done too. */
  loadedMs: number;
  tookMs: number;
}

/** A transaction has no more rows than about that, so that whoever is killed often still comes on; past twice as many the partition waits. */
const TRANSACTION_ROWS = 5000;
/** A takeover that replayed this part of the messages between two snapshots leaves one at once, before its first transaction: where workers die often, the next owner would replay the same again, and more. */
const REPLAYED_SHARE = 1 / 8;
const CHUNK_MESSAGES = 1000;
const ROOM_MS = 100;

/**
 * One input partition while this worker owns it: its cell, and the transactions that write what comes of its log together with how far it was read. A transactional id for each
 * partition fences a former owner, so what is committed for it is a gapless course of one log, whoever wrote it.
 */
export class OwnedPartition {
  readonly name: string;
  /** Set once this worker must not touch it any more. */
  dropped = false;
  /** Why it must be taken anew. */
  failure: unknown;
  takeover: Takeover | undefined;
  committed = 0;
  end = 0;
  commits = 0;
  snapshotBytes = 0;
  snapshotAtMs = 0;
  /** Wall clock of the last message: an idle partition is told the time. */
  heardMs: number;
  /** Where it was last asked for again. */
  soughtAt = -1;
  #cell: Cell | undefined;
  readonly #transactions: Transactions;
  #writer!: OutcomeWriter;
  #store: UpsertStore | undefined;
  #outcome!: Outcome;
  #silentUntil = 0;
  #takenMs = 0;
  #replayed = 0;
  #live = false;
  #committing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #committedAtMs = 0;
  #snapshotOffset = 0;
  #snapshotPlace: number | undefined;
  #snapshotting: Promise<void> | undefined;

  constructor(private readonly parts: PartitionParts, readonly topic: string, readonly partition: number) {
    this.name = partitionName(topic, partition);
    this.heardMs = parts.clock.nowMs();
    this.#transactions = new Transactions(parts, topic, partition);
  }

  /** Why what was read is not committed yet, while that is tried again. */
  get trouble(): string | undefined {
    return this.#transactions.trouble;
  }

  /** Whether it can be given messages. */
  get ready(): boolean {
    return this.#cell !== undefined && !this.dropped && this.failure === undefined;
  }

  get cell(): Cell | undefined {
    return this.#cell;
  }

  /** How many messages are still to be replayed before it is live; as far as offsets tell. */
  get toReplay(): number {
    return this.#live ? 0 : Math.max(0, this.#silentUntil - this.next);
  }

  /** The offset of the message that is wanted next. */
  get next(): number {
    return this.#cell?.next ?? 0;
  }

  /** Fences whoever had it, and brings back the state: the newest snapshot; what lies between it and the committed offset comes as messages. */
  async take(): Promise<void> {
    const { parts, topic, partition } = this;
    this.#takenMs = parts.clock.nowMs();
    await this.#transactions.open();
    const { offset, snapshotPlace } = await this.#transactions.committed();
    const bounds = (await parts.admin.fetchTopicOffsets(topic)).find((one) => one.partition === partition)!;
    const low = Number(bounds.low);
    let cell = await Cell.open({ ...parts.cell, topic, partition });
    cell.next = offset ?? (parts.from === 'earliest' ? low : Number(bounds.high));
    this.#silentUntil = cell.next;
    this.committed = cell.next;
    this.end = Number(bounds.high);
    let snapshot: number | undefined;
    let snapshotBytes = 0;
    if (offset !== undefined) {
      const stored = await parts.reader.newest(topic, partition, snapshotPlace);
      const usable = stored !== undefined && stored.offset <= offset;
      const afresh = usable ? await unpackSnapshot(stored.bytes, stored.crc32, cell) : undefined;
      if (afresh === undefined) {
        cell = usable ? await Cell.open({ ...parts.cell, topic, partition }) : cell;
        cell.next = Math.min(low, offset);
        const why = stored === undefined ? 'there is none' : usable ? 'its bytes are damaged' : `it is of offset ${stored.offset}, beyond the committed one: the group was set back`;
        parts.log.warn('no snapshot of a partition: its state is rebuilt by replay from the beginning of its log', { partition: this.name, why, from: low, to: offset });
      } else {
        snapshot = stored!.offset;
        snapshotBytes = stored!.bytes.length;
        this.#snapshotPlace = snapshotPlace;
        parts.snapshots.took(topic, partition, stored!);
        if (afresh.length > 0) parts.log.warn('kept in another form by another version or with other weights, and therefore begun afresh', { partition: this.name, parts: afresh.join(', ') });
      }
      if (low > cell.next) {
        parts.log.warn('the log begins after the snapshot: what lay between is not part of the state', { partition: this.name, snapshot: cell.next, log: low });
        cell.next = low;
      }
    }
    if (this.dropped) return;
    this.#store ??= parts.openStore();
    this.#cell = cell;
    this.#writer = new OutcomeWriter(parts.topics, cell.fleet, partition);
    this.#snapshotOffset = cell.next;
    this.snapshotAtMs = parts.clock.nowMs();
    this.takeover = { offset: this.#silentUntil, snapshot, snapshotBytes, replayed: 0, loadedMs: parts.clock.nowMs() - this.#takenMs, tookMs: 0 };
    if (cell.next >= this.#silentUntil) this.#goLive();
  }

  /** Takes messages, in order; resolves when there is room for more. */
  async give(messages: readonly KafkaMessage[], lastOffset: number, between: () => Promise<void>): Promise<void> {
    const cell = this.#cell!;
    this.heardMs = this.parts.clock.nowMs();
    let at = 0;
    while (at < messages.length && Number(messages[at].offset) < cell.next) at++;
    while (at < messages.length) {
      if (this.dropped) return;
      let to = Math.min(at + CHUNK_MESSAGES, messages.length);
      if (!this.#live) {
        while (to > at && Number(messages[to - 1].offset) >= this.#silentUntil) to--;
        if (to === at) {
          this.#goLive();
          continue;
        }
        this.#replayed += to - at;
      }
      cell.take(messages, at, to);
      // A transaction may begin while we wait: all that was taken is part of it.
      cell.flush();
      at = to;
      if (this.#live) {
        this.#outcome.next = cell.next;
        this.#commitSoon();
        await this.#room(between);
      } else if (cell.next - this.#snapshotOffset >= this.parts.snapshotMessages) {
        // Whoever takes it from us goes on here.
        this.#snapshotNow();
      }
      if (at < messages.length) await between();
      if (!this.ready) return;
    }
    // What lies behind the last message are marks of transactions.
    cell.next = Math.max(cell.next, lastOffset + 1);
    if (!this.#live && cell.next >= this.#silentUntil) this.#goLive();
    if (!this.#live) return;
    this.#outcome.next = cell.next;
    this.#commitSoon();
  }

  /** While one transaction is written the next gathers, and no more. */
  async #room(between: () => Promise<void>): Promise<void> {
    while (this.#committing && this.#outcome.rows >= TRANSACTION_ROWS && this.ready) {
      await Promise.race([this.#committing, new Promise((resolve) => { setTimeout(resolve, ROOM_MS); })]);
      await between();
    }
  }

  /** Lets go at once: what is under way is for the next owner to do again. */
  async drop(): Promise<void> {
    this.dropped = true;
    this.#transactions.end();
    clearTimeout(this.#timer);
    this.#cell = undefined;
    await this.#committing?.catch(() => undefined);
    await this.#transactions.disconnect();
    await this.#store?.close().catch(() => undefined);
  }

  /** Commits what is there and leaves a snapshot for the next owner. */
  async handOver(): Promise<void> {
    if (!this.ready || !this.#live) return;
    clearTimeout(this.#timer);
    await this.#committing;
    if (!this.#outcome.empty) await this.#commit();
    const cell = this.#cell;
    if (!cell || this.failure !== undefined || this.dropped) return;
    await this.#snapshotting;
    if (cell.next !== this.#snapshotOffset) await this.#snapshot(cell.save(), cell.next);
  }

  #goLive(): void {
    const { parts } = this;
    const cell = this.#cell!;
    cell.tell({
      stepped: (batch) => this.#outcome.add(batch),
      retired: (device) => this.#outcome.retired.push(device),
      refused: (refused) => {
        this.#outcome.refuse(refused, this.topic, this.partition);
        parts.onRefused(refused, this.topic, this.partition);
      },
    });
    this.#live = true;
    cell.next = Math.max(cell.next, this.#silentUntil);
    this.#outcome = new Outcome(cell.next);
    this.takeover!.replayed = this.#replayed;
    this.takeover!.tookMs = parts.clock.nowMs() - this.#takenMs;
    if (this.#replayed >= parts.snapshotMessages * REPLAYED_SHARE) this.#snapshotNow();
    parts.log.info('partition taken', { partition: this.name, ...this.takeover, devices: cell.fleet.deviceCount });
  }

  #commitSoon(): void {
    if (this.#committing || this.#outcome.empty || !this.ready) return;
    if (this.#outcome.rows >= TRANSACTION_ROWS) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#commitNow();
    } else {
      const waitMs = this.#committedAtMs + this.parts.commitDelayMs - this.parts.clock.nowMs();
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        if (!this.#committing && this.ready) this.#commitNow();
      }, Math.max(0, waitMs));
    }
  }

  #commitNow(): void {
    void this.#commit().then(() => this.#commitSoon());
  }

  /** One at a time; the next outcome gathers meanwhile. Never rejects: what fails for good is in `failure`. */
  #commit(): Promise<void> {
    this.#committedAtMs = this.parts.clock.nowMs();
    const outcome = this.#outcome;
    const cell = this.#cell!;
    this.#outcome = new Outcome(outcome.next);
    const saved = this.#snapshotDue(outcome.next) ? { state: cell.save(), offset: outcome.next } : undefined;
    const { start, next } = outcome;
    const transaction = { start, next, snapshotPlace: this.#snapshotPlace, requests: () => this.#writer.requestsOf(outcome), upsert: () => this.#upsert(outcome) };
    this.#committing = this.#transactions.commit(transaction).then(() => {
      this.committed = outcome.next;
      this.commits++;
      if (this.#outcome.empty) cell.fleet.forgetRetired();
      if (saved) this.#snapshotting = this.#snapshot(saved.state, saved.offset);
    }).catch((error: unknown) => { this.failure ??= error; }).finally(() => { this.#committing = undefined; });
    return this.#committing;
  }

  async #upsert({ batches }: Outcome): Promise<void> {
    const cell = this.#cell;
    if (!cell) throw new Error('dropped');
    for (const batch of batches) await this.#store!.load(batch, cell.fleet);
  }

  #snapshotDue(offset: number): boolean {
    if (this.#snapshotting || offset === this.#snapshotOffset) return false;
    return offset - this.#snapshotOffset >= this.parts.snapshotMessages || this.parts.clock.nowMs() - this.snapshotAtMs >= this.parts.snapshotMs;
  }

  /** Of what was replayed: all of it is committed. */
  #snapshotNow(): void {
    const cell = this.#cell!;
    if (this.#snapshotting || cell.next === this.#snapshotOffset) return;
    this.#snapshotting = this.#snapshot(cell.save(), cell.next);
  }

  async #snapshot(state: ReturnType<Cell['save']>, offset: number): Promise<void> {
    this.#snapshotOffset = offset;
    this.snapshotAtMs = this.parts.clock.nowMs();
    try {
      const bytes = await packSnapshot(state);
      this.#snapshotPlace = await this.parts.snapshots.write(this.topic, this.partition, offset, bytes);
      this.snapshotBytes = bytes.length;
    } catch (error) {
      this.parts.log.warn('a snapshot was not written; a takeover replays more', { partition: this.name, error: messageOf(error) });
    } finally {
      this.#snapshotting = undefined;
    }
  }
}

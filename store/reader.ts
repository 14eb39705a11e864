import type { Journal } from './journal.js';
import { rowsOf } from './record.js';
import { SegmentReader } from './segment.js';

export interface StoredRecord {
  sequence: number;
  /** The sealed record, for `decodeRecord`; shared, not to be changed. */
  record: Uint8Array;
}

/**
 * Reads records in order: from memory where they are recent, else from the segments. Records that cannot be read are stepped over and reported to the
 * journal. Whoever reads must `retain` his position, or segments go from under him.
 */
export class JournalReader {
  #segment: SegmentReader | undefined;

  constructor(private readonly journal: Journal, private next: number) {
    this.next = Math.max(next, journal.firstSequence);
  }

  /** Sequence of the record that comes next. */
  get position(): number {
    return this.next;
  }

  /** The records up to `upTo` that follow, as many as have no more than `rows` rows and `bytes` bytes together; at least one, where there is one. */
  async take(upTo: number, rows: number, bytes: number): Promise<StoredRecord[]> {
    const taken: StoredRecord[] = [];
    while (this.next <= upTo) {
      const recent = this.journal.recent(this.next);
      let record = recent;
      try {
        record ??= await this.#fromDisk(upTo);
      } catch (error) {
        // What was taken counts as read: it is handed out, and the next call meets the error again.
        if (taken.length === 0) throw error;
        break;
      }
      if (recent) this.#segment = undefined;
      if (!record) break;
      rows -= rowsOf(record);
      bytes -= record.length;
      if (taken.length > 0 && (rows < 0 || bytes < 0)) {
        this.#held = { sequence: this.next, record };
        break;
      }
      taken.push({ sequence: this.next++, record });
    }
    return taken;
  }

  /** A record that was read from disk and did not fit in what was taken. */
  #held: StoredRecord | undefined;

  /** The next readable record; `next` is moved over what cannot be read. Undefined where nothing readable is left up to `upTo`. */
  async #fromDisk(upTo: number): Promise<Uint8Array | undefined> {
    const held = this.#held;
    this.#held = undefined;
    if (held?.sequence === this.next) return held.record;
    for (;;) {
      const { segment, following } = this.journal.segmentOf(this.next);
      if (!segment) return this.#missing(upTo, 'journal');
      if (this.#segment?.segment !== segment) this.#segment = new SegmentReader(this.journal.disk, segment, this.next);
      const read = await this.#segment.next();
      // A commit may have ended while the disk was read.
      const recent = this.journal.recent(this.next);
      if (recent) return recent;
      const end = following ? following.first : Infinity;
      const sequence = read?.frame.sequence ?? end;
      if (read && sequence < this.next) continue;
      if (read && sequence < end && sequence <= upTo) {
        if (sequence > this.next) this.journal.noteDamage({ from: this.next, to: sequence - 1, segment: segment.name });
        this.next = sequence;
        // A copy: the chunk that it lies in is large, and whoever holds the record would hold the chunk.
        return read.frame.record.slice();
      }
      if (!following || end > upTo) return this.#missing(upTo, segment.name);
      if (end > this.next) this.journal.noteDamage({ from: this.next, to: end - 1, segment: segment.name });
      this.next = end;
    }
  }

  /** Nothing more can be read up to `upTo`: on to what is in memory, or past it. */
  #missing(upTo: number, segment: string): Uint8Array | undefined {
    const sequence = Math.min(this.journal.recentFrom(this.next) ?? Infinity, upTo + 1);
    this.journal.noteDamage({ from: this.next, to: sequence - 1, segment });
    this.next = sequence;
    return this.journal.recent(sequence);
  }
}

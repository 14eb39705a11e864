import { GruardError } from '../core/errors.js';
import type { Disk } from './disk/disk.js';
import { FORMAT_VERSION, nextMagic, readFrame, type Frame } from './record.js';

export const JOURNAL_FOLDER = 'journal';
/** The file that is being filled with zeros, to become the next segment. */
export const SPARE_NAME = `${JOURNAL_FOLDER}/spare`;
/** A file that becomes a segment at once, where no spare is ready. */
export const EMPTY_NAME = `${JOURNAL_FOLDER}/empty`;

/**
 * A segment file: records one after the other, then zeros. `number` grows with every segment; `first` is the sequence of its first record.
 * Where a commit failed, its records stand once more in the next segment, so what a segment holds from the next one's `first` on does not count.
 */
export interface Segment {
  number: number;
  first: number;
  name: string;
  bytes: number;
  /** [sequence, offset] of a record every `MARK_BYTES`, so that a reader need not start at the segment's beginning. */
  marks: [number, number][];
}

/** Records that cannot be read any more: `from` to `to`, both inclusive. */
export interface Damage {
  from: number;
  to: number;
  segment: string;
}

const MARK_BYTES = 1024 * 1024;
const NAME = /^journal\/(\d{10})-(\d{16})\.segment$/;

export function segmentName(number: number, first: number): string {
  return `${JOURNAL_FOLDER}/${String(number).padStart(10, '0')}-${String(first).padStart(16, '0')}.segment`;
}

/** Notes where a record stands, if the last note is far enough away. */
export function mark(segment: Segment, sequence: number, at: number): void {
  const last = segment.marks.at(-1);
  if (at - (last?.[1] ?? 0) >= MARK_BYTES) segment.marks.push([sequence, at]);
}

/** The segments on a disk, oldest first. */
export async function listSegments(disk: Disk): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const { name, bytes } of await disk.list(JOURNAL_FOLDER)) {
    const parts = NAME.exec(name);
    if (parts) segments.push({ number: Number(parts[1]), first: Number(parts[2]), name, bytes, marks: [] });
  }
  return segments.sort((a, b) => a.number - b.number);
}

const CHUNK_BYTES = 1024 * 1024;

/** Reads the valid records of one segment in order, stepping over what is damaged. */
export class SegmentReader {
  #at: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkAt = 0;
  #chunkEndsFile = false;
  /** The place that was read next when the chunk was loaded. */
  #loadedFor = -1;

  constructor(private readonly disk: Disk, readonly segment: Segment, sequence = 0) {
    let at = 0;
    for (const [first, offset] of segment.marks) if (first <= sequence) at = offset;
    this.#at = at;
  }

  /** Where the next record would begin. */
  get at(): number {
    return this.#at;
  }

  /** The next valid record and where it begins; undefined where only zeros or rubbish follow. Throws FORMAT_VERSION. */
  async next(): Promise<{ frame: Frame; at: number } | undefined> {
    const from = this.#at;
    const found = await this.#find(from);
    if (found?.at === from || this.#loadedFor === from) return found;
    // The bytes in hand may be older than the record: they were read when it was being written.
    this.#chunk = new Uint8Array(0);
    this.#chunkAt = from;
    this.#chunkEndsFile = false;
    this.#at = from;
    return this.#find(from);
  }

  async #find(from: number): Promise<{ frame: Frame; at: number } | undefined> {
    for (;;) {
      const read = readFrame(this.#chunk, this.#at - this.#chunkAt);
      if (read.kind === 'frame') {
        const at = this.#at;
        this.#at += read.frame.record.length;
        mark(this.segment, read.frame.sequence, at);
        return { frame: read.frame, at };
      }
      if (read.kind === 'version') {
        throw new GruardError('FORMAT_VERSION', `${this.segment.name} has format version ${read.version}; this gruard reads version ${FORMAT_VERSION}`);
      }
      if (read.kind === 'short' && !this.#chunkEndsFile) {
        await this.#load(this.#at, Math.max(read.needs, CHUNK_BYTES));
        continue;
      }
      if (!await this.#seekMagic()) {
        this.#at = from;
        return undefined;
      }
    }
  }

  /** Goes to the next place after this one where a record could begin. */
  async #seekMagic(): Promise<boolean> {
    let at = this.#at + 8;
    for (;;) {
      const found = nextMagic(this.#chunk, at - this.#chunkAt);
      if (found < this.#chunk.length) {
        this.#at = this.#chunkAt + found;
        return true;
      }
      if (this.#chunkEndsFile) return false;
      at = Math.max(at, this.#chunkAt + (this.#chunk.length & ~7));
      await this.#load(at, CHUNK_BYTES);
    }
  }

  async #load(at: number, bytes: number): Promise<void> {
    this.#chunk = await this.disk.read(this.segment.name, at, bytes);
    this.#chunkAt = at;
    this.#loadedFor = at;
    this.#chunkEndsFile = this.#chunk.length < bytes;
  }
}


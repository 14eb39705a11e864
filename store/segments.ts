import { GruardError } from '../core/errors.js';
import { readWhole, replaceFile, type Disk, type DiskFile } from './disk/disk.js';
import { EMPTY_NAME, listSegments, mark, segmentName, SPARE_NAME, type Segment } from './segment.js';
import type { Sleep } from './sleep.js';

const MIB = 1024 * 1024;
/** Small, and with a pause after each, so that commits hardly wait for zeros. */
const ZERO_CHUNK = new Uint8Array(256 * 1024);
const ZERO_PAUSE_MS = 2;
const EMPTY_BYTES = 4 * MIB;
/** Until a spare is tried again that the disk did not take. */
const SPARE_RETRY_MS = 500;

/**
 * The files of a journal: the one that is written, older ones until nobody needs them, and a spare that is laid out ahead.
 *
 * @param maxBytes of all files together; @param segmentBytes of one
 */
export class Segments {
  #all: Segment[] = [];
  /** The segment that is written, and where its next record goes. */
  #current: { segment: Segment; file: DiskFile; at: number } | undefined;
  /** A file of zeros that is ready to become the next segment. */
  #spare: { file: DiskFile; bytes: number } | undefined;
  #preparing: Promise<void> | undefined;
  #nextNumber = 1;
  #closing = false;
  readonly #stop = new AbortController();

  constructor(private readonly disk: Disk, private readonly maxBytes: number, readonly segmentBytes: number, private readonly sleep: Sleep) {}

  /** Lists what is there, oldest first. */
  async open(): Promise<Segment[]> {
    await this.disk.remove(SPARE_NAME);
    await this.disk.remove(EMPTY_NAME);
    this.#all = await listSegments(this.disk);
    this.#nextNumber = (this.#all.at(-1)?.number ?? 0) + 1;
    return this.#all;
  }

  get count(): number {
    return this.#all.length;
  }

  get bytes(): number {
    return this.#all.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The sequence of the oldest record; undefined where there is no segment. */
  get first(): number | undefined {
    return this.#all[0]?.first;
  }

  /** The segment to read a record from, and the one after it. */
  of(sequence: number): { segment: Segment | undefined; following: Segment | undefined } {
    let at = this.#all.length - 1;
    while (at > 0 && this.#all[at].first > sequence) at--;
    return { segment: this.#all[at], following: this.#all[at + 1] };
  }

  /** Makes records durable, whose first has this sequence; in a new segment where they do not fit. Throws what the disk throws, JOURNAL_FULL. */
  async write(records: readonly Uint8Array[], first: number): Promise<void> {
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
    if (!this.#current || this.#current.at + bytes > this.#current.segment.bytes) await this.#start(first, bytes);
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

  /** After a failed commit: what the segment holds up to here stays good, and where it holds nothing it goes. */
  abandon(): void {
    if (this.#current?.at === 0) this.#remove(this.#current.segment);
    this.#leave();
  }

  /** Removes segments all of whose records are before this one. */
  trim(needed: number): void {
    while (this.#all.length > 1 && this.#all[1].first <= needed) this.#remove(this.#all[0]);
  }

  /** No spare is begun any more; one that is being laid out is left. */
  stop(): void {
    this.#closing = true;
    this.#stop.abort();
  }

  /** After `stop`, when nothing is being written. */
  async close(): Promise<void> {
    await this.#preparing;
    await this.#spare?.file.close();
    this.#spare = undefined;
    await this.#current?.file.close();
    this.#current = undefined;
    await this.disk.remove(SPARE_NAME).catch(() => undefined);
  }

  /** Goes on in a new file: the spare, or, where that is not ready (at the start, under a load that fills segments faster than zeros are written), an empty one. */
  async #start(first: number, bytes: number): Promise<void> {
    const spare = this.#spare && this.#spare.bytes >= bytes ? this.#spare : undefined;
    // An empty file is slower to write to, so it is soon exchanged for a spare.
    const wanted = Math.max(spare ? spare.bytes : Math.min(this.segmentBytes, EMPTY_BYTES), bytes);
    if (this.bytes + wanted > this.maxBytes) throw new GruardError('JOURNAL_FULL', `the journal has reached journal.max_bytes (${this.maxBytes})`);
    if (spare) this.#spare = undefined;
    else await this.disk.remove(EMPTY_NAME);
    const file = spare?.file ?? await this.disk.open(EMPTY_NAME);
    const number = this.#nextNumber++;
    const segment: Segment = { number, first, name: segmentName(number, first), bytes: wanted, marks: [] };
    try {
      await this.disk.rename(spare ? SPARE_NAME : EMPTY_NAME, segment.name);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    this.#leave();
    this.#all.push(segment);
    this.#current = { segment, file, at: 0 };
  }

  /**
   * Fills a file with zeros, slowly, beside the commits: overwriting allocated blocks needs no metadata, so a small commit in it is one write to the device.
   * An error here is none of the journal's: without a spare the next segment is an empty file.
   */
  async #prepareSpare(): Promise<void> {
    let file: DiskFile | undefined;
    try {
      await this.disk.remove(SPARE_NAME);
      file = await this.disk.open(SPARE_NAME);
      for (let at = 0; at < this.segmentBytes && !this.#closing; at += ZERO_CHUNK.length) {
        await file.write([ZERO_CHUNK.subarray(0, Math.min(ZERO_CHUNK.length, this.segmentBytes - at))], at);
        await this.sleep(ZERO_PAUSE_MS, this.#stop.signal);
      }
      this.#spare = { file, bytes: this.segmentBytes };
    } catch {
      await file?.close().catch(() => undefined);
      await this.disk.remove(SPARE_NAME).catch(() => undefined);
      await this.sleep(SPARE_RETRY_MS, this.#stop.signal);
    }
  }

  #leave(): void {
    this.#current?.file.close().catch(() => undefined);
    this.#current = undefined;
  }

  /** Older segments that hold only records which now stand, durable, in this one (`recoverTail`). */
  #dropRepeated(current: Segment): void {
    for (const segment of this.#all.filter((other) => other !== current && other.first >= current.first)) this.#remove(segment);
  }

  #remove(segment: Segment): void {
    this.#all = this.#all.filter((other) => other !== segment);
    this.disk.remove(segment.name).catch(() => undefined);
  }
}

/** Keeps a copy of a damaged segment under journal/damaged; as best it can, since the disk may be the one that is failing. */
export async function setAside(disk: Disk, name: string): Promise<void> {
  const copy = name.replace('journal/', 'journal/damaged/');
  try {
    if ((await disk.list('journal/damaged')).some((entry) => entry.name === copy)) return;
    const bytes = await readWhole(disk, name);
    if (bytes) await replaceFile(disk, copy, [bytes]);
  } catch {
    // The segment itself stays until every follower has passed it.
  }
}

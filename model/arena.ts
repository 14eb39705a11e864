import type { StatePart } from '../core/state.js';

const PAGE_BITS = 10;
export const PAGE_SLOTS = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_SLOTS - 1;

/** A fixed number of floats for each slot, in pages of 1,024 slots, so that growth copies nothing. A new slot, and a cleared one, is all zeros. */
abstract class PagedArena<Floats extends Float32Array | Float64Array> implements StatePart {
  /** One a page: [1024, words]. */
  readonly floats: Floats[] = [];
  readonly bytesPerSlot: number;

  constructor(readonly name: string, readonly version: number, readonly per: 'series' | 'device', readonly words: number, wordBytes: number) {
    this.bytesPerSlot = wordBytes * words;
  }

  abstract reserve(capacity: number): void;

  /** Index of the page that holds a slot. */
  page(slot: number): number {
    return slot >>> PAGE_BITS;
  }

  /** Where a slot's words begin in its page. */
  at(slot: number): number {
    return (slot & PAGE_MASK) * this.words;
  }

  clear(slot: number): void {
    const at = this.at(slot);
    this.floats[this.page(slot)].fill(0, at, at + this.words);
  }

  write(slot: number, out: Uint8Array, at: number): void {
    out.set(this.#bytes(slot), at);
  }

  read(slot: number, from: Uint8Array, at: number): void {
    this.#bytes(slot).set(from.subarray(at, at + this.bytesPerSlot));
  }

  #bytes(slot: number): Uint8Array {
    const page = this.floats[this.page(slot)];
    return new Uint8Array(page.buffer, page.byteOffset + page.BYTES_PER_ELEMENT * this.at(slot), this.bytesPerSlot);
  }
}

/** Words of 4 bytes: each is read as float32 through `floats` or as int32 through `ints` (times and counts, which float32 would round beyond 2^24). */
export class Arena extends PagedArena<Float32Array> {
  /** The same memory as `floats`. */
  readonly ints: Int32Array[] = [];

  constructor(name: string, version: number, per: 'series' | 'device', words: number) {
    super(name, version, per, words, 4);
  }

  reserve(capacity: number): void {
    while (this.floats.length * PAGE_SLOTS < capacity) {
      const page = new Float32Array(PAGE_SLOTS * this.words);
      this.floats.push(page);
      this.ints.push(new Int32Array(page.buffer));
    }
  }
}

/** The same of 8-byte floats, for what float32 would lose: timestamps, counters near 1e9. */
export class WideArena extends PagedArena<Float64Array> {
  constructor(name: string, version: number, per: 'series' | 'device', words: number) {
    super(name, version, per, words, 8);
  }

  reserve(capacity: number): void {
    while (this.floats.length * PAGE_SLOTS < capacity) this.floats.push(new Float64Array(PAGE_SLOTS * this.words));
  }
}

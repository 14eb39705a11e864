import { GruardError, messageOf } from '../core/errors.js';
import { Arena, PAGE_SLOTS } from './arena.js';
import { openKernel, PAGE_BYTES, type WasmMemory } from './kernel/webassembly.js';
import { KERNEL_WASM_BASE64 } from './season-kernel/module.js';

/** season-kernel/season.c; `ring` and `present` are addresses. */
export interface SeasonKernel {
  /** Returns the address of `lags` doubles. */
  correlations(ring: number, blocks: number, known: number, lag: number, lags: number, mean: number): number;
  mismatch(ring: number, blocks: number, known: number, cycle: number, daily: number): number;
  mismatch_in_event(ring: number, present: number, blocks: number, known: number, cycle: number, daily: number): number;
  is_back(ring: number, present: number, blocks: number, known: number, count: number, most: number, range: number): number;
  knows_week_before(ring: number, blocks: number, cycle: number): number;
  range_before(ring: number, end: number, count: number): number;
  tails(ring: number, blocks: number, known: number): number;
}

/** The arena of the seasons, in the memory of their kernel. It is last in it, so that it grows in place. */
export class SeasonArena extends Arena {
  readonly kernel: SeasonKernel;
  /** The same memory as `floats`. */
  readonly bytes: Int8Array[] = [];
  #doubles = new Float64Array(0);
  readonly #memory: WasmMemory;
  readonly #start: number;

  constructor(words: number) {
    super('season', 5, 'series', words);
    const { memory, kernel, heapBase } = openKernel<SeasonKernel>(KERNEL_WASM_BASE64, 2);
    this.#memory = memory;
    this.kernel = kernel;
    this.#start = Math.ceil(heapBase / 64) * 64;
  }

  override reserve(capacity: number): void {
    const pages = Math.ceil(capacity / PAGE_SLOTS);
    if (pages <= this.floats.length) return;
    const bytes = this.#start + pages * PAGE_SLOTS * this.bytesPerSlot;
    const missing = Math.ceil((bytes - this.#memory.buffer.byteLength) / PAGE_BYTES);
    try {
      if (missing > 0) this.#memory.grow(missing);
    } catch (error) {
      throw new GruardError('MODEL_MEMORY', `the seasons need ${Math.ceil(bytes / 2 ** 20)} MiB: ${messageOf(error)}`, { cause: error });
    }
    const { buffer } = this.#memory;
    this.#doubles = new Float64Array(buffer);
    for (let page = 0; page < pages; page++) {
      const at = this.address(page, 0);
      this.floats[page] = new Float32Array(buffer, at, PAGE_SLOTS * this.words);
      this.ints[page] = new Int32Array(buffer, at, PAGE_SLOTS * this.words);
      this.bytes[page] = new Int8Array(buffer, at, PAGE_SLOTS * this.bytesPerSlot);
    }
  }

  /** A double that the kernel has written. */
  double(address: number): number {
    return this.#doubles[address >>> 3];
  }

  /** Of a word of a page, for the kernel. */
  address(page: number, word: number): number {
    return this.#start + page * PAGE_SLOTS * this.bytesPerSlot + 4 * word;
  }
}

import type { StatePart } from '../core/state.js';

const PAGE_SLOTS = 4096;

/** The last reading of each series: [slot] -> (timestamp ms, value), in pages that never move. */
export class SequenceState implements StatePart {
  readonly name = 'sequence';
  readonly version = 1;
  readonly per = 'series';
  readonly bytesPerSlot = 16;
  /** The latest timestamp of any series; 0 where there is none. */
  watermarkMs = 0;

  /** Each [PAGE_SLOTS * 2]: timestamp, value, timestamp, value, ... */
  readonly #pages: Float64Array[] = [];

  /** -Infinity for a series that has no reading. */
  lastMs(slot: number): number {
    return this.#pages[slot >>> 12][(slot & 4095) << 1];
  }

  lastValue(slot: number): number {
    return this.#pages[slot >>> 12][((slot & 4095) << 1) + 1];
  }

  set(slot: number, timestampMs: number, value: number): void {
    const page = this.#pages[slot >>> 12];
    const at = (slot & 4095) << 1;
    page[at] = timestampMs;
    page[at + 1] = value;
    if (timestampMs > this.watermarkMs) this.watermarkMs = timestampMs;
  }

  reserve(capacity: number): void {
    while (this.#pages.length * PAGE_SLOTS < capacity) {
      const page = new Float64Array(PAGE_SLOTS * 2);
      for (let i = 0; i < page.length; i += 2) page[i] = -Infinity;
      this.#pages.push(page);
    }
  }

  clear(slot: number): void {
    const page = this.#pages[slot >>> 12];
    if (page === undefined) return;
    const at = (slot & 4095) << 1;
    page[at] = -Infinity;
    page[at + 1] = 0;
  }

  write(slot: number, out: Uint8Array, at: number): void {
    const view = new DataView(out.buffer, out.byteOffset + at, 16);
    view.setFloat64(0, this.lastMs(slot), true);
    view.setFloat64(8, this.lastValue(slot), true);
  }

  read(slot: number, from: Uint8Array, at: number): void {
    const view = new DataView(from.buffer, from.byteOffset + at, 16);
    this.set(slot, view.getFloat64(0, true), view.getFloat64(8, true));
  }
}

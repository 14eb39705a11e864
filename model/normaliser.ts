import type { StatePart } from '../core/state.js';
import { COUNT, COUNTER, FEATURES, FLOATS, LAST_VALUE, LAST_WORKING, LOG_PERIOD, MEAN, normalise, POSITION, READINGS, scaleAt } from './normalise.js';

export { FEATURES } from './normalise.js';

const PAGE_BITS = 10;
const PAGE_SLOTS = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_SLOTS - 1;

/** Bytes of a series' state. */
export const SERIES_BYTES = 8 * FLOATS;

/** The normalisers of all series: FLOATS float64 each, in pages of PAGE_SLOTS slots, so that growth copies nothing. No allocation in `step`. */
export class Normaliser implements StatePart {
  readonly name = 'normaliser';
  readonly version = 2;
  readonly per = 'series';
  readonly bytesPerSlot = FLOATS * 8;
  protected pages: Float64Array[] = [];

  /** Makes room for slots 0 .. capacity - 1. Nothing is copied. */
  reserve(capacity: number): void {
    while (this.pages.length * PAGE_SLOTS < capacity) this.pages.push(new Float64Array(PAGE_SLOTS * FLOATS));
  }

  /**
   * Takes one reading of each of n distinct series and writes their features.
   *
   * @param slots [>= n] the series' slots, each below the reserved capacity and at most once
   * @param timestampMs [>= n] later than the series' last
   * @param value [>= n] finite
   * @param features [>= n, 7] written, row-major
   * @param learning [>= n] factor on the rate at which level, scale and slow roughness adapt: 1 normal, 0 held back while
   *   an anomaly event is open (quarantined learning). Left out: 1 for all.
   */
  step(slots: Uint32Array, n: number, timestampMs: Float64Array, value: Float64Array, features: Float32Array, learning?: Float32Array): void {
    for (let row = 0; row < n; row++) {
      const slot = slots[row];
      const s = this.pages[slot >>> PAGE_BITS];
      const at = (slot & PAGE_MASK) * FLOATS;
      normalise(s, at, timestampMs[row], value[row], learning === undefined ? 1 : learning[row], features, row * FEATURES);
    }
  }

  /** Level that forecasts are relative to, in the series' units (for a counter: of the increments). */
  mean(slot: number): number {
    return this.pages[slot >>> PAGE_BITS][(slot & PAGE_MASK) * FLOATS + MEAN];
  }

  /** Scale S of the series, in its units; never 0. */
  scale(slot: number): number {
    return scaleAt(this.pages[slot >>> PAGE_BITS], (slot & PAGE_MASK) * FLOATS);
  }

  /** asinh((u - mean) / scale) of the last reading: where its forecast starts from. */
  position(slot: number): number {
    return this.pages[slot >>> PAGE_BITS][(slot & PAGE_MASK) * FLOATS + POSITION];
  }

  /** What a forecast starts from, in one go. out: [4] mean, scale, position, and what is added to u to get a reading: a counter's last reading, otherwise 0. */
  anchor(slot: number, out: Float64Array): void {
    const s = this.pages[slot >>> PAGE_BITS];
    const at = (slot & PAGE_MASK) * FLOATS;
    out[0] = s[at + MEAN];
    out[1] = scaleAt(s, at);
    out[2] = s[at + POSITION];
    out[3] = s[at + COUNTER] === 1 ? s[at + LAST_VALUE] : 0;
  }

  /** True while the series only ever rises, and so is judged by its increments. */
  isCounter(slot: number): boolean {
    return this.pages[slot >>> PAGE_BITS][(slot & PAGE_MASK) * FLOATS + COUNTER] === 1;
  }

  /** The last working value u: the reading, or the increment of a counter (the mean of its latest right after a counter reset). */
  working(slot: number): number {
    return this.pages[slot >>> PAGE_BITS][(slot & PAGE_MASK) * FLOATS + LAST_WORKING];
  }

  /** What a reading is judged by, in one go. out[at ..]: [4] the last working value, the learned period in ms, mean, scale. */
  describe(slot: number, out: Float64Array, at: number): void {
    const s = this.pages[slot >>> PAGE_BITS];
    const from = (slot & PAGE_MASK) * FLOATS;
    out[at] = s[from + LAST_WORKING];
    out[at + 1] = periodAt(s, from);
    out[at + 2] = s[from + MEAN];
    out[at + 3] = scaleAt(s, from);
  }

  /** Readings since the statistics started (they restart when a series turns out to be a counter, or not to be one). */
  count(slot: number): number {
    return this.pages[slot >>> PAGE_BITS][(slot & PAGE_MASK) * FLOATS + COUNT];
  }

  /** The learned time between readings in ms; 0 before the second reading. */
  periodMs(slot: number): number {
    return periodAt(this.pages[slot >>> PAGE_BITS], (slot & PAGE_MASK) * FLOATS);
  }

  /** Forgets a series: its slot is as new. */
  clear(slot: number): void {
    const at = (slot & PAGE_MASK) * FLOATS;
    this.pages[slot >>> PAGE_BITS].fill(0, at, at + FLOATS);
  }

  /** Copies a series' state to out[at .. at + bytesPerSlot). Float64, because float32 would lose timestamps and counters. */
  write(slot: number, out: Uint8Array, at: number): void {
    out.set(this.bytes(slot), at);
  }

  /** Restores what `write` copied. */
  read(slot: number, from: Uint8Array, at: number): void {
    this.bytes(slot).set(from.subarray(at, at + this.bytesPerSlot));
  }

  private bytes(slot: number): Uint8Array {
    const page = this.pages[slot >>> PAGE_BITS];
    return new Uint8Array(page.buffer, page.byteOffset + (slot & PAGE_MASK) * this.bytesPerSlot, this.bytesPerSlot);
  }
}

function periodAt(s: Float64Array, at: number): number {
  return s[at + READINGS] < 2 ? 0 : Math.exp(s[at + LOG_PERIOD]);
}

/** A normaliser whose states lie in another's memory, as `pages` of [1024, FLOATS]. */
export class LentNormaliser extends Normaliser {
  /** @param grow makes that memory hold so many slots, and calls `lie` when it has moved */
  constructor(private readonly grow: (capacity: number) => void) {
    super();
  }

  override reserve(capacity: number): void {
    this.grow(capacity);
  }

  lie(pages: Float64Array[]): void {
    this.pages = pages;
  }
}

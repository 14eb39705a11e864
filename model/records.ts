import { GruardError, messageOf } from '../core/errors.js';
import type { StatePart } from '../core/state.js';
import { KERNEL_WASM_BASE64 } from './judge-kernel/module.js';
import { MOST_PAGES, openKernel, PAGE_BYTES, type WasmMemory } from './kernel/webassembly.js';
import { CALENDAR_WORDS } from './calendar.js';
import { CHANNELS, type Channel, type Tuning } from './tuning.js';

/** Rows that are judged together: their records stay in the cache from one pass to the next. */
export const CHUNK_ROWS = 128;

/** Among its float64 words, in front of all others. */
const LAST = 2;

// Words of the front of a record (judge-kernel/record.h, Record), float32 or int32.
export const READINGS = 6; // int: readings judged
export const RATE = 7; // G, the sum of the expected rate
export const ALARM_PEAK = 9; // what is left of the latest alarms' odds, which a new one must beat
export const RUN = 10; // int: readings in a row that equal the one before
export const USUAL = 13; // [2] mean mismatch of the season, mean lack of its span
const FRONT_WORDS = 24;
const BOXES = 4;
const BOX_WORDS = 9;
// Words of a box; that of x is the first.
const LOW = 0;
const HIGH = 1;
const INTERVALS = 3; // int: how many there are
const DOUBTFUL = 4; // int: a bit an interval
/** Readings for which the normal of a series is learned fast, after it was accepted or given up. */
export const RELEARN_READINGS = 120;
/** Where the condition of the series begins (condition.ts). */
export const CONDITION = FRONT_WORDS + BOXES * BOX_WORDS;
const CONDITION_WORDS = 29;
const LEVEL_MEAN = 4;
const HOURS = CONDITION + CONDITION_WORDS;
const HOURS_A_DAY = 24;
const CALIBRATION = HOURS + HOURS_A_DAY;
const INTERVAL_WORDS = 3;
/** Readings of the long horizon: [32] value, forecast. Peaks and steps are looked for among the values. */
const HORIZON = 32;
const LINE_WORDS = 16;

// Words of a channel's calibration.
export const SIZES = 1; // sum of h
export const COUNT = 2; // n
export const LATEST = 3; // int: reading of the latest event
export const CLUSTER = 4; // the largest h of the latest event
const CALIBRATION_WORDS = 5;

/** Where things stand in a row (judge-kernel/record.h, Row), in float64 words. */
export const ROW = {
  timestampMs: 0, raw: 1, logRatio: 2, logRoughness: 3, u: 4, periodMs: 5, mean: 6, scale: 7, location: 8, spread: 9, location32: 10, spread32: 11,
  odds: 12, support: 13, v: 14, square: 15, rateSum: 16, hourOff: 17, unit: 18, negligible: 19,
} as const;
export const ROW_WORDS = 24;
/** The same in int32 words. */
export const ROW_INT = { slot: 40, given: 41, channel: 42, said: 43, unseen: 44, run: 45, t: 46 } as const;
export const ROW_INTS = 2 * ROW_WORDS;

/** Bits of `given`. */
export const GIVEN = { LEARNING: 1, FRESH: 2, STILL: 4, LIMIT: 8, COUNTER: 16 } as const;
/** Bits of `said`. */
export const SAID = { ABOVE: 1, EXTREME: 2, STANDS: 4, WANDERS: 8, OPEN: 16, ENDED: 32, LASTING: 64, OVERDUE: 256, AGAIN: 512, AT_HOUR: 1024, OFF_HOUR: 2048 } as const;

/** Log odds of a reading that surprised no channel. */
export const SILENT = -100;

const MOST_CHANNELS = 16;
/** What the kernel takes of a channel's prior (judge-kernel/record.h, Prior). */
const PRIOR = ['a', 'b', 'weight', 'offset', 'loudest'] as const;

interface KernelExports {
  look(params: number, arena: number, rows: number, n: number): void;
  excess(params: number, arena: number, row: number, channel: number, value: number, forgotten: number): void;
  conclude(params: number, arena: number, rows: number, n: number): void;
  settle(params: number, arena: number, rows: number, n: number): number;
  /** For tests. */
  novelty(params: number, arena: number, slot: number, channel: number, v: number, theta: number, t: number): number;
  /** For tests: exp where `what` is 0, ln where it is 1. */
  natural(what: number, x: number): number;
}

/**
 * What the judge keeps of every series, in the memory of its kernel: a record a slot, whole cache lines, what each reading needs in front. The rows at hand are
 * there too: [CHUNK_ROWS, ROW_WORDS]. The arena is last in the memory, so that it grows in place; pages never written cost nothing.
 */
export class Records implements StatePart {
  readonly name = 'judge';
  readonly version = 9;
  readonly per = 'series';
  readonly words: number;
  /** Where the alarms of a series begin (calendar.ts); 0 where its hours are not looked at. */
  readonly calendar: number;
  readonly bytesPerSlot: number;
  /** The whole memory, as of the latest `reserve`. */
  floats = new Float32Array(0);
  ints = new Int32Array(0);
  /** [CHUNK_ROWS, ROW_WORDS], and the same memory as integers. */
  rows = new Float64Array(0);
  rowInts = new Int32Array(0);
  readonly #memory: WasmMemory;
  /** Its functions take the addresses below. */
  readonly kernel: KernelExports;
  readonly params: number;
  readonly #rowsAt: number;
  readonly arena: number;
  readonly #horizon: number;
  /** Where the intervals of x begin in a slot's words; 0 where x is off. */
  readonly #intervals: number;
  #wide = new Float64Array(0);
  #capacity = 0;

  constructor(tuning: Tuning, intervals: number, channels: readonly Channel[]) {
    const on = (channel: Channel): boolean => channels.includes(channel);
    // None behind the last channel that is on.
    let words = CALIBRATION + (1 + Math.max(...channels.map((channel) => CHANNELS.indexOf(channel)))) * CALIBRATION_WORDS;
    const take = (more: number): number => (words += more) - more;
    this.calendar = on('clock') ? take(CALENDAR_WORDS) : 0;
    const horizon = (this.#horizon = on('e32') || on('peak') || on('step') ? take(2 * HORIZON) : 0);
    const boxes = (['x', 'e1', 'e32', 'tod'] as const).map((channel) => (on(channel) ? take(intervals * INTERVAL_WORDS) : 0));
    this.#intervals = boxes[0];
    this.words = Math.ceil(words / LINE_WORDS) * LINE_WORDS;
    this.bytesPerSlot = 4 * this.words;
    const { memory, kernel, heapBase } = openKernel<KernelExports>(KERNEL_WASM_BASE64, 1);
    this.#memory = memory;
    this.kernel = kernel;
    this.params = aligned(heapBase);
    const real = [
      tuning.thetaX, tuning.thetaError, tuning.noisePad, tuning.noisePadError, tuning.leastValue, tuning.leastError, tuning.leastError32, tuning.leastPeak, tuning.leastStep,
      tuning.rarePad, tuning.t1, tuning.rateFloor, tuning.sizeWeight, tuning.sizeSettling, tuning.shapeLimit, tuning.forget, tuning.supportFrom,
      tuning.supportWeight, tuning.standingWeight, tuning.countFrom,
      tuning.doubtFrom, tuning.levelOff, tuning.roughOff, tuning.runWeight,
      ...CHANNELS.flatMap((channel) => PRIOR.map((what) => tuning.prior[channel][what])), ...new Array<number>((MOST_CHANNELS - CHANNELS.length) * PRIOR.length).fill(0),
    ];
    const whole = [this.words, intervals, CALIBRATION, HOURS, horizon, CHANNELS.reduce((bits, name, k) => bits | (on(name) ? 1 << k : 0), 0), RELEARN_READINGS, ...boxes];
    this.#rowsAt = aligned(this.params + 8 * real.length + 4 * whole.length);
    this.arena = aligned(this.#rowsAt + 8 * CHUNK_ROWS * ROW_WORDS);
    this.#grow(this.arena);
    new Float64Array(this.#memory.buffer, this.params, real.length).set(real);
    new Int32Array(this.#memory.buffer, this.params + 8 * real.length, whole.length).set(whole);
  }

  reserve(capacity: number): void {
    if (capacity <= this.#capacity) return;
    // A quarter more than asked for, so that a fleet that comes in one by one does not grow it at each.
    const most = Math.floor((MOST_PAGES * PAGE_BYTES - this.arena) / this.bytesPerSlot);
    this.#capacity = Math.max(capacity, Math.min(most, Math.ceil((1.25 * capacity) / 256) * 256));
    this.#grow(this.arena + this.#capacity * this.bytesPerSlot);
  }

  /** Where a slot's words begin in `floats` and `ints`. */
  at(slot: number): number {
    return (this.arena >>> 2) + slot * this.words;
  }

  /** The first value of a series, which what is kept of it is relative to. */
  anchor(slot: number): number {
    return this.#wide[this.at(slot) >>> 1];
  }

  /** The latest reading of a series. */
  last(slot: number): number {
    return this.#wide[(this.at(slot) >>> 1) + LAST];
  }

  /** The forecast of the mean of the next 32 values that was made from the latest reading. */
  keepForecast(slot: number, forecast: number): void {
    if (this.#horizon === 0) return;
    const at = this.at(slot);
    this.floats[at + this.#horizon + 2 * ((this.ints[at + READINGS] - 1) & (HORIZON - 1)) + 1] = forecast - this.anchor(slot);
  }

  /** Greatest less least value of a series, in round terms: it shrinks slowly. */
  range(slot: number): number {
    const x = this.at(slot) + FRONT_WORDS;
    return this.floats[x + HIGH] - this.floats[x + LOW];
  }

  /** Whether a value, less the series' anchor, was there before and is not doubted. */
  knows(slot: number, value: number): boolean {
    if (this.#intervals === 0) return false;
    const at = this.at(slot);
    const v = Math.fround(value);
    const { floats, ints } = this;
    for (let k = 0; k < ints[at + FRONT_WORDS + INTERVALS]; k++) {
      const interval = at + this.#intervals + INTERVAL_WORDS * k;
      const doubted = (ints[at + FRONT_WORDS + DOUBTFUL] >>> k) & 1;
      if (doubted === 0 && v >= floats[interval + LOW] && v <= floats[interval + HIGH]) return true;
    }
    return false;
  }

  /** The level that is normal for a series, less its anchor: what it was before an event that is open. */
  normal(slot: number): number {
    return this.floats[this.at(slot) + CONDITION + LEVEL_MEAN];
  }

  /** Where a channel's calibration begins in a slot's words. */
  calibration(channel: number): number {
    return CALIBRATION + channel * CALIBRATION_WORDS;
  }

  /** The channels that look at every reading, on rows 0 .. n - 1; the rest of them follows in `conclude`. */
  look(n: number): void {
    this.kernel.look(this.params, this.arena, this.#rowsAt, n);
  }

  /**
   * What a channel that is judged elsewhere found, between `look` and `conclude`: a value over its limit (below 1 it is nothing).
   *
   * @param forgotten share of the last excursion that a value below 1 forgets
   */
  excess(row: number, channel: number, value: number, forgotten: number): void {
    this.kernel.excess(this.params, this.arena, this.#rowsAt + 8 * ROW_WORDS * row, channel, value, forgotten);
  }

  conclude(n: number): void {
    this.kernel.conclude(this.params, this.arena, this.#rowsAt, n);
  }

  /** Conditions of the series of rows 0 .. n - 1; returns how many have an event that is open or ended by its reading. */
  settle(n: number): number {
    return this.kernel.settle(this.params, this.arena, this.#rowsAt, n);
  }

  clear(slot: number): void {
    this.floats.fill(0, this.at(slot), this.at(slot) + this.words);
  }

  write(slot: number, out: Uint8Array, at: number): void {
    out.set(this.#bytes(slot), at);
  }

  read(slot: number, from: Uint8Array, at: number): void {
    this.#bytes(slot).set(from.subarray(at, at + this.bytesPerSlot));
  }

  #bytes(slot: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, 4 * this.at(slot), this.bytesPerSlot);
  }

  #grow(bytes: number): void {
    const missing = Math.ceil((bytes - this.#memory.buffer.byteLength) / PAGE_BYTES);
    if (missing > 0) {
      try {
        this.#memory.grow(missing);
      } catch (error) {
        throw new GruardError('MODEL_MEMORY', `the judge needs ${Math.ceil(bytes / 2 ** 20)} MiB: ${messageOf(error)}`, { cause: error });
      }
    }
    const { buffer } = this.#memory;
    this.floats = new Float32Array(buffer);
    this.ints = new Int32Array(buffer);
    this.#wide = new Float64Array(buffer);
    this.rows = new Float64Array(buffer, this.#rowsAt, CHUNK_ROWS * ROW_WORDS);
    this.rowInts = new Int32Array(buffer, this.#rowsAt, CHUNK_ROWS * ROW_INTS);
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

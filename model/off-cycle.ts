import { quarterWeight, UNKNOWN } from './ring.js';
import { SeasonPart } from './season-part.js';

/**
 * Whether a series with a cycle is still off it, in an event: pulses of half their height are over when pulses are as they were, not when the first of them has
 * passed. The season's ring keeps no block of an event, so its latest blocks are kept here, and compared with the latest cycles that the ring knows.
 */

/** Words that a series takes in the arena of its season. */
export const OFF_CYCLE_WORDS = 12;
const PRESENT = 0; // PRESENT_BLOCKS bytes, block b at b & (PRESENT_BLOCKS - 1)
const AWAY = 8; // EW mean mismatch over a quarter cycle, in scales
const OFF = 9; // int: 1 if the latest block was off
const SINCE = 10; // int: blocks since one was off and a good part of the quarter cycle before it; 0 where none was
const SO_FAR = 11; // int: blocks of the event

/** As in season-kernel/season.c. */
const PRESENT_BLOCKS = 32;
/** A block is off beyond so many times what it must be beyond to count at all. */
const LIMITS = 3;
/** What one block counts at most, in what makes it off: a spike is no pattern. */
const MOST_OFF = 3;
/** After the last block that was off what may be the next pulse is waited for: a cycle and a little, where that is some hours; of a longer one less, down to an hour and a half of a day. */
const WAIT_CYCLES = 1.1;
const WAIT_MS = 6 * 3_600_000;
/** What has another shape for so many cycles holds no event open any more. */
const MOST_CYCLES = 3;
/** Nor does what goes through most of its range as it once did, be it at another phase: a tank that a fault has emptied fills as ever. So much of a cycle must show so much of the usual range, and differ in the mean by so many times what a block must be beyond to count. */
const BACK_CYCLES = 0.6;
export const BACK_RANGE = 0.6;
export const BACK_MISMATCH = 1.5;
/** Blocks of an event that no cycle holds any more. */
const GIVEN_UP = 1 << 24;

export class OffCycle extends SeasonPart {
  /** The same memory as the words. */
  codes: Int8Array = new Int8Array(0);

  /** Whether its cycle holds the event open. */
  get holds(): boolean {
    return this.ints[this.at + SINCE] > 0 || this.ints[this.at + OFF] > 0;
  }

  keep(block: number, code: number): void {
    this.codes[4 * (this.at + PRESENT) + (block & (PRESENT_BLOCKS - 1))] = code;
  }

  /** Blocks are of another length, or of other codes. */
  clear(): void {
    const from = 4 * (this.at + PRESENT);
    this.codes.fill(UNKNOWN, from, from + PRESENT_BLOCKS);
    this.pass();
  }

  /** A block of which there is nothing to say. */
  pass(): void {
    this.ints[this.at + OFF] = this.ints[this.at + SINCE] = 0;
  }

  /** No event is open. @param mismatch mean of the latest quarter cycle */
  rest(mismatch: number): void {
    this.s[this.at + AWAY] = mismatch;
    this.ints[this.at + SO_FAR] = 0;
    this.pass();
  }

  /** How many blocks tell whether the cycle is back, all of them of the event; 0 where it is too short, or its cycle does not hold it. */
  window(cycle: number): number {
    const blocks = Math.min(PRESENT_BLOCKS, Math.round(BACK_CYCLES * cycle));
    return this.holds && this.ints[this.at + SO_FAR] >= blocks ? blocks : 0;
  }

  /** A block of an event. @param mismatch of the block, and @param least what it must be beyond to count, in scales; @param cycle in blocks of @param blockMs; @param back its cycle is back */
  step(mismatch: number, least: number, cycle: number, blockMs: number, back: boolean): void {
    const s = this.s;
    const ints = this.ints;
    const at = this.at;
    const limit = LIMITS * least;
    s[at + AWAY] += quarterWeight(cycle) * (Math.min(mismatch, MOST_OFF * limit) - s[at + AWAY]);
    if (back) ints[at + SO_FAR] = GIVEN_UP;
    if (++ints[at + SO_FAR] > MOST_CYCLES * cycle) return this.pass();
    const off = mismatch > limit;
    ints[at + OFF] = off ? 1 : 0;
    if (off && s[at + AWAY] > limit) ints[at + SINCE] = 1;
    else if (!off && ints[at + SINCE] > 0 && ++ints[at + SINCE] > waits(cycle, blockMs)) ints[at + SINCE] = 0;
  }
}

/** Blocks for which what may be the next pulse is waited for. */
function waits(cycle: number, blockMs: number): number {
  return Math.min(WAIT_CYCLES * cycle, (WAIT_MS / blockMs) ** 2 / cycle);
}

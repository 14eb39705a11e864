import { DAY_TICKS } from './calendar.js';
import { SeasonPart } from './season-part.js';

/**
 * When of the day a series rises and falls, where it does so by the clock: a door that opens at seven, a schedule of set points. How long it then stays so is the matter
 * of its pace; over nights and weekends that has no rhythm, and the clock has.
 *
 * An edge counts once the series has stayed beyond it for a while. It is told where none of the latest ones of its kind was near; a rise that did not come is told where
 * it always came on this day of the week, and the days of the week are alike. Times are of UTC, in ticks.
 */

/** Words that a series takes in the arena of its season. */
export const CLOCK_WORDS = 14;
const SPREAD = 0; // mean distance of an edge from the nearest of those before, ticks
const COUNTS = 1; // int [2]: falls, rises so far
const TIMES = 3; // int [2][2]: bytes, ticks of the day of the latest TIMES_KEPT falls, and rises
const STATE = 7; // int: bits below
const PENDING = 8; // int: readings since an edge that does not count yet
const PENDING_AT = 9; // int: its tick of the day
const MIDDLE = 10; // mean tick of the rises; their day begins half a day before
const TODAY = 11; // int: number of that day
const ROSE = 12; // int: a bit a day, today's the lowest: it rose
const SEEN = 13; // int: the same: no gap and no event hid any of it

const HIGH = 1;
const KNOWN = 2; // whether it is high
const TOLD = 4; // whether today's rise is missing

const TIMES_KEPT = 8;
/** An edge may always be so many ticks (half an hour) from the nearest one before, and so many times the usual distance on top of that. */
const LEAST_TICKS = 5;
const USUAL = 6;
/** Where they are usually further apart (three quarters of an hour), there is no hour to keep to. */
const REGULAR_TICKS = 8;
/** Edges that the usual distance remembers. */
const SPREAD_EDGES = 40;
/** Edges of a kind until they are judged. */
const JUDGE_FROM = 4;
/** Weight of the latest rise in their middle. */
const FOLLOW = 0.1;
/** Pairs of a day and the one a week before it, that were seen, until a rise can be missing. */
const LEAST_PAIRS = 6;
/** So many pairs that are alike make a rise that is missing as sure as an edge at its limit; one that is not takes as many from it as so many parts of them. */
const SURE_PAIRS = 3;
const UNLIKE = 4;
const OLDEST_DAY = 31;

/** What the latest reading told. */
export interface ClockFinding {
  /** How far an edge is from its hour, over its limit, or how sure one is that did not come; -1 where there is nothing to say. */
  excess: number;
}

export class Clock extends SeasonPart {
  readonly finding: ClockFinding = { excess: -1 };

  /**
   * @param high where the series is now; @param tick of the reading, from 1970 on; @param lasting readings that it must stay so for an edge
   * @param gap too much is missing before the reading to know what was there; @param learning false in an event, whose edges teach nothing
   */
  step(high: boolean, tick: number, lasting: number, gap: boolean, learning: boolean): void {
    const ints = this.ints;
    const at = this.at;
    this.finding.excess = -1;
    this.#turn(tick, gap, learning);
    if (gap) ints[at + STATE] &= ~KNOWN;
    const side = (high ? HIGH : 0) | KNOWN;
    if ((ints[at + STATE] & (HIGH | KNOWN)) === side) {
      ints[at + PENDING] = 0;
      if (!high) this.#miss(tick);
      return;
    }
    if (ints[at + PENDING]++ === 0) ints[at + PENDING_AT] = tick & (DAY_TICKS - 1);
    if (ints[at + PENDING] < lasting) return;
    if ((ints[at + STATE] & KNOWN) !== 0) this.#edge(high ? 1 : 0, learning);
    ints[at + STATE] = (ints[at + STATE] & TOLD) | side;
    ints[at + PENDING] = 0;
  }

  /** Another day begins. */
  #turn(tick: number, gap: boolean, learning: boolean): void {
    const ints = this.ints;
    const at = this.at;
    const today = Math.floor((tick - this.s[at + MIDDLE]) / DAY_TICKS + 0.5);
    const days = today - ints[at + TODAY];
    // A gap hides the end of the day in which it began.
    if (gap) ints[at + SEEN] &= ~1;
    if (days > 0) {
      ints[at + ROSE] = days > OLDEST_DAY ? 0 : ints[at + ROSE] << days;
      ints[at + SEEN] = (days > OLDEST_DAY ? 0 : ints[at + SEEN] << days) | 1;
      ints[at + TODAY] = today;
      ints[at + STATE] &= ~TOLD;
    }
    if (gap || !learning) ints[at + SEEN] &= ~1;
  }

  #edge(kind: 0 | 1, learning: boolean): void {
    const s = this.s;
    const ints = this.ints;
    const at = this.at;
    const time = ints[at + PENDING_AT];
    const count = ints[at + COUNTS + kind];
    const off = this.#distance(kind, time);
    const limit = this.#limit();
    const judged = count >= JUDGE_FROM && s[at + SPREAD] < REGULAR_TICKS;
    if (judged) this.finding.excess = off / limit;
    if (kind === 1) ints[at + ROSE] |= 1;
    if (!learning) return;
    if (count > 1) s[at + SPREAD] += ((judged && off > limit ? limit : off) - s[at + SPREAD]) / (count < SPREAD_EDGES ? count : SPREAD_EDGES);
    const word = at + TIMES + 2 * kind + ((count >> 2) & 1);
    const shift = 8 * (count & 3);
    ints[word] = (ints[word] & ~(0xff << shift)) | (time << shift);
    ints[at + COUNTS + kind] = count + 1;
    if (kind === 1) this.#follow(time, count);
  }

  #follow(time: number, count: number): void {
    const s = this.s;
    const at = this.at;
    const off = time - s[at + MIDDLE];
    const middle = count === 0 ? time : s[at + MIDDLE] + FOLLOW * (off - DAY_TICKS * Math.round(off / DAY_TICKS));
    // Days are counted from their middle: where it passes midnight, what is called today moves with it.
    const turned = count === 0 ? 0 : Math.floor(middle / DAY_TICKS);
    s[at + MIDDLE] = middle - turned * DAY_TICKS;
    this.ints[at + TODAY] += turned;
  }

  #limit(): number {
    return LEAST_TICKS + USUAL * this.s[this.at + SPREAD];
  }

  /** From the nearest of the latest edges of its kind. */
  #distance(kind: 0 | 1, time: number): number {
    const count = this.ints[this.at + COUNTS + kind];
    let nearest = DAY_TICKS / 2;
    for (let k = 0; k < TIMES_KEPT && k < count; k++) {
      const apart = Math.abs(time - this.#time(kind, k));
      nearest = Math.min(nearest, apart, DAY_TICKS - apart);
    }
    return nearest;
  }

  #time(kind: 0 | 1, k: number): number {
    return (this.ints[this.at + TIMES + 2 * kind + (k >> 2)] >> (8 * (k & 3))) & 0xff;
  }

  /** It is low: did it not rise today? Asked until it is answered, once a day. */
  #miss(tick: number): void {
    const s = this.s;
    const ints = this.ints;
    const at = this.at;
    if ((ints[at + STATE] & TOLD) !== 0 || (ints[at + SEEN] & 1) === 0 || (ints[at + ROSE] & 1) !== 0) return;
    if (ints[at + COUNTS + 1] < JUDGE_FROM || s[at + SPREAD] >= REGULAR_TICKS) return;
    const since = tick - s[at + MIDDLE] + DAY_TICKS / 2 - DAY_TICKS * ints[at + TODAY];
    // First what costs nothing: the latest rise is no earlier than their middle.
    if (since < DAY_TICKS / 2 || since < this.#latest() + this.#limit()) return;
    ints[at + STATE] |= TOLD;
    if (this.#roseOnThisWeekday()) this.finding.excess = this.#sureness();
  }

  /** Ticks of their day by which all of the latest rises had come. */
  #latest(): number {
    const from = DAY_TICKS * 1.5 - this.s[this.at + MIDDLE];
    let latest = 0;
    for (let k = 0; k < TIMES_KEPT && k < this.ints[this.at + COUNTS + 1]; k++) {
      const within = (this.#time(1, k) + from) % DAY_TICKS;
      if (within > latest) latest = within;
    }
    return latest;
  }

  /** The last time that this day of the week was seen. */
  #roseOnThisWeekday(): boolean {
    const seen = this.ints[this.at + SEEN];
    for (let before = 7; before < OLDEST_DAY; before += 7) {
      if (((seen >>> before) & 1) !== 0) return ((this.ints[this.at + ROSE] >>> before) & 1) !== 0;
    }
    return false;
  }

  /** Of how many of the days before it was the same whether they rose as a week before them. */
  #sureness(): number {
    const seen = this.ints[this.at + SEEN];
    const rose = this.ints[this.at + ROSE];
    const pairs = (seen & (seen >>> 7)) >>> 1;
    const unlike = countBits(pairs & ((rose ^ (rose >>> 7)) >>> 1));
    const alike = countBits(pairs) - unlike;
    return alike + unlike < LEAST_PAIRS ? -1 : (1 + alike) / (SURE_PAIRS * (1 + UNLIKE * unlike));
  }
}

function countBits(bits: number): number {
  let n = 0;
  for (let left = bits; left !== 0; left &= left - 1) n++;
  return n;
}

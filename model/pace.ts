import { isWeeksBefore } from './calendar.js';
import { SeasonPart } from './season-part.js';

/**
 * How long a series stays high and low, where it does so regularly: the pulses and pauses of a machine, the teeth of a saw. Each time, in logarithms, is held
 * against the mean of the latest of its kind, which follows a rhythm that changes over the day; what counts is how far off times usually are.
 *
 * Nights and weekends are of one kind, and not of one length: what is as unusual as a week before, at the same time of it, is no news.
 *
 * A time that ends too early is told when it ends, one that goes on for too long as soon as it does. One that an event or a gap has touched says nothing by its end.
 */

/** Words that a series takes in the arena of its season. */
export const PACE_WORDS = 22;
const LENGTH = 0; // [2] mean of ln(1 + readings) of times below, and above; 0 before the first
const SPREAD = 2; // mean distance of a time from that
const COUNT = 3; // int: whole times so far
const SINCE = 4; // int: readings of the present one, missing ones too
const DUE = 5; // int: readings at which it is too long; 0 where that is not judged
const STATE = 6; // int: bits below
const FALL = 7; // a high time ends below it
const RISE = 8; // a low one above it
const BEGAN = 9; // int: tick of the present time's beginning
const UNUSUAL = 10; // [2][UNUSUAL_KEPT][2] of the latest unusual times below, and above: int tick of the beginning, ln(1 + readings)

const HIGH = 1;
const WHOLE = 2; // neither an event nor a gap touched it
const SEEN = 4; // no gap did

/** So far from the middle of the range, in ranges, a state ends. */
const HYSTERESIS = 0.15;
/** A gap of more readings than this ends a time without a word. */
export const MOST_MISSING = 3;
/** Weight of the latest time, once there are some. */
const FOLLOW = 0.3;
/** Times until their spread is taken, that it remembers, and until they are judged. */
const SPREAD_FROM = 4;
const SPREAD_TIMES = 60;
const JUDGE_FROM = 8;
/** Where times are spread further they are no rhythm: to be early, to be late. */
const REGULAR = 0.3;
const REGULAR_LATE = 0.2;
/** What is late must be this much further off than what is early: a state that lasts has many causes. */
const LATE = 1.2;
/** However late, it counts as this: five times as long as usual and for ever are the same. */
const MOST_LATE = 1.6;

/** Of a kind: the days of the week that are unlike the others. */
const UNUSUAL_KEPT = 3;

/** What the latest reading told. */
export interface PaceFinding {
  /** How far a time is off, over its limit; -1 where there is nothing to say. */
  excess: number;
}

export class Pace extends SeasonPart {
  readonly finding: PaceFinding = { excess: -1 };

  /** @param least logarithms by which a time may always be off, and @param usual how many times its usual spread on top of that */
  constructor(readonly least: number, readonly usual: number) {
    super();
  }

  /** Whether it is known what is high and what is low. */
  get bounded(): boolean {
    return this.s[this.at + RISE] > this.s[this.at + FALL];
  }

  get high(): boolean {
    return (this.ints[this.at + STATE] & HIGH) !== 0;
  }

  /** The values between which the series usually is. */
  bound(low: number, high: number): void {
    const middle = 0.5 * (low + high);
    const half = HYSTERESIS * (high - low);
    this.s[this.at + FALL] = middle - half;
    this.s[this.at + RISE] = middle + half;
  }

  /** @param tick of the reading, from 1970 on; @param learning false in an event, whose times teach nothing */
  step(v: number, tick: number, missing: number, learning: boolean): void {
    const s = this.s;
    const ints = this.ints;
    const at = this.at;
    this.finding.excess = -1;
    const gap = missing > MOST_MISSING;
    ints[at + SINCE] = gap ? 1 : ints[at + SINCE] + 1 + missing;
    if (gap) ints[at + STATE] &= ~(WHOLE | SEEN);
    if (!learning) ints[at + STATE] &= ~WHOLE;
    if (!this.bounded) return;
    const kind = ints[at + STATE] & HIGH;
    const ends = kind !== 0 ? v < s[at + FALL] : v > s[at + RISE];
    if (ends) {
      this.#end(kind);
      this.#begin(kind ^ HIGH, tick, (gap ? 0 : SEEN) | (learning && !gap ? WHOLE : 0));
    } else if (ints[at + DUE] > 0 && ints[at + SINCE] >= ints[at + DUE]) {
      this.finding.excess = this.#late(this.#now() - Math.max(s[at + LENGTH + kind], this.#aWeekBefore(kind)));
    }
  }

  /** The time so far. */
  #now(): number {
    return Math.log(this.ints[this.at + SINCE] + 1);
  }

  #begin(kind: number, tick: number, state: number): void {
    const ints = this.ints;
    const at = this.at;
    ints[at + STATE] = kind | state;
    ints[at + SINCE] = 1;
    ints[at + BEGAN] = tick;
    ints[at + DUE] = this.#due(kind);
  }

  #end(kind: number): void {
    const s = this.s;
    const at = this.at;
    const state = this.ints[at + STATE];
    if ((state & SEEN) === 0) return;
    const off = s[at + LENGTH + kind] > 0 ? this.#now() - s[at + LENGTH + kind] : 0;
    const before = this.#aWeekBefore(kind);
    const usual = before > 0 && Math.abs(this.#now() - before) < this.#limit();
    if (Math.abs(off) > this.#limit()) this.#keep(kind, usual);
    if (usual || (state & WHOLE) === 0) return;
    const judged = this.#isKnown(kind) && s[at + SPREAD] < REGULAR;
    if (judged) this.finding.excess = off > 0 ? this.#late(off) : -off / this.#limit();
    this.#learn(kind, judged);
  }

  /** Length of the unusual time of the kind that began at the same time of a week before, 0 where there was none. */
  #aWeekBefore(kind: number): number {
    const k = this.#unusual(kind);
    return k < 0 ? 0 : this.s[this.at + UNUSUAL + 2 * (UNUSUAL_KEPT * kind + k) + 1];
  }

  #unusual(kind: number): number {
    const ints = this.ints;
    const at = this.at;
    for (let k = 0; k < UNUSUAL_KEPT; k++) {
      if (isWeeksBefore(ints[at + UNUSUAL + 2 * (UNUSUAL_KEPT * kind + k)], ints[at + BEGAN])) return k;
    }
    return -1;
  }

  /** The present time is an unusual one; it takes the place of what it is like, or of the oldest. */
  #keep(kind: number, usual: boolean): void {
    const ints = this.ints;
    const at = this.at + UNUSUAL + 2 * UNUSUAL_KEPT * kind;
    let place = usual ? this.#unusual(kind) : 0;
    for (let k = 1; !usual && k < UNUSUAL_KEPT; k++) if (ints[at + 2 * k] < ints[at + 2 * place]) place = k;
    ints[at + 2 * place] = ints[this.at + BEGAN];
    this.s[at + 2 * place + 1] = this.#now();
  }

  /** Whether there were enough times to judge by; of this kind each may have been touched. */
  #isKnown(kind: number): boolean {
    return this.ints[this.at + COUNT] >= JUDGE_FROM && this.s[this.at + LENGTH + kind] > 0;
  }

  #limit(): number {
    return this.least + this.usual * this.s[this.at + SPREAD];
  }

  #late(off: number): number {
    if (this.s[this.at + SPREAD] >= REGULAR_LATE) return 0;
    return (off < MOST_LATE ? off : MOST_LATE) / (LATE * this.#limit());
  }

  #learn(kind: number, judged: boolean): void {
    const s = this.s;
    const ints = this.ints;
    const at = this.at;
    const count = ++ints[at + COUNT];
    if (s[at + LENGTH + kind] === 0) {
      s[at + LENGTH + kind] = this.#now();
      return;
    }
    const off = this.#now() - s[at + LENGTH + kind];
    const times = count - SPREAD_FROM;
    if (times > 0) {
      const far = Math.abs(off);
      const limit = this.#limit();
      s[at + SPREAD] += ((judged && far > limit ? limit : far) - s[at + SPREAD]) / (times < SPREAD_TIMES ? times : SPREAD_TIMES);
    }
    const weight = 2 / (count + 1);
    s[at + LENGTH + kind] += (weight > FOLLOW ? weight : FOLLOW) * off;
  }

  #due(kind: number): number {
    const least = LATE * this.#limit();
    if (!this.#isKnown(kind) || this.s[this.at + SPREAD] >= REGULAR_LATE || least > MOST_LATE) return 0;
    return Math.ceil(Math.exp(Math.max(this.s[this.at + LENGTH + kind], this.#aWeekBefore(kind)) + least)) - 1;
  }
}

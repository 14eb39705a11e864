/**
 * How long a series stays high and low, where it does so regularly: the pulses and pauses of a machine, the teeth of a saw. Each time, in logarithms, is held
 * against the mean of the latest of its kind, which follows a rhythm that changes over the day; what counts is how far off times usually are.
 *
 * A time that ends too early is told when it ends, one that goes on for too long as soon as it does. One that an event or a gap has touched says nothing by its end.
 */

/** Words that a series takes in the arena of its season. */
export const PACE_WORDS = 9;
const LENGTH = 0; // [2] mean of ln(1 + readings) of times below, and above; 0 before the first
const SPREAD = 2; // mean distance of a time from that
const COUNT = 3; // int: whole times so far
const SINCE = 4; // int: readings of the present one, missing ones too
const DUE = 5; // int: readings at which it is too long; 0 where that is not judged
const STATE = 6; // int: bits below
const FALL = 7; // a high time ends below it
const RISE = 8; // a low one above it

const HIGH = 1;
const WHOLE = 2;

/** So far from the middle of the range, in ranges, a state ends. */
const HYSTERESIS = 0.15;
/** A gap of more readings than this ends a time without a word. */
const MOST_MISSING = 3;
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

/** What the latest reading told. */
export interface PaceFinding {
  /** How far a time is off, over its limit; -1 where there is nothing to say. */
  excess: number;
}

export class Pace {
  readonly finding: PaceFinding = { excess: -1 };
  #s: Float32Array = new Float32Array(0);
  #ints: Int32Array = new Int32Array(0);
  #at = 0;

  /** @param least logarithms by which a time may always be off, and @param usual how many times its usual spread on top of that */
  constructor(readonly least: number, readonly usual: number) {}

  /** The words of the series that is meant. */
  select(floats: Float32Array, ints: Int32Array, at: number): void {
    this.#s = floats;
    this.#ints = ints;
    this.#at = at;
  }

  /** The values between which the series usually is. */
  bound(low: number, high: number): void {
    const middle = 0.5 * (low + high);
    const half = HYSTERESIS * (high - low);
    this.#s[this.#at + FALL] = middle - half;
    this.#s[this.#at + RISE] = middle + half;
  }

  step(v: number, missing: number, learning: boolean): void {
    const s = this.#s;
    const ints = this.#ints;
    const at = this.#at;
    this.finding.excess = -1;
    const gap = missing > MOST_MISSING;
    ints[at + SINCE] = gap ? 1 : ints[at + SINCE] + 1 + missing;
    if (!learning || gap) ints[at + STATE] &= ~WHOLE;
    if (!(s[at + RISE] > s[at + FALL])) return;
    const state = ints[at + STATE];
    const ends = (state & HIGH) !== 0 ? v < s[at + FALL] : v > s[at + RISE];
    if (ends) this.#end(state, learning && !gap);
    else if (ints[at + DUE] > 0 && ints[at + SINCE] >= ints[at + DUE]) this.finding.excess = this.#late(this.#off(state & HIGH));
  }

  /** @param seen whether the time that begins here is seen from its beginning */
  #end(state: number, seen: boolean): void {
    const ints = this.#ints;
    const at = this.#at;
    const kind = state & HIGH;
    if ((state & WHOLE) !== 0) {
      const off = this.#off(kind);
      const judged = this.#isKnown(kind) && this.#s[at + SPREAD] < REGULAR;
      if (judged) this.finding.excess = off > 0 ? this.#late(off) : -off / this.#limit();
      this.#learn(kind, off, judged);
    }
    ints[at + STATE] = (kind ^ HIGH) | (seen ? WHOLE : 0);
    ints[at + SINCE] = 1;
    ints[at + DUE] = this.#due(kind ^ HIGH);
  }

  /** Whether there were enough times to judge by; of this kind each may have been touched. */
  #isKnown(kind: number): boolean {
    return this.#ints[this.#at + COUNT] >= JUDGE_FROM && this.#s[this.#at + LENGTH + kind] > 0;
  }

  #off(kind: number): number {
    return Math.log(this.#ints[this.#at + SINCE] + 1) - this.#s[this.#at + LENGTH + kind];
  }

  #limit(): number {
    return this.least + this.usual * this.#s[this.#at + SPREAD];
  }

  #late(off: number): number {
    if (this.#s[this.#at + SPREAD] >= REGULAR_LATE) return 0;
    return (off < MOST_LATE ? off : MOST_LATE) / (LATE * this.#limit());
  }

  #learn(kind: number, off: number, judged: boolean): void {
    const s = this.#s;
    const at = this.#at;
    const count = ++this.#ints[at + COUNT];
    if (s[at + LENGTH + kind] === 0) {
      s[at + LENGTH + kind] = off;
      return;
    }
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
    if (!this.#isKnown(kind) || this.#s[this.#at + SPREAD] >= REGULAR_LATE || least > MOST_LATE) return 0;
    return Math.ceil(Math.exp(this.#s[this.#at + LENGTH + kind] + least)) - 1;
  }
}

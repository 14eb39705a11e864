import type { Device } from '../core/fleet.js';
import type { Arena } from './arena.js';
import { blame, invert, surpriseOf, WIDTH } from './covariance.js';
import { AGE, COUNT, COVARIANCE, FAST, HOUR_OFF, LONG, METRIC_WORDS, OWN_EVENT, PART, PRECISION, SCALE, SETTLED_READINGS, SLOW, SLOW_READINGS } from './level.js';

// Words of a block, behind those of its first metric (level.ts).
const BLOCK = METRIC_WORDS;
const STATE = BLOCK; // int: NORMAL, SHIFTED or UNTIED
const SWEEPS = BLOCK + 1; // int: sweeps judged
const SINCE = BLOCK + 2; // int: sweeps since it opened
const CALM = BLOCK + 3; // int: sweeps in a row that look normal
const REST = BLOCK + 4; // int: sweeps until it is judged again after it closed
const FAR = BLOCK + 5; // int: sweeps in a row on the other side of the normal
const LONG_SQUARE = BLOCK + 6; // slow mean of y' P y of LONG
const TAIL = BLOCK + 7; // slow mean of the surprise over that of a normal distribution, at least 1
const HABIT = BLOCK + 8; // surprise that states of this device have shown before
const PEAK = BLOCK + 9; // the most surprising sweep of the open state
const TOLD = BLOCK + 10; // how surprising it was when its parts were looked at last
const AT_HOUR = BLOCK + 11; // int: sweeps in a row in which it looks as usual for its hour
const RECENT = BLOCK + 12; // the most surprising state that ended by itself, forgotten like the habit
const AFTERMATH = BLOCK + 13; // share of the latest state's surprise, forgotten soon: what it has left behind is no news
export const SERIES_WORDS = BLOCK + 14;

export const NORMAL = 0;
const SHIFTED = 1;
const UNTIED = 2;

/** Sweeps until the device is judged. */
const FROM_SWEEPS = 200;
const START_READINGS = 20;
const SLOWEST_READINGS = 3000;
const SLOWEST = 1 / SLOWEST_READINGS;
const LEARN_SIGMAS = 4;
const SOLVE_SWEEPS = 64;
const RIDGE = 0.002;
/** Readings that are worth one independent one, and the most that heavy tails let anything be known. */
const DEPENDENT_READINGS = 15;
const MOST_FREEDOM = 100;
const USUAL_SURPRISE = 0.6;
const HEAVY_TAIL = 0.3;
const REST_SWEEPS = 40;
const CALM_SWEEPS = 5;
const UNTIED_CALM_SWEEPS = 24;
const FAR_SWEEPS = 30;
/** Deviations of what a metric is, for its hour, from what the others say of it that are as usual. */
const HOUR_SIGMAS = 3;
/** A state has ended when less than this share of it is left. */
const LEFT = 0.4;
const LEFT_BESIDES = 0.1;
const PART_RATE = 1 / 50;
const MOST_PARTS = 6;
/** A state that is so much more surprising than when its parts were named has other parts, or shows them better. */
const GROWTH = 1.5;
/** Ties are what broke where the metrics, each by itself, are less surprising than this share of what they are together. */
const APART = 0.4;
const HABIT_SHARE = 1 / 3;
const HABIT_DECAY = 1 / 40_000;
const HABIT_MARGIN = 1.1;
const AFTERMATH_DECAY = 1 / 800;

/**
 * Up to 16 metrics of a device that are judged together: is where they are now, each against its own normal, likely for metrics that
 * vary and go together as these do?
 *
 * y = FAST - SLOW of each metric in its standard deviations; q = y' P y with P the inverse of their correlations, learned online. A metric that
 * leaves its level and one that leaves its relation to the others both make q large. The surprise is ln of how unlikely q is for as few
 * readings as taught P. While the state is open the normal of the metrics that take part stands still; it ends when what is left of the state, by
 * least squares along its direction, is small.
 */
export class Block {
  /** Surprise over what it takes to open. */
  score = 0;
  opened = false;
  /** Whether the parts were looked at again: the state may have grown since it opened. */
  grew = false;
  untied = false;
  /** [m] share of each metric in what is explained; valid after `opened` or `grew`. */
  readonly gains = new Float64Array(WIDTH);
  /** [m] how far each metric is from its normal, or (`untied`) from what the others say of it, in its own unit; valid with `gains`. */
  readonly offs = new Float64Array(WIDTH);

  #m = 0;
  readonly #s: Float32Array[] = [];
  readonly #ints: Int32Array[] = [];
  readonly #at = new Int32Array(WIDTH);
  readonly #y = new Float64Array(WIDTH);
  /** Readings that each metric's spread was learned from. */
  readonly #known = new Int32Array(WIDTH);
  readonly #long = new Float64Array(WIDTH);
  readonly #part = new Float64Array(WIDTH);
  readonly #precision = new Float64Array(WIDTH * WIDTH);

  constructor(readonly series: Arena) {}

  /** Points at metrics `first .. first + m - 1` of a device; `star` is where `*` stands among its series, -1 for nowhere. */
  bind(device: Device, star: number, first: number, m: number): void {
    this.#m = m;
    for (let i = 0; i < m; i++) {
      const ordinal = first + i;
      const slot = device.slots[star >= 0 && ordinal >= star ? ordinal + 1 : ordinal];
      const page = this.series.page(slot);
      this.#s[i] = this.series.floats[page];
      this.#ints[i] = this.series.ints[page];
      this.#at[i] = this.series.at(slot);
    }
  }

  get state(): number {
    return this.#ints[0][this.#at[0] + STATE];
  }

  /** Whether a state has just ended, so that the next is not looked for yet. */
  get rests(): boolean {
    return this.#ints[0][this.#at[0] + REST] > 0;
  }

  /** Judges one sweep. `needed`: the surprise that it takes to open. */
  judge(needed: number): void {
    const [s, ints, at, m] = [this.#s[0], this.#ints[0], this.#at[0], this.#m];
    this.opened = this.grew = false;
    this.score = 0;
    const sweeps = ++ints[at + SWEEPS];
    if (sweeps <= START_READINGS) return;
    const open = ints[at + STATE] !== NORMAL;
    if (!open && ints[at + REST] === 0) this.#learn(sweeps);
    if (!open && sweeps % SOLVE_SWEEPS === 0) this.#solve(sweeps);
    if (sweeps < 2 * SOLVE_SWEEPS) return;
    this.#gather(open);
    const freedom = Math.min(MOST_FREEDOM, sweeps / DEPENDENT_READINGS);
    const q = this.#product(this.#y, this.#y);
    const besides = surpriseOf(q, m, freedom);
    const longQ = this.#product(this.#long, this.#long);
    const unit = s[at + LONG_SQUARE];
    const longer = unit > 0 ? surpriseOf((longQ * m) / unit, m, freedom) : 0;
    const surprise = (besides > longer ? besides : longer) / (1 + HEAVY_TAIL * (Math.max(1, s[at + TAIL]) - 1));
    s[at + HABIT] *= 1 - HABIT_DECAY;
    s[at + RECENT] *= 1 - HABIT_DECAY;
    s[at + AFTERMATH] *= 1 - AFTERMATH_DECAY;
    const bar = Math.max(needed, HABIT_MARGIN * Math.max(s[at + HABIT], s[at + AFTERMATH]));
    if (open) return this.#follow(q, freedom, surprise, needed);
    if (ints[at + REST] > 0) return this.#settle(besides, needed);
    this.score = sweeps > FROM_SWEEPS ? surprise / bar : 0;
    if (this.score > 1) return besides >= longer ? this.#open(this.#y, 1, freedom, surprise) : this.#open(this.#long, m / unit, freedom, surprise);
    const n = sweeps - 2 * SOLVE_SWEEPS + 1;
    const rate = Math.max(1 / n, SLOWEST);
    const limit = n < 50 ? Infinity : 9 * unit;
    s[at + LONG_SQUARE] += rate * ((longQ < limit ? longQ : limit) - unit);
    const tail = Math.max(1, s[at + TAIL]);
    s[at + TAIL] = tail + Math.max(1 / (n + 200), SLOWEST) * (Math.min(besides, 4 * tail + 4) / USUAL_SURPRISE - tail);
  }

  /** Ends the state; with `accept` the present is the normal, and how the metrics go together is learned anew. Otherwise it takes more than this to open again. */
  close(accept: boolean): void {
    const [s, ints, at] = [this.#s[0], this.#ints[0], this.#at[0]];
    if (!accept && s[at + PEAK] > s[at + HABIT]) s[at + HABIT] = s[at + PEAK];
    this.#end();
    if (!accept) return;
    if (ints[at + SWEEPS] > START_READINGS) ints[at + SWEEPS] = START_READINGS;
    this.#restart(false);
  }

  forgetHabit(): void {
    this.#s[0][this.#at[0] + HABIT] = this.#s[0][this.#at[0] + RECENT] = 0;
  }

  #learn(sweeps: number): void {
    const m = this.#m;
    const [y, known] = [this.#y, this.#known];
    for (let i = 0; i < m; i++) {
      const s = this.#s[i];
      const at = this.#at[i];
      const count = this.#ints[i][at + COUNT];
      const off = s[at + FAST] - s[at + SLOW];
      const most = count < SETTLED_READINGS ? Infinity : LEARN_SIGMAS * Math.sqrt(s[at + COVARIANCE + i]);
      y[i] = off > most ? most : off < -most ? -most : off;
      known[i] = (count < sweeps ? count : sweeps) - START_READINGS;
    }
    for (let i = 0; i < m; i++) {
      const s = this.#s[i];
      const row = this.#at[i] + COVARIANCE;
      for (let j = 0; j <= i; j++) {
        const both = known[i] < known[j] ? known[i] : known[j];
        if (both < 1) continue;
        const rate = both < SLOWEST_READINGS ? 1 / both : SLOWEST;
        const learned = s[row + j] + rate * (y[i] * y[j] - s[row + j]);
        s[row + j] = this.#s[j][this.#at[j] + COVARIANCE + i] = learned;
      }
    }
  }

  #solve(sweeps: number): void {
    const m = this.#m;
    for (let i = 0; i < m; i++) {
      const variance = this.#s[i][this.#at[i] + COVARIANCE + i];
      const old = this.#ints[i][this.#at[i] + COUNT] >= Math.min(SETTLED_READINGS, sweeps);
      this.#s[i][this.#at[i] + SCALE] = old && variance > 0 ? 1 / Math.sqrt(variance) : 0;
    }
    const ridge = 1 + RIDGE + (3 * m) / sweeps;
    for (let i = 0; i < m; i++) {
      const [s, at] = [this.#s[i], this.#at[i]];
      for (let j = 0; j < m; j++) {
        this.#precision[i * WIDTH + j] = i === j ? ridge : s[at + COVARIANCE + j] * s[at + SCALE] * this.#s[j][this.#at[j] + SCALE];
      }
    }
    invert(this.#precision, m);
    for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) this.#s[i][this.#at[i] + PRECISION + j] = this.#precision[i * WIDTH + j];
  }

  /** What a metric does that is in an event of its own, and has no part in the state that is open, is another fault: it holds no state open. */
  #gather(open: boolean): void {
    for (let i = 0; i < this.#m; i++) {
      const [s, at] = [this.#s[i], this.#at[i]];
      const other = open && this.#ints[i][at + OWN_EVENT] === 1 && s[at + PART] === 0;
      this.#y[i] = other ? 0 : this.#off(i);
      this.#long[i] = other ? 0 : s[at + LONG] * s[at + SCALE];
      this.#part[i] = s[at + PART] * s[at + SCALE];
    }
  }

  /** How far a metric is from its normal, in its standard deviations. */
  #off(i: number): number {
    const s = this.#s[i];
    const at = this.#at[i];
    return (s[at + FAST] - s[at + SLOW]) * s[at + SCALE];
  }

  /** a' P b */
  #product(a: Float64Array, b: Float64Array): number {
    const m = this.#m;
    let sum = 0;
    for (let i = 0; i < m; i++) {
      const s = this.#s[i];
      const row = this.#at[i] + PRECISION;
      let product = 0;
      for (let j = 0; j < m; j++) product += s[row + j] * b[j];
      sum += a[i] * product;
    }
    return sum;
  }

  /** An element of P. */
  #element(i: number, j: number): number {
    return this.#s[i][this.#at[i] + PRECISION + j];
  }

  #open(y: Float64Array, unit: number, freedom: number, surprise: number): void {
    const [s, ints, at] = [this.#s[0], this.#ints[0], this.#at[0]];
    this.opened = true;
    this.#name(y, unit, freedom, surprise);
    ints[at + SINCE] = ints[at + CALM] = ints[at + FAR] = 0;
    s[at + PEAK] = s[at + TOLD] = surprise;
  }

  /** Which metrics take part, in what direction; and whether it takes their correlations to see it. */
  #name(y: Float64Array, unit: number, freedom: number, surprise: number): void {
    const m = this.#m;
    let apart = 0;
    for (let i = 0; i < m; i++) apart += unit * y[i] * y[i];
    this.untied = surpriseOf(apart, m, freedom) < APART * surprise;
    this.#ints[0][this.#at[0] + STATE] = this.untied ? UNTIED : SHIFTED;
    for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) this.#precision[i * WIDTH + j] = this.#element(i, j);
    blame(this.#precision, y, m, MOST_PARTS, this.gains);
    for (let i = 0; i < m; i++) {
      if (this.gains[i] <= 0) continue;
      const [s, at] = [this.#s[i], this.#at[i]];
      this.offs[i] = y[i] / s[at + SCALE];
      if (s[at + PART] !== 0) continue;
      s[at + PART] = this.#y[i] !== 0 ? this.#y[i] / s[at + SCALE] : 1e-9;
    }
    if (this.untied) this.#againstOthers(y);
  }

  #againstOthers(y: Float64Array): void {
    for (let i = 0; i < this.#m; i++) {
      this.offs[i] = this.#residual(i, y) / this.#element(i, i) / this.#s[i][this.#at[i] + SCALE];
    }
  }

  /** P y of a metric: how far it is from what the others say of it, over the variance that they leave it. */
  #residual(i: number, y: Float64Array): number {
    let sum = 0;
    for (let j = 0; j < this.#m; j++) sum += this.#element(i, j) * y[j];
    return sum;
  }

  /** An open sweep: how much of the state is left? */
  #follow(q: number, freedom: number, surprise: number, needed: number): void {
    const [s, ints, at, m] = [this.#s[0], this.#ints[0], this.#at[0], this.#m];
    const since = ++ints[at + SINCE];
    this.score = Math.min(1, surprise / needed);
    if (surprise > s[at + PEAK]) s[at + PEAK] = surprise;
    const whole = this.#product(this.#part, this.#part);
    const left = whole > 0 ? this.#product(this.#part, this.#y) / whole : 0;
    if (left > 0.5) {
      const rate = Math.max(1 / (since + 1), PART_RATE);
      for (let i = 0; i < m; i++) {
        const word = this.#at[i] + PART;
        if (this.#s[i][word] === 0) continue;
        this.#s[i][word] += rate * (this.#s[i][this.#at[i] + FAST] - this.#s[i][this.#at[i] + SLOW] - this.#s[i][word]);
        if (this.#s[i][word] === 0) this.#s[i][word] = 1e-9;
      }
      if (surprise > GROWTH * s[at + TOLD]) {
        this.#name(this.#y, 1, freedom, surprise);
        s[at + TOLD] = surprise;
        this.grew = true;
      }
    }
    for (let i = 0; i < m; i++) this.#y[i] -= left * this.#part[i];
    const besides = this.#product(this.#y, this.#y);
    // The fast mean is rougher against a normal that stands still: 2.7 times its square.
    const alone = surpriseOf(besides / 2.7, m, freedom) < 1.2 * needed || besides < LEFT_BESIDES * whole;
    const over = ints[at + STATE] === UNTIED ? surpriseOf(q, m, freedom) < 0.5 * needed : alone;
    ints[at + CALM] = left < LEFT && over ? ints[at + CALM] + 1 : 0;
    ints[at + FAR] = left < 0 && alone ? ints[at + FAR] + 1 : 0;
    const ended = ints[at + CALM] >= (ints[at + STATE] === UNTIED ? UNTIED_CALM_SWEEPS : CALM_SWEEPS) || ints[at + FAR] >= FAR_SWEEPS;
    ints[at + AT_HOUR] = since > SLOW_READINGS && this.#isUsualAtHour() ? ints[at + AT_HOUR] + 1 : 0;
    if (!ended && ints[at + AT_HOUR] < UNTIED_CALM_SWEEPS) return;
    this.#recall();
    this.#end();
  }

  /**
   * Whether all metrics that take part are where they usually are at this hour, each by itself and as the others say: the normal of a while ago says little of what goes up and down with the day. Of
   * one that does not it says what it always did.
   */
  #isUsualAtHour(): boolean {
    let tells = false;
    for (let i = 0; i < this.#m; i++) {
      const [s, at] = [this.#s[i], this.#at[i]];
      const off = s[at + HOUR_OFF] * s[at + SCALE];
      const tellsOfIt = Number.isFinite(off);
      this.#y[i] = tellsOfIt ? off : 0;
      if (s[at + PART] === 0) continue;
      if (off === Infinity) return false;
      if (tellsOfIt) tells = true;
      else this.#y[i] = this.#off(i);
      if (!tellsOfIt && Math.abs(this.#y[i]) > HOUR_SIGMAS) return false;
    }
    if (!tells) return false;
    for (let i = 0; i < this.#m; i++) {
      if (this.#s[i][this.#at[i] + PART] === 0) continue;
      const residual = this.#residual(i, this.#y);
      if (residual * residual > HOUR_SIGMAS * HOUR_SIGMAS * this.#element(i, i)) return false;
    }
    return true;
  }

  /** A state has ended by itself. One makes no habit: what comes after a strong fault is none of its kind, unless it is as strong. */
  #recall(): void {
    const [s, at] = [this.#s[0], this.#at[0]];
    const again = HABIT_SHARE * Math.min(s[at + PEAK], s[at + RECENT]);
    s[at + HABIT] = Math.max(s[at + HABIT], again) + again;
    s[at + RECENT] = Math.max(s[at + RECENT], s[at + PEAK]);
    s[at + AFTERMATH] += HABIT_SHARE * s[at + PEAK];
  }

  #end(): void {
    const ints = this.#ints[0];
    const at = this.#at[0];
    if (ints[at + STATE] === NORMAL) return;
    ints[at + STATE] = NORMAL;
    ints[at + REST] = REST_SWEEPS;
    for (let i = 0; i < this.#m; i++) this.#s[i][this.#at[i] + PART] = this.#s[i][this.#at[i] + LONG] = 0;
  }

  /** After a state has ended. Where its beginning was slow, part of it went into the normal: then the normal is what is now, but of a metric that is in an event of its own, which is another fault and is judged from now on. */
  #settle(surprise: number, needed: number): void {
    const ints = this.#ints[0];
    const at = this.#at[0];
    if (--ints[at + REST] > 0 || surprise < 0.5 * needed) return;
    const others = this.#restart(true);
    ints[at + REST] = others ? 0 : REST_SWEEPS;
  }

  /** The normal of each metric is what is now; with `quiet` not of those in an event of their own: returns whether there are any. */
  #restart(quiet: boolean): boolean {
    let others = false;
    for (let i = 0; i < this.#m; i++) {
      const [s, at] = [this.#s[i], this.#at[i]];
      if (quiet && this.#ints[i][at + OWN_EVENT] === 1) {
        others = true;
        continue;
      }
      s[at + SLOW] = s[at + FAST];
      s[at + LONG] = 0;
      this.#ints[i][at + AGE] = 10;
    }
    return others;
  }
}

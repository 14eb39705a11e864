import { Arena } from './arena.js';

// Words of a series.
const OPEN = 0; // int: 1 while its state is abnormal
const SINCE = 1; // int: readings since it opened
const CALM = 2; // int: readings in a row that look normal
const LEVEL = 3; // EW-10 of the value, each held within 5 scales of the normal level
const LEVEL_MEAN = 4; // the normal: slow mean and variance of LEVEL, kept as it was while an event is open
const LEVEL_VARIANCE = 5;
const SQUARE = 6; // EW-16 of e1^2, each held within 20 times the normal
const ROUGH_MEAN = 7; // the normal: slow mean and variance of its logarithm
const ROUGH_VARIANCE = 8;
const READINGS = 9; // int: readings that taught the normal
const RELEARN = 10; // int: readings for which the normal is learned fast, after it was accepted
const DRIFT = 11; // slow EW of the squared move of the normal level in DRIFT_READINGS
const DRIFT_FROM = 12; // the normal level when the present stretch of DRIFT_READINGS began
const LASTING = 13; // int: readings in a row that were off the normal in level or roughness
const SQUARE_LIMIT = 14; // 20 times the normal square
const WORDS = 15;

const LEVEL_RATE = 1 / 10;
const SQUARE_RATE = 1 / 16;
const SLOWEST = 1 / 1000;
const OFF_SIGMAS = 3.5;
const CALM_READINGS = 6;
const DRIFT_READINGS = 256;
/** Readings in a row off the normal that make a lasting state of what began with one reading. */
const LASTING_READINGS = 12;
const RELEARN_READINGS = 120;
const KNOWN_READINGS = 64;

/**
 * Is a series that raised an alarm back to normal? The normal is what its level and its roughness were when the event opened; it
 * is not taught while the event is open, so a fault does not become normal by lasting. A series whose level wanders by nature
 * (a random walk has no level to return to) keeps learning, or its first event would never end.
 */
export class Conditions {
  readonly arena = new Arena('condition', 1, 'series', WORDS);

  isOpen(slot: number): boolean {
    return this.#int(slot, OPEN) === 1;
  }

  /** Factor on the rates at which the series' normal is learned. */
  learning(slot: number): number {
    if (this.#int(slot, RELEARN) > 0) return 20;
    return this.#int(slot, OPEN) === 1 && !this.wanders(slot) ? 0 : 1;
  }

  readingsOpen(slot: number): number {
    return this.#int(slot, SINCE);
  }

  /** Whether the open state is one of level or roughness that lasts, not a single reading. */
  lasting(slot: number): boolean {
    return this.#int(slot, LASTING) >= LASTING_READINGS;
  }

  open(slot: number): void {
    this.#setInt(slot, OPEN, 1);
    this.#setInt(slot, SINCE, 0);
    this.#setInt(slot, CALM, 0);
  }

  /** Ends the event here and now; the present is the new normal when `accept`. */
  close(slot: number, accept: boolean): void {
    this.#setInt(slot, OPEN, 0);
    this.#setInt(slot, LASTING, 0);
    if (accept) this.#setInt(slot, RELEARN, RELEARN_READINGS);
  }

  /**
   * Takes one reading. Returns whether the series was open and is normal again.
   *
   * @param v the working value less its anchor; @param scale of the series; @param square e1^2, in squared scales
   * @param still true where something else holds the event open: it surprised again, is stuck, is beyond a limit
   */
  step(slot: number, v: number, scale: number, square: number, still: boolean): boolean {
    const s = this.arena.floats[this.arena.page(slot)];
    const ints = this.arena.ints[this.arena.page(slot)];
    const at = this.arena.at(slot);
    const open = ints[at + OPEN] === 1;
    const n = ints[at + READINGS];
    if (n === 0) {
      s[at + LEVEL] = s[at + LEVEL_MEAN] = s[at + DRIFT_FROM] = v;
    }
    this.#take(s, at, v, scale, square, n);
    const off = open && n >= KNOWN_READINGS && isOff(s, at, scale);
    ints[at + LASTING] = off ? ints[at + LASTING] + 1 : 0;
    const relearn = ints[at + RELEARN];
    if (relearn > 0) ints[at + RELEARN] = relearn - 1;
    if (!open || relearn > 0 || this.#wanders(s, at)) this.#learn(s, ints, at, n, relearn > 0);
    if (!open) return false;
    ints[at + SINCE]++;
    const calm = off || still ? 0 : ints[at + CALM] + 1;
    ints[at + CALM] = calm;
    if (calm < CALM_READINGS) return false;
    ints[at + OPEN] = 0;
    return true;
  }

  wanders(slot: number): boolean {
    const s = this.arena.floats[this.arena.page(slot)];
    const at = this.arena.at(slot);
    return 9 * s[at + DRIFT] > s[at + LEVEL_VARIANCE];
  }

  #wanders(s: Float32Array, at: number): boolean {
    return 9 * s[at + DRIFT] > s[at + LEVEL_VARIANCE];
  }

  /** Updates the fast level and roughness. */
  #take(s: Float32Array, at: number, v: number, scale: number, square: number, n: number): void {
    const mean = s[at + LEVEL_MEAN];
    const reach = 5 * scale;
    // A held-back normal is far from an accepted new one: the reach grows with the distance already covered.
    const distance = s[at + LEVEL] - mean;
    const limit = reach + 2 * (distance < 0 ? -distance : distance);
    const held = v > mean + limit ? mean + limit : v < mean - limit ? mean - limit : v;
    s[at + LEVEL] += LEVEL_RATE * (held - s[at + LEVEL]);
    const most = n < 32 ? square : s[at + SQUARE_LIMIT];
    const rate = n < 16 ? 1 / (n + 1) : SQUARE_RATE;
    s[at + SQUARE] += rate * ((square < most ? square : most) - s[at + SQUARE]);
  }

  #learn(s: Float32Array, ints: Int32Array, at: number, n: number, fast: boolean): void {
    const rate = n < 1000 ? 1 / (n + 1) : SLOWEST;
    const learned = fast && rate < 0.05 ? 0.05 : rate;
    learnInto(s, at + LEVEL_MEAN, at + LEVEL_VARIANCE, s[at + LEVEL], learned);
    // The roughness changes slowly: every fourth reading tells enough of it.
    if ((n & 3) === 0) {
      const four = 4 * learned;
      learnInto(s, at + ROUGH_MEAN, at + ROUGH_VARIANCE, Math.log(s[at + SQUARE] + 1e-6), four < 1 ? four : 1);
      s[at + SQUARE_LIMIT] = 20 * Math.exp(s[at + ROUGH_MEAN]);
    }
    ints[at + READINGS] = n + 1;
    if ((n + 1) % DRIFT_READINGS !== 0) return;
    const moved = s[at + LEVEL_MEAN] - s[at + DRIFT_FROM];
    s[at + DRIFT_FROM] = s[at + LEVEL_MEAN];
    if (n + 1 > DRIFT_READINGS) s[at + DRIFT] += 0.25 * (moved * moved - s[at + DRIFT]);
  }

  #int(slot: number, word: number): number {
    return this.arena.ints[this.arena.page(slot)][this.arena.at(slot) + word];
  }

  #setInt(slot: number, word: number, value: number): void {
    this.arena.ints[this.arena.page(slot)][this.arena.at(slot) + word] = value;
  }
}

function learnInto(s: Float32Array, mean: number, variance: number, v: number, rate: number): void {
  const off = v - s[mean];
  s[mean] += rate * off;
  s[variance] = (1 - rate) * (s[variance] + rate * off * off);
}

/** Whether the fast level or the fast roughness is off the normal. */
function isOff(s: Float32Array, at: number, scale: number): boolean {
  const levelSd = Math.sqrt(s[at + LEVEL_VARIANCE]) + 0.05 * scale;
  const levelOff = s[at + LEVEL] - s[at + LEVEL_MEAN];
  if (levelOff > OFF_SIGMAS * levelSd || levelOff < -OFF_SIGMAS * levelSd) return true;
  const roughOff = Math.log(s[at + SQUARE] + 1e-6) - s[at + ROUGH_MEAN];
  const roughSd = Math.sqrt(s[at + ROUGH_VARIANCE]) + 0.2;
  return roughOff > OFF_SIGMAS * roughSd || roughOff < -OFF_SIGMAS * roughSd;
}

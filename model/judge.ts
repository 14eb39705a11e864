import type { StatePart } from '../core/state.js';
import { Arena, WideArena } from './arena.js';
import { CALIBRATION_WORDS, calibrate, CLUSTER, COUNT, LATEST, SILENT, SIZES, surprise } from './calibration.js';
import { novelty, noveltyWords } from './novelty.js';
import type { Predictor } from './predictor.js';
import { CHANNELS, type Channel, type ChannelPrior, type Tuning } from './tuning.js';

const X = 0;
const E1 = 1;
const E8 = 2;
const E32 = 3;
const TOD = 4;
const ROUGHNESS = 5;
const QUIET = 6;
const LEVEL = 7;
const STUCK = 8;

const HOURS = 24;
const HOUR_MS = 3_600_000;
/** A bin of the hour-of-day profile forgets in about this time: ten readings at one in five minutes. */
const HOUR_MEMORY_MS = 3_000_000;
/** Forecast errors that span a gap longer than so many periods say nothing. */
const LOG_GAP = Math.log(3);

// Of the wide arena: what float32 would lose.
const ANCHOR = 0; // u is kept relative to the first one
const SUM8 = 1; // of the latest 8 values
const SUM32 = 2;
const LAST = 3; // the latest reading
const WIDE_WORDS = 4;

/** What a reading was found to be; valid until the next call. */
export interface Finding {
  /** Log odds of the channel that is most surprised, its offset included; SILENT where none is. */
  odds: number;
  channel: number;
  /** Whether it lies above what was seen or forecast. */
  above: boolean;
  /** Readings for which that channel has shown nothing novel. */
  unseen: number;
  /** The working value less the series' anchor, its scale, the squared error of the one-step forecast in squared scales. */
  v: number;
  scale: number;
  square: number;
  /** Equal readings in a row before this one, and whether they are the longest run so far. */
  run: number;
  stuck: boolean;
}

/**
 * The channels of every series and their calibration: log odds of each reading that it is unlike anything that its series has shown.
 * State of a series: one block of an arena; the offsets below are words from its start.
 */
export class Judge {
  readonly parts: readonly StatePart[];
  readonly arena: Arena;
  readonly finding: Finding = { odds: SILENT, channel: X, above: false, unseen: 0, v: 0, scale: 1, square: 0, run: 0, stuck: false };
  readonly #wide = new WideArena('judge-wide', 1, 'series', WIDE_WORDS);
  readonly #on: boolean[];
  readonly #prior: ChannelPrior[];

  // Layout.
  #words = 0;
  readonly #t = this.#take(1); // int: readings judged
  readonly #rate = this.#take(1); // G, the sum of the expected rate
  readonly #mute = this.#take(1); // int: readings until forecasts made before a gap are spent
  readonly #peak = this.#take(1); // the odds that a new alarm must beat
  readonly #square = this.#take(1); // EW-16 of e1^2
  readonly #roughMean = this.#take(1); // of its logarithm
  readonly #roughVariance = this.#take(1);
  readonly #level64 = this.#take(1); // EW-64 of the value
  readonly #levelMean = this.#take(1);
  readonly #levelVariance = this.#take(1);
  readonly #run = this.#take(1); // int: equal values in a row
  readonly #runRecord = this.#take(1); // ln(1 + longest run)
  readonly #hoursSeen = this.#take(1); // int: a bit an hour
  readonly #hours = this.#take(HOURS);
  readonly #values = this.#take(32); // ring of values
  readonly #forecasts8 = this.#take(8); // ring of forecasts of the next 8
  readonly #forecasts32 = this.#take(32);
  readonly #calibration = this.#take(CHANNELS.length * CALIBRATION_WORDS);
  readonly #boxes: number[];

  constructor(readonly predictor: Predictor, readonly tuning: Tuning, readonly intervals: number, channels: readonly Channel[]) {
    this.#on = CHANNELS.map((name) => channels.includes(name));
    this.#prior = CHANNELS.map((name) => tuning.prior[name]);
    this.#boxes = [X, E1, E8, E32, TOD, ROUGHNESS].map(() => this.#take(noveltyWords(intervals)));
    this.arena = new Arena('judge', 1, 'series', this.#words);
    this.parts = [this.arena, this.#wide];
  }

  #take(words: number): number {
    const at = this.#words ?? 0;
    this.#words = at + words;
    return at;
  }

  clear(slot: number): void {
    this.arena.clear(slot);
    this.#wide.clear(slot);
  }

  readings(slot: number): number {
    return this.arena.ints[this.arena.page(slot)][this.arena.at(slot) + this.#t];
  }

  /** A channel's declustered events so far, their summed sizes, and what was expected for a rate of a = 1: what priors are fitted from. */
  events(slot: number, channel: number): { count: number; sizes: number; expected: number } {
    const s = this.arena.floats[this.arena.page(slot)];
    const at = this.arena.at(slot);
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    return { count: s[c + COUNT], sizes: s[c + SIZES], expected: s[at + this.#rate] };
  }

  /**
   * Judges one reading against the forecasts made before it, and learns from it.
   *
   * @param raw the reading; @param u the working value
   * @param logRatio ln of the time since the last reading over the period
   */
  step(slot: number, timestampMs: number, raw: number, u: number, logRatio: number, periodMs: number): void {
    const { tuning, arena } = this;
    const s = arena.floats[arena.page(slot)];
    const ints = arena.ints[arena.page(slot)];
    const at = arena.at(slot);
    const wide = this.#wide.floats[this.#wide.page(slot)];
    const w = this.#wide.at(slot);
    const t = ints[at + this.#t];
    if (t === 0) wide[w + ANCHOR] = u;
    const v = u - wide[w + ANCHOR];
    const f = this.finding;
    f.odds = SILENT;
    f.channel = X;
    f.v = v;
    f.scale = this.predictor.normaliser.scale(slot);
    f.square = f.run = 0;
    f.stuck = false;

    const rateNow = 1 / (t + tuning.t1) + tuning.rateFloor;
    const rateSum = s[at + this.#rate];
    s[at + this.#rate] = rateSum * (1 - tuning.forget) + rateNow;

    if (this.#on[X]) this.#novel(X, s, ints, at, v, tuning.thetaX, t, rateNow, rateSum);
    if (t > 0) {
      if (logRatio > LOG_GAP) ints[at + this.#mute] = 32;
      this.#judgeForecasts(slot, s, ints, at, v, wide[w + ANCHOR], wide, w, t, rateNow, rateSum);
      if (ints[at + this.#mute] > 0) ints[at + this.#mute]--;
      this.#judgeHour(s, ints, at, v, timestampMs, periodMs, t, rateNow, rateSum);
      this.#judgeLevel(s, ints, at, v, t, rateNow, rateSum);
      this.#judgeRun(s, ints, at, raw === wide[w + LAST], t, rateNow, rateSum);
    }
    this.#remember(s, at, v, wide, w, t);
    wide[w + LAST] = raw;
    ints[at + this.#t] = t + 1;
  }

  /** The forecasts that were made from this reading: called after the predictor has advanced. */
  keepForecasts(slot: number): void {
    const { arena, predictor } = this;
    const s = arena.floats[arena.page(slot)];
    const at = arena.at(slot);
    const t = arena.ints[arena.page(slot)][at + this.#t] - 1;
    const anchor = this.#wide.floats[this.#wide.page(slot)][this.#wide.at(slot) + ANCHOR];
    s[at + this.#forecasts8 + (t & 7)] = predictor.location(slot, 1) - anchor;
    s[at + this.#forecasts32 + (t & 31)] = predictor.location(slot, 2) - anchor;
  }

  /**
   * Whether odds are an alarm of their own: above the threshold, and better than the last alarm, which is forgotten by and by.
   */
  emits(slot: number, odds: number, threshold: number): boolean {
    const { tuning, arena } = this;
    const s = arena.floats[arena.page(slot)];
    const at = arena.at(slot) + this.#peak;
    const peak = s[at] * (1 - tuning.repeatDecay);
    s[at] = odds > peak ? odds : peak;
    return odds > threshold && odds > peak + tuning.repeatMargin;
  }

  #offer(channel: number, odds: number, above: boolean, unseen: number): void {
    const worth = odds + this.#prior[channel].offset;
    if (worth > this.finding.odds) {
      this.finding.odds = worth;
      this.finding.channel = channel;
      this.finding.above = above;
      this.finding.unseen = unseen;
    }
  }

  /** The middle of what a box channel has shown. */
  #centre(s: Float32Array, at: number, channel: number): number {
    const low = at + this.#boxes[channel] + 3 * this.intervals;
    return 0.5 * (s[low] + s[low + 1]);
  }

  /** A person called an alarm on this channel false: three events more, each of the size that its latest had. */
  raiseBar(slot: number, channel: number): void {
    const s = this.arena.floats[this.arena.page(slot)];
    const c = this.arena.at(slot) + this.#calibration + channel * CALIBRATION_WORDS;
    s[c + SIZES] += 3 * s[c + CLUSTER];
    s[c + COUNT] += 3;
  }

  #novel(
    channel: number, s: Float32Array, ints: Int32Array, at: number, v: number, theta: number, t: number, rateNow: number, rateSum: number,
  ): void {
    const d = novelty(s, ints, at + this.#boxes[channel], this.intervals, v, theta, t, true);
    // The first readings span the range: all of them are novel and none tells anything.
    if (t < this.tuning.countFrom) return;
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    const unseen = t - ints[c + LATEST];
    const odds = calibrate(s, ints, c, d, t, 1 / (1 + this.tuning.sizeSettling / t), rateNow, rateSum, this.#prior[channel], this.tuning, true);
    if (odds > SILENT) this.#offer(channel, odds, channel === X ? v > this.#centre(s, at, X) : v > 0, unseen);
  }

  #judgeForecasts(
    slot: number, s: Float32Array, ints: Int32Array, at: number, v: number, anchor: number, wide: Float64Array, w: number, t: number, rateNow: number,
    rateSum: number,
  ): void {
    const { tuning, predictor } = this;
    const theta = tuning.thetaError;
    const mute = ints[at + this.#mute];
    const scale = predictor.normaliser.scale(slot);
    const e1 = this.#error(slot, 0, v - (predictor.location(slot, 0) - anchor), scale);
    if (mute < 32) {
      this.finding.square = e1 * e1;
      if (this.#on[E1]) this.#novel(E1, s, ints, at, e1, theta, t, rateNow, rateSum);
      this.#judgeRoughness(s, ints, at, e1, t, rateNow, rateSum);
    }
    const mean8 = (wide[w + SUM8] + v - s[at + this.#values + ((t - 8) & 31)]) / 8;
    const mean32 = (wide[w + SUM32] + v - s[at + this.#values + (t & 31)]) / 32;
    if (this.#on[E8] && t >= 8 && mute <= 24) {
      const e8 = this.#error(slot, 1, mean8 - s[at + this.#forecasts8 + (t & 7)], scale);
      this.#novel(E8, s, ints, at, e8, theta, t, rateNow, rateSum);
    }
    if (this.#on[E32] && t >= 32 && mute === 0) {
      const e32 = this.#error(slot, 2, mean32 - s[at + this.#forecasts32 + (t & 31)], scale);
      this.#novel(E32, s, ints, at, e32, theta, t, rateNow, rateSum);
    }
  }

  /** A forecast error in scales, a little of its uncertainty divided out. */
  #error(slot: number, horizon: number, miss: number, scale: number): number {
    return miss / (scale * Math.pow(this.predictor.spread(slot, horizon) / scale, this.tuning.sigmaExponent));
  }

  #judgeRoughness(s: Float32Array, ints: Int32Array, at: number, e1: number, t: number, rateNow: number, rateSum: number): void {
    const { tuning } = this;
    const rate = t < 16 ? 1 / (t + 1) : 1 / 16;
    const square = e1 * e1 < 1e6 ? e1 * e1 : 1e6;
    s[at + this.#square] += rate * (square - s[at + this.#square]);
    if (t < 16) return;
    const log = Math.log(s[at + this.#square] + 1e-6);
    if (this.#on[ROUGHNESS]) this.#novel(ROUGHNESS, s, ints, at, log, tuning.thetaError, t, rateNow, rateSum);
    const mean = s[at + this.#roughMean];
    const sd = Math.sqrt(s[at + this.#roughVariance]) + 0.1;
    if (this.#on[QUIET] && t >= tuning.zFrom) this.#judgeZ(QUIET, s, ints, at, (mean - log) / sd, false, tuning.zQuiet, t, rateNow, rateSum);
    this.#learnSlow(s, at + this.#roughMean, at + this.#roughVariance, log, t - 16);
  }

  #judgeLevel(s: Float32Array, ints: Int32Array, at: number, v: number, t: number, rateNow: number, rateSum: number): void {
    const { tuning } = this;
    const rate = t < 64 ? 1 / (t + 1) : 1 / 64;
    s[at + this.#level64] += rate * (v - s[at + this.#level64]);
    if (t < 64) return;
    const level = s[at + this.#level64];
    const sd = Math.sqrt(s[at + this.#levelVariance]);
    const off = level - s[at + this.#levelMean];
    if (this.#on[LEVEL] && t >= tuning.zFrom && sd > 0) {
      this.#judgeZ(LEVEL, s, ints, at, (off < 0 ? -off : off) / sd, off > 0, tuning.zLevel, t, rateNow, rateSum);
    }
    this.#learnSlow(s, at + this.#levelMean, at + this.#levelVariance, level, t - 64);
  }

  #learnSlow(s: Float32Array, mean: number, variance: number, v: number, t: number): void {
    const rate = t < 2000 ? 1 / (t + 1) : 1 / 2000;
    const off = v - s[mean];
    s[mean] += rate * off;
    s[variance] = (1 - rate) * (s[variance] + rate * off * off);
  }

  #judgeZ(channel: number, s: Float32Array, ints: Int32Array, at: number, z: number, above: boolean, from: number, t: number, rateNow: number, rateSum: number): void {
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    // The peak of this channel is the z that the running excursion has reached: only what goes further is new.
    const peak = s[c] * (1 - 1 / 400);
    s[c] = z > peak ? z : peak;
    if (z < from || z < peak + 0.3) return;
    const unseen = t - ints[c + LATEST];
    const odds = surprise(s, ints, c, Math.log(z / from), t, rateNow, rateSum, this.#prior[channel], this.tuning, true);
    this.#offer(channel, odds, above, unseen);
  }

  #judgeRun(s: Float32Array, ints: Int32Array, at: number, equal: boolean, t: number, rateNow: number, rateSum: number): void {
    const run = equal ? ints[at + this.#run] + 1 : 0;
    ints[at + this.#run] = run;
    this.finding.run = run;
    if (!equal || run < 6) return;
    const length = Math.log(1 + run);
    const record = s[at + this.#runRecord];
    if (length <= record) return;
    s[at + this.#runRecord] = length;
    this.finding.stuck = true;
    if (!this.#on[STUCK]) return;
    const c = at + this.#calibration + STUCK * CALIBRATION_WORDS;
    // The record before this run began is what counts; it is kept in the channel's peak word while the run lasts.
    if (run === 6 || s[c] === 0) s[c] = record > Math.log(6) ? record : Math.log(6);
    const unseen = t - ints[c + LATEST];
    const odds = surprise(s, ints, c, length - s[c], t, rateNow, rateSum, this.#prior[STUCK], this.tuning, true);
    this.#offer(STUCK, odds, false, unseen);
  }

  #judgeHour(
    s: Float32Array, ints: Int32Array, at: number, v: number, timestampMs: number, periodMs: number, t: number, rateNow: number, rateSum: number,
  ): void {
    if (!this.#on[TOD]) return;
    const hour = Math.floor(timestampMs / HOUR_MS) % HOURS;
    const bin = at + this.#hours + hour;
    if ((ints[at + this.#hoursSeen] & (1 << hour)) === 0) {
      ints[at + this.#hoursSeen] |= 1 << hour;
      s[bin] = v;
      return;
    }
    const off = v - s[bin];
    this.#novel(TOD, s, ints, at, off, this.tuning.thetaError, t, rateNow, rateSum);
    const share = periodMs / HOUR_MEMORY_MS;
    s[bin] += (share > 0.3 ? 0.3 : share) * off;
  }

  #remember(s: Float32Array, at: number, v: number, wide: Float64Array, w: number, t: number): void {
    const ring = at + this.#values;
    const kept = Math.fround(v);
    wide[w + SUM8] += kept - s[ring + ((t - 8) & 31)];
    wide[w + SUM32] += kept - s[ring + (t & 31)];
    s[ring + (t & 31)] = kept;
    if ((t & 31) !== 31) return;
    // Once a turn of the ring the sums are made afresh, so that one huge value leaves no rounding behind.
    let sum = 0;
    for (let k = 0; k < 32; k++) {
      sum += s[ring + k];
      if (k === 23) wide[w + SUM32] = sum;
    }
    wide[w + SUM8] = sum - wide[w + SUM32];
    wide[w + SUM32] = sum;
  }
}

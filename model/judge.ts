import type { StatePart } from '../core/state.js';
import { Arena, WideArena } from './arena.js';
import { CALIBRATION_WORDS, calibrate, CLUSTER, COUNT, LATEST, PEAK_DECAY, SILENT, SIZES, surprise, type Expected } from './calibration.js';
import type { Finding } from './finding.js';
import { Horizon } from './horizon.js';
import { Hours } from './hours.js';
import { Layout } from './layout.js';
import { novelty, noveltyWords } from './novelty.js';
import type { Predictor } from './predictor.js';
import { Run } from './run.js';
import { Season } from './season.js';
import { CHANNELS, type Channel, type ChannelPrior, type Tuning } from './tuning.js';

const X = CHANNELS.indexOf('x');
const E1 = CHANNELS.indexOf('e1');
const E32 = CHANNELS.indexOf('e32');
const TOD = CHANNELS.indexOf('tod');
const STUCK = CHANNELS.indexOf('stuck');
const SEASON = CHANNELS.indexOf('season');
const SPAN = CHANNELS.indexOf('span');

/** Squares of what is kept must fit a float32. */
const VALUE_LIMIT = 1e18;
const ERROR_LIMIT = 1e6;
/** Forecast errors that span a gap longer than so many periods say nothing. */
const LOG_GAP = Math.log(3);
/** Readings that came later than this many periods after the last one have some missing before them. */
const LOG_MISSING = Math.log(1.5);

// Of the wide arena: what float32 would lose.
const ANCHOR = 0; // u is kept relative to the first one
// 1: the sum that the long horizon keeps
const LAST = 2; // the latest reading
const WIDE_WORDS = 3;

/**
 * The channels of every series and their calibration: log odds of each reading that it is unlike anything that its series has shown.
 * State of a series: one block of an arena, laid out below, and the ring of its season.
 */
export class Judge {
  readonly parts: readonly StatePart[];
  readonly arena: Arena;
  readonly finding: Finding = { odds: SILENT, channel: X, above: false, extreme: false, unseen: 0, v: 0, scale: 1, square: 0, run: 0, stuck: false };
  readonly #wide = new WideArena('judge-wide', 2, 'series', WIDE_WORDS);
  readonly #on: boolean[];
  readonly #prior: ChannelPrior[];

  readonly #layout = new Layout();
  readonly #t = this.#layout.take(1); // int: readings judged
  readonly #rate = this.#layout.take(1); // G, the sum of the expected rate
  readonly #mute = this.#layout.take(1); // int: readings until forecasts made before a gap are spent
  readonly #peak = this.#layout.take(1); // the odds that a new alarm must beat
  readonly #run = new Run(this.#layout);
  readonly #hours = new Hours(this.#layout);
  readonly #usual = this.#layout.take(2); // mean mismatch of the season, mean lack of its span
  readonly #calibration = this.#layout.take(CHANNELS.length * CALIBRATION_WORDS);
  readonly #boxes: number[];
  /** Undefined where the channels that need it are off: no state then. */
  readonly #horizon: Horizon | undefined;
  readonly #season: Season | undefined;
  /** What is expected of a clean series at the age of the present reading. */
  readonly expected: Expected = { now: 0, sum: 0, sizeUnit: 1 };
  /** Of the present reading: the sum over channels of what their odds exceed `supportFrom` by. */
  #support = 0;
  #learning = true;
  #logRoughness = 0;

  constructor(readonly predictor: Predictor, readonly tuning: Tuning, readonly intervals: number, channels: readonly Channel[]) {
    this.#on = CHANNELS.map((name) => channels.includes(name));
    this.#prior = CHANNELS.map((name) => tuning.prior[name]);
    this.#boxes = [X, E1, E32, TOD].map((channel) => (this.#on[channel] ? this.#layout.take(noveltyWords(intervals)) : 0));
    this.#horizon = this.#on[E32] ? new Horizon(this.#layout) : undefined;
    this.#season = this.#on[SEASON] || this.#on[SPAN] ? new Season() : undefined;
    this.arena = new Arena('judge', 2, 'series', this.#layout.words);
    this.parts = [this.arena, this.#wide, ...(this.#season ? [this.#season.arena] : [])];
  }

  clear(slot: number): void {
    for (const part of this.parts) part.clear(slot);
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
   * @param logRoughness a quarter of ln(mean squared difference / scale^2): the normaliser's slow roughness
   * @param learning false while an event is open: what is normal is then not taught
   */
  step(slot: number, timestampMs: number, raw: number, u: number, logRatio: number, periodMs: number, logRoughness: number, learning: boolean): void {
    const { tuning, arena } = this;
    const s = arena.floats[arena.page(slot)];
    const ints = arena.ints[arena.page(slot)];
    const at = arena.at(slot);
    const wide = this.#wide.floats[this.#wide.page(slot)];
    const w = this.#wide.at(slot);
    const t = ints[at + this.#t];
    if (t === 0) wide[w + ANCHOR] = u;
    const off = u - wide[w + ANCHOR];
    const v = off > VALUE_LIMIT ? VALUE_LIMIT : off < -VALUE_LIMIT ? -VALUE_LIMIT : off;
    const f = this.finding;
    f.odds = SILENT;
    f.channel = X;
    f.v = v;
    f.scale = this.predictor.normaliser.scale(slot);
    f.square = f.run = 0;
    f.stuck = false;
    this.#support = 0;
    this.#learning = learning;
    this.#logRoughness = logRoughness;
    this.#expect(s, at, t);

    if (this.#on[X]) this.#novel(X, s, ints, at, v, tuning.thetaX, t);
    if (t > 0) {
      if (logRatio > LOG_GAP) ints[at + this.#mute] = 32;
      this.#judgeForecasts(slot, s, ints, at, v, wide, w, t);
      if (ints[at + this.#mute] > 0) ints[at + this.#mute]--;
      if (this.#on[TOD]) {
        const byHour = this.#hours.step(s, ints, at, v, timestampMs, periodMs, learning);
        if (byHour === byHour) this.#novel(TOD, s, ints, at, byHour, tuning.thetaError, t);
      }
      if (this.#season) this.#judgeSeason(this.#season, slot, s, ints, at, v, wide[w + ANCHOR], logRatio, periodMs, t);
      this.#judgeRun(s, ints, at, raw === wide[w + LAST], t);
    }
    // A fault shows on several channels at once more often than chance does: what the others say supports the loudest.
    if (f.odds > tuning.supportFrom) f.odds += tuning.supportWeight * (this.#support - (f.odds - tuning.supportFrom));
    this.#horizon?.keepValue(s, at, wide, w, v, t);
    wide[w + LAST] = raw;
    ints[at + this.#t] = t + 1;
  }

  /** The forecasts that were made from this reading: called after the predictor has advanced. */
  keepForecasts(slot: number): void {
    if (!this.#horizon) return;
    const { arena, predictor } = this;
    const page = arena.page(slot);
    const at = arena.at(slot);
    const anchor = this.#wide.floats[this.#wide.page(slot)][this.#wide.at(slot) + ANCHOR];
    this.#horizon.keepForecast(arena.floats[page], at, predictor.location(slot, 2) - anchor, arena.ints[page][at + this.#t] - 1);
  }

  /**
   * Whether odds are an alarm of their own: above the threshold, and better than the last alarm, which is forgotten by and by.
   */
  emits(slot: number, odds: number, threshold: number): boolean {
    const { tuning, arena } = this;
    const s = arena.floats[arena.page(slot)];
    const at = arena.at(slot) + this.#peak;
    const peak = s[at] * (1 - tuning.repeatDecay);
    // Evidence that only grows, by a little each reading, must pass the threshold at some reading: what is below it sets no bar.
    s[at] = odds > threshold && odds > peak ? odds : peak;
    return odds > threshold && odds > peak + tuning.repeatMargin;
  }

  /** A reading that surprised nobody: the bar for the next alarm sinks. */
  rest(slot: number): void {
    this.arena.floats[this.arena.page(slot)][this.arena.at(slot) + this.#peak] *= 1 - this.tuning.repeatDecay;
  }

  /** A person called an alarm on this channel false: three events more, each of the size that its latest had. */
  raiseBar(slot: number, channel: number): void {
    const s = this.arena.floats[this.arena.page(slot)];
    const c = this.arena.at(slot) + this.#calibration + channel * CALIBRATION_WORDS;
    s[c + SIZES] += 3 * s[c + CLUSTER];
    s[c + COUNT] += 3;
  }

  /** What clean series show at this age. */
  #expect(s: Float32Array, at: number, t: number): void {
    const { expected, tuning } = this;
    expected.now = 1 / (t + tuning.t1) + tuning.rateFloor;
    expected.sum = s[at + this.#rate];
    expected.sizeUnit = 1 / (1 + tuning.sizeSettling / (t + 1));
    s[at + this.#rate] = expected.sum * (1 - tuning.forget) + expected.now;
  }

  #offer(channel: number, odds: number, above: boolean, unseen: number): void {
    const worth = odds + this.#prior[channel].offset;
    if (worth > this.tuning.supportFrom) this.#support += worth - this.tuning.supportFrom;
    if (worth > this.finding.odds) {
      this.finding.odds = worth;
      this.finding.channel = channel;
      this.finding.above = above;
      this.finding.unseen = unseen;
    }
  }

  /** How far noise alone carries a value of this channel, in its unit. */
  #noise(channel: number): number {
    const relative = Math.exp(2 * this.#logRoughness);
    if (channel === E1) return this.tuning.noisePadError * relative;
    return channel === E32 ? 0 : this.tuning.noisePad * this.finding.scale * relative;
  }

  #novel(
    channel: number, s: Float32Array, ints: Int32Array, at: number, v: number, theta: number, t: number,
  ): void {
    const low = at + this.#boxes[channel] + 3 * this.intervals;
    const extreme = v < s[low] || v > s[low + 1];
    const above = channel === X ? v > 0.5 * (s[low] + s[low + 1]) : v > 0;
    const d = novelty(s, ints, at + this.#boxes[channel], this.intervals, v, theta, t, this.tuning.rarePad);
    // The first readings span the range: all of them are novel and none tells anything.
    if (t < this.tuning.countFrom) return;
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    const beyond = d > 0 ? d - this.#noise(channel) / (s[low + 1] - s[low]) : d;
    if (!(beyond > 0)) {
      s[c] *= PEAK_DECAY;
      return;
    }
    const unseen = t - ints[c + LATEST];
    const odds = calibrate(s, ints, c, beyond, t, this.expected, this.#prior[channel], this.tuning);
    if (odds <= SILENT) return;
    this.#offer(channel, odds, above, channel === X && extreme ? t : unseen);
    if (channel === X) this.finding.extreme = extreme;
  }

  #judgeForecasts(slot: number, s: Float32Array, ints: Int32Array, at: number, v: number, wide: Float64Array, w: number, t: number): void {
    const { tuning, predictor } = this;
    const { scale } = this.finding;
    const mute = ints[at + this.#mute];
    const e1 = this.#error(slot, 0, v - (predictor.location(slot, 0) - wide[w + ANCHOR]), scale);
    if (mute < 32) {
      this.finding.square = e1 * e1;
      if (this.#on[E1]) this.#novel(E1, s, ints, at, e1, tuning.thetaError, t);
    }
    const miss = this.#horizon && mute === 0 ? this.#horizon.miss(s, at, wide, w, v, t) : NaN;
    if (miss === miss) this.#novel(E32, s, ints, at, this.#error(slot, 2, miss, scale), tuning.thetaError, t);
  }

  /** A forecast error in scales, a little of its uncertainty divided out. */
  #error(slot: number, horizon: number, miss: number, scale: number): number {
    // The eighth root; three square roots cost a fraction of a power.
    const error = miss / (scale * Math.sqrt(Math.sqrt(Math.sqrt(this.predictor.spread(slot, horizon) / scale))));
    return error > ERROR_LIMIT ? ERROR_LIMIT : error > -ERROR_LIMIT ? error : -ERROR_LIMIT;
  }

  #judgeSeason(
    season: Season, slot: number, s: Float32Array, ints: Int32Array, at: number, v: number, anchor: number, logRatio: number, periodMs: number, t: number,
  ): void {
    const missing = logRatio > LOG_MISSING ? Math.round(Math.exp(logRatio)) - 1 : 0;
    season.step(slot, t, v, this.predictor.normaliser.mean(slot) - anchor, this.finding.scale, missing, periodMs);
    const { measured, mismatch, lack } = season.finding;
    if (!measured) return;
    if (this.#on[SEASON]) this.#judgeUsual(season, SEASON, s, ints, at, at + this.#usual, mismatch, this.tuning.mismatch, t);
    if (this.#on[SPAN] && lack >= 0) this.#judgeUsual(season, SPAN, s, ints, at, at + this.#usual + 1, -Math.log(1.02 - lack), this.tuning.lack, t);
  }

  /** What is never negative and has a usual mean, in the word `usual`: only multiples of it count. */
  #judgeUsual(
    season: Season, channel: number, s: Float32Array, ints: Int32Array, at: number, usual: number, value: number, least: number, t: number,
  ): void {
    const { judged, blocks } = season.finding;
    const limit = least + this.tuning.usual * s[usual];
    if (judged) this.#judgeExcess(channel, s, ints, at, value / limit, t);
    if (!this.#learning) return;
    s[usual] += ((judged && value > limit ? limit : value) - s[usual]) / (blocks < 1000 ? blocks : 1000);
  }

  /** What counts from 1 on: only what goes 40 % further than it last did is new. While the excursion lasts that is kept; afterwards it is forgotten. */
  #judgeExcess(channel: number, s: Float32Array, ints: Int32Array, at: number, excess: number, t: number): void {
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    if (excess < 1) {
      s[c] *= 1 - 1 / 400;
      return;
    }
    if (excess < 1.4 * s[c]) return;
    s[c] = excess;
    const unseen = t - ints[c + LATEST];
    const odds = surprise(s, ints, c, Math.log(excess), t, this.expected, this.#prior[channel], this.tuning);
    this.#offer(channel, odds, true, unseen);
  }

  #judgeRun(s: Float32Array, ints: Int32Array, at: number, equal: boolean, t: number): void {
    const run = this.#run;
    run.step(s, ints, at, equal, t);
    this.finding.run = run.length;
    if (run.beyond <= 0) return;
    this.finding.stuck = true;
    if (!this.#on[STUCK]) return;
    const c = at + this.#calibration + STUCK * CALIBRATION_WORDS;
    const unseen = t - ints[c + LATEST];
    const odds = run.rarity + surprise(s, ints, c, run.beyond, t, this.expected, this.#prior[STUCK], this.tuning);
    this.#offer(STUCK, odds, false, unseen);
  }
}

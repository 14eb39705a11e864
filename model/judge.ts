import type { StatePart } from '../core/state.js';
import { Arena, WideArena } from './arena.js';
import { CALIBRATION_WORDS, calibrate, CLUSTER, COUNT, LATEST, PEAK_DECAY, SILENT, SIZES, surprise, type Expected } from './calibration.js';
import { novelty, noveltyWords } from './novelty.js';
import type { Predictor } from './predictor.js';
import { CHANNELS, type Channel, type ChannelPrior, type Tuning } from './tuning.js';

const X = 0;
const E1 = 1;
const E32 = 2;
const TOD = 3;
const STUCK = 4;
const DWELL = 5;
const CYCLE = 6;

/** Squares of what is kept must fit a float32. */
const VALUE_LIMIT = 1e18;
const ERROR_LIMIT = 1e6;
/** Runs of equal values up to this are nothing. */
const SHORT_RUN = 6;
const LOG_SHORT_RUN = Math.log(SHORT_RUN);

const HOURS = 24;
const HOUR_MS = 3_600_000;
/** A bin of the hour-of-day profile forgets in about this time: ten readings at one in five minutes. */
const HOUR_MEMORY_MS = 3_000_000;
/** Forecast errors that span a gap longer than so many periods say nothing. */
const LOG_GAP = Math.log(3);

// Of the wide arena: what float32 would lose.
const ANCHOR = 0; // u is kept relative to the first one
const SUM32 = 1; // of the latest 32 values
const LAST = 2; // the latest reading
const SWITCHED = 3; // when the present state began
const ROSE = 4; // when the state last became the upper one
const WIDE_WORDS = 5;

/** What a reading was found to be; valid until the next call. */
export interface Finding {
  /** Log odds of the channel that is most surprised, its offset included, with the support of the others; SILENT where none is. */
  odds: number;
  channel: number;
  /** Whether it lies above what was seen or forecast. */
  above: boolean;
  /** Whether the value is beyond all that the series has shown. */
  extreme: boolean;
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
  readonly finding: Finding = { odds: SILENT, channel: X, above: false, extreme: false, unseen: 0, v: 0, scale: 1, square: 0, run: 0, stuck: false };
  readonly #wide = new WideArena('judge-wide', 1, 'series', WIDE_WORDS);
  readonly #on: boolean[];
  readonly #prior: ChannelPrior[];

  // Layout.
  #words = 0;
  readonly #t = this.#take(1); // int: readings judged
  readonly #rate = this.#take(1); // G, the sum of the expected rate
  readonly #mute = this.#take(1); // int: readings until forecasts made before a gap are spent
  readonly #peak = this.#take(1); // the odds that a new alarm must beat
  readonly #run = this.#take(1); // int: equal values in a row
  readonly #runRecord = this.#take(1); // ln(1 + longest run)
  readonly #repeats = this.#take(1); // share of readings that equal the one before
  readonly #lower = this.#take(1); // centres of the two states
  readonly #upper = this.#take(1);
  readonly #smooth = this.#take(1);
  readonly #state = this.#take(1); // int: 0 unknown, 1 lower, 2 upper
  readonly #dwells = this.#take(6); // of lower, upper, whole cycle: mean and variance of ln(periods)
  readonly #dwellCounts = this.#take(3); // int
  readonly #dwellOdd = this.#take(3); // share of times that were off by three deviations
  readonly #hoursSeen = this.#take(1); // int: a bit an hour
  readonly #hours = this.#take(HOURS);
  readonly #calibration = this.#take(CHANNELS.length * CALIBRATION_WORDS);
  /** Rings of the values and of the forecasts of the next 32; without the channel e32 there are none. */
  readonly #values: number;
  readonly #forecasts32: number;
  readonly #boxes: number[];
  /** What is expected of a clean series at the age of the present reading. */
  readonly expected: Expected = { now: 0, sum: 0, sizeUnit: 1 };
  /** Of the present reading: the sum over channels of what their odds exceed `supportFrom` by. */
  #support = 0;
  #learning = true;
  #logRoughness = 0;

  constructor(readonly predictor: Predictor, readonly tuning: Tuning, readonly intervals: number, channels: readonly Channel[]) {
    this.#on = CHANNELS.map((name) => channels.includes(name));
    this.#prior = CHANNELS.map((name) => tuning.prior[name]);
    this.#boxes = [X, E1, E32, TOD].map((channel) => (this.#on[channel] ? this.#take(noveltyWords(intervals)) : 0));
    this.#values = this.#on[E32] ? this.#take(32) : 0;
    this.#forecasts32 = this.#on[E32] ? this.#take(32) : 0;
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

    const { expected } = this;
    expected.now = 1 / (t + tuning.t1) + tuning.rateFloor;
    expected.sum = s[at + this.#rate];
    expected.sizeUnit = 1 / (1 + tuning.sizeSettling / (t + 1));
    s[at + this.#rate] = expected.sum * (1 - tuning.forget) + expected.now;

    if (this.#on[X]) this.#novel(X, s, ints, at, v, tuning.thetaX, t);
    if (t > 0) {
      if (logRatio > LOG_GAP) ints[at + this.#mute] = 32;
      this.#judgeForecasts(slot, s, ints, at, v, wide[w + ANCHOR], wide, w, t);
      if (ints[at + this.#mute] > 0) ints[at + this.#mute]--;
      this.#judgeHour(s, ints, at, v, timestampMs, periodMs, t);
      this.#judgeStates(s, ints, at, v, timestampMs, periodMs, logRatio, wide, w, t);
      this.#judgeRun(s, ints, at, raw === wide[w + LAST], t);
    }
    // A fault shows on several channels at once more often than chance does: what the others say supports the loudest.
    if (f.odds > tuning.supportFrom) f.odds += tuning.supportWeight * (this.#support - (f.odds - tuning.supportFrom));
    if (this.#on[E32]) this.#remember(s, at, v, wide, w, t);
    wide[w + LAST] = raw;
    ints[at + this.#t] = t + 1;
  }

  /** The forecasts that were made from this reading: called after the predictor has advanced. */
  keepForecasts(slot: number): void {
    if (!this.#on[E32]) return;
    const { arena, predictor } = this;
    const s = arena.floats[arena.page(slot)];
    const at = arena.at(slot);
    const t = arena.ints[arena.page(slot)][at + this.#t] - 1;
    const anchor = this.#wide.floats[this.#wide.page(slot)][this.#wide.at(slot) + ANCHOR];
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
    // Evidence that only grows, by a little each reading, must pass the threshold at some reading: what is below it sets no bar.
    s[at] = odds > threshold && odds > peak ? odds : peak;
    return odds > threshold && odds > peak + tuning.repeatMargin;
  }

  /** A reading that surprised nobody: the bar for the next alarm sinks. */
  rest(slot: number): void {
    this.arena.floats[this.arena.page(slot)][this.arena.at(slot) + this.#peak] *= 1 - this.tuning.repeatDecay;
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

  /** A person called an alarm on this channel false: three events more, each of the size that its latest had. */
  raiseBar(slot: number, channel: number): void {
    const s = this.arena.floats[this.arena.page(slot)];
    const c = this.arena.at(slot) + this.#calibration + channel * CALIBRATION_WORDS;
    s[c + SIZES] += 3 * s[c + CLUSTER];
    s[c + COUNT] += 3;
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

  #judgeForecasts(
    slot: number, s: Float32Array, ints: Int32Array, at: number, v: number, anchor: number, wide: Float64Array, w: number, t: number,
  ): void {
    const { tuning, predictor } = this;
    const theta = tuning.thetaError;
    const mute = ints[at + this.#mute];
    const scale = predictor.normaliser.scale(slot);
    const e1 = this.#error(slot, 0, v - (predictor.location(slot, 0) - anchor), scale);
    if (mute < 32) {
      this.finding.square = e1 * e1;
      if (this.#on[E1]) this.#novel(E1, s, ints, at, e1, theta, t);
    }
    if (this.#on[E32] && t >= 32 && mute === 0) {
      const mean32 = (wide[w + SUM32] + v - s[at + this.#values + (t & 31)]) / 32;
      const e32 = this.#error(slot, 2, mean32 - s[at + this.#forecasts32 + (t & 31)], scale);
      this.#novel(E32, s, ints, at, e32, theta, t);
    }
  }

  /** A forecast error in scales, a little of its uncertainty divided out. */
  #error(slot: number, horizon: number, miss: number, scale: number): number {
    // The eighth root; three square roots cost a fraction of a power.
    const error = miss / (scale * Math.sqrt(Math.sqrt(Math.sqrt(this.predictor.spread(slot, horizon) / scale))));
    return error > ERROR_LIMIT ? ERROR_LIMIT : error > -ERROR_LIMIT ? error : -ERROR_LIMIT;
  }

  /**
   * Two states, the nearer of two running centres with hysteresis, and how long they last: a state that is left too early or
   * not at all, a cycle that comes too soon or too late. Only regular cycles count.
   */
  #judgeStates(
    s: Float32Array, ints: Int32Array, at: number, v: number, timestampMs: number, periodMs: number, logRatio: number, wide: Float64Array, w: number,
    t: number,
  ): void {
    if (!this.#on[DWELL] && !this.#on[CYCLE]) return;
    const lower = s[at + this.#lower];
    const upper = s[at + this.#upper];
    const state = ints[at + this.#state];
    if (state === 0) {
      if (v < lower) s[at + this.#lower] = v;
      if (v > upper) s[at + this.#upper] = v;
      if (t < 16) return;
      ints[at + this.#state] = v > 0.5 * (s[at + this.#lower] + s[at + this.#upper]) ? 2 : 1;
      wide[w + SWITCHED] = wide[w + ROSE] = timestampMs;
      s[at + this.#smooth] = v;
      return;
    }
    const span = upper - lower;
    const centre = state === 1 ? at + this.#lower : at + this.#upper;
    const off = v - s[centre];
    s[centre] += 0.02 * (off > span ? span : off < -span ? -span : off);
    if (logRatio > LOG_GAP) {
      // What happened in a gap is not known: the state that it ends in is timed from here, and does not count.
      wide[w + SWITCHED] = wide[w + ROSE] = timestampMs;
      ints[at + this.#dwellCounts + 2] = -ints[at + this.#dwellCounts + 2];
    }
    if (!(span > 0) || !(periodMs > 0)) return;
    // Smoothed a little, or noise at the crossing would cut a state into pieces.
    s[at + this.#smooth] += 0.4 * (v - s[at + this.#smooth]);
    const share = (s[at + this.#smooth] - lower) / span;
    const next = state === 1 ? (share > 0.7 ? 2 : 1) : share < 0.3 ? 1 : 2;
    const dwell = (timestampMs - wide[w + SWITCHED]) / periodMs;
    const overdue = next === state;
    this.#judgeDwell(DWELL, state - 1, s, ints, at, dwell, overdue, t);
    if (overdue) return;
    ints[at + this.#state] = next;
    wide[w + SWITCHED] = timestampMs;
    if (next === 1) return;
    const cycle = (timestampMs - wide[w + ROSE]) / periodMs;
    this.#judgeDwell(CYCLE, 2, s, ints, at, cycle, false, t);
    wide[w + ROSE] = timestampMs;
  }

  /** `which`: 0 lower state, 1 upper state, 2 cycle. While a time is still running (overdue) only its being too long tells anything. */
  #judgeDwell(
    channel: number, which: number, s: Float32Array, ints: Int32Array, at: number, periods: number, running: boolean, t: number,
  ): void {
    const { tuning } = this;
    const count = ints[at + this.#dwellCounts + which];
    const regular = count >= 8 && s[at + this.#dwellOdd + which] < 0.15;
    if (running && !regular) return;
    const log = Math.log(1 + periods);
    const mean = at + this.#dwells + 2 * which;
    const spread = Math.sqrt(s[mean + 1]);
    // A time of few readings is known to a reading only.
    const sd = spread + 0.03 + 0.7 * Math.exp(-s[mean]);
    const z = (log - s[mean]) / sd;
    if (this.#on[channel] && regular && spread < tuning.regular && (z > 0 || !running)) {
      this.#judgeZ(channel, s, ints, at, z < 0 ? -z : z, z > 0, tuning.zDwell, t);
    }
    if (running || !this.#learning) return;
    ints[at + this.#dwellCounts + which] = count < 0 ? -count : count + 1;
    if (count < 0) return;
    if (count >= 3) s[at + this.#dwellOdd + which] += 0.1 * ((z > 3 || z < -3 ? 1 : 0) - s[at + this.#dwellOdd + which]);
    const rate = count < 20 ? 1 / (count + 1) : 0.05;
    const off = log - s[mean];
    // With a reach of two deviations a tenth of outliers makes the deviation half as large again; with three, it would not settle.
    const most = count < 3 ? Infinity : 2 * (sd > 0.08 ? sd : 0.08);
    const held = off > most ? most : off < -most ? -most : off;
    s[mean] += rate * held;
    s[mean + 1] = (1 - rate) * (s[mean + 1] + rate * held * held);
  }

  #judgeZ(channel: number, s: Float32Array, ints: Int32Array, at: number, z: number, above: boolean, from: number, t: number): void {
    const c = at + this.#calibration + channel * CALIBRATION_WORDS;
    // The peak of this channel is the z that it last spoke at: only what goes 40 % further is new.
    // While the excursion lasts that is kept; afterwards it is forgotten.
    if (z < from) {
      s[c] *= 1 - 1 / 400;
      return;
    }
    if (z < 1.4 * s[c]) return;
    s[c] = z;
    const unseen = t - ints[c + LATEST];
    const odds = surprise(s, ints, c, Math.log(z / from), t, this.expected, this.#prior[channel], this.tuning);
    this.#offer(channel, odds, above, unseen);
  }

  #judgeRun(s: Float32Array, ints: Int32Array, at: number, equal: boolean, t: number): void {
    const ran = ints[at + this.#run];
    const run = equal ? ran + 1 : 0;
    ints[at + this.#run] = run;
    this.finding.run = run;
    // A run that goes on counts no more, or a stuck sensor would teach that it repeats itself.
    if (run < SHORT_RUN) s[at + this.#repeats] += (t < 1000 ? 1 / (t + 1) : 0.001) * ((equal ? 1 : 0) - s[at + this.#repeats]);
    const record = s[at + this.#runRecord] > LOG_SHORT_RUN ? s[at + this.#runRecord] : LOG_SHORT_RUN;
    if (!equal) {
      // One long run does not become normal; several, each a little longer than was normal, do.
      const length = Math.log(1 + ran);
      if (length > record) s[at + this.#runRecord] = length < record + 0.5 ? length : record + 0.5;
      return;
    }
    const length = Math.log(1 + run);
    if (length <= record) return;
    this.finding.stuck = true;
    if (!this.#on[STUCK]) return;
    const c = at + this.#calibration + STUCK * CALIBRATION_WORDS;
    const unseen = t - ints[c + LATEST];
    // A sensor that hardly ever repeats a value does not do so six times by chance.
    const share = 10 * s[at + this.#repeats] + 0.01;
    const rarity = share < 1 ? -Math.log(share) : 0;
    const odds = rarity + surprise(s, ints, c, length - record, t, this.expected, this.#prior[STUCK], this.tuning);
    this.#offer(STUCK, odds, false, unseen);
  }

  #judgeHour(
    s: Float32Array, ints: Int32Array, at: number, v: number, timestampMs: number, periodMs: number, t: number,
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
    this.#novel(TOD, s, ints, at, off, this.tuning.thetaError, t);
    if (!this.#learning) return;
    const share = periodMs / HOUR_MEMORY_MS;
    s[bin] += (share > 0.3 ? 0.3 : share) * off;
  }

  #remember(s: Float32Array, at: number, v: number, wide: Float64Array, w: number, t: number): void {
    const ring = at + this.#values;
    const kept = Math.fround(v);
    wide[w + SUM32] += kept - s[ring + (t & 31)];
    s[ring + (t & 31)] = kept;
    if ((t & 31) !== 31) return;
    // Once a turn of the ring the sum is made afresh, so that one huge value leaves no rounding behind.
    let sum = 0;
    for (let k = 0; k < 32; k++) sum += s[ring + k];
    wide[w + SUM32] = sum;
  }
}

import type { StatePart } from '../core/state.js';
import { comesAgain, forgetCalendar, tickOf, QUIET, type Quiet } from './calendar.js';
import type { Finding } from './finding.js';
import { FEATURES } from './normaliser.js';
import type { Predictor } from './predictor.js';
import {
  ALARM_PEAK, CLUSTER, COUNT, GIVEN, LATEST, RATE, READINGS, Records, ROW, ROW_INT, ROW_INTS, ROW_WORDS, RUN, SAID, SILENT, SIZES, USUAL,
} from './records.js';
import { LEVEL, LIMIT, PERIOD_MS, SCALE, Season, TIME_MS, VALUE } from './season.js';
import { CHANNELS, type Channel, type Tuning } from './tuning.js';

const SEASON = CHANNELS.indexOf('season');
const SPAN = CHANNELS.indexOf('span');
const PACE = CHANNELS.indexOf('pace');
const CLOCK = CHANNELS.indexOf('clock');
/** Channels on which it is a matter of when, and not of the value at which it was noticed. */
const OF_TIMES: ReadonlySet<number> = new Set([SEASON, SPAN, PACE, CLOCK, CHANNELS.indexOf('stuck')]);
const ROUGH = CHANNELS.indexOf('rough');
/** How much of an excursion is forgotten at each thing that is none: a block of the season, a time of the pace or the clock. */
const FORGOTTEN = 1 / 100;
const FORGOTTEN_TIMES = 1 / 10;
/** Of a series that is read less often all alarms are at the same few hours. */
const MOST_PERIOD_MS = 7_200_000;
/** Novel readings within so many of each other are of one event (CLUSTER_READINGS of record.h). */
export const SAME_EVENT_READINGS = 40;
/** Readings that came later than this many periods after the last one have some missing before them. */
const LOG_MISSING = Math.log(1.5);

/**
 * The channels of every series and their calibration: log odds of each reading that it is unlike anything that its series has shown.
 *
 * The channels that look at every reading are judged in wasm (judge-kernel/judge.c), over up to CHUNK_ROWS distinct series at once; what looks at a reading now and
 * then (the season) is judged here between the two passes. A row's results do not depend on the rows judged with it.
 *
 *     stage(row ...) of each row; judge(n); findings and alarms of each row; settle(n)
 */
export class Judge {
  readonly parts: readonly StatePart[];
  readonly records: Records;
  /** Of the row that `find` was called for last. */
  readonly finding: Finding = { odds: SILENT, channel: 0, above: false, extreme: false, unseen: 0, run: 0 };
  readonly #on: boolean[];
  readonly #season: Season | undefined;

  constructor(readonly predictor: Predictor, readonly tuning: Tuning, intervals: number, channels: readonly Channel[]) {
    this.#on = CHANNELS.map((name) => channels.includes(name));
    this.records = new Records(tuning, intervals, channels);
    this.#season = this.#on[SEASON] || this.#on[SPAN] || this.#on[PACE] || this.#on[CLOCK] ? new Season(tuning) : undefined;
    this.parts = [this.records, ...(this.#season ? [this.#season.arena] : [])];
  }

  readings(slot: number): number {
    return this.records.ints[this.records.at(slot) + READINGS];
  }

  /** A channel's declustered events so far, their summed sizes, and what was expected for a rate of a = 1: what priors are fitted from. */
  events(slot: number, channel: number): { count: number; sizes: number; expected: number } {
    const { floats } = this.records;
    const at = this.records.at(slot);
    const c = at + this.records.calibration(channel);
    return { count: floats[c + COUNT], sizes: floats[c + SIZES], expected: floats[at + RATE] };
  }

  /**
   * Puts a reading that the predictor has observed, and not advanced over yet, in row `row` of the chunk.
   *
   * @param observed its row in `timestampMs`, `value` and the predictor's features
   * @param learning false while an event is open: what is normal is then not taught
   */
  stage(row: number, slot: number, timestampMs: Float64Array, value: Float64Array, observed: number, learning: boolean): void {
    const { predictor, records: { rows, rowInts } } = this;
    const at = row * ROW_WORDS;
    rows[at + ROW.timestampMs] = timestampMs[observed];
    rows[at + ROW.raw] = value[observed];
    rows[at + ROW.logRatio] = 2 * predictor.features[observed * FEATURES + 6];
    rows[at + ROW.logRoughness] = predictor.features[observed * FEATURES + 4];
    const { normaliser } = predictor;
    normaliser.describe(slot, rows, at + ROW.u);
    predictor.describe(slot, rows, at + ROW.location);
    const fresh = normaliser.count(slot) === 1;
    rowInts[row * ROW_INTS + ROW_INT.slot] = slot;
    rowInts[row * ROW_INTS + ROW_INT.given] = (learning ? GIVEN.LEARNING : 0) | (fresh ? GIVEN.FRESH : 0) | (normaliser.isCounter(slot) ? GIVEN.COUNTER : 0);
    if (fresh) this.#season?.arena.clear(slot);
  }

  /** Judges the staged rows 0 .. n - 1, n <= CHUNK_ROWS, against the forecasts made before them, and learns from them. */
  judge(n: number): void {
    this.records.look(n);
    if (this.#season) for (let row = 0; row < n; row++) this.#judgeSeason(this.#season, row);
    this.records.conclude(n);
  }

  /** Whether a series was at a value before, as far as is remembered. */
  knows(slot: number, value: number): boolean {
    return this.records.knows(slot, value - this.records.anchor(slot));
  }

  /** How often in a row a series repeated a value, before the reading at hand. */
  stands(slot: number, raw: number): number {
    return this.records.last(slot) === raw ? this.records.ints[this.records.at(slot) + RUN] : 0;
  }

  odds(row: number): number {
    return this.records.rows[row * ROW_WORDS + ROW.odds];
  }

  periodMs(row: number): number {
    return this.records.rows[row * ROW_WORDS + ROW.periodMs];
  }

  /** The working value less the series' anchor. */
  value(row: number): number {
    return this.records.rows[row * ROW_WORDS + ROW.v];
  }

  /** How far the working value is from what is usual at its hour. */
  hourOff(row: number): number {
    return this.records.rows[row * ROW_WORDS + ROW.hourOff];
  }

  /** Equal readings in a row before this one. */
  run(row: number): number {
    return this.records.rowInts[row * ROW_INTS + ROW_INT.run];
  }

  /** Bits of SAID. */
  said(row: number): number {
    return this.records.rowInts[row * ROW_INTS + ROW_INT.said];
  }

  /** What a row was found to be; the object is the same at each call. */
  find(row: number): Finding {
    const { finding, records: { rowInts } } = this;
    const at = row * ROW_INTS;
    const said = rowInts[at + ROW_INT.said];
    finding.odds = this.odds(row);
    finding.channel = rowInts[at + ROW_INT.channel];
    finding.above = (said & SAID.ABOVE) !== 0;
    finding.extreme = (said & SAID.EXTREME) !== 0;
    finding.unseen = rowInts[at + ROW_INT.unseen];
    finding.run = rowInts[at + ROW_INT.run];
    return finding;
  }

  /** What happens to a row's condition in `settle`. @param limit the reading is beyond a limit that a person set; @param still something else than that and its level holds an event open */
  close(row: number, limit: boolean, still: boolean): void {
    this.records.rowInts[row * ROW_INTS + ROW_INT.given] |= (limit ? GIVEN.STILL | GIVEN.LIMIT : 0) | (still ? GIVEN.STILL : 0);
  }

  /** Takes the rows to the conditions of their series; returns how many have an event that is open, or ended by its reading. */
  settle(n: number): number {
    return this.records.settle(n);
  }

  /**
   * Whether odds are an alarm of their own: above the threshold, and better than what is left of the alarms before, which `settle` forgets by and by.
   */
  emits(slot: number, odds: number, threshold: number): boolean {
    const { tuning, records: { floats } } = this;
    const at = this.records.at(slot) + ALARM_PEAK;
    const peak = floats[at];
    // Evidence that only grows, by a little each reading, must pass the threshold at some reading: what is below it sets no bar.
    if (odds <= threshold || odds <= peak) return false;
    floats[at] = odds;
    return odds > peak + tuning.repeatMargin;
  }

  /**
   * Whether nobody is told of the alarm of a row (of `find`), because it is what comes at this time of the day, or of the week, or has come at its value before; it is noted for those to come.
   *
   * @param goesOn it is of an event that people were told of: at its value it comes once
   */
  quiet(row: number, slot: number, timestampMs: number, goesOn: boolean): Quiet {
    const { finding, records } = this;
    if (records.calendar === 0 || this.periodMs(row) > MOST_PERIOD_MS) return QUIET.NO;
    const value = goesOn || OF_TIMES.has(finding.channel) ? NaN : this.value(row);
    // One glitch makes the range wide: values that are near the normal are not alike by that.
    const range = Math.min(records.range(slot), Math.abs(value - records.normal(slot)));
    return comesAgain(records.floats, records.ints, records.at(slot) + records.calendar, { tick: tickOf(timestampMs), odds: finding.odds, value, range });
  }

  /** Whether what was found of the row of `find` is about its value, or the way there. */
  isOfValue(): boolean {
    return !OF_TIMES.has(this.finding.channel) && (this.finding.channel !== ROUGH || this.finding.above);
  }

  /** The forecasts that were made from this reading: called after the predictor has advanced. */
  keepForecast(slot: number): void {
    this.records.keepForecast(slot, this.predictor.location(slot, 2));
  }

  /** A person called the alarm that spoke on this channel false: three events more of the size that its latest had, on any channel that it spoke on. */
  raiseBar(slot: number, channel: number): void {
    this.#count(slot, channel, 3);
  }

  /** A person confirmed a fault: nothing is usual before it was told anew. */
  forgetCalendar(slot: number): void {
    const { ints, calendar } = this.records;
    if (calendar > 0) forgetCalendar(ints, this.records.at(slot) + calendar);
  }

  /** A person confirmed the fault that spoke on this channel: it does not count against the next one, on any channel that it spoke on. */
  forgetEvent(slot: number, channel: number): void {
    this.#count(slot, channel, -1);
  }

  /** So many events more, or less, like the one that a channel spoke of last, on all channels that spoke of it. */
  #count(slot: number, channel: number, events: number): void {
    const { floats, ints } = this.records;
    const latest = ints[this.records.at(slot) + this.records.calibration(channel) + LATEST];
    for (let k = 0; k < CHANNELS.length; k++) {
      const c = this.records.at(slot) + this.records.calibration(k);
      if (!this.#on[k] || Math.abs(ints[c + LATEST] - latest) > SAME_EVENT_READINGS) continue;
      floats[c + SIZES] = Math.max(0, floats[c + SIZES] + events * floats[c + CLUSTER]);
      floats[c + COUNT] = Math.max(0, floats[c + COUNT] + events);
    }
  }

  #judgeSeason(season: Season, row: number): void {
    const { rows, rowInts } = this.records;
    const t = rowInts[row * ROW_INTS + ROW_INT.t];
    if (t === 0) return;
    const at = row * ROW_WORDS;
    const slot = rowInts[row * ROW_INTS + ROW_INT.slot];
    const logRatio = rows[at + ROW.logRatio];
    const missing = logRatio > LOG_MISSING ? Math.round(Math.exp(logRatio)) - 1 : 0;
    const { given } = season;
    given[VALUE] = rows[at + ROW.v];
    given[LEVEL] = rows[at + ROW.mean] - this.records.anchor(slot);
    given[SCALE] = rows[at + ROW.scale];
    given[PERIOD_MS] = rows[at + ROW.periodMs];
    given[TIME_MS] = rows[at + ROW.timestampMs];
    const learning = (rowInts[row * ROW_INTS + ROW_INT.given] & GIVEN.LEARNING) !== 0;
    if (!learning) given[LIMIT] = this.#limit(this.records.at(slot) + USUAL, this.tuning.mismatch);
    season.step(slot, t, missing, learning);
    if (!learning && this.#on[SEASON] && season.holds) this.close(row, false, true);
    if (this.#on[PACE] && season.pace.excess >= 0) this.records.excess(row, PACE, season.pace.excess, FORGOTTEN_TIMES);
    if (this.#on[CLOCK] && season.clock.excess >= 0) this.records.excess(row, CLOCK, season.clock.excess, FORGOTTEN_TIMES);
    const { measured, mismatch, lack } = season.finding;
    if (!measured) return;
    if (this.#on[SEASON]) this.#judgeUsual(season, SEASON, row, USUAL, mismatch, this.tuning.mismatch);
    if (this.#on[SPAN] && lack >= 0) this.#judgeUsual(season, SPAN, row, USUAL + 1, -Math.log(1.02 - lack), this.tuning.lack);
  }

  /** What is usual, in a word of a record, and so many times as much is nothing. */
  #limit(word: number, least: number): number {
    return least + this.tuning.usual * this.records.floats[word];
  }

  /** What is never negative and has a usual mean, in the word `usual`: only multiples of it count. */
  #judgeUsual(season: Season, channel: number, row: number, usual: number, value: number, least: number): void {
    const { floats, rowInts } = this.records;
    const word = this.records.at(rowInts[row * ROW_INTS + ROW_INT.slot]) + usual;
    const { judged, blocks, reserve } = season.finding;
    const limit = this.#limit(word, least);
    if (judged) this.records.excess(row, channel, value / (reserve * limit), FORGOTTEN);
    if ((rowInts[row * ROW_INTS + ROW_INT.given] & GIVEN.LEARNING) === 0) return;
    floats[word] += ((judged && value > limit ? limit : value) - floats[word]) / (blocks < 1000 ? blocks : 1000);
  }
}

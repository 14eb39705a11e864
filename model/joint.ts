import { DEVICE_METRIC } from '../core/batch.js';
import type { Device } from '../core/fleet.js';
import { Arena } from './arena.js';
import { CALIBRATION_WORDS, calibrate, PEAK_DECAY, SILENT, type Expected } from './calibration.js';
import { novelty, noveltyWords } from './novelty.js';
import type { Tuning } from './tuning.js';

// Words of a metric's series.
const ROUND = 0; // int: the device's round in which Z was set last
const Z = 1; // (value - mean) / scale of the latest reading, within +-5
const FAST = 2; // EW-10 of the value
const SLOW = 3; // EW-100 of it, as it was while the device's state is abnormal
const SPREAD = 4; // slow EW of (FAST - SLOW)^2
const OFF = 5; // (FAST - SLOW) / sqrt(SPREAD)
const COUNT = 6; // int
const PARTNER = 7; // int: ordinal of the metric that goes with this one, + 1
const PAIR = 8; // EW of z^2, z_p^2, z z_p with the partner
const CANDIDATE = 11; // int: ordinal of the metric that is being tried, + 1
const TRIAL = 12; // mean of z^2, z_p^2, z z_p with the candidate
const TRIED = 15; // int: readings of the trial
const RESIDUAL = 16; // EW-8 of the residual of z on z_p, in its standard deviations
const SINCE = 17; // int: readings since the partner was taken
const CALIBRATION = 18;
const INTERVALS = 6;
const BOXES = CALIBRATION + CALIBRATION_WORDS;
const SERIES_WORDS = BOXES + noveltyWords(INTERVALS);

// Words of a device.
const D_ROUND = 0; // int: messages judged
const D_LOG_MEAN = 1; // of ln R, R the cubic mean of the metrics' |OFF|
const D_LOG_VARIANCE = 2;
const D_STATE = 3; // int: 1 while the device's state is abnormal
const D_JOINT = 4; // int: ordinal + 1 of the metric whose tie to its partner is broken
const D_CALM = 5; // int
const D_PEAK = 6; // odds that the next joint alarm must beat
const D_RATE = 7; // G of calibration.ts
const D_METRICS = 8; // int: metrics read so far
const DEVICE_WORDS = 9;

const SETTLED_READINGS = 100;
const STATE_FROM = 250;
/** The start of a device teaches what is usual; from then on it is learned slowly, so that a fault of minutes hardly counts. */
const START_READINGS = 400;
const SLOW_READINGS = 4000;
const STATE_OFF = 0.8;
/** Standard deviations of ln R to its 99th percentile; R's logarithm has a shorter tail than the normal's 2.33. */
const NINETY_NINE = 2;
const PAIR_RATE = 1 / 400;
const TRIAL_READINGS = 200;
const STRONG = 0.7;
const JOINT_CALM = 8;
/** What a clean tie is expected to show: calibration.ts. */
const TIE_PRIOR = { a: 1.7, b: 0.15, offset: 2.5 };

/** What a message said of its device as a whole. */
export interface JointFinding {
  /** > 1 where it is an alarm. */
  score: number;
  kind: 'correlation' | 'shift';
  /** The metrics that take part, with the size of their part. */
  metrics: { metric: string; contribution: number }[];
  opened: boolean;
  closed: boolean;
}

/**
 * Judges the metrics of a device together, at a cost that grows with their number and not with its square.
 *
 * Ties: each metric keeps one partner, the one of those tried so far with the strongest correlation, and a residual
 * against it; a novel residual is a broken tie. Another metric is tried every 200 readings.
 *
 * A metric's ordinal is its place among the metrics of the device in the order in which they were declared, the row `*` left out: neither it nor the number
 * of those read so far depends on where a batch ends, as the place of `*` and the number of those declared do.
 *
 * State: R, the cubic mean over the metrics of |EW-10 - EW-100| in their usual spread. It is on above the
 * 99th percentile of R, off below 0.8 of that; the slow means stand still in between, so a state that lasts stays on.
 */
export class Joint {
  readonly series = new Arena('joint', 2, 'series', SERIES_WORDS);
  readonly devices = new Arena('joint-device', 2, 'device', DEVICE_WORDS);
  readonly #finding: JointFinding = { score: 0, kind: 'shift', metrics: [], opened: false, closed: false };

  readonly #expected: Expected = { now: 0, sum: 0, sizeUnit: 1 };

  // Of the device that is judged.
  #metrics = 0;
  /** Where `*` stands in `device.metrics`; -1 where it does not. */
  #star = -1;

  constructor(readonly tuning: Tuning) {}

  /** Whether the device's state is abnormal or a tie is broken. */
  isOpen(device: Device): boolean {
    const ints = this.devices.ints[this.devices.page(device.slot)];
    const at = this.devices.at(device.slot);
    return ints[at + D_STATE] === 1 || ints[at + D_JOINT] > 0;
  }

  /** Ends what is open; with `accept` the present is the normal from here on. */
  close(device: Device, accept: boolean): void {
    const ints = this.devices.ints[this.devices.page(device.slot)];
    const at = this.devices.at(device.slot);
    ints[at + D_STATE] = ints[at + D_JOINT] = 0;
    if (!accept) return;
    for (const slot of device.slots) {
      const s = this.series.floats[this.series.page(slot)];
      const m = this.series.at(slot);
      s[m + SLOW] = s[m + FAST];
      this.series.ints[this.series.page(slot)][m + PARTNER] = 0;
    }
  }

  /** Notes that a metric was read; those of a message are noted before the message is judged. */
  note(device: Device, slot: number): void {
    const ints = this.devices.ints[this.devices.page(device.slot)];
    const at = this.devices.at(device.slot) + D_METRICS;
    if (ints[at] >= device.slots.length - 1 && device.metrics.includes(DEVICE_METRIC)) return;
    const i = device.slots.indexOf(slot);
    const star = device.metrics.indexOf(DEVICE_METRIC);
    const ordinal = star >= 0 && star < i ? i - 1 : i;
    if (ordinal >= ints[at]) ints[at] = ordinal + 1;
  }

  /** Metrics of the device that were read so far. */
  metrics(device: Device): number {
    return this.devices.ints[this.devices.page(device.slot)][this.devices.at(device.slot) + D_METRICS];
  }

  /** Takes a metric's reading; `judge` follows when the message is through. */
  observe(device: Device, slot: number, v: number, z: number): void {
    const s = this.series.floats[this.series.page(slot)];
    const ints = this.series.ints[this.series.page(slot)];
    const at = this.series.at(slot);
    const d = this.devices.at(device.slot);
    const round = this.devices.ints[this.devices.page(device.slot)][d + D_ROUND] + 1;
    const held = this.devices.ints[this.devices.page(device.slot)][d + D_STATE] === 1;
    ints[at + ROUND] = round;
    s[at + Z] = z > 5 ? 5 : z < -5 ? -5 : z;
    const n = ints[at + COUNT];
    s[at + FAST] += (n < 10 ? 1 / (n + 1) : 0.1) * (v - s[at + FAST]);
    if (!held) s[at + SLOW] += (n < 100 ? 1 / (n + 1) : 0.01) * (v - s[at + SLOW]);
    const off = s[at + FAST] - s[at + SLOW];
    if (!held && n >= 20) {
      const rate = n < START_READINGS ? 1 / (n - 19) : 1 / SLOW_READINGS;
      // Limited, so that what is just beginning does not become its own measure.
      const most = n < START_READINGS ? Infinity : 9 * s[at + SPREAD];
      s[at + SPREAD] += rate * ((off * off < most ? off * off : most) - s[at + SPREAD]);
    }
    s[at + OFF] = s[at + SPREAD] > 0 ? off / Math.sqrt(s[at + SPREAD]) : 0;
    ints[at + COUNT] = n + 1;
  }

  /** Judges the device after the metrics of one message were observed. The finding is valid until the next call. */
  judge(device: Device, thresholdOdds: number): JointFinding {
    const ints = this.devices.ints[this.devices.page(device.slot)];
    const s = this.devices.floats[this.devices.page(device.slot)];
    const d = this.devices.at(device.slot);
    const round = ++ints[d + D_ROUND];
    this.#metrics = ints[d + D_METRICS];
    this.#star = device.metrics.indexOf(DEVICE_METRIC);
    const found = this.#finding;
    found.score = 0;
    found.opened = found.closed = false;
    found.metrics = [];
    const wasOpen = ints[d + D_STATE] === 1 || ints[d + D_JOINT] > 0;
    this.#judgeState(device, s, ints, d, round, found);
    this.#judgeTies(device, s, ints, d, round, thresholdOdds, found);
    const isOpen = ints[d + D_STATE] === 1 || ints[d + D_JOINT] > 0;
    found.closed = wasOpen && !isOpen;
    return found;
  }

  #judgeState(device: Device, s: Float32Array, ints: Int32Array, d: number, round: number, found: JointFinding): void {
    let sum = 0;
    let metrics = 0;
    for (let i = 0; i < this.#metrics; i++) {
      const slot = device.slots[this.#index(i)];
      const at = this.series.at(slot);
      if (this.series.ints[this.series.page(slot)][at + COUNT] < SETTLED_READINGS) continue;
      const off = this.series.floats[this.series.page(slot)][at + OFF];
      sum += off < 0 ? -off * off * off : off * off * off;
      metrics++;
    }
    if (metrics < 2) return;
    const r = Math.cbrt(sum / metrics);
    const log = Math.log(r + 0.05);
    const on = Math.exp(s[d + D_LOG_MEAN] + NINETY_NINE * Math.sqrt(s[d + D_LOG_VARIANCE]));
    const n = round - SETTLED_READINGS;
    if (ints[d + D_STATE] === 1) {
      if (r < STATE_OFF * on) ints[d + D_STATE] = 0;
      return;
    }
    if (round > STATE_FROM && r > on) {
      ints[d + D_STATE] = 1;
      found.score = 1 + Math.log(r / on) + 1e-3;
      found.kind = 'shift';
      found.opened = true;
      found.metrics = this.#parts(device);
      return;
    }
    const rate = n < 1 ? 1 : round < START_READINGS ? 1 / n : 1 / SLOW_READINGS;
    const off = log - s[d + D_LOG_MEAN];
    s[d + D_LOG_MEAN] += rate * off;
    s[d + D_LOG_VARIANCE] = (1 - rate) * (s[d + D_LOG_VARIANCE] + rate * off * off);
  }

  /** The metrics that are furthest from their usual state: those that make up most of it, four at most. */
  #parts(device: Device): { metric: string; contribution: number }[] {
    const all = device.slots.map((slot, i) => ({ metric: device.metrics[i], contribution: this.series.floats[this.series.page(slot)][this.series.at(slot) + OFF] ** 2 }))
      .filter((part) => part.metric !== DEVICE_METRIC)
      .sort((a, b) => b.contribution - a.contribution);
    return all.slice(0, 4).filter((part) => part.contribution > 0.1 * all[0].contribution);
  }

  #judgeTies(device: Device, s: Float32Array, ints: Int32Array, d: number, round: number, thresholdOdds: number, found: JointFinding): void {
    const { tuning } = this;
    const expected = this.#expected;
    expected.now = 1 / (round + tuning.t1) + tuning.rateFloor;
    expected.sum = s[d + D_RATE];
    s[d + D_RATE] = expected.sum * (1 - tuning.forget) + expected.now;
    let best = SILENT;
    let bestMetric = -1;
    const broken = ints[d + D_JOINT];
    for (let i = 0; i < this.#metrics; i++) {
      const slot = device.slots[this.#index(i)];
      const at = this.series.at(slot);
      if (this.series.ints[this.series.page(slot)][at + ROUND] !== round) continue;
      const odds = this.#judgeTie(device, i, round, broken > 0 || ints[d + D_STATE] === 1);
      if (odds > best) {
        best = odds;
        bestMetric = i;
      }
    }
    if (broken > 0) {
      const slot = device.slots[this.#index(broken - 1)];
      const residual = this.series.floats[this.series.page(slot)][this.series.at(slot) + RESIDUAL];
      ints[d + D_CALM] = residual < 2.5 && residual > -2.5 ? ints[d + D_CALM] + 1 : 0;
      if (ints[d + D_CALM] >= JOINT_CALM) ints[d + D_JOINT] = 0;
    }
    const worth = best + TIE_PRIOR.offset - Math.log(this.#metrics + 1);
    const peak = s[d + D_PEAK] * (1 - tuning.repeatDecay);
    s[d + D_PEAK] = worth > peak ? worth : peak;
    if (bestMetric < 0 || worth <= thresholdOdds || worth <= peak + tuning.repeatMargin) return;
    ints[d + D_JOINT] = bestMetric + 1;
    ints[d + D_CALM] = 0;
    if (worth / thresholdOdds <= found.score) return;
    const slot = device.slots[this.#index(bestMetric)];
    const partner = this.series.ints[this.series.page(slot)][this.series.at(slot) + PARTNER] - 1;
    found.score = worth / thresholdOdds;
    found.kind = 'correlation';
    found.opened = true;
    found.metrics = [{ metric: device.metrics[this.#index(bestMetric)], contribution: 1 }, { metric: device.metrics[this.#index(partner)], contribution: 0.8 }];
  }

  /** The place in `device.metrics` of an ordinal. */
  #index(ordinal: number): number {
    return this.#star >= 0 && ordinal >= this.#star ? ordinal + 1 : ordinal;
  }

  /** Log odds that the tie of metric i to its partner is broken; learns both it and the trial of another partner. */
  #judgeTie(device: Device, i: number, round: number, held: boolean): number {
    const slot = device.slots[this.#index(i)];
    const s = this.series.floats[this.series.page(slot)];
    const ints = this.series.ints[this.series.page(slot)];
    const at = this.series.at(slot);
    const z = s[at + Z];
    this.#tryAnother(device, i, round, s, ints, at, z, held);
    const partner = ints[at + PARTNER] - 1;
    if (partner < 0) return SILENT;
    const zp = this.#latest(device.slots[this.#index(partner)], round);
    if (Number.isNaN(zp)) return SILENT;
    const own = s[at + PAIR];
    const theirs = s[at + PAIR + 1];
    const both = s[at + PAIR + 2];
    const rho2 = own > 0 && theirs > 0 ? (both * both) / (own * theirs) : 0;
    const sd = Math.sqrt(own * (1 - (rho2 < 0.9999 ? rho2 : 0.9999)) + 1e-4);
    const residual = theirs > 0 ? (z - (both / theirs) * zp) / sd : 0;
    const held8 = residual > 30 ? 30 : residual < -30 ? -30 : residual;
    s[at + RESIDUAL] += 0.125 * (held8 - s[at + RESIDUAL]);
    if (!held) {
      s[at + PAIR] += PAIR_RATE * (z * z - own);
      s[at + PAIR + 1] += PAIR_RATE * (zp * zp - theirs);
      s[at + PAIR + 2] += PAIR_RATE * (z * zp - both);
    }
    const since = ints[at + SINCE]++;
    const d = novelty(s, ints, at + BOXES, INTERVALS, s[at + RESIDUAL], this.tuning.thetaError, since, 0);
    if (since < 60) return SILENT;
    this.#expected.sizeUnit = 1 / (1 + this.tuning.sizeSettling / since);
    if (d <= 0) {
      s[at + CALIBRATION] *= PEAK_DECAY;
      return SILENT;
    }
    const odds = calibrate(s, ints, at + CALIBRATION, d, since, this.#expected, TIE_PRIOR, this.tuning);
    return rho2 > STRONG * STRONG ? odds : SILENT;
  }

  #tryAnother(device: Device, i: number, round: number, s: Float32Array, ints: Int32Array, at: number, z: number, held: boolean): void {
    // The last place is nobody's: a pause of one reading between two turns.
    const n = this.#metrics + 1;
    if (held) return;
    if (ints[at + CANDIDATE] === 0) ints[at + CANDIDATE] = ((i + 1) % n) + 1;
    const candidate = ints[at + CANDIDATE] - 1;
    const usable = candidate < this.#metrics && candidate !== i;
    const zp = usable ? this.#latest(device.slots[this.#index(candidate)], round) : NaN;
    const tried = ints[at + TRIED]++;
    if (!Number.isNaN(zp)) {
      const rate = tried < TRIAL_READINGS ? 1 / (tried + 1) : 1 / TRIAL_READINGS;
      s[at + TRIAL] += rate * (z * z - s[at + TRIAL]);
      s[at + TRIAL + 1] += rate * (zp * zp - s[at + TRIAL + 1]);
      s[at + TRIAL + 2] += rate * (z * zp - s[at + TRIAL + 2]);
    }
    if (usable && tried < TRIAL_READINGS) return;
    if (usable && correlation(s, at + TRIAL) > correlation(s, at + PAIR) + 0.05 && ints[at + PARTNER] !== candidate + 1) {
      ints[at + PARTNER] = candidate + 1;
      s.copyWithin(at + PAIR, at + TRIAL, at + TRIAL + 3);
      s.fill(0, at + RESIDUAL, at + SERIES_WORDS);
    }
    s.fill(0, at + TRIAL, at + TRIAL + 3);
    ints[at + TRIED] = 0;
    ints[at + CANDIDATE] = ((candidate + 1) % n) + 1;
  }

  /** z of a metric that is in the present message; NaN where it is not. */
  #latest(slot: number, round: number): number {
    const at = this.series.at(slot);
    return this.series.ints[this.series.page(slot)][at + ROUND] === round ? this.series.floats[this.series.page(slot)][at + Z] : NaN;
  }
}

/** |correlation| from EW of z^2, z_p^2, z z_p at `at`. */
function correlation(s: Float32Array, at: number): number {
  const product = s[at] * s[at + 1];
  const both = s[at + 2];
  return product > 0 ? (both < 0 ? -both : both) / Math.sqrt(product) : 0;
}

import { DAY_MS, tickOf } from './calendar.js';
import { Clock, CLOCK_WORDS, type ClockFinding } from './clock.js';
import { BACK_MISMATCH, BACK_RANGE, OffCycle, OFF_CYCLE_WORDS } from './off-cycle.js';
import { MOST_MISSING, Pace, PACE_WORDS, type PaceFinding } from './pace.js';
import { fold, PATTERN_BLOCKS, quarterWeight, recode, unfold, UNKNOWN } from './ring.js';
import { near, Scan } from './scan.js';
import { SeasonArena } from './season-arena.js';
import type { Tuning } from './tuning.js';

const MASK = PATTERN_BLOCKS - 1;
/** Codes a scale: a byte reaches over 6 scales to either side. */
const CODES = 20;
/** Readings until centre and unit are known well enough to encode by. */
const FROM_READING = 24;
/** Lags that a scan takes at each block: at one, a cycle is found up to a cycle later. */
const LAGS_A_BLOCK = 8;
/** Blocks in a cycle: with more, blocks are made longer, with fewer shorter. */
const MOST_BLOCKS = 60;
const LEAST_BLOCKS = 28;
const MOST_STRIDE = 32;
/** Share of the ring that must be known (and not have been in events) for a scan. */
const LEAST_KNOWN = 0.6;
/** Cycles that pass between finding one and learning what is usual by it, and then judging. */
const LEARN_CYCLES = 1;
const JUDGE_CYCLES = 2;
/** Days of which so many must be known before one that is unlike those before it counts for all that it is: it may be the first weekend. */
const WEEK_CYCLES = 8;
const UNSURE = 3;
/** A cycle's range is that of so many cycles: one that comes a little late is not missing. */
const RANGE_CYCLES = 1.25;
/** The range of a long cycle is looked at once in so many blocks. */
const LACK_EVERY = 4;
/** What is high and what is low is looked at once in so many blocks. */
const BOUND_EVERY = 32;
/** A series rises or falls by the clock if it then stays so for so many readings and so long. */
const LASTING_READINGS = 6;
const LASTING_MS = DAY_MS / 24;

// Words of a series.
const STRIDE = 0; // int: readings in a block
const FILLED = 1; // int: readings in the present block, missing ones too
const COUNT = 2; // int: of them there
const SUM = 3; // of them, less the centre
const BLOCKS = 4; // int: blocks so far, modulo 2^30
const CENTRE = 5; // code 0
const UNIT = 6; // a code's width
const SCAN = 7; // SCAN_WORDS of them
const WAIT = 14; // int: blocks until the next scan
const EMPTY_SCANS = 15; // int: in a row
const RIVAL = 16; // readings of another cycle that the last scan saw: seen again it is believed
const CYCLE = 17; // blocks; 0 while there is none
const HELD = 18; // int: blocks since the cycle was found
const MISMATCH = 19; // EW mean over a quarter cycle
const RANGE = 20; // usual range of a cycle, in codes
const RING = 21; // PATTERN_BLOCKS bytes
const PACE = RING + PATTERN_BLOCKS / 4;
const CLOCK = PACE + PACE_WORDS;
const OFF_CYCLE = CLOCK + CLOCK_WORDS;
const WORDS = OFF_CYCLE + OFF_CYCLE_WORDS;

// Places in `given`.
export const VALUE = 0;
export const LEVEL = 1;
export const SCALE = 2;
export const PERIOD_MS = 3;
export const TIME_MS = 4;
export const LIMIT = 5;

/** What the latest block told, once a cycle is known. */
export interface SeasonFinding {
  /** False where there is nothing new. */
  measured: boolean;
  /** Whether the cycle is known for long enough to judge by it, and not only to learn what is usual, and the latest scan saw it too. */
  judged: boolean;
  /** How many times as far something must be to count: more where a day may be the first of its week. */
  reserve: number;
  /** How far the latest quarter of a cycle is from the same phase of the cycles before, in scales. */
  mismatch: number;
  /** How much of the usual range of a cycle the latest one lacks, 0 to 1; -1 where that was not looked at. */
  lack: number;
  /** Blocks measured by this cycle. */
  blocks: number;
}

/**
 * The cycle of a series, learned, and how far the present one is from those before. What is kept is a ring of block means, a byte each; blocks
 * are made longer until a cycle has at most 60 of them, so that several cycles are remembered whatever their length.
 *
 * The cycle is the first high peak of the ring's autocorrelation, eight lags a block. A block's mismatch is its distance from the
 * range of values around the same phase one, two, three (and, of days, seven) cycles ago, or theirs from the range around it: cycles that come a little early or
 * late, by a sixteenth, are no mismatch.
 */
export class Season {
  readonly arena = new SeasonArena(WORDS);
  /** What `step` takes beside its arguments; a double that is an argument would be boxed at each reading. */
  readonly given = new Float64Array(6);
  readonly finding: SeasonFinding = { measured: false, judged: false, reserve: 1, mismatch: 0, lack: 0, blocks: 0 };
  readonly #pace: Pace;
  readonly #clock = new Clock();
  readonly #offCycle = new OffCycle();
  readonly #scan = new Scan();

  // The series at hand.
  #s: Float32Array = new Float32Array(0);
  #ints: Int32Array = new Int32Array(0);
  #codes: Int8Array = new Int8Array(0);
  #at = 0;
  #ring = 0;
  /** Where the kernel finds the ring. */
  #address = 0;

  constructor({ pace, paceUsual }: Pick<Tuning, 'pace' | 'paceUsual'>) {
    this.#pace = new Pace(pace, paceUsual);
  }

  /** How long the series has been high or low, as of the latest reading. */
  get pace(): PaceFinding {
    return this.#pace.finding;
  }

  /** When of the day it rises and falls, as of the latest reading. */
  get clock(): ClockFinding {
    return this.#clock.finding;
  }

  /** Whether it is off its cycle, in an event. */
  get holds(): boolean {
    this.#selectOfBlock();
    return this.#offCycle.holds;
  }

  /** Readings of a cycle; 0 where none is known. */
  cycleReadings(slot: number): number {
    this.#select(slot);
    return this.#s[this.#at + CYCLE] * this.#ints[this.#at + STRIDE];
  }

  /**
   * Takes one reading: `given` is its working value less its anchor, mean and scale of the series on the same anchor, its period in ms, its time, and in an event the mismatch, in scales, that is nothing for it.
   *
   * @param t readings before it; @param missing readings that were due since the last one and did not come
   * @param learning false in an event: the ring keeps no block of it, so none is compared and none to come is compared with it
   */
  step(slot: number, t: number, missing: number, learning: boolean): void {
    this.finding.measured = this.finding.judged = false;
    this.pace.excess = this.clock.excess = -1;
    this.#select(slot);
    if (t < FROM_READING) return;
    const v = this.given[VALUE];
    const mean = this.given[LEVEL];
    const scale = this.given[SCALE];
    const s = this.#s;
    const ints = this.#ints;
    const at = this.#at;
    if (ints[at + STRIDE] === 0) {
      ints[at + STRIDE] = 1;
      s[at + CENTRE] = mean;
      s[at + UNIT] = scale / CODES;
      ints[at + WAIT] = 40;
    }
    this.#stepTimes(v, missing, learning);
    const stride = ints[at + STRIDE];
    for (let left = missing < PATTERN_BLOCKS * stride ? missing : PATTERN_BLOCKS * stride; left > 0; left--) {
      if (++ints[at + FILLED] >= stride) this.#push();
    }
    s[at + SUM] += v - s[at + CENTRE];
    ints[at + COUNT]++;
    if (++ints[at + FILLED] < stride) return;
    this.#push();
    if (s[at + CYCLE] > 0) this.#judge(this.given[PERIOD_MS], learning);
    else this.#offCycle.rest(0);
    if (!learning) this.#codes[this.#ring + ((ints[at + BLOCKS] - 1) & MASK)] = UNKNOWN;
    if (ints[at + BLOCKS] % BOUND_EVERY === 0) this.#bound();
    if (this.#scan.lag > 0) this.#scanLags(this.given[PERIOD_MS]);
    else if (ints[at + WAIT]-- <= 0) this.#begin(mean, scale);
  }

  /** How long it is high and low, and when. */
  #stepTimes(v: number, missing: number, learning: boolean): void {
    const tick = tickOf(this.given[TIME_MS]);
    this.#pace.step(v, tick, missing, learning);
    if (!this.#pace.bounded) return;
    const lasting = Math.max(LASTING_READINGS, Math.ceil(LASTING_MS / this.given[PERIOD_MS]));
    this.#clock.step(this.#pace.high, tick, lasting, missing > MOST_MISSING, learning);
  }

  #select(slot: number): void {
    const { arena } = this;
    const page = arena.page(slot);
    const s = arena.floats[page];
    if (this.#s !== s) {
      this.#s = s;
      this.#ints = arena.ints[page];
      this.#codes = arena.bytes[page];
    }
    this.#at = arena.at(slot);
    this.#ring = 4 * (this.#at + RING);
    this.#address = arena.address(page, this.#at + RING);
    this.#pace.select(this.#s, this.#ints, this.#at + PACE);
    this.#clock.select(this.#s, this.#ints, this.#at + CLOCK);
  }

  /** What is looked at once a block. */
  #selectOfBlock(): void {
    this.#scan.select(this.#s, this.#ints, this.#at + SCAN);
    this.#offCycle.select(this.#s, this.#ints, this.#at + OFF_CYCLE);
    this.#offCycle.codes = this.#codes;
  }

  #bound(): void {
    const s = this.#s;
    const at = this.#at;
    const tails = this.arena.kernel.tails(this.#address, this.#ints[at + BLOCKS], this.#known());
    if (tails < 0) return;
    this.#pace.bound(s[at + CENTRE] + s[at + UNIT] * ((tails & 255) + UNKNOWN), s[at + CENTRE] + s[at + UNIT] * ((tails >> 8) + UNKNOWN));
  }

  #known(): number {
    const blocks = this.#ints[this.#at + BLOCKS];
    return blocks < PATTERN_BLOCKS ? blocks : PATTERN_BLOCKS;
  }

  #push(): void {
    this.#selectOfBlock();
    const s = this.#s;
    const ints = this.#ints;
    const at = this.#at;
    const count = ints[at + COUNT];
    let code = UNKNOWN;
    if (count > 0) {
      const z = s[at + SUM] / count / s[at + UNIT];
      code = z > 127 ? 127 : z < -127 ? -127 : Math.round(z);
    }
    this.#codes[this.#ring + (ints[at + BLOCKS] & MASK)] = code;
    this.#offCycle.keep(ints[at + BLOCKS], code);
    ints[at + BLOCKS] = (ints[at + BLOCKS] + 1) & 0x3fffffff;
    ints[at + COUNT] = ints[at + FILLED] = 0;
    s[at + SUM] = 0;
  }

  /** A scan begins; what is kept is encoded anew where the series' level or scale has moved. */
  #begin(mean: number, scale: number): void {
    const s = this.#s;
    const at = this.#at;
    const unit = scale / CODES;
    const moved = (mean - s[at + CENTRE]) / s[at + UNIT];
    if (moved > 2 * CODES || moved < -2 * CODES || unit > 2 * s[at + UNIT] || unit < 0.5 * s[at + UNIT]) {
      const factor = s[at + UNIT] / unit;
      this.#offCycle.clear();
      recode(this.#codes, this.#ring, factor, (s[at + CENTRE] - mean) / unit);
      s[at + RANGE] *= factor;
      s[at + CENTRE] = mean;
      s[at + UNIT] = unit;
    }
    const known = this.#known();
    let n = 0;
    let sum = 0;
    for (let k = 0; k < known; k++) {
      const code = this.#codes[this.#ring + k];
      if (code === UNKNOWN) continue;
      n++;
      sum += code;
    }
    // Of a few blocks any lag makes a cycle.
    if (n < LEAST_KNOWN * known) {
      this.#ints[at + WAIT] = 40;
      return;
    }
    this.#scan.begin(sum / n);
  }

  /** Some lags of the autocorrelation. */
  #scanLags(periodMs: number): void {
    const { arena } = this;
    const scan = this.#scan;
    const cycle = this.#s[this.#at + CYCLE];
    const known = this.#known();
    const day = DAY_MS / (this.#ints[this.#at + STRIDE] * periodMs);
    const correlations = arena.kernel.correlations(this.#address, this.#ints[this.#at + BLOCKS], known, scan.lag, LAGS_A_BLOCK, scan.mean);
    for (let k = 0; k < LAGS_A_BLOCK && scan.lag > 0; k++) scan.take(arena.double(correlations + 8 * k), cycle, day, 0.45 * known);
    if (scan.lag > 0) return;
    // A day is known exactly, which seven of them need.
    if (scan.found > 0) this.#found(near(scan.found, day) ? day : scan.found, known);
    else this.#foundNone(known);
  }

  #found(found: number, known: number): void {
    const s = this.#s;
    const ints = this.#ints;
    const at = this.#at;
    const cycle = s[at + CYCLE];
    ints[at + EMPTY_SCANS] = 0;
    ints[at + WAIT] = known < PATTERN_BLOCKS ? 64 : 512;
    if (!near(found, cycle)) {
      const readings = found * ints[at + STRIDE];
      // Faults in the ring look like a cycle for a while: one that was known goes when another was found twice.
      if (cycle > 0 && !near(readings, s[at + RIVAL])) {
        s[at + RIVAL] = readings;
        ints[at + WAIT] = 128;
        return;
      }
      s[at + MISMATCH] = s[at + RANGE] = 0;
      ints[at + HELD] = 0;
    }
    s[at + RIVAL] = 0;
    s[at + CYCLE] = found;
    while (s[at + CYCLE] > MOST_BLOCKS && ints[at + STRIDE] < MOST_STRIDE) this.#lengthen();
    if (s[at + CYCLE] < LEAST_BLOCKS && ints[at + STRIDE] > 1) this.#shorten();
  }

  #foundNone(known: number): void {
    const ints = this.#ints;
    const at = this.#at;
    ints[at + WAIT] = known < PATTERN_BLOCKS ? Math.max(40, known >> 2) : 256;
    if (++ints[at + EMPTY_SCANS] < (this.#s[at + CYCLE] > 0 ? 4 : 2) || known < PATTERN_BLOCKS) return;
    this.#s[at + CYCLE] = 0;
    if (ints[at + STRIDE] < MOST_STRIDE) this.#lengthen();
  }

  /** Twice as many readings a block: neighbours are joined, so that what is known stays. */
  #lengthen(): void {
    const ints = this.#ints;
    const at = this.#at;
    this.#offCycle.clear();
    ints[at + BLOCKS] = fold(this.#codes, this.#ring, ints[at + BLOCKS], this.#known());
    ints[at + STRIDE] *= 2;
    ints[at + HELD] >>= 1;
    ints[at + WAIT] = 16;
    ints[at + EMPTY_SCANS] = 0;
    this.#s[at + CYCLE] *= 0.5;
  }

  /** Half as many readings a block; of what is known the later half stays, each block twice. */
  #shorten(): void {
    const ints = this.#ints;
    const at = this.#at;
    this.#offCycle.clear();
    ints[at + BLOCKS] = unfold(this.#codes, this.#ring, ints[at + BLOCKS], this.#known());
    ints[at + STRIDE] >>= 1;
    ints[at + HELD] *= 2;
    ints[at + WAIT] = 64;
    this.#s[at + CYCLE] *= 2;
  }

  #judge(periodMs: number, learning: boolean): void {
    const s = this.#s;
    const at = this.#at;
    const cycle = s[at + CYCLE];
    const blockMs = this.#ints[at + STRIDE] * periodMs;
    const daily = near(cycle * blockMs, DAY_MS);
    const reserve = this.#reserve(cycle, daily);
    if (!learning) this.#follow(cycle, daily, blockMs, reserve);
    else this.#offCycle.rest(s[at + MISMATCH]);
    const miss = this.arena.kernel.mismatch(this.#address, this.#ints[at + BLOCKS], this.#known(), cycle, daily ? 1 : 0);
    if (miss < 0) return;
    s[at + MISMATCH] += quarterWeight(cycle) * (miss / CODES - s[at + MISMATCH]);
    const held = ++this.#ints[at + HELD];
    const { finding } = this;
    finding.measured = held > LEARN_CYCLES * cycle;
    finding.judged = held > JUDGE_CYCLES * cycle && this.#ints[at + EMPTY_SCANS] === 0;
    finding.reserve = reserve;
    finding.blocks = 1 + held - LEARN_CYCLES * cycle;
    finding.mismatch = s[at + MISMATCH];
    finding.lack = held % LACK_EVERY === 0 ? this.#lack(cycle, daily) : -1;
  }

  /** A block of an event. */
  #follow(cycle: number, daily: boolean, blockMs: number, reserve: number): void {
    const { kernel } = this.arena;
    const ring = this.#address;
    const present = ring + 4 * (OFF_CYCLE - RING);
    const blocks = this.#ints[this.#at + BLOCKS];
    const known = this.#known();
    const miss = kernel.mismatch_in_event(ring, present, blocks, known, cycle, daily ? 1 : 0);
    if (miss < 0 || this.#ints[this.#at + HELD] <= JUDGE_CYCLES * cycle) return this.#offCycle.pass();
    const least = reserve * this.given[LIMIT];
    const window = this.#offCycle.window(cycle);
    const back = window > 0 && kernel.is_back(ring, present, blocks, known, window, BACK_MISMATCH * least * CODES, BACK_RANGE * this.#s[this.#at + RANGE]) === 1;
    this.#offCycle.step(miss / CODES, least, cycle, blockMs, back);
  }

  /** Of a day that may be the first of its week, or of which the one a week ago is not known. */
  #reserve(cycle: number, daily: boolean): number {
    if (!daily) return 1;
    return this.#known() >= WEEK_CYCLES * cycle && this.arena.kernel.knows_week_before(this.#address, this.#ints[this.#at + BLOCKS], cycle) === 1 ? 1 : UNSURE;
  }

  /** How much of a cycle's usual range the latest one lacks, -1 where a gap or an event hides it; a day of rest lacks nothing where there was one a week ago. */
  #lack(cycle: number, daily: boolean): number {
    const s = this.#s;
    const at = this.#at;
    const blocks = this.#ints[at + BLOCKS];
    const span = Math.round(RANGE_CYCLES * cycle);
    const range = this.arena.kernel.range_before(this.#address, blocks, span);
    if (range < 0) return -1;
    const usual = s[at + RANGE];
    s[at + RANGE] = usual === 0 ? range : usual + (range - usual) / cycle;
    let due = usual;
    if (daily && range < 0.8 * usual && this.#known() > 8.5 * cycle) {
      const weekAgo = this.arena.kernel.range_before(this.#address, blocks - Math.round(7 * cycle), span);
      if (weekAgo >= 0 && weekAgo < usual) due = weekAgo;
    }
    return range < due ? (due - range) / usual : 0;
  }
}

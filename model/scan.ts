import { SeasonPart } from './season-part.js';

/**
 * A walk over the lags of a ring's autocorrelation, some at each block: its cycle is the first high peak. Which lag has which correlation is for the caller to say.
 */

// Words that a series takes in the arena of its season.
const LAG = 0; // int: lag that the scan has come to; 0 between scans
const MEAN = 1; // of the codes when the scan began
const BEFORE = 2; // autocorrelation at the last lag and the one before
const BEFORE_2 = 3;
const TROUGH = 4; // the least autocorrelation so far in this scan
const PEAK_LAG = 5; // the scan's choice
const PEAK = 6;

const LEAST_LAG = 8;
const MOST_LAG = 224;
/** A peak of the autocorrelation is a cycle if it is this high, and as much above the trough before it. */
const LEAST_PEAK = 0.5;
/** A later peak must be this much better than an earlier one: the cycle, and not twice the cycle. */
const FIRST = 0.85;
/** What the cycle that is known already, and the day, are worth more. */
const FAVOUR = 1.25;

export class Scan extends SeasonPart {

  /** The lag that comes next; 0 between scans. */
  get lag(): number {
    return this.ints[this.at + LAG];
  }

  get mean(): number {
    return this.s[this.at + MEAN];
  }

  /** Blocks of the cycle that the last scan chose; 0 where it saw none. */
  get found(): number {
    return this.s[this.at + PEAK_LAG];
  }

  begin(mean: number): void {
    const s = this.s;
    const at = this.at;
    s[at + MEAN] = mean;
    s[at + BEFORE] = s[at + BEFORE_2] = s[at + TROUGH] = 1;
    s[at + PEAK] = s[at + PEAK_LAG] = 0;
    this.ints[at + LAG] = 2;
  }

  /** @param r correlation at `lag`; @param cycle that is known, and @param day, in blocks: they are worth more; @param most lag */
  take(r: number, cycle: number, day: number, most: number): void {
    const s = this.s;
    const at = this.at;
    const lag = this.ints[at + LAG];
    const before = s[at + BEFORE];
    const peak = lag - 1;
    if (peak >= LEAST_LAG && before > r && before >= s[at + BEFORE_2] && before - s[at + TROUGH] > LEAST_PEAK && before > LEAST_PEAK) {
      const worth = before * (near(peak, cycle) ? FAVOUR : 1) * (near(peak, day) ? FAVOUR : 1);
      if (worth > s[at + PEAK] / FIRST) {
        const bend = s[at + BEFORE_2] - 2 * before + r;
        s[at + PEAK_LAG] = peak + (bend < 0 ? 0.5 * (s[at + BEFORE_2] - r) / bend : 0);
        s[at + PEAK] = worth;
      }
    }
    if (r < s[at + TROUGH]) s[at + TROUGH] = r;
    s[at + BEFORE_2] = before;
    s[at + BEFORE] = r;
    this.ints[at + LAG] = lag <= MOST_LAG && lag <= most ? lag + 1 : 0;
  }
}

/** Whether two cycles are the same, within a sixteenth. */
export function near(one: number, other: number): boolean {
  return one > 0.94 * other && one < 1.06 * other;
}

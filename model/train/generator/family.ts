import type { Random } from '../../../core/random.js';

/** What a family is told about the series that it is to make. */
export interface Course {
  random: Random;
  /** Number of readings. */
  n: number;
  /** [n] seconds since 1970 of each reading: calendar patterns follow it across jitter and gaps. */
  seconds: Float64Array;
  /** Nominal time between readings in seconds. */
  periodS: number;
}

/** Makes the clean values of a series, [n], of any size and offset: units are put on afterwards. */
export type Family = (course: Course) => Float64Array;

export const DAY_S = 86_400;

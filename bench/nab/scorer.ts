/**
 * The scoring of the Numenta Anomaly Benchmark v1.1 (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015), from its definition:
 * early detections in a labelled window earn up to 1, every detection outside of the windows costs, a window without one costs; only the earliest detection of a window counts.
 */

/** The weights of an application profile. A true negative earns nothing. */
export interface Profile {
  name: 'standard' | 'low_fp' | 'low_fn';
  truePositive: number;
  falsePositive: number;
  falseNegative: number;
}

export const PROFILES: readonly Profile[] = [
  { name: 'standard', truePositive: 1, falsePositive: 0.11, falseNegative: 1 },
  { name: 'low_fp', truePositive: 1, falsePositive: 0.22, falseNegative: 1 },
  { name: 'low_fn', truePositive: 1, falsePositive: 0.11, falseNegative: 2 },
];

/** The scores of a file and the labels to hold against them. */
export interface ScoredFile {
  /** [rows] epoch ms. */
  timestampMs: ArrayLike<number>;
  /** [rows] a row is a detection where this is >= the threshold. */
  scores: ArrayLike<number>;
  /** [start, end] of each window, epoch ms, in time order; both rows belong to the window. */
  windows: readonly (readonly [number, number])[];
}

/** Everything that the profiles weigh, at one threshold, summed over the files. */
export interface Tally {
  threshold: number;
  /** Sum over the windows that were caught, each by its earliest detection, of a value in (0, 1]. */
  earned: number;
  /** Sum over the false detections of a value in [-1, 0]. */
  falsePositive: number;
  windowsCaught: number;
  windowsMissed: number;
  falseDetections: number;
}

const PROBATION_SHARE = 0.15;
const PROBATION_ROWS_MAX = 750;
const NO_WINDOW = -1;
const PROBATION = -2;

/** Rows at the start of a file that are not judged: 15 % of it, at most 750. */
export function probationRows(rows: number): number {
  return Math.min(Math.floor(PROBATION_SHARE * rows), PROBATION_ROWS_MAX);
}

/** `position` is -1 at the left edge of a window, 0 at its right edge, and grows to the right of it: near 1, 0 and -1. */
export function scaledSigmoid(position: number): number {
  return position > 3 ? -1 : 2 / (1 + Math.exp(5 * position)) - 1;
}

/** What a detection at each row is worth, and to which window it belongs. */
interface Worth {
  /** [rows] in (0, 1] within a window (before the earliest is chosen), in [-1, 0] outside. */
  value: Float64Array;
  /** [rows] number of the window, NO_WINDOW, or PROBATION. */
  window: Int32Array;
  /** Windows with at least one row that is judged: those wholly in the probation cannot be missed. */
  judgedWindows: number;
}

function worthOf(file: ScoredFile): Worth {
  const rows = file.timestampMs.length;
  const value = new Float64Array(rows).fill(-1);
  const window = new Int32Array(rows).fill(NO_WINDOW);
  const edges = file.windows.map(([start, end]) => windowRows(file.timestampMs, start, end)).filter((edge) => edge.last >= edge.first);
  const bestValue = scaledSigmoid(-1);
  edges.forEach(({ first, last }, w) => {
    const width = last - first + 1;
    for (let row = first; row <= last; row++) {
      value[row] = scaledSigmoid(-(last - row + 1) / width) / bestValue;
      window[row] = w;
    }
    const next = w + 1 < edges.length ? edges[w + 1].first : rows;
    for (let row = last + 1; row < next; row++) value[row] = scaledSigmoid((row - last) / Math.max(1, width - 1));
  });
  window.fill(PROBATION, 0, probationRows(rows));
  const judged = new Set(window);
  judged.delete(NO_WINDOW);
  judged.delete(PROBATION);
  return { value, window, judgedWindows: judged.size };
}

function windowRows(timestampMs: ArrayLike<number>, startMs: number, endMs: number): { first: number; last: number } {
  let first = 0;
  while (first < timestampMs.length && timestampMs[first] < startMs) first++;
  let last = first;
  while (last < timestampMs.length && timestampMs[last] < endMs) last++;
  if (last === timestampMs.length || timestampMs[last] > endMs) last--;
  return { first, last };
}

/**
 * Scores of several files, ready to be tallied at any threshold. One tally serves all profiles: a profile only weighs its sums
 * (a detection in a window is always worth more than missing the window, so the earliest one is the best under each of them).
 */
export class Scoring {
  readonly #files: { file: ScoredFile; worth: Worth; from: number }[] = [];
  readonly #windowCount: number;
  /** Windows of the labels, judged or not: what a perfect detector earns. */
  readonly labelledWindows: number;

  constructor(files: readonly ScoredFile[]) {
    let from = 0;
    let labelled = 0;
    let judged = 0;
    for (const file of files) {
      const worth = worthOf(file);
      this.#files.push({ file, worth, from });
      from += file.windows.length;
      labelled += file.windows.length;
      judged += worth.judgedWindows;
    }
    this.labelledWindows = labelled;
    this.#windowCount = judged;
  }

  /** Detections are the rows whose score is >= `threshold`. */
  tallyAt(threshold: number): Tally {
    const tally = new RunningTally(this.labelledWindows, this.#windowCount);
    for (const { file, worth, from } of this.#files) {
      for (let row = 0; row < worth.value.length; row++) {
        if (worth.window[row] !== PROBATION && file.scores[row] >= threshold) tally.add(worth.value[row], worth.window[row], from);
      }
    }
    return tally.at(threshold);
  }

  /** The tallies at every threshold that tells rows apart, the highest first; the first is above all scores (no detection). */
  sweep(): Tally[] {
    let lowest = Infinity;
    let above = 0;
    this.#eachJudged((score) => {
      lowest = Math.min(lowest, score);
    });
    this.#eachJudged((score) => {
      if (score > lowest) above++;
    });
    const scores = new Float64Array(above);
    const values = new Float64Array(above);
    const windows = new Int32Array(above);
    const froms = new Int32Array(above);
    let n = 0;
    this.#eachJudged((score, value, window, from) => {
      if (!(score > lowest)) return;
      scores[n] = score;
      values[n] = value;
      windows[n] = window;
      froms[n++] = from;
    });
    const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
    const tally = new RunningTally(this.labelledWindows, this.#windowCount);
    const tallies: Tally[] = [tally.at(Infinity)];
    for (let k = 0; k < order.length; k++) {
      const i = order[k];
      tally.add(values[i], windows[i], froms[i]);
      if (k + 1 === order.length || scores[order[k + 1]] !== scores[i]) tallies.push(tally.at(scores[i]));
    }
    if (lowest < Infinity) tallies.push(this.tallyAt(lowest));
    return tallies;
  }

  /** 100 for a perfect detector, 0 for one that detects nothing. Without any labelled window there is nothing to earn: NaN. */
  normalised(tally: Tally, profile: Profile): number {
    const none = -profile.falseNegative * this.#windowCount;
    const perfect = profile.truePositive * this.labelledWindows;
    return (100 * (weigh(tally, profile) - none)) / (perfect - none);
  }

  /** The tally with the best score under the profile: NAB's threshold optimisation, over all files at once. */
  best(profile: Profile, tallies: readonly Tally[] = this.sweep()): Tally {
    return tallies.reduce((best, tally) => (weigh(tally, profile) > weigh(best, profile) ? tally : best));
  }

  #eachJudged(visit: (score: number, value: number, window: number, from: number) => void): void {
    for (const { file, worth, from } of this.#files) {
      for (let row = 0; row < worth.value.length; row++) {
        if (worth.window[row] !== PROBATION) visit(file.scores[row], worth.value[row], worth.window[row], from);
      }
    }
  }
}

export function weigh(tally: Tally, profile: Profile): number {
  return profile.truePositive * tally.earned + profile.falsePositive * tally.falsePositive - profile.falseNegative * tally.windowsMissed;
}

class RunningTally {
  readonly #bestOfWindow: Float64Array;
  #earned = 0;
  #caught = 0;
  #falsePositive = 0;
  #falseDetections = 0;

  constructor(labelled: number, private readonly judged: number) {
    this.#bestOfWindow = new Float64Array(labelled);
  }

  add(value: number, window: number, from: number): void {
    if (window === NO_WINDOW) {
      this.#falsePositive += value;
      this.#falseDetections++;
      return;
    }
    const before = this.#bestOfWindow[from + window];
    if (value <= before) return;
    if (before === 0) this.#caught++;
    this.#earned += value - before;
    this.#bestOfWindow[from + window] = value;
  }

  at(threshold: number): Tally {
    return {
      threshold, earned: this.#earned, falsePositive: this.#falsePositive,
      windowsCaught: this.#caught, windowsMissed: this.judged - this.#caught, falseDetections: this.#falseDetections,
    };
  }
}

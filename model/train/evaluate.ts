import { bandQuantile, DOF_LOW, DOF_SPAN, HORIZONS, LOG_SIGMA_HIGH, LOG_SIGMA_LOW, MOVE_LIMIT, OUTPUTS, PARAMETERS } from '../forecast.js';
import { layerShapes, type NetworkConfig } from '../network.js';
import { studentCdf } from '../student.js';
import type { Example } from './examples.js';
import { evaluateChunk, type Chunk, type Parameters } from './gradient.js';
import { fillRow } from './lanes.js';
import type { TensorFlow } from './tensorflow.js';
import { HORIZON_WEIGHTS } from './loss.js';

const STEPS = 256;
const BINS = 20;

/** How well the network forecasts a set of series. Means are over series first, so that long ones do not outvote short ones. */
export interface Assessment {
  /** Weighted negative log-likelihood, as trained. */
  loss: number;
  /** [3] by horizon. */
  horizonLosses: number[];
  /** [3] share of targets inside the 99 % band, with the calibration given. */
  coverage: number[];
  /** [3] the factor on the band's half-width that would cover exactly 99 %. */
  calibration: number[];
  /** [3][20] share of targets in each twentieth of the forecast distribution: flat when calibrated. */
  pit: number[][];
  series: SeriesAssessment[];
}

export interface SeriesAssessment {
  name: string;
  targets: number;
  loss: number;
  horizonLosses: number[];
  coverage: number[];
}

/** Runs the network over whole series from the zero state and compares forecasts with targets. */
export function assess(
  runtime: TensorFlow, config: NetworkConfig, parameters: Parameters, examples: readonly Example[], calibration: readonly number[] = [1, 1, 1],
): Assessment {
  const tallies = examples.map((example) => new Tally(example, calibration));
  const longest = Math.max(...examples.map((example) => example.n));
  let states = layerShapes(config).map(({ stateSize }) => new Float32Array(examples.length * stateSize));
  for (let at = 0; at < longest; at += STEPS) {
    const chunk = emptyChunk(config, examples.length);
    examples.forEach((example, row) => at < example.n && fillRow(chunk, row, example, at));
    const result = evaluateChunk(runtime, config, parameters, chunk, states);
    states = result.states as Float32Array<ArrayBuffer>[];
    tallies.forEach((tally, row) => tally.add(chunk, row, result.outputs));
  }
  return summary(tallies.filter((tally) => tally.count[0] > 0));
}

function emptyChunk(config: NetworkConfig, rows: number): Chunk {
  const size = STEPS * rows;
  return {
    steps: STEPS, rows, features: new Float32Array(size * config.inputs),
    targets: new Float32Array(size * HORIZONS.length), present: new Float32Array(size * HORIZONS.length),
  };
}

/** The sums of one series. */
class Tally {
  readonly count = HORIZONS.map(() => 0);
  readonly losses = HORIZONS.map(() => 0);
  readonly inside = HORIZONS.map(() => 0);
  readonly pit = HORIZONS.map(() => new Array<number>(BINS).fill(0));
  /** |error| over the band's uncalibrated half-width, a horizon. */
  readonly reach: number[][] = HORIZONS.map(() => []);

  constructor(readonly example: Example, private readonly calibration: readonly number[]) {}

  add(chunk: Chunk, row: number, outputs: Float32Array): void {
    for (let t = 0; t < chunk.steps; t++) {
      const r = t * chunk.rows + row;
      for (let i = 0; i < HORIZONS.length; i++) {
        if (chunk.present[r * HORIZONS.length + i] === 1) this.addTarget(i, chunk.targets[r * HORIZONS.length + i], outputs, r * OUTPUTS + i * PARAMETERS);
      }
    }
  }

  private addTarget(i: number, target: number, outputs: Float32Array, at: number): void {
    const move = clip(outputs[at], -MOVE_LIMIT, MOVE_LIMIT);
    const logSigma = clip(outputs[at + 1], LOG_SIGMA_LOW, LOG_SIGMA_HIGH);
    const dof = DOF_LOW + DOF_SPAN / (1 + Math.exp(-outputs[at + 2]));
    const error = (target - move) / Math.exp(logSigma);
    const reach = Math.abs(error) / bandQuantile(outputs[at + 2]);
    const x = dof / 2;
    const logNormaliser = -0.5 * Math.log(2 * Math.PI) - 1 / (8 * x) + 1 / (192 * x ** 3) - 1 / (640 * x ** 5);
    this.count[i]++;
    this.losses[i] += logSigma + ((dof + 1) / 2) * Math.log1p((error * error) / dof) - logNormaliser;
    if (reach <= this.calibration[i]) this.inside[i]++;
    this.reach[i].push(reach);
    // The cumulative distribution is costly: every 16th target draws the histogram well enough.
    if (this.count[i] % 16 === 0) this.pit[i][Math.min(BINS - 1, Math.floor(studentCdf(error, dof) * BINS))]++;
  }
}

function clip(x: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, x));
}

function summary(tallies: Tally[]): Assessment {
  const series = tallies.map((tally) => {
    const horizonLosses = tally.losses.map((sum, i) => sum / Math.max(1, tally.count[i]));
    return {
      name: tally.example.name, targets: tally.count[0], horizonLosses,
      loss: weighted(horizonLosses), coverage: tally.inside.map((inside, i) => inside / Math.max(1, tally.count[i])),
    };
  });
  const meanOf = (of: (s: SeriesAssessment) => number): number => series.reduce((sum, s) => sum + of(s), 0) / Math.max(1, series.length);
  const horizonLosses = HORIZONS.map((_, i) => meanOf((s) => s.horizonLosses[i]));
  return {
    loss: weighted(horizonLosses), horizonLosses, series,
    coverage: HORIZONS.map((_, i) => meanOf((s) => s.coverage[i])),
    calibration: HORIZONS.map((_, i) => weightedQuantile(tallies.map((tally) => tally.reach[i]), 0.99)),
    pit: HORIZONS.map((_, i) => share(tallies, i)),
  };
}

function weighted(losses: number[]): number {
  return losses.reduce((sum, loss, i) => sum + HORIZON_WEIGHTS[i] * loss, 0);
}

/** The quantile of values of several series that each count the same. */
function weightedQuantile(series: number[][], quantile: number): number {
  const all = series.flatMap((values) => values.map((value) => ({ value, weight: 1 / values.length })));
  all.sort((a, b) => a.value - b.value);
  const total = all.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  for (const { value, weight } of all) {
    sum += weight;
    if (sum >= quantile * total) return value;
  }
  return 1;
}

function share(tallies: Tally[], i: number): number[] {
  const bins = new Array<number>(BINS).fill(0);
  for (const tally of tallies) {
    const count = tally.pit[i].reduce((a, b) => a + b, 0);
    if (count > 0) tally.pit[i].forEach((x, k) => (bins[k] += x / count));
  }
  const total = bins.reduce((a, b) => a + b, 0);
  return bins.map((x) => x / Math.max(total, 1e-12));
}

import { HORIZONS, MOVE_LIMIT } from '../forecast.js';
import { FEATURES, Normaliser } from '../normaliser.js';

/** A series as it comes from the generator, a file or a store. */
export interface TrainingSeries {
  /** Who it is, for reports: a family, or device/metric. */
  name: string;
  /** [n] epoch ms, rising. */
  timestampMs: Float64Array;
  /** [n] finite. */
  value: Float64Array;
}

/** What the network sees of a series, and what it should have said. */
export interface Example {
  name: string;
  n: number;
  /** [n, 7] */
  features: Float32Array;
  /** [n, 3] the move from the last reading to the mean of the next 1, 8, 32 readings, in asinh units (model/forecast.ts). */
  targets: Float32Array;
  /** [n, 3] 1 where there is a target: enough readings follow, and the series stays a counter, or stays none. */
  present: Float32Array;
}

/** Readings at the start that are not learned from: the scale means little yet. */
const SETTLING = 4;

/** Runs a series through the normaliser. `scored` limits the targets to readings from..to, e.g. the held-back end of a series. */
export function encodeSeries(series: TrainingSeries, scored: { from?: number; to?: number } = {}): Example {
  const n = series.value.length;
  const normaliser = new Normaliser();
  normaliser.reserve(1);
  const slots = new Uint32Array(1);
  const features = new Float32Array(n * FEATURES);
  const working = new Float64Array(n);
  const mean = new Float64Array(n);
  const scale = new Float64Array(n);
  const position = new Float64Array(n);
  /** Counts the changes between counter and not: targets do not reach across one. */
  const epoch = new Uint32Array(n);
  for (let t = 0; t < n; t++) {
    const was = normaliser.isCounter(0);
    normaliser.step(slots, 1, series.timestampMs.subarray(t, t + 1), series.value.subarray(t, t + 1), features.subarray(t * FEATURES));
    working[t] = normaliser.working(0);
    mean[t] = normaliser.mean(0);
    scale[t] = normaliser.scale(0);
    position[t] = normaliser.position(0);
    epoch[t] = (t === 0 ? 0 : epoch[t - 1]) + (normaliser.isCounter(0) === was ? 0 : 1);
  }
  const targets = new Float32Array(n * HORIZONS.length);
  const present = new Float32Array(n * HORIZONS.length);
  const from = Math.max(scored.from ?? 0, SETTLING);
  const to = scored.to ?? n;
  HORIZONS.forEach((horizon, i) => {
    for (let t = from; t < to && t + horizon < n; t++) {
      if (epoch[t + horizon] !== epoch[t]) continue;
      let sum = 0;
      for (let k = 1; k <= horizon; k++) sum += working[t + k];
      const move = Math.asinh((sum / horizon - mean[t]) / scale[t]) - position[t];
      targets[t * HORIZONS.length + i] = Math.max(-MOVE_LIMIT, Math.min(MOVE_LIMIT, move));
      present[t * HORIZONS.length + i] = 1;
    }
  });
  return { name: series.name, n, features, targets, present };
}

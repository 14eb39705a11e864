import type { Normaliser } from './normaliser.js';
import { studentQuantile } from './student.js';

/**
 * From the network's outputs to forecasts in the series' own units.
 *
 * Per horizon the head gives three numbers (r, s, d). With m, S, p, o the series' mean, scale, position and offset (normaliser.ts):
 *
 *   y     = p + clip(r, 8)                       median of asinh((u - m) / S), u the mean of the next h working values
 *   sigma = exp(clip(s, -6, 3)), nu = 2 + 30 / (1 + e^-d)
 *   asinh((u - m) / S) ~ y + sigma * Student-t(nu)
 *
 *   location = m + S sinh(y)                     in working units (for a counter: increments)
 *   spread   = S cosh(y) sigma                   the scale there, by the delta method
 *   yhat     = o + location                      of horizon 1
 *   yhat_lower/upper = o + m + S sinh(y -+ k q(nu) sigma)     q: Student's 99.5 % quantile, k: the calibration in the weights
 *
 * asinh is a logarithm far out and a line near 0, so one sigma suits both small noise and noise that grows with the level; a
 * quantile stays a quantile through a rising function, so the band needs no approximation. r = 0 is "as the last reading".
 */

/** The horizons of the head, in readings. */
export const HORIZONS = [1, 8, 32] as const;
/** Numbers of the head a horizon: location, log scale, degrees of freedom. */
export const PARAMETERS = 3;
/** Outputs of the head. */
export const OUTPUTS = HORIZONS.length * PARAMETERS;

export const MOVE_LIMIT = 8;
/**
 * A network that expects the next reading farther off than this has lost itself: of 3 million forecasts of series that it can follow none was beyond 2, but
 * its gates can lock at what it was never trained on (a level that was constant to the last bit, and moves), and stay so for good.
 */
export const LOST = 4;
export const LOG_SIGMA_LOW = -6;
export const LOG_SIGMA_HIGH = 3;
export const DOF_LOW = 2;
export const DOF_SPAN = 30;
/** Probability inside yhat_lower .. yhat_upper. */
export const BAND = 0.99;

/** Student's quantile at (1 + BAND) / 2, tabled over the head's raw degrees of freedom, -RAW_LIMIT .. RAW_LIMIT. */
const RAW_LIMIT = 12;
const PER_UNIT = 8;
export const QUANTILES = Float64Array.from({ length: 2 * RAW_LIMIT * PER_UNIT + 2 }, (_, i) =>
  studentQuantile((1 + BAND) / 2, DOF_LOW + DOF_SPAN / (1 + Math.exp(RAW_LIMIT - i / PER_UNIT))),
);

/** Room for the forecasts of a batch; rows as in the batch. */
export class Forecasts {
  /** [capacity] the next reading, in its own units. */
  readonly yhat: Float64Array;
  /** [capacity] the ends of its 99 % band. */
  readonly yhatLower: Float64Array;
  readonly yhatUpper: Float64Array;
  /** [capacity, 3] the mean of the next 1, 8, 32 working values (a counter: increments). */
  readonly location: Float64Array;
  /** [capacity, 3] its scale. */
  readonly spread: Float64Array;

  constructor(readonly capacity: number) {
    this.yhat = new Float64Array(capacity);
    this.yhatLower = new Float64Array(capacity);
    this.yhatUpper = new Float64Array(capacity);
    this.location = new Float64Array(capacity * HORIZONS.length);
    this.spread = new Float64Array(capacity * HORIZONS.length);
  }
}

/** The calibration of the weights: `metadata.calibration`, a JSON list of one factor a horizon; 1 where it is absent. */
export function bandCalibration(metadata: Readonly<Record<string, string>>): number[] {
  const parsed: unknown = metadata.calibration === undefined ? undefined : JSON.parse(metadata.calibration);
  return HORIZONS.map((_, i) => {
    const factor: unknown = Array.isArray(parsed) ? parsed[i] : undefined;
    return typeof factor === 'number' && factor > 0 && factor < 100 ? factor : 1;
  });
}

function clip(x: number, low: number, high: number): number {
  // A non-finite output (weights gone wrong) becomes the low end and never spreads.
  return x > high ? high : x >= low ? x : low;
}

export class ForecastDecoder {
  private readonly calibration: number[];
  /** mean, scale, position, offset of the row at hand */
  private readonly anchor = new Float64Array(4);

  /** @param metadata of the network whose outputs are decoded */
  constructor(metadata: Readonly<Record<string, string>>) {
    this.calibration = bandCalibration(metadata);
  }

  /**
   * Forecasts of n series, right after the normaliser and the network took their latest reading. Where the network has lost itself `yhat` is NaN: none of the row counts.
   *
   * @param slots [>= n] as given to both
   * @param outputs [>= n, 9] of the network, row-major
   * @param into capacity >= n; rows 0 .. n - 1 are written
   */
  decode(normaliser: Normaliser, slots: Uint32Array, n: number, outputs: Float32Array, into: Forecasts): void {
    const { yhat, yhatLower, yhatUpper, location, spread } = into;
    const { anchor } = this;
    const horizons = HORIZONS.length;
    for (let row = 0; row < n; row++) {
      normaliser.anchor(slots[row], anchor);
      const mean = anchor[0];
      const scale = anchor[1];
      const position = anchor[2];
      const offset = anchor[3];
      for (let i = 0; i < horizons; i++) {
        const o = row * OUTPUTS + i * PARAMETERS;
        const y = position + clip(outputs[o], -MOVE_LIMIT, MOVE_LIMIT);
        const sigma = Math.exp(clip(outputs[o + 1], LOG_SIGMA_LOW, LOG_SIGMA_HIGH));
        const e = Math.exp(y);
        location[row * horizons + i] = mean + scale * 0.5 * (e - 1 / e);
        spread[row * horizons + i] = scale * 0.5 * (e + 1 / e) * sigma;
        if (i > 0) continue;
        const half = this.calibration[0] * bandQuantile(outputs[o + 2]) * sigma;
        const up = Math.exp(half);
        yhat[row] = outputs[o] > -LOST && outputs[o] < LOST ? offset + location[row * horizons] : NaN;
        yhatLower[row] = offset + mean + scale * 0.5 * (e / up - up / e);
        yhatUpper[row] = offset + mean + scale * 0.5 * (e * up - 1 / (e * up));
      }
    }
  }
}

/** Student's 99.5 % quantile for the head's raw degrees of freedom, from the table. */
export function bandQuantile(raw: number): number {
  const x = (clip(raw, -RAW_LIMIT, RAW_LIMIT) + RAW_LIMIT) * PER_UNIT;
  const i = x | 0;
  return QUANTILES[i] + (x - i) * (QUANTILES[i + 1] - QUANTILES[i]);
}

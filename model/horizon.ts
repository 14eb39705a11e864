import type { Layout } from './layout.js';

const READINGS = 32;
const MASK = READINGS - 1;
/** In the wide arena: the sum of the latest 32 values. */
export const HORIZON_SUM = 1;

/** The latest 32 values and the forecasts made of the 32 that followed each: the error of the long horizon. */
export class Horizon {
  readonly #values: number; // [32]
  readonly #forecasts: number; // [32]

  constructor(layout: Layout) {
    this.#values = layout.take(READINGS);
    this.#forecasts = layout.take(READINGS);
  }

  /** Mean of the latest 32 values, `v` among them, less its forecast; NaN before there are as many. @param t readings before this one */
  miss(s: Float32Array, at: number, wide: Float64Array, w: number, v: number, t: number): number {
    if (t < READINGS) return NaN;
    return (wide[w + HORIZON_SUM] + v - s[at + this.#values + (t & MASK)]) / READINGS - s[at + this.#forecasts + (t & MASK)];
  }

  keepValue(s: Float32Array, at: number, wide: Float64Array, w: number, v: number, t: number): void {
    const ring = at + this.#values;
    const kept = Math.fround(v);
    wide[w + HORIZON_SUM] += kept - s[ring + (t & MASK)];
    s[ring + (t & MASK)] = kept;
    if ((t & MASK) !== MASK) return;
    // Once a turn of the ring the sum is made afresh, so that one huge value leaves no rounding behind.
    let sum = 0;
    for (let k = 0; k < READINGS; k++) sum += s[ring + k];
    wide[w + HORIZON_SUM] = sum;
  }

  /** @param t the reading that the forecast was made from */
  keepForecast(s: Float32Array, at: number, forecast: number, t: number): void {
    s[at + this.#forecasts + (t & MASK)] = forecast;
  }
}

import type { BaselineStep } from './baseline.js';

const RATE = 1 / 256;
/** Deviations that one alarm takes: the textbook's three would alarm hourly on heavy tails. */
const ALARM_DEVIATIONS = 5;
const WARM_UP_READINGS = 50;
const BAND_99 = 2.576;

/** Distance from an exponentially weighted mean in exponentially weighted standard deviations. */
export function ewZscore(): BaselineStep {
  let n = 0;
  let mean = 0;
  let variance = 0;
  return (value) => {
    const deviation = value - mean;
    const sd = Math.sqrt(variance);
    const known = n >= WARM_UP_READINGS;
    const result = {
      score: known ? Math.abs(deviation) / (sd + 1e-9 * Math.abs(mean) + 1e-12) / ALARM_DEVIATIONS : 0,
      yhat: known ? mean : NaN,
      halfBand: BAND_99 * sd,
    };
    const rate = Math.max(1 / (n + 1), RATE);
    n++;
    mean += rate * deviation;
    variance = (1 - rate) * (variance + rate * deviation * deviation);
    return result;
  };
}

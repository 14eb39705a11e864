import type { Batch } from '../../core/batch.js';
import { FLAG } from '../../core/batch.js';
import type { Detector } from '../../core/detector.js';

/** What a baseline says of the next value of a series: a score to be compared over rows, and its forecast where it has one. */
export interface BaselineStep {
  (value: number): { score: number; yhat: number; halfBand: number };
}

/** A published or textbook method behind the detector's interface, to be measured as the detector is: a score a reading, and nothing else. */
export function baselineDetector(newSeries: () => BaselineStep): Detector {
  const steps: (BaselineStep | undefined)[] = [];
  const warmUp = { ready: true, readingsLeft: 0, readyAtMs: null };
  return {
    parts: [],
    documents: [],
    step(batch: Batch) {
      for (let row = 0; row < batch.n; row++) {
        if (batch.flags[row] & FLAG.LATE) continue;
        const step = (steps[batch.slot[row]] ??= newSeries());
        const { score, yhat, halfBand } = step(batch.value[row]);
        batch.anomalyScore[row] = score;
        batch.yhat[row] = yhat;
        batch.yhatLower[row] = yhat - halfBand;
        batch.yhatUpper[row] = yhat + halfBand;
        if (score > 1) batch.flags[row] |= FLAG.IN_EVENT;
      }
    },
    retire(device) {
      for (const slot of device.slots) steps[slot] = undefined;
    },
    warmUp: () => warmUp,
    seriesInfo: () => ({ periodMs: null, warmUp, readings: 0 }),
    canTakeFeedback: () => false,
  };
}

import { beforeAll, describe, expect, it } from 'vitest';
import { shippedFile } from '../../core/paths.js';
import type { Network } from '../network.js';
import { readWeights } from '../weights.js';
import { FAMILIES } from './generator/index.js';
import { generatedSeries } from './lanes.js';
import { forecastsOf } from './report.js';

/** A stream of the generator that training, calibration and report do not draw from. */
const STREAM = 20_240_607;
const LENGTH = 1200;
const WARM_UP = 100;

let network: Network;
beforeAll(async () => {
  network = await readWeights(shippedFile('model/weights/default.safetensors'));
});

describe('the shipped weights', () => {
  it('say how they were made', () => {
    const { command, data_hash, metrics, calibration } = network.metadata;
    expect(command).toMatch(/^gruard train /);
    expect(data_hash).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.parse(metrics)).toMatchObject({ band: 0.99 });
    expect(JSON.parse(calibration)).toHaveLength(3);
  });

  it('cover 98 to 99.5 % of the readings of generated series by the 99 % band, and forecast better than the last value', () => {
    let covered = 0;
    let series = 0;
    const ratios: number[] = [];
    for (let index = 0; index < 2 * FAMILIES.length; index++) {
      const generated = generatedSeries(STREAM, FAMILIES, index, LENGTH);
      const { yhat, lower, upper } = forecastsOf(network, generated);
      let inside = 0;
      let error = 0;
      let naive = 0;
      for (let t = WARM_UP; t < LENGTH; t++) {
        const x = generated.value[t];
        // A band of no width about a constant is exact: rounding must not decide.
        const slack = 1e-6 * Math.abs(x) + 1e-12;
        if (x >= lower[t] - slack && x <= upper[t] + slack) inside++;
        error += Math.abs(x - yhat[t]);
        naive += Math.abs(x - generated.value[t - 1]);
      }
      covered += inside / (LENGTH - WARM_UP);
      ratios.push(naive === 0 ? 1 : error / naive);
      series++;
    }
    expect(covered / series).toBeGreaterThanOrEqual(0.98);
    expect(covered / series).toBeLessThanOrEqual(0.995);
    ratios.sort((a, b) => a - b);
    expect(ratios[Math.floor(series / 2)]).toBeLessThan(0.99);
  });
});

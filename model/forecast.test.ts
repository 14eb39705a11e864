import { describe, expect, it } from 'vitest';
import { bandCalibration, bandQuantile, ForecastDecoder, Forecasts, OUTPUTS } from './forecast.js';
import { FEATURES, Normaliser } from './normaliser.js';
import { studentCdf, studentQuantile } from './student.js';

function fed(values: number[]): Normaliser {
  const normaliser = new Normaliser();
  normaliser.reserve(1);
  const features = new Float32Array(FEATURES);
  values.forEach((value, t) => normaliser.step(Uint32Array.of(0), 1, Float64Array.of(t * 1000), Float64Array.of(value), features));
  return normaliser;
}

function decode(normaliser: Normaliser, outputs: number[], metadata = {}): Forecasts {
  const into = new Forecasts(1);
  new ForecastDecoder(metadata).decode(normaliser, Uint32Array.of(0), 1, Float32Array.from(outputs), into);
  return into;
}

const PERSIST = [0, -3, 0, 0, -3, 0, 0, -3, 0];
const WAVE = Array.from({ length: 300 }, (_, t) => 50 + 10 * Math.sin(t / 5));

describe('Student t', () => {
  it('has the published quantiles', () => {
    expect(studentQuantile(0.995, 2)).toBeCloseTo(9.9248, 3);
    expect(studentQuantile(0.995, 5)).toBeCloseTo(4.0321, 3);
    expect(studentQuantile(0.975, 30)).toBeCloseTo(2.0423, 3);
    expect(studentCdf(0, 7)).toBeCloseTo(0.5, 9);
    expect(studentCdf(-2, 3)).toBeCloseTo(1 - studentCdf(2, 3), 12);
  });

  it('is tabled within 0.5 % over the degrees of freedom of the head', () => {
    for (let raw = -12; raw <= 12; raw += 0.37) {
      const exact = studentQuantile(0.995, 2 + 30 / (1 + Math.exp(-raw)));
      expect(Math.abs(bandQuantile(raw) / exact - 1)).toBeLessThan(0.005);
    }
  });
});

describe('ForecastDecoder', () => {
  it('takes outputs of 0 as "the next reading is like the last"', () => {
    const { yhat, yhatLower, yhatUpper } = decode(fed(WAVE), PERSIST);
    expect(yhat[0]).toBeCloseTo(WAVE[299], 9);
    expect(yhatLower[0]).toBeLessThan(yhat[0]);
    expect(yhatUpper[0]).toBeGreaterThan(yhat[0]);
  });

  it('keeps the last value through a level shift far beyond the scale', () => {
    const { yhat } = decode(fed([...new Array<number>(500).fill(20), 4711]), PERSIST);
    expect(yhat[0] / 4711).toBeCloseTo(1, 6);
  });

  it('forecasts a counter from its last reading on, and its increments as location', () => {
    const { yhat, location } = decode(fed(Array.from({ length: 200 }, (_, t) => 1e9 + 5 * t)), PERSIST);
    expect(yhat[0]).toBeCloseTo(1e9 + 5 * 200, 3);
    expect(location[0]).toBeCloseTo(5, 3);
  });

  it('gives in the linear range the band of a Student t around the forecast, widened by the calibration', () => {
    const normaliser = fed(WAVE);
    const toMean = -normaliser.position(0);
    const outputs = [toMean, Math.log(0.01), 0, 0, 0, 0, 0, 0, 0];
    const half = normaliser.scale(0) * 0.01 * studentQuantile(0.995, 17);
    const { yhat, yhatUpper, yhatLower, spread } = decode(normaliser, outputs);
    expect(yhat[0]).toBeCloseTo(normaliser.mean(0), 5);
    expect((yhatUpper[0] - yhat[0]) / half).toBeCloseTo(1, 2);
    expect((yhat[0] - yhatLower[0]) / half).toBeCloseTo(1, 2);
    expect(spread[0] / (normaliser.scale(0) * 0.01)).toBeCloseTo(1, 4);
    const wider = decode(normaliser, outputs, { calibration: '[2,1,1]' });
    expect((wider.yhatUpper[0] - yhat[0]) / half).toBeCloseTo(2, 2);
  });

  it('marks what a network says that has lost itself, and is finite otherwise', () => {
    for (const bad of [NaN, Infinity, -Infinity, 1e30, 4.5, -8]) {
      const { yhat, yhatLower, yhatUpper, location, spread } = decode(fed(WAVE), new Array<number>(OUTPUTS).fill(bad));
      for (const array of [yhatLower, yhatUpper, location, spread]) expect(array.every(Number.isFinite)).toBe(true);
      expect(yhat[0]).toBeNaN();
      expect(yhatLower[0]).toBeLessThanOrEqual(yhatUpper[0]);
    }
  });

  it('reads a missing or malformed calibration as 1', () => {
    expect(bandCalibration({})).toEqual([1, 1, 1]);
    expect(bandCalibration({ calibration: '[1.5,"x",-1]' })).toEqual([1.5, 1, 1]);
  });
});

import { describe, expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { openBackend, type BackendName } from './backends/index.js';
import { Predictor } from './predictor.js';
import { readServingWeights } from './serving.js';

const DAY = 1440;
/** Clear days, read every minute: nothing at night, then a rise without a fall, which locks the shipped network's gates on the first morning. */
const SOLAR = Float64Array.from({ length: 3 * DAY }, (_, t) => Math.max(0, -900 * Math.cos((2 * Math.PI * t) / DAY)));

async function forecasts(name: BackendName): Promise<Float64Array> {
  const predictor = new Predictor(await openBackend(name, await readServingWeights(shippedFile('model/weights/default.safetensors'))));
  predictor.reserve(1);
  predictor.reserveRows(1);
  const slots = Uint32Array.of(0);
  return SOLAR.map((value, t) => {
    predictor.observe(slots, 1, Float64Array.of(60_000 * t), Float64Array.of(value), Float32Array.of(1));
    predictor.advance(slots, 1);
    return predictor.yhat(0);
  });
}

describe('Predictor', () => {
  it('lets a network that has lost itself begin anew, on every backend alike', async () => {
    const fused = await forecasts('wasm');
    const apart = await forecasts('js');
    for (let t = 500; t + 1 < SOLAR.length; t++) expect(Math.abs(fused[t] - SOLAR[t + 1])).toBeLessThan(250);
    for (let t = 0; t < SOLAR.length; t++) expect(Math.abs(fused[t] - apart[t])).toBeLessThan(1);
  });
});

import { beforeAll, describe, expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { gaussian, seededRandom } from '../core/random.js';
import { openBackend, type BackendName } from './backends/index.js';
import type { Network } from './network.js';
import { Predictor } from './predictor.js';
import { readServingWeights } from './serving.js';

const SERIES = 5;
const READINGS = 400;
const ALL = Uint32Array.from({ length: SERIES }, (_, slot) => slot);
const LEARNING = new Float32Array(SERIES).fill(1);

/** [READINGS][SERIES] noise at different levels, with spikes. */
function readings(): Float64Array[] {
  const random = seededRandom(5);
  return Array.from({ length: READINGS }, () => Float64Array.from(ALL, (slot) => 10 * slot + gaussian(random) * (slot + 1) + (random() < 0.02 ? 200 : 0)));
}

/** Forecasts of all series after each reading, in its own rows or `apart`; and how often a network began anew. */
async function forecasts(network: Network, backend: BackendName, options: { apart?: boolean; others?: Network[] } = {}): Promise<{ found: number[][]; anew: number }> {
  const opened = await openBackend(backend, network);
  let anew = 0;
  const clear = opened.clear.bind(opened);
  opened.clear = (slot) => {
    anew++;
    clear(slot);
  };
  const predictor = new Predictor(opened, await Promise.all((options.others ?? []).map((other) => openBackend('wasm', other))));
  predictor.reserve(SERIES);
  predictor.reserveRows(SERIES);
  const found = readings().map((values, t) => {
    const times = new Float64Array(SERIES).fill(60_000 * t);
    const groups = options.apart ? [...ALL].map((slot) => Uint32Array.of(slot)) : [ALL];
    for (const slots of groups) {
      predictor.observe(slots, slots.length, times, options.apart ? values.slice(slots[0], slots[0] + 1) : values, LEARNING);
      predictor.advance(slots, slots.length, () => -1);
    }
    const [yhat, yhatLower, yhatUpper] = [new Float64Array(SERIES), new Float64Array(SERIES), new Float64Array(SERIES)];
    const judgedBy = new Float64Array(4 * SERIES);
    for (const slot of ALL) {
      predictor.forecast(slot, slot, { yhat, yhatLower, yhatUpper });
      predictor.describe(slot, judgedBy, 4 * slot);
    }
    return [...yhat, ...yhatLower, ...yhatUpper, ...judgedBy];
  });
  return { found, anew };
}

describe('a network that loses itself', () => {
  let network: Network;
  let wild: Network;

  beforeAll(async () => {
    network = await readServingWeights(shippedFile('model/weights/default.safetensors'));
    const tensors = new Map([...network.tensors].map(([name, tensor]) => [name, name.startsWith('head') ? { ...tensor, data: tensor.data.map((x) => 12 * x) } : tensor]));
    wild = { ...network, tensors };
  });

  it('begins anew, alike whatever it is stepped with, and forecasts what is finite', async () => {
    const whole = await forecasts(wild, 'wasm');
    expect(whole.anew).toBeGreaterThan(100);
    const all = whole.found.flat();
    expect(all.every(Number.isFinite)).toBe(true);
    expect(await forecasts(wild, 'wasm', { apart: true })).toEqual(whole);
    expect((await forecasts(wild, 'wasm', { others: [network] })).found).toEqual(whole.found);
    const js = await forecasts(wild, 'js');
    expect(js.anew).toBe(whole.anew);
    const off = js.found.flat().map((x, i) => Math.abs(x - all[i]) / (1 + Math.abs(x)));
    expect(Math.max(...off)).toBeLessThan(1e-3);
  });

  it('is none that was trained', async () => {
    expect((await forecasts(network, 'wasm')).anew).toBe(0);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedFile } from '../../core/paths.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { openBackend, type Backend, type BackendName } from '../../model/backends/index.js';
import { Reference, referenceParameters } from '../../model/cells/reference.js';
import { initialise, stateSize, type Network, type NetworkConfig } from '../../model/network.js';
import { readWeights } from '../../model/weights.js';

const CHAINED_STEPS = 10_000;
const TOLERANCE = 1e-5;

/** Every cell, odd sizes that fill no panel and no tile, a mixed stack, and the sizes at the ends. */
export const CONFIGS: Record<string, NetworkConfig> = {
  elman: config([['elman', 12]]),
  jordan: config([['jordan', 10]]),
  recurrent: config([['recurrent', 13]]),
  lstm: config([['lstm', 16]]),
  gru: config([['gru', 32]]),
  'gru of 8': config([['gru', 8]]),
  'mixed stack': config([['elman', 9], ['lstm', 11], ['recurrent', 7], ['gru', 14]], { skip: false }),
};
const WIDE = config([['gru', 256], ['lstm', 256]]);

function config(layers: [NetworkConfig['layers'][number]['cell'], number][], head: { skip?: boolean } = {}): NetworkConfig {
  return {
    features: 'test', inputs: 7, layers: layers.map(([cell, units]) => ({ cell, units })),
    head: { outputs: 9, skip: head.skip ?? true }, horizons: [1, 8, 32],
  };
}

/** Inputs as a normaliser gives them: about normal, with far values now and then. x: [n, I] */
function inputs(n: number, width: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: n * width }, () => gaussian(random) * (random() < 0.02 ? 6 : 1));
}

/** Weights larger than untrained ones, with biases, so that gates open and close as trained ones do. */
function lively(network: Network, seed: number): Network {
  const random = seededRandom(seed);
  for (const [name, { data }] of network.tensors) {
    if (name.endsWith('bias')) for (let i = 0; i < data.length; i++) data[i] += 0.5 * gaussian(random);
  }
  return network;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= most)) most = difference;
  }
  return most;
}

/** What every backend must do, whichever cell and size. */
export function backendConformance(name: BackendName): void {
  describe(`backend ${name}`, () => {
    for (const [title, configuration] of Object.entries(CONFIGS)) {
      describe(title, () => cellConformance(name, async () => lively(initialise(configuration, 5), 6)));
    }
    describe('shipped weights', () => cellConformance(name, () => readWeights(shippedFile('model/weights/default.safetensors'))));
    it('keeps two models side by side apart', async () => {
      const [first, second] = await Promise.all([1, 2].map((seed) => openBackend(name, initialise(CONFIGS['gru of 8'], seed))));
      const state = new Float32Array(8).fill(0.5);
      for (const backend of [first, second]) {
        backend.reserve(4);
        backend.setState(1, state);
      }
      const x = inputs(1, 7, 71);
      const [a, b] = [new Float32Array(9), new Float32Array(9)];
      first.step(Uint32Array.of(1), 1, x, a);
      const untouched = new Float32Array(8);
      second.getState(1, untouched);
      expect(untouched).toEqual(state);
      second.step(Uint32Array.of(1), 1, x, b);
      expect(largestDifference(a, b)).toBeGreaterThan(0.01);
      first.dispose();
      second.getState(1, untouched);
      expect(untouched).not.toEqual(state);
      second.dispose();
    });

    it('steps a batch of thousands as it would smaller ones', async () => {
      const n = 2500;
      const network = initialise(CONFIGS['gru of 8'], 1);
      const [whole, parts] = await Promise.all([openBackend(name, network), openBackend(name, network)]);
      for (const backend of [whole, parts]) backend.reserve(n);
      const slots = Uint32Array.from({ length: n }, (_, i) => (i * 7) % n);
      const [a, b] = [whole.outputView(n), new Float32Array(n * 9)];
      for (let t = 0; t < 3; t++) {
        const x = inputs(n, 7, 81 + t);
        const own = whole.inputView(n);
        own.set(x);
        whole.step(slots, n, own, a);
        for (let at = 0; at < n; at += 500) {
          const piece = new Float32Array(500 * 9);
          parts.step(slots.subarray(at, at + 500), 500, x.subarray(at * 7), piece);
          b.set(piece, at * 9);
        }
      }
      expect(largestDifference(a, b)).toBeLessThan(TOLERANCE);
      const [states, others] = [new Float32Array(n * 8), new Float32Array(n * 8)];
      whole.getStates(slots, n, states);
      parts.getStates(slots, n, others);
      expect(largestDifference(states, others)).toBeLessThan(TOLERANCE);
      expect(largestDifference(states.subarray(0, 8), states.subarray(n * 8 - 8))).toBeGreaterThan(0.01);
      whole.dispose();
      parts.dispose();
    });

    it('runs the largest sizes', { timeout: 60_000 }, async () => {
      const network = initialise(WIDE, 3);
      const backend = await openBackend(name, network);
      backend.reserve(6);
      const reference = new Reference(network.config, referenceParameters(network));
      const state = new Float64Array(stateSize(network.config));
      const expected = new Float64Array(9);
      const outputs = new Float32Array(5 * 9);
      for (let t = 0; t < 20; t++) {
        const x = inputs(1, 7, t);
        const five = new Float32Array(35);
        for (let i = 0; i < 5; i++) five.set(x, i * 7);
        backend.step(Uint32Array.of(5, 1, 2, 3, 0), 5, five, outputs);
        reference.step(Float64Array.from(x), state, expected);
      }
      for (let i = 0; i < 5; i++) expect(largestDifference(outputs.subarray(i * 9, i * 9 + 9), expected)).toBeLessThan(TOLERANCE);
      backend.dispose();
    });
  });
}

function cellConformance(name: BackendName, open: () => Promise<Network>): void {
  let network: Network;
  let I: number;
  let O: number;
  let size: number;
  let backend: Backend;
  beforeAll(async () => {
    network = await open();
    ({ inputs: I, head: { outputs: O } } = network.config);
    size = stateSize(network.config);
    backend = await openBackend(name, network);
    backend.reserve(64);
  });
  afterAll(() => backend.dispose());

  const stateOf = (slot: number): Float32Array => {
    const state = new Float32Array(size);
    backend.getState(slot, state);
    return state;
  };
  const step = (slots: number[], x: Float32Array): Float32Array => {
    const outputs = new Float32Array(slots.length * O);
    backend.step(Uint32Array.from(slots), slots.length, x, outputs);
    return outputs;
  };

  it(`agrees with the float64 reference to ${TOLERANCE} over ${CHAINED_STEPS} chained steps`, { timeout: 120_000 }, () => {
    const reference = new Reference(network.config, referenceParameters(network));
    const slots = [7, 3, 0, 12, 5];
    const watched = [0, 4];
    const states = watched.map(() => new Float64Array(size));
    const expected = new Float64Array(O);
    for (const slot of slots) backend.clear(slot);
    const x = inputs(CHAINED_STEPS * slots.length, I, 11);
    const outputs = new Float32Array(slots.length * O);
    const slotArray = Uint32Array.from(slots);
    let worst = 0;
    for (let t = 0; t < CHAINED_STEPS; t++) {
      const now = x.subarray(t * slots.length * I, (t + 1) * slots.length * I);
      backend.step(slotArray, slots.length, now, outputs);
      watched.forEach((row, i) => {
        reference.step(Float64Array.from(now.subarray(row * I, (row + 1) * I)), states[i], expected);
        worst = Math.max(worst, largestDifference(outputs.subarray(row * O, (row + 1) * O), expected));
      });
    }
    watched.forEach((row, i) => {
      worst = Math.max(worst, largestDifference(stateOf(slots[row]), states[i]));
    });
    expect(worst).toBeLessThan(TOLERANCE);
    expect(largestDifference(states[0], new Float64Array(size))).toBeGreaterThan(0.01);
  });

  it('gives every row of a batch the same answer, whatever the size of the batch', () => {
    for (const n of [1, 2, 3, 4, 5, 8, 9, 33]) {
      const slots = Array.from({ length: n }, (_, i) => (i * 7 + 3) % 61);
      const x = inputs(1, I, 21);
      const repeated = new Float32Array(n * I);
      for (let i = 0; i < n; i++) {
        backend.setState(slots[i], inputs(1, size, 22).map((v) => Math.tanh(v)));
        repeated.set(x, i * I);
      }
      const outputs = step(slots, repeated);
      backend.setState(slots[0], inputs(1, size, 22).map((v) => Math.tanh(v)));
      const alone = step([slots[0]], x);
      for (let i = 0; i < n; i++) {
        const row = outputs.subarray(i * O, (i + 1) * O);
        // Only TensorFlow's kernels may depend on the shape of the batch.
        if (name === 'tensorflow') expect(largestDifference(row, alone)).toBeLessThan(TOLERANCE);
        else expect(row).toEqual(alone);
      }
    }
  });

  it('gives back the state that it was given, and goes on from it', () => {
    const state = inputs(1, size, 31).map((v) => Math.tanh(v));
    backend.setState(9, state);
    expect(stateOf(9)).toEqual(state);
    const x = inputs(1, I, 32);
    const first = step([9], x);
    const after = stateOf(9);
    expect(after).not.toEqual(state);
    backend.setState(40, state);
    expect(step([40], x)).toEqual(first);
    expect(stateOf(40)).toEqual(after);
  });

  it('reads and writes many states at once', () => {
    const slots = Uint32Array.of(50, 11, 33);
    const states = inputs(3, size, 35);
    backend.setStates(slots, 3, states);
    const out = new Float32Array(3 * size);
    backend.getStates(slots, 3, out);
    expect(out).toEqual(states);
    expect(stateOf(11)).toEqual(states.slice(size, 2 * size));
    expect(() => backend.getStates(slots, 3, out.subarray(1))).toThrow(RangeError);
    expect(() => backend.setStates(Uint32Array.of(backend.capacity), 1, out)).toThrow(RangeError);
  });

  it('reads what was last written or stepped, in whatever order', () => {
    const at = (value: number): Float32Array => new Float32Array(size).fill(value);
    backend.setState(4, at(0.25));
    backend.setState(4, at(0.5));
    backend.setState(5, at(0.75));
    expect(stateOf(4)).toEqual(at(0.5));
    backend.setStates(Uint32Array.of(5), 1, at(0.125));
    expect(stateOf(5)).toEqual(at(0.125));
    const x = inputs(1, I, 36);
    backend.setState(6, at(0.5));
    expect(step([6], x)).toEqual(step([4], x));
    expect(stateOf(4)).not.toEqual(at(0.5));
    expect(stateOf(4)).toEqual(stateOf(6));
  });

  it('clears one slot and leaves its neighbours', () => {
    for (const slot of [20, 21, 22]) backend.setState(slot, new Float32Array(size).fill(slot / 50));
    backend.clear(21);
    expect(stateOf(21)).toEqual(new Float32Array(size));
    expect(stateOf(20)).toEqual(new Float32Array(size).fill(20 / 50));
    expect(stateOf(22)).toEqual(new Float32Array(size).fill(22 / 50));
  });

  it('keeps every state when it grows, and gives new slots the zero state', () => {
    backend.setState(63, new Float32Array(size).fill(0.25));
    backend.setState(0, new Float32Array(size).fill(-0.5));
    const before = backend.capacity;
    backend.reserve(before + 3000);
    expect(backend.capacity).toBeGreaterThanOrEqual(before + 3000);
    expect(stateOf(63)).toEqual(new Float32Array(size).fill(0.25));
    expect(stateOf(0)).toEqual(new Float32Array(size).fill(-0.5));
    expect(stateOf(before + 2999)).toEqual(new Float32Array(size));
    backend.reserve(10);
    expect(backend.capacity).toBeGreaterThanOrEqual(before + 3000);
    const x = inputs(1, I, 41);
    backend.clear(1);
    expect(step([before + 2999], x)).toEqual(step([1], x));
  });

  it('steps nothing when the batch is empty', () => {
    backend.setState(3, new Float32Array(size).fill(0.5));
    backend.step(new Uint32Array(0), 0, new Float32Array(0), new Float32Array(0));
    expect(stateOf(3)).toEqual(new Float32Array(size).fill(0.5));
  });

  it('takes its own views as well as any array', () => {
    const n = 6;
    const slots = Array.from({ length: n }, (_, i) => 30 + i);
    const x = inputs(n, I, 51);
    for (const slot of slots) backend.clear(slot);
    const copied = step(slots, x);
    for (const slot of slots) backend.clear(slot);
    const outputs = backend.outputView(n);
    const own = backend.inputView(n);
    own.set(x);
    backend.step(Uint32Array.from(slots), n, own, outputs);
    expect(outputs.slice(0, n * O)).toEqual(copied);
  });

  it('refuses a slot that does not exist and arrays that are too short, and steps none', () => {
    backend.clear(2);
    const outputs = new Float32Array(2 * O);
    const x = inputs(2, I, 61);
    expect(() => backend.step(Uint32Array.of(2, backend.capacity), 2, x, outputs)).toThrow(RangeError);
    expect(() => backend.step(Uint32Array.of(2), 2, x, outputs)).toThrow(RangeError);
    expect(() => backend.step(Uint32Array.of(2, 3), 2, x.subarray(1), outputs)).toThrow(RangeError);
    expect(() => backend.getState(backend.capacity, new Float32Array(size))).toThrow(RangeError);
    expect(stateOf(2)).toEqual(new Float32Array(size));
  });
}

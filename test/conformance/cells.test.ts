import { describe, expect, it } from 'vitest';
import { CELL_KINDS, type CellKind, type LayerParameters } from '../../model/cells/cell.js';
import { CELLS } from '../../model/cells/index.js';
import { finiteDifference, referenceParameters, sequenceLoss } from '../../model/cells/reference.js';
import { initialise, layerShapes, parameterCount, stateSize, tensorSpecs, type NetworkConfig } from '../../model/network.js';

/** A layer of one input and one unit (two for `recurrent`, of which one is the output) with all weights 0.5, all biases 0.1. */
function tiny(kind: CellKind): { parameters: LayerParameters; units: number } {
  const units = kind === 'recurrent' ? 2 : 1;
  const parameters = new Map(CELLS[kind].tensors(1, units).map(({ name, shape }) =>
    [name, new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(name.endsWith('bias') ? 0.1 : 0.5)]));
  return { parameters, units };
}

const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a));

/** One step of x = 1 from a state of 0.2 everywhere, worked out by the textbook's equation. */
const BY_HAND: Record<CellKind, number[]> = (() => {
  const a = 0.5 * 1 + 0.5 * 0.2 + 0.1;
  const s = Math.tanh(0.5 * 1 + 0.5 * 0.2 + 0.5 * 0.2 + 0.1);
  const z = sigmoid(a);
  const candidate = Math.tanh(0.5 + 0.5 * (z * 0.2) + 0.1);
  const c = z * 0.2 + z * Math.tanh(a);
  return {
    elman: [Math.tanh(a)],
    jordan: [Math.tanh(0.5 * Math.tanh(a) + 0.1)],
    recurrent: [s, s],
    lstm: [z * Math.tanh(c), c],
    gru: [z * 0.2 + (1 - z) * candidate],
  };
})();

describe.each(CELL_KINDS)('cell %s', (kind) => {
  const cell = CELLS[kind];

  it('makes the step of its equation', () => {
    const { parameters, units } = tiny(kind);
    const state = new Float64Array(cell.stateSize(units)).fill(0.2);
    const next = new Float64Array(state.length);
    cell.step(parameters, Float64Array.of(1), state, next, new Float64Array(cell.scratchSize(units)));
    expect(next.length).toBe(BY_HAND[kind].length);
    next.forEach((value, i) => expect(value).toBeCloseTo(BY_HAND[kind][i], 14));
    expect([...state]).toEqual(Array(state.length).fill(0.2));
  });

  it('is sensitive to every one of its parameters', () => {
    const config: NetworkConfig = {
      features: 'test', inputs: 2, layers: [{ cell: kind, units: 3 }], head: { outputs: 2, skip: true }, horizons: [1],
    };
    const parameters = referenceParameters(initialise(config, 4));
    const inputs = Float64Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const loss = (): number => sequenceLoss(config, parameters, inputs, (y, t) => (y[0] - t / 6) ** 2 + (y[1] + 0.5) ** 2);
    for (const [name, data] of parameters) {
      for (let i = 0; i < data.length; i++) expect(Math.abs(finiteDifference(parameters, name, i, loss))).toBeGreaterThan(1e-9);
    }
  });
});

it('a GRU whose update gate is held open keeps its state', () => {
  // z is the first gate of Keras' columns: were z and r exchanged, this would not hold.
  const units = 3;
  const parameters = new Map(CELLS.gru.tensors(1, units).map(({ name, shape }) =>
    [name, new Float64Array(shape.reduce((a, b) => a * b, 1))]));
  parameters.get('bias')?.fill(100, 0, units);
  const state = Float64Array.of(0.3, -0.7, 0.9);
  const next = new Float64Array(units);
  CELLS.gru.step(parameters, Float64Array.of(1), state, next, new Float64Array(9));
  expect([...next]).toEqual([...state]);
});

describe('a stack', () => {
  const config: NetworkConfig = {
    features: 'test', inputs: 5, layers: [{ cell: 'recurrent', units: 7 }, { cell: 'lstm', units: 6 }],
    head: { outputs: 2, skip: false }, horizons: [1],
  };

  it('feeds each layer the outputs of the one below', () => {
    expect(layerShapes(config)).toMatchObject([
      { inputs: 5, stateSize: 7, outputSize: 4, stateOffset: 0 }, { inputs: 4, stateSize: 12, outputSize: 6, stateOffset: 7 },
    ]);
    expect(stateSize(config)).toBe(19);
    expect(tensorSpecs(config).at(-2)).toMatchObject({ name: 'head.kernel', shape: [6, 2] });
    expect(parameterCount(config)).toBe(5 * 7 + 7 * 7 + 7 + 4 * 24 + 6 * 24 + 24 + 12 + 2);
  });

  it('starts from the same parameters for the same seed, with orthonormal recurrent rows', () => {
    const network = initialise(config, 9);
    expect(initialise(config, 9)).toEqual(network);
    expect(initialise(config, 10).tensors.get('head.kernel')).not.toEqual(network.tensors.get('head.kernel'));
    const { data, shape: [rows, columns] } = network.tensors.get('layers.1.recurrent_kernel') ?? { data: [], shape: [0, 0] };
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k <= i; k++) {
        let dot = 0;
        for (let j = 0; j < columns; j++) dot += data[i * columns + j] * data[k * columns + j];
        expect(dot).toBeCloseTo(i === k ? 1 : 0, 5);
      }
    }
  });
});

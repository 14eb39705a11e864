import { beforeAll, describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../../core/random.js';
import { DOF_LOW, DOF_SPAN } from '../forecast.js';
import { finiteDifference, referenceParameters, sequenceLoss } from '../cells/reference.js';
import { CELL_KINDS, type CellKind } from '../cells/cell.js';
import { initialise, layerShapes, type NetworkConfig } from '../network.js';
import { logGamma } from '../student.js';
import { evaluateChunk, lossAndGradients, type Chunk } from './gradient.js';
import { HORIZON_WEIGHTS } from './loss.js';
import { loadPlain, loadTensorFlow, type TensorFlow } from './tensorflow.js';

/** Two layers, so that gradients by a layer's inputs count as well. */
function configOf(...cells: [CellKind, CellKind]): NetworkConfig {
  return {
    features: 'v1', inputs: 7, layers: cells.map((cell, l) => ({ cell, units: 5 - l })), head: { outputs: 9, skip: true }, horizons: [1, 8, 32],
  };
}
const CONFIG = configOf('gru', 'gru');
/** Every cell over itself, and a mixed stack. */
const CONFIGS = [...CELL_KINDS.map((cell) => configOf(cell, cell)), configOf('lstm', 'gru')];
const STEPS = 12;

function chunkOf(rows: number, seed: number): Chunk {
  const random = seededRandom(seed);
  const draw = (n: number): Float32Array => Float32Array.from({ length: n }, () => gaussian(random));
  return { steps: STEPS, rows, features: draw(STEPS * rows * 7), targets: draw(STEPS * rows * 3), present: new Float32Array(STEPS * rows * 3).fill(1) };
}

/** The exact loss of one step, with lnGamma itself. */
function exactLoss(outputs: Float64Array, targets: Float32Array, t: number): number {
  let sum = 0;
  for (let i = 0; i < 3; i++) {
    const [move, logSigma, raw] = outputs.subarray(i * 3, i * 3 + 3);
    const dof = DOF_LOW + DOF_SPAN / (1 + Math.exp(-raw));
    const e = (targets[t * 3 + i] - move) / Math.exp(logSigma);
    const log = logGamma((dof + 1) / 2) - logGamma(dof / 2) - 0.5 * Math.log(dof * Math.PI);
    sum += HORIZON_WEIGHTS[i] * (logSigma + ((dof + 1) / 2) * Math.log1p((e * e) / dof) - log);
  }
  return sum;
}

const network = initialise(CONFIG, 5);
const parameters = new Map([...network.tensors].map(([name, { data }]) => [name, data]));
const zeros = (rows: number, config = CONFIG): Float32Array[] => layerShapes(config).map(({ stateSize }) => new Float32Array(rows * stateSize));
const runtimes = new Map<string, TensorFlow>();

beforeAll(async () => {
  const best = await loadTensorFlow();
  if (best.kernel !== undefined) runtimes.set('native', best);
  runtimes.set('plain', best.kernel === undefined ? await loadPlain() : { tf: best.tf });
});

describe.each(['native', 'plain'])('gradients of the %s runtime', (name) => {
  it.for(CONFIGS.map((config) => [config.layers.map(({ cell }) => cell).join(' under '), config] as const))('agree with finite differences of the float64 reference, in every tensor: %s', ([, config], { skip }) => {
    const runtime = runtimes.get(name);
    if (runtime === undefined) return skip('tfjs-node is not installed');
    const network = initialise(config, 5);
    const chunk = chunkOf(1, 3);
    const random = seededRandom(8);
    const states = layerShapes(config).map(({ stateSize }) => Float32Array.from({ length: stateSize }, () => 0.3 * gaussian(random)));
    const { loss, gradients } = lossAndGradients(runtime, config, new Map([...network.tensors].map(([tensor, { data }]) => [tensor, data])), chunk, states);
    const reference = referenceParameters(network);
    const exact = (): number => sequenceLoss(config, reference, Float64Array.from(chunk.features), (outputs, t) => exactLoss(outputs, chunk.targets, t), Float64Array.from(states.flatMap((state) => [...state])));
    expect([...gradients.keys()].sort()).toEqual([...network.tensors.keys()].sort());
    expect(loss).toBeCloseTo(exact(), 2);
    for (const [tensor, gradient] of gradients) {
      for (let index = 0; index < gradient.length; index += 7) {
        expect(Math.abs(gradient[index] - finiteDifference(reference, tensor, index, exact)), `${tensor}[${index}]`).toBeLessThan(2e-4 + 0.003 * Math.abs(gradient[index]));
      }
    }
  });
});

describe('lossAndGradients', () => {
  it('is the same by TensorFlow\'s fused kernel and by plain operations', ({ skip }) => {
    const native = runtimes.get('native');
    if (native === undefined) return skip('tfjs-node is not installed');
    const chunk = chunkOf(6, 4);
    const a = lossAndGradients(native, CONFIG, parameters, chunk, zeros(6));
    const b = lossAndGradients({ tf: native.tf }, CONFIG, parameters, chunk, zeros(6));
    expect(a.loss).toBeCloseTo(b.loss, 5);
    for (const [tensor, gradient] of a.gradients) gradient.forEach((x, i) => expect(x).toBeCloseTo(b.gradients.get(tensor)![i], 4));
    a.states.forEach((state, l) => state.forEach((x, i) => expect(x).toBeCloseTo(b.states[l][i], 5)));
  });

  it('ignores targets that are not present, and leaves no tensors behind', () => {
    const runtime = [...runtimes.values()][0];
    const chunk = chunkOf(2, 5);
    for (let i = 0; i < chunk.present.length; i += 4) {
      chunk.present[i] = 0;
      chunk.targets[i] = 7;
    }
    const before = runtime.tf.memory().numTensors;
    const { loss } = lossAndGradients(runtime, CONFIG, parameters, chunk, zeros(2));
    for (let i = 0; i < chunk.present.length; i += 4) chunk.targets[i] = -3;
    expect(evaluateChunk(runtime, CONFIG, parameters, chunk, zeros(2)).loss).toBeCloseTo(loss, 5);
    expect(runtime.tf.memory().numTensors).toBe(before);
  });
});

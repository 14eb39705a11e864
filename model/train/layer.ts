import type { CellKind } from '../cells/cell.js';
import type { LayerShape } from '../network.js';
import { backward, forward, type GruTensors } from './gru-gradient.js';
import type { Tensor, Tensor2D, TensorFlow, TF } from './tensorflow.js';

/** A layer that has run over a chunk. B: rows, T: steps. */
export interface LayerPass {
  /** T tensors [B, outputSize]. */
  outputs: Tensor2D[];
  /** [B, stateSize] after the last step. */
  state: Tensor2D;
  /** From the gradients by the outputs, T tensors [B, outputSize], those by the layer's tensors under their names in the file and by its inputs, T tensors [B, inputs]. */
  backward(outputGradients: Tensor2D[]): { tensors: [string, Tensor][]; inputs: Tensor2D[] };
}

/** A layer's tensors by their name within the layer, as they lie in the file. */
export type LayerTensors = ReadonlyMap<string, Tensor>;

/** Runs a layer over T inputs [B, inputs] from the state [B, stateSize]. */
export function runLayer(runtime: TensorFlow, shape: LayerShape, tensors: LayerTensors, inputs: Tensor2D[], state: Tensor2D): LayerPass {
  return shape.cell === 'gru' ? gruPass(runtime, shape, tensors, inputs, state) : tapePass(runtime, shape, shape.cell, tensors, inputs, state);
}

/** The cell that ships, by its gradient written by hand. */
function gruPass(runtime: TensorFlow, shape: LayerShape, tensors: LayerTensors, inputs: Tensor2D[], state: Tensor2D): LayerPass {
  const weights = packed(runtime, tensors);
  const { outputs, steps } = forward(runtime, weights, inputs, state);
  return {
    outputs, state: outputs[outputs.length - 1],
    backward(outputGradients) {
      const back = backward(runtime, weights, steps, outputGradients);
      return { tensors: unpacked(runtime, back.weights, shape.inputs), inputs: back.inputs };
    },
  };
}

/** Every other cell, by TensorFlow.js' tape: slower, since it runs forward once more under the tape, and right by construction. */
function tapePass({ tf }: TensorFlow, shape: LayerShape, cell: TapedCell, tensors: LayerTensors, inputs: Tensor2D[], state: Tensor2D): LayerPass {
  const names = [...tensors.keys()];
  const run = (x: Tensor2D, weights: readonly Tensor[]): Tensor2D[] => {
    const of = (name: string): Tensor2D => weights[names.indexOf(name)] as Tensor2D;
    // The inputs' part of every step in one product.
    const ofInputs = tf.split<Tensor2D>(tf.add(tf.matMul(x, of('kernel')), of('bias')), inputs.length, 0);
    const states: Tensor2D[] = [];
    let before = state;
    for (const a of ofInputs) states.push(before = STEPS[cell](tf, tf.add(a, tf.matMul(recurred(tf, shape, before), of('recurrent_kernel'))), before, of));
    return states;
  };
  const outputs = (states: Tensor2D[]): Tensor2D[] => states.map((s) => tf.slice(s, [0, 0], [-1, shape.outputSize]));
  const joined = tf.concat(inputs, 0);
  const weights = [...tensors.values()];
  const states = run(joined, weights);
  return {
    outputs: outputs(states), state: states[states.length - 1],
    backward(outputGradients) {
      const gradients = tf.grads((x: Tensor, ...w: Tensor[]) => tf.concat(outputs(run(x as Tensor2D, w)), 0));
      const [byInputs, ...byWeights] = gradients([joined, ...weights], tf.concat(outputGradients, 0));
      return { tensors: byWeights.map((gradient, i) => [names[i], gradient]), inputs: tf.split<Tensor2D>(byInputs, inputs.length, 0) };
    },
  };
}

type TapedCell = Exclude<CellKind, 'gru'>;

/** What of a state the recurrent kernel reads: of an LSTM's [h, c] only h. */
function recurred(tf: TF, { cell, units }: LayerShape, state: Tensor2D): Tensor2D {
  return cell === 'lstm' ? tf.slice(state, [0, 0], [-1, units]) : state;
}

/** The next state [B, stateSize] from the sums a = x W + h U + b and the state; the equations are those of model/cells. */
const STEPS: Record<TapedCell, (tf: TF, a: Tensor2D, state: Tensor2D, tensor: (name: string) => Tensor2D) => Tensor2D> = {
  elman: (tf, a) => tf.tanh(a),
  recurrent: (tf, a) => tf.tanh(a),
  jordan: (tf, a, _state, tensor) => tf.tanh(tf.add<Tensor2D>(tf.matMul(tf.tanh<Tensor2D>(a), tensor('output_kernel')), tensor('output_bias'))),
  lstm(tf, a, state) {
    const [i, f, g, o] = tf.split<Tensor2D>(a, 4, 1);
    const kept = tf.slice(state, [0, i.shape[1]], [-1, -1]);
    const c = tf.add<Tensor2D>(tf.mul(tf.sigmoid(f), kept), tf.mul(tf.sigmoid(i), tf.tanh(g)));
    return tf.concat([tf.mul<Tensor2D>(tf.sigmoid(o), tf.tanh(c)), c], 1);
  },
};

/** File layout (columns z, r, c; x and h apart) to the GRU kernel's (columns r, u; x and h joined). */
function packed({ tf }: TensorFlow, tensors: LayerTensors): GruTensors {
  const of = (name: string): Tensor2D => tensors.get(name) as Tensor2D;
  const [z, r, c] = tf.split<Tensor2D>(tf.concat([of('kernel'), of('recurrent_kernel')], 0), 3, 1);
  const [biasZ, biasR, biasC] = tf.split<Tensor>(of('bias'), 3);
  return { gates: tf.concat([r, z], 1), candidate: c, gatesBias: tf.concat([biasR, biasZ]), candidateBias: biasC };
}

function unpacked({ tf }: TensorFlow, { gates, candidate, gatesBias, candidateBias }: GruTensors, inputs: number): [string, Tensor][] {
  const [r, z] = tf.split(gates, 2, 1);
  const joined = tf.concat([z, r, candidate], 1);
  const [biasR, biasZ] = tf.split(gatesBias, 2);
  return [
    ['kernel', tf.slice(joined, [0, 0], [inputs, -1])],
    ['recurrent_kernel', tf.slice(joined, [inputs, 0], [-1, -1])],
    ['bias', tf.concat([biasZ, biasR, candidateBias])],
  ];
}

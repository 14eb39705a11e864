import type { NetworkConfig } from '../network.js';
import { CELLS } from '../cells/index.js';
import { layerShapes, type LayerShape } from '../network.js';
import { runLayer, type LayerPass } from './layer.js';
import { studentLoss } from './loss.js';
import type { Tensor, Tensor2D, TensorFlow, TF } from './tensorflow.js';

/** A stretch of T steps of B series, time-major: index (t B + b). */
export interface Chunk {
  steps: number;
  rows: number;
  /** [T, B, inputs] */
  features: Float32Array;
  /** [T, B, 3] */
  targets: Float32Array;
  /** [T, B, 3] 1 where there is a target, otherwise 0 */
  present: Float32Array;
}

/** Parameters, or gradients by them, under the names and in the layout of the weights file. */
export type Parameters = Map<string, Float32Array>;

export interface Evaluation {
  loss: number;
  /** The loss of each horizon by itself. */
  horizonLosses: Float32Array;
  /** [B, stateSize] a layer: the state after the last step. */
  states: Float32Array[];
}

/** Loss and gradients over a chunk, from the given states ([B, stateSize] a layer). Truncated BPTT: no gradient reaches before the chunk. */
export function lossAndGradients(
  runtime: TensorFlow, config: NetworkConfig, parameters: Parameters, chunk: Chunk, states: Float32Array[],
): Evaluation & { gradients: Parameters } {
  const { tf } = runtime;
  return scoped(tf, () => {
    const run = runLayers(runtime, config, parameters, chunk, states);
    const top = run.passes[run.passes.length - 1].outputs;
    const targets = tf.tensor2d(chunk.targets, [chunk.steps * chunk.rows, 3]);
    const present = tf.tensor2d(chunk.present, [chunk.steps * chunk.rows, 3]);
    let horizonLosses = new Float32Array(0);
    const { value, grads } = tf.valueAndGrads((...[hidden, kernel, bias]: Tensor[]) => {
      const loss = studentLoss(tf, head(runtime, config, hidden as Tensor2D, run.features, kernel as Tensor2D, bias), targets, present);
      horizonLosses = Float32Array.from(loss.horizons.dataSync());
      return loss.total.asScalar();
    })([tf.concat(top, 0), ...headTensors(runtime, config, parameters)]);

    const out: [string, Tensor][] = [['head.kernel', grads[1]], ['head.bias', grads[2]]];
    let outputGradients = tf.split<Tensor2D>(grads[0], chunk.steps, 0);
    for (let l = run.passes.length - 1; l >= 0; l--) {
      const { tensors, inputs } = run.passes[l].backward(outputGradients);
      for (const [name, tensor] of tensors) out.push([`layers.${l}.${name}`, tensor]);
      outputGradients = inputs;
    }
    return {
      loss: value.dataSync()[0],
      horizonLosses,
      states: finalStates(run.passes),
      gradients: new Map(out.map(([name, tensor]) => [name, Float32Array.from(tensor.dataSync())])),
    };
  });
}

/** Outputs [T, B, 9] and loss over a chunk, without gradients. */
export function evaluateChunk(
  runtime: TensorFlow, config: NetworkConfig, parameters: Parameters, chunk: Chunk, states: Float32Array[],
): Evaluation & { outputs: Float32Array } {
  const { tf } = runtime;
  return scoped(tf, () => {
    const run = runLayers(runtime, config, parameters, chunk, states);
    const hidden = tf.concat(run.passes[run.passes.length - 1].outputs, 0);
    const outputs = head(runtime, config, hidden, run.features, ...headTensors(runtime, config, parameters));
    const shape: [number, number] = [chunk.steps * chunk.rows, 3];
    const loss = studentLoss(tf, outputs, tf.tensor2d(chunk.targets, shape), tf.tensor2d(chunk.present, shape));
    return {
      loss: loss.total.dataSync()[0],
      horizonLosses: Float32Array.from(loss.horizons.dataSync()),
      states: finalStates(run.passes),
      outputs: Float32Array.from(outputs.dataSync()),
    };
  });
}

/** Runs f and frees every tensor that it made. */
function scoped<T>(tf: TF, f: () => T): T {
  tf.engine().startScope();
  try {
    return f();
  } finally {
    tf.engine().endScope();
  }
}

interface Run {
  /** [T B, inputs] */
  features: Tensor2D;
  passes: LayerPass[];
}

function runLayers(runtime: TensorFlow, config: NetworkConfig, parameters: Parameters, chunk: Chunk, states: Float32Array[]): Run {
  const { tf } = runtime;
  const features = tf.tensor2d(chunk.features, [chunk.steps * chunk.rows, config.inputs]);
  const passes: LayerPass[] = [];
  let inputs = tf.split<Tensor2D>(features, chunk.steps, 0);
  layerShapes(config).forEach((shape, l) => {
    passes.push(runLayer(runtime, shape, layerTensors(runtime, shape, l, parameters), inputs, tf.tensor2d(states[l], [chunk.rows, shape.stateSize])));
    inputs = passes[l].outputs;
  });
  return { features, passes };
}

function layerTensors({ tf }: TensorFlow, { cell, inputs, units }: LayerShape, l: number, parameters: Parameters): Map<string, Tensor> {
  return new Map(CELLS[cell].tensors(inputs, units).map(({ name, shape }) => [name, tf.tensor(of(parameters, `layers.${l}.${name}`), shape)]));
}

function finalStates(passes: LayerPass[]): Float32Array[] {
  return passes.map(({ state }) => Float32Array.from(state.dataSync()));
}

function headTensors({ tf }: TensorFlow, config: NetworkConfig, parameters: Parameters): [Tensor2D, Tensor] {
  const kernel = of(parameters, 'head.kernel');
  const { outputs } = config.head;
  return [tf.tensor2d(kernel, [kernel.length / outputs, outputs]), tf.tensor1d(of(parameters, 'head.bias'))];
}

function head({ tf }: TensorFlow, config: NetworkConfig, hidden: Tensor2D, features: Tensor2D, kernel: Tensor2D, bias: Tensor): Tensor2D {
  return tf.add(tf.matMul(config.head.skip ? tf.concat([hidden, features], 1) : hidden, kernel), bias);
}

function of(parameters: Parameters, name: string): Float32Array {
  const data = parameters.get(name);
  if (data === undefined) throw new RangeError(`no tensor ${name}`);
  return data;
}

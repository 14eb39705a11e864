import { createRequire } from 'node:module';
import type { Network } from '../../model/network.js';

/** The part of tfjs-node's layers API that a tutorial uses. */
interface Tensor {
  dataSync(): Float32Array;
  dispose(): void;
}
interface Symbolic {
  shape: number[];
}
interface Layer {
  apply(input: Symbolic | Symbolic[]): Symbolic;
  setWeights(weights: Tensor[]): void;
}
interface Model {
  predict(x: Tensor): Tensor;
}
interface Tf {
  input(options: { batchShape: (number | null)[] }): Symbolic;
  model(options: { inputs: Symbolic; outputs: Symbolic }): Model;
  tensor(data: Float32Array, shape: number[]): Tensor;
  layers: Record<'gru' | 'dense' | 'concatenate' | 'cropping1D' | 'reshape' | 'flatten', (options?: Record<string, unknown>) => Layer>;
}

/**
 * How tutorials run a GRU with tfjs-node: one `model.predict` for each message, the values read back each time. Either
 * stateful with one step a message, or stateless over a window of the last `steps` readings. Returns the function for a
 * message x: [steps, I] -> y: [O]. Layers API models differ from gruard's only in the head: without the skip connection
 * (which makes them a little cheaper), so networks for it have `skip: false`.
 */
export function tutorialModel(network: Network, steps: number): (x: Float32Array) => Float32Array {
  const tf = createRequire(import.meta.url)('@tensorflow/tfjs-node') as Tf;
  const { inputs, layers: [{ units }], head } = network.config;
  const input = tf.input({ batchShape: [1, steps, inputs] });
  const gru = tf.layers.gru({ units, recurrentActivation: 'sigmoid', stateful: steps === 1, returnSequences: false });
  const dense = tf.layers.dense({ units: head.outputs });
  const model = tf.model({ inputs: input, outputs: dense.apply(gru.apply(input)) });
  const weights = (...names: string[]): Tensor[] => names.map((name) => {
    const tensor = network.tensors.get(name);
    if (!tensor) throw new RangeError(`no tensor ${name}`);
    return tf.tensor(tensor.data, tensor.shape);
  });
  gru.setWeights(weights('layers.0.kernel', 'layers.0.recurrent_kernel', 'layers.0.bias'));
  dense.setWeights(weights('head.kernel', 'head.bias'));
  return (x) => {
    const message = tf.tensor(x, [1, steps, inputs]);
    const prediction = model.predict(message);
    const y = prediction.dataSync();
    prediction.dispose();
    message.dispose();
    return y;
  };
}

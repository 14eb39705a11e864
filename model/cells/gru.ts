import { addProduct, parameter, setBias, sigmoid, type Cell } from './cell.js';

/**
 * Gated recurrent unit: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014), eq. 5-8, with
 * the reset gate applied before the recurrent product, as TensorFlow.js (and Keras with reset_after=false) has it.
 *
 *   z  = sigmoid(x Wz + h Uz + bz)          [units]  update gate
 *   r  = sigmoid(x Wr + h Ur + br)          [units]  reset gate
 *   c  = tanh(x Wc + (r * h) Uc + bc)       [units]  candidate
 *   h' = z * h + (1 - z) * c                [units]
 *
 * The tensors are Keras' own, so that `tf.layers.gru({ recurrentActivation: 'sigmoid' }).getWeights()` are these three
 * in this order: kernel [inputs, 3 units], recurrent_kernel [units, 3 units], bias [3 units]; columns: z, then r, then c.
 */
export const gru: Cell = {
  kind: 'gru',
  tensors: (inputs, units) => [
    { name: 'kernel', shape: [inputs, 3 * units], initial: 'glorot' },
    { name: 'recurrent_kernel', shape: [units, 3 * units], initial: 'orthogonal' },
    { name: 'bias', shape: [3 * units], initial: 'zeros' },
  ],
  stateSize: (units) => units,
  outputSize: (units) => units,
  scratchSize: (units) => 3 * units,
  step(parameters, x, h, next, scratch) {
    const w = parameter(parameters, 'kernel');
    const u = parameter(parameters, 'recurrent_kernel');
    const b = parameter(parameters, 'bias');
    const units = next.length;
    const zr = scratch.subarray(0, 2 * units);
    const rh = scratch.subarray(2 * units, 3 * units);
    setBias(zr, b, 0, 2 * units);
    addProduct(zr, x, x.length, w, 3 * units, 0, 2 * units);
    addProduct(zr, h, units, u, 3 * units, 0, 2 * units);
    for (let j = 0; j < units; j++) rh[j] = sigmoid(zr[units + j]) * h[j];
    setBias(next, b, 2 * units, units);
    addProduct(next, x, x.length, w, 3 * units, 2 * units, units);
    addProduct(next, rh, units, u, 3 * units, 2 * units, units);
    for (let j = 0; j < units; j++) {
      const z = sigmoid(zr[j]);
      next[j] = z * h[j] + (1 - z) * Math.tanh(next[j]);
    }
  },
};

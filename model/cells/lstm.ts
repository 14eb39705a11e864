import { addProduct, parameter, setBias, sigmoid, type Cell } from './cell.js';

/**
 * Long short-term memory: Hochreiter & Schmidhuber (1997) with the forget gate of Gers, Schmidhuber & Cummins,
 * "Learning to Forget" (2000); no peepholes.
 *
 *   i  = sigmoid(x Wi + h Ui + bi)          [units]  input gate
 *   f  = sigmoid(x Wf + h Uf + bf)          [units]  forget gate (its bias starts at 1: Jozefowicz et al. 2015)
 *   g  = tanh(x Wg + h Ug + bg)             [units]  candidate
 *   o  = sigmoid(x Wo + h Uo + bo)          [units]  output gate
 *   c' = f * c + i * g                      [units]
 *   h' = o * tanh(c')                       [units]
 *
 * State: [h, c]. The tensors are Keras' own, columns in its order: i, f, g, o.
 */
export const lstm: Cell = {
  kind: 'lstm',
  tensors: (inputs, units) => [
    { name: 'kernel', shape: [inputs, 4 * units], initial: 'glorot' },
    { name: 'recurrent_kernel', shape: [units, 4 * units], initial: 'orthogonal' },
    { name: 'bias', shape: [4 * units], initial: 'forget-ones' },
  ],
  stateSize: (units) => 2 * units,
  outputSize: (units) => units,
  scratchSize: (units) => 4 * units,
  step(parameters, x, state, next, scratch) {
    const units = next.length >> 1;
    const a = scratch.subarray(0, 4 * units);
    setBias(a, parameter(parameters, 'bias'), 0, 4 * units);
    addProduct(a, x, x.length, parameter(parameters, 'kernel'), 4 * units, 0, 4 * units);
    addProduct(a, state, units, parameter(parameters, 'recurrent_kernel'), 4 * units, 0, 4 * units);
    for (let j = 0; j < units; j++) {
      const i = sigmoid(a[j]);
      const f = sigmoid(a[units + j]);
      const g = Math.tanh(a[2 * units + j]);
      const o = sigmoid(a[3 * units + j]);
      const c = f * state[units + j] + i * g;
      next[units + j] = c;
      next[j] = o * Math.tanh(c);
    }
  },
};

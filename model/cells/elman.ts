import { addProduct, parameter, setBias, type Cell } from './cell.js';

/**
 * Elman's simple recurrent network: "Finding Structure in Time" (1990). The context is the hidden layer's last activation.
 *
 *   h' = tanh(x W + h U + b)                [units]
 *
 * Tensors: kernel W [inputs, units], recurrent_kernel U [units, units], bias [units] (Keras' SimpleRNN).
 */
export const elman: Cell = {
  kind: 'elman',
  tensors: (inputs, units) => [
    { name: 'kernel', shape: [inputs, units], initial: 'glorot' },
    { name: 'recurrent_kernel', shape: [units, units], initial: 'orthogonal' },
    { name: 'bias', shape: [units], initial: 'zeros' },
  ],
  stateSize: (units) => units,
  outputSize: (units) => units,
  scratchSize: () => 0,
  step(parameters, x, h, next) {
    const units = next.length;
    setBias(next, parameter(parameters, 'bias'), 0, units);
    addProduct(next, x, x.length, parameter(parameters, 'kernel'), units, 0, units);
    addProduct(next, h, units, parameter(parameters, 'recurrent_kernel'), units, 0, units);
    for (let j = 0; j < units; j++) next[j] = Math.tanh(next[j]);
  },
};

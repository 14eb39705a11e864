import { addProduct, parameter, setBias, type Cell } from './cell.js';

/**
 * Fully recurrent network: Williams & Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural
 * Networks" (1989), eq. 1-2. Every unit reads the input and every unit's last activation, the output units' included: the
 * outputs are not a layer on top but units of the same pool.
 *
 *   s' = tanh(x W + s U + b)                [units]
 *   y  = s'[0 : ceil(units / 2)]            the output units; the others are hidden
 *
 * Tensors: kernel W [inputs, units], recurrent_kernel U [units, units], bias b [units].
 */
export const recurrent: Cell = {
  kind: 'recurrent',
  tensors: (inputs, units) => [
    { name: 'kernel', shape: [inputs, units], initial: 'glorot' },
    { name: 'recurrent_kernel', shape: [units, units], initial: 'orthogonal' },
    { name: 'bias', shape: [units], initial: 'zeros' },
  ],
  stateSize: (units) => units,
  outputSize: (units) => Math.ceil(units / 2),
  scratchSize: () => 0,
  step(parameters, x, s, next) {
    const units = next.length;
    setBias(next, parameter(parameters, 'bias'), 0, units);
    addProduct(next, x, x.length, parameter(parameters, 'kernel'), units, 0, units);
    addProduct(next, s, units, parameter(parameters, 'recurrent_kernel'), units, 0, units);
    for (let j = 0; j < units; j++) next[j] = Math.tanh(next[j]);
  },
};

import { addProduct, parameter, setBias, type Cell } from './cell.js';

/**
 * Jordan's network: "Serial Order: A Parallel Distributed Processing Approach" (1986). The context is the layer's last
 * *output*, and not its hidden activation as in Elman's.
 *
 *   h  = tanh(x W + y U + b)                [units]
 *   y' = tanh(h V + d)                      [units]
 *
 * State: y. Tensors: kernel W [inputs, units], recurrent_kernel U [units, units], bias b [units], output_kernel V
 * [units, units], output_bias d [units].
 */
export const jordan: Cell = {
  kind: 'jordan',
  tensors: (inputs, units) => [
    { name: 'kernel', shape: [inputs, units], initial: 'glorot' },
    { name: 'recurrent_kernel', shape: [units, units], initial: 'orthogonal' },
    { name: 'bias', shape: [units], initial: 'zeros' },
    { name: 'output_kernel', shape: [units, units], initial: 'glorot' },
    { name: 'output_bias', shape: [units], initial: 'zeros' },
  ],
  stateSize: (units) => units,
  outputSize: (units) => units,
  scratchSize: (units) => units,
  step(parameters, x, y, next, scratch) {
    const units = next.length;
    const h = scratch.subarray(0, units);
    setBias(h, parameter(parameters, 'bias'), 0, units);
    addProduct(h, x, x.length, parameter(parameters, 'kernel'), units, 0, units);
    addProduct(h, y, units, parameter(parameters, 'recurrent_kernel'), units, 0, units);
    for (let j = 0; j < units; j++) h[j] = Math.tanh(h[j]);
    setBias(next, parameter(parameters, 'output_bias'), 0, units);
    addProduct(next, h, units, parameter(parameters, 'output_kernel'), units, 0, units);
    for (let j = 0; j < units; j++) next[j] = Math.tanh(next[j]);
  },
};

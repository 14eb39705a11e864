import { layerShapes, stateSize, type LayerShape, type Network, type NetworkConfig } from '../network.js';
import { addProduct, parameter, setBias, type Cell, type LayerParameters } from './cell.js';
import { CELLS } from './index.js';

/** A network's tensors in float64, by full name (`layers.0.kernel`, `head.bias`, ...). */
export type ReferenceParameters = Map<string, Float64Array>;

export function referenceParameters(network: Network): ReferenceParameters {
  return new Map([...network.tensors].map(([name, { data }]) => [name, Float64Array.from(data)]));
}

/**
 * The whole network in float64, one series at a time: the oracle of every backend's test, and what the js backend runs.
 * It reads the arrays of `parameters` afresh at every step, so a test may nudge one of them (finite differences).
 */
export class Reference {
  private readonly layers: { shape: LayerShape; cell: Cell; parameters: LayerParameters; scratch: Float64Array }[];
  private readonly head: LayerParameters;
  private readonly next: Float64Array;

  constructor(private readonly config: NetworkConfig, parameters: ReferenceParameters) {
    const within = (prefix: string): LayerParameters => new Map([...parameters]
      .filter(([name]) => name.startsWith(prefix)).map(([name, data]) => [name.slice(prefix.length), data]));
    this.layers = layerShapes(config).map((shape, l) => ({
      shape, cell: CELLS[shape.cell], parameters: within(`layers.${l}.`),
      scratch: new Float64Array(CELLS[shape.cell].scratchSize(shape.units)),
    }));
    this.head = within('head.');
    this.next = new Float64Array(stateSize(config));
  }

  /** One step. x: [inputs]; state: [stateSize], replaced by the next one; outputs: [outputs], written. */
  step(x: Float64Array, state: Float64Array, outputs: Float64Array): void {
    let y = x;
    for (const { shape, cell, parameters, scratch } of this.layers) {
      const { stateOffset, stateSize: size, outputSize } = shape;
      const next = this.next.subarray(stateOffset, stateOffset + size);
      cell.step(parameters, y, state.subarray(stateOffset, stateOffset + size), next, scratch);
      y = next.subarray(0, outputSize);
    }
    const { outputs: n, skip } = this.config.head;
    const kernel = parameter(this.head, 'kernel');
    setBias(outputs, parameter(this.head, 'bias'), 0, n);
    addProduct(outputs, y, y.length, kernel, n, 0, n);
    if (skip) addProduct(outputs, x, x.length, kernel.subarray(y.length * n), n, 0, n);
    state.set(this.next);
  }
}

/**
 * The mean loss of one sequence, in float64, from the zero state or from `initial` [stateSize]: what a trainer's gradient is checked against.
 * inputs: [T, I] row-major; `loss(outputs, t)` is the loss of step t, outputs: [O].
 */
export function sequenceLoss(
  config: NetworkConfig, parameters: ReferenceParameters, inputs: Float64Array,
  loss: (outputs: Float64Array, t: number) => number, initial = new Float64Array(stateSize(config)),
): number {
  const reference = new Reference(config, parameters);
  const state = initial.slice();
  const outputs = new Float64Array(config.head.outputs);
  const steps = inputs.length / config.inputs;
  let sum = 0;
  for (let t = 0; t < steps; t++) {
    reference.step(inputs.subarray(t * config.inputs, (t + 1) * config.inputs), state, outputs);
    sum += loss(outputs, t);
  }
  return sum / steps;
}

/** The derivative of `f` by entry `index` of a tensor, by central differences; f reads the same `parameters`. */
export function finiteDifference(
  parameters: ReferenceParameters, tensor: string, index: number, f: () => number, step = 1e-5,
): number {
  const data = parameter(parameters, tensor);
  const kept = data[index];
  data[index] = kept + step;
  const above = f();
  data[index] = kept - step;
  const below = f();
  data[index] = kept;
  return (above - below) / (2 * step);
}

import { GruardError } from '../core/errors.js';
import { gaussian, seededRandom, type Random } from '../core/random.js';
import { CELL_KINDS, type CellKind, type TensorSpec } from './cells/cell.js';
import { CELLS } from './cells/index.js';

export type { CellKind } from './cells/cell.js';

export interface LayerConfig {
  cell: CellKind;
  /** 1 to 256. */
  units: number;
}

/** What a predictor is: a stack of recurrent layers under a linear head. */
export interface NetworkConfig {
  /** The version of the input features that the network was trained on, e.g. 'v1'. */
  features: string;
  /** Features a reading. */
  inputs: number;
  /** Bottom first; 1 to 4 layers, of any mixture of cells. */
  layers: LayerConfig[];
  /** outputs = [y, x if skip] kernel + bias, y the last layer's output and x the features of the same reading. */
  head: { outputs: number; skip: boolean };
  /** The horizons in readings that the outputs speak of. */
  horizons: number[];
}

/** Row-major. */
export interface Tensor {
  shape: number[];
  data: Float32Array;
}

/**
 * A configuration and its parameters. Tensors: for each layer l those of its cell, as `layers.{l}.{name}` (see the cell's
 * file for names, shapes and the order of the columns), then `head.kernel` [H (+ inputs), outputs] and `head.bias`
 * [outputs], H the last layer's output size. `metadata` says where the parameters come from (`command`, `data_hash`, ...).
 */
export interface Network {
  config: NetworkConfig;
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

export const LIMITS = { inputs: 64, outputs: 64, units: 256, layers: 4, horizons: 16 } as const;

/** A layer with what follows from its place in the stack. */
export interface LayerShape extends LayerConfig {
  inputs: number;
  stateSize: number;
  outputSize: number;
  /** Where the layer's state begins within a slot's state. */
  stateOffset: number;
}

/** The layers of a configuration, bottom first, with their sizes. */
export function layerShapes(config: NetworkConfig): LayerShape[] {
  let inputs = config.inputs;
  let stateOffset = 0;
  return config.layers.map(({ cell, units }) => {
    const shape = {
      cell, units, inputs, stateOffset, stateSize: CELLS[cell].stateSize(units), outputSize: CELLS[cell].outputSize(units),
    };
    inputs = shape.outputSize;
    stateOffset += shape.stateSize;
    return shape;
  });
}

/** Floats of state a slot holds, all layers together. */
export function stateSize(config: NetworkConfig): number {
  return layerShapes(config).reduce((sum, layer) => sum + layer.stateSize, 0);
}

/** Every tensor of a configuration under its full name, in file order. */
export function tensorSpecs(config: NetworkConfig): TensorSpec[] {
  const layers = layerShapes(config);
  const specs = layers.flatMap((layer, l) =>
    CELLS[layer.cell].tensors(layer.inputs, layer.units).map((spec) => ({ ...spec, name: `layers.${l}.${spec.name}` })));
  const rows = layers[layers.length - 1].outputSize + (config.head.skip ? config.inputs : 0);
  specs.push({ name: 'head.kernel', shape: [rows, config.head.outputs], initial: 'glorot' });
  specs.push({ name: 'head.bias', shape: [config.head.outputs], initial: 'zeros' });
  return specs;
}

/** The number of parameters. */
export function parameterCount(config: NetworkConfig): number {
  return tensorSpecs(config).reduce((sum, spec) => sum + spec.shape.reduce((a, b) => a * b, 1), 0);
}

/** Floating-point operations of one step of one series (a multiply-add is two; activations are not counted). */
export function flopsPerStep(config: NetworkConfig): number {
  return tensorSpecs(config).reduce((sum, { shape }) => sum + (shape.length === 2 ? 2 * shape[0] * shape[1] : shape[0]), 0);
}

/**
 * Checks a configuration that came from outside and returns it with known fields only.
 * @throws GruardError WEIGHTS_INVALID naming the field.
 */
export function parseNetworkConfig(value: unknown): NetworkConfig {
  const config = object(value, 'config');
  const head = object(config.head, 'head');
  const layers = list(config.layers, 'layers', 1, LIMITS.layers).map((entry, l) => {
    const layer = object(entry, `layers[${l}]`);
    const cell = CELL_KINDS.find((kind) => kind === layer.cell);
    if (cell === undefined) throw invalid(`layers[${l}].cell must be one of ${CELL_KINDS.join(', ')}`);
    return { cell, units: integer(layer.units, `layers[${l}].units`, 1, LIMITS.units) };
  });
  if (typeof config.features !== 'string' || !/^[\w.-]{1,32}$/.test(config.features)) {
    throw invalid('features must be a short name');
  }
  if (typeof head.skip !== 'boolean') throw invalid('head.skip must be true or false');
  return {
    features: config.features,
    inputs: integer(config.inputs, 'inputs', 1, LIMITS.inputs),
    layers,
    head: { outputs: integer(head.outputs, 'head.outputs', 1, LIMITS.outputs), skip: head.skip },
    horizons: list(config.horizons, 'horizons', 1, LIMITS.horizons).map((h, i) => integer(h, `horizons[${i}]`, 1, 1e6)),
  };
}

/** Untrained parameters (Keras' defaults: Glorot-uniform kernels, orthogonal recurrent kernels, zero biases). */
export function initialise(config: NetworkConfig, seed: number): Network {
  const checked = parseNetworkConfig(config);
  const random = seededRandom(seed);
  const tensors = new Map<string, Tensor>();
  for (const { name, shape, initial } of tensorSpecs(checked)) {
    tensors.set(name, { shape, data: initialTensor(shape, initial, random) });
  }
  return { config: checked, tensors, metadata: { command: `initialise(seed ${seed})` } };
}

function initialTensor(shape: number[], initial: TensorSpec['initial'], random: Random): Float32Array {
  const [rows, columns = 1] = shape;
  const data = new Float32Array(rows * columns);
  if (initial === 'glorot') {
    const limit = Math.sqrt(6 / (rows + columns));
    for (let i = 0; i < data.length; i++) data[i] = (2 * random() - 1) * limit;
  } else if (initial === 'orthogonal') {
    fillOrthogonal(data, rows, columns, random);
  } else if (initial === 'forget-ones') {
    data.fill(1, rows / 4, rows / 2);
  }
  return data;
}

/** Orthonormal rows (rows <= columns) by Gram-Schmidt from normal numbers: Saxe et al. (2014). data: [rows, columns]. */
function fillOrthogonal(data: Float32Array, rows: number, columns: number, random: Random): void {
  const q = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const row = q.subarray(i * columns, (i + 1) * columns);
    for (let j = 0; j < columns; j++) row[j] = gaussian(random);
    // Twice, because one pass loses orthogonality to rounding.
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < i; k++) {
        const other = q.subarray(k * columns, (k + 1) * columns);
        let dot = 0;
        for (let j = 0; j < columns; j++) dot += row[j] * other[j];
        for (let j = 0; j < columns; j++) row[j] -= dot * other[j];
      }
    }
    const norm = Math.hypot(...row);
    for (let j = 0; j < columns; j++) row[j] /= norm;
  }
  data.set(q);
}

function invalid(detail: string): GruardError {
  return new GruardError('WEIGHTS_INVALID', `network configuration: ${detail}`);
}

function object(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} must be an object`);
  return value as Record<string, unknown>;
}

function list(value: unknown, name: string, least: number, most: number): unknown[] {
  if (!Array.isArray(value) || value.length < least || value.length > most) {
    throw invalid(`${name} must be a list of ${least} to ${most}`);
  }
  return value;
}

function integer(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw invalid(`${name} must be a whole number from ${least} to ${most}`);
  }
  return value;
}

import { layerShapes, stateSize, type LayerShape, type Network } from '../../network.js';
import { attr, FLOAT, Graph, INT32, type Ref } from './graph.js';

export const SAVED_MODEL_TAG = 'serve';

/**
 * The SavedModel of a network: its weights as constants, the states of all slots as one resident variable [N, S]. Five
 * outputs work on it (they are fetched by name, so there are no signatures), of which only `step` is on the hot path; none but
 * `get` returns a state.
 *   size  dims [2] = (N, S)                          a variable of zeros
 *   grow  dims [2] = (more, S)                       appends rows of zeros, inside TensorFlow
 *   step  slots [n], inputs [n, I] -> [n, O]         gather, layers, head, scatter
 *   get   slots [n] -> [n, S];  set  slots [n], state [n, S]
 */
export function savedModel(network: Network): Uint8Array {
  const { inputs } = network.config;
  const size = stateSize(network.config);
  const graph = new Graph();
  const variable = graph.node('VarHandleOp', [], {
    dtype: attr.type(FLOAT), shape: attr.shape(undefined), shared_name: attr.text('state'), container: attr.text(''),
  });
  const slots = graph.placeholder(INT32, [-1], 'slots');
  const gathered = graph.node('ResourceGather', [variable, slots], { dtype: attr.type(FLOAT), Tindices: attr.type(INT32) });
  const scatter = (state: Ref): Ref => graph.node('ResourceScatterUpdate', [variable, slots, state],
    { dtype: attr.type(FLOAT), Tindices: attr.type(INT32) });

  const x = graph.placeholder(FLOAT, [-1, inputs], 'inputs');
  const { state, y } = new Layers(graph, network).stack(x, gathered);
  const outputs = addHead(graph, network, x, y);
  graph.output('step', outputs, FLOAT, [scatter(state)]);
  graph.output('get', gathered, FLOAT);
  graph.output('set', slots, INT32, [scatter(graph.placeholder(FLOAT, [-1, size], 'state'))]);
  addSizing(graph, variable);
  return graph.savedModel(SAVED_MODEL_TAG);
}

/** The head's kernel reads [y, x if skip]. */
function addHead(graph: Graph, network: Network, x: Ref, y: Ref): Ref {
  const weights = new Weights(graph, network, 'head.');
  const { inputs, head } = network.config;
  if (!head.skip) return affine(graph, y, weights.get('kernel'), weights.get('bias'));
  const shapes = layerShapes(network.config);
  const { outputSize } = shapes[shapes.length - 1];
  const ofX = affine(graph, x, weights.get('kernel', { rows: [outputSize, outputSize + inputs] }), weights.get('bias'));
  return graph.node('AddV2', [product(graph, y, weights.get('kernel', { rows: [0, outputSize] })), ofX], { T: attr.type(FLOAT) });
}

function addSizing(graph: Graph, variable: Ref): void {
  const dims = graph.placeholder(INT32, [2], 'dims');
  const zeros = graph.node('Fill', [dims, graph.floats(Float32Array.of(0), [])], { T: attr.type(FLOAT), index_type: attr.type(INT32) });
  const old = graph.node('ReadVariableOp', [variable], { dtype: attr.type(FLOAT) });
  const assign = (value: Ref): Ref => graph.node('AssignVariableOp', [variable, value], { dtype: attr.type(FLOAT) });
  graph.output('size', dims, INT32, [assign(zeros)]);
  graph.output('grow', dims, INT32, [assign(concat(graph, [old, zeros], 0))]);
}

/** Which entries of a tensor: rows and columns first to last (all where left out), and what they are multiplied by. */
interface Part {
  rows?: [number, number];
  columns?: [number, number];
  scale?: number;
}

/** Tensors of a network as constants, whole or in part. */
class Weights {
  constructor(private readonly graph: Graph, private readonly network: Network, private readonly prefix: string) {}

  /** A matrix or, as such, a bias. */
  get(name: string, part: Part = {}): Ref {
    const data = this.part(name, part);
    const { shape } = this.tensor(name);
    if (shape.length === 1) return this.graph.floats(data, [data.length]);
    const columns = part.columns ? part.columns[1] - part.columns[0] : shape[1];
    return this.graph.floats(data, [data.length / columns, columns]);
  }

  /** [kernel; recurrent_kernel] side to side with [x, h]: one product and not two. */
  joined(part: Part & { columns: [number, number] }): Ref {
    const parts = ['kernel', 'recurrent_kernel'].map((name) => this.part(name, part));
    const data = new Float32Array(parts[0].length + parts[1].length);
    data.set(parts[0]);
    data.set(parts[1], parts[0].length);
    const columns = part.columns[1] - part.columns[0];
    return this.graph.floats(data, [data.length / columns, columns]);
  }

  private part(name: string, { rows, columns, scale = 1 }: Part): Float32Array {
    const { data, shape } = this.tensor(name);
    const [height, width] = shape.length === 1 ? [1, shape[0]] : shape;
    const [top, bottom] = rows ?? [0, height];
    const [first, last] = columns ?? [0, width];
    const out = new Float32Array((bottom - top) * (last - first));
    for (let k = top; k < bottom; k++) out.set(data.subarray(k * width + first, k * width + last), (k - top) * (last - first));
    return scale === 1 ? out : out.map((value) => value * scale);
  }

  private tensor(name: string): { shape: number[]; data: Float32Array } {
    const tensor = this.network.tensors.get(this.prefix + name);
    if (tensor === undefined) throw new RangeError(`no tensor ${this.prefix}${name}`);
    return tensor;
  }
}

/** The recurrent layers as TensorFlow operations; the equations are those of model/cells. */
class Layers {
  constructor(private readonly graph: Graph, private readonly network: Network) {}

  /** x: [n, I]; state: [n, S], all layers. Gives the next state and the last layer's output. */
  stack(x: Ref, state: Ref): { state: Ref; y: Ref } {
    const shapes = layerShapes(this.network.config);
    let y = x;
    const next = shapes.map((shape, l) => {
      const own = shapes.length === 1 ? state : this.columns(state, shape.stateOffset, shape.stateSize);
      const { parts, output } = this.layer(shape, new Weights(this.graph, this.network, `layers.${l}.`), y, own);
      y = output;
      return parts;
    }).flat();
    return { state: next.length === 1 ? next[0] : concat(this.graph, next), y };
  }

  private layer({ cell, units, outputSize }: LayerShape, weights: Weights, x: Ref, state: Ref): { parts: Ref[]; output: Ref } {
    switch (cell) {
      case 'elman': {
        const h = this.tanh(this.gates(concat(this.graph, [x, state]), weights, 0, units));
        return { parts: [h], output: h };
      }
      case 'recurrent': {
        const s = this.tanh(this.gates(concat(this.graph, [x, state]), weights, 0, units));
        return { parts: [s], output: this.columns(s, 0, outputSize) };
      }
      case 'jordan': {
        const h = this.tanh(this.gates(concat(this.graph, [x, state]), weights, 0, units));
        const y = this.tanh(affine(this.graph, h, weights.get('output_kernel'), weights.get('output_bias')));
        return { parts: [y], output: y };
      }
      case 'lstm':
        return this.lstm(units, weights, x, state);
      case 'gru':
        return this.gru(units, weights, x, state);
    }
  }

  private lstm(units: number, weights: Weights, x: Ref, state: Ref): { parts: Ref[]; output: Ref } {
    const xh = concat(this.graph, [x, this.columns(state, 0, units)]);
    const gate = (g: number): Ref => this.gates(xh, weights, g * units, (g + 1) * units);
    const kept = this.multiply(this.sigmoid(gate(1)), this.columns(state, units, units));
    const c = this.add(kept, this.multiply(this.sigmoid(gate(0)), this.tanh(gate(2))));
    const h = this.multiply(this.sigmoid(gate(3)), this.tanh(c));
    return { parts: [h, c], output: h };
  }

  /**
   * As few passes over memory as TensorFlow allows, which has nothing fused for this. sigmoid(a) = (1 + tanh(a / 2)) / 2, its tanh costs
   * three quarters of its sigmoid, and the halves go into the weights (powers of two: no rounding). A product of x alone is
   * cheaper than to copy x beside r h, or beside h' for the head.
   */
  private gru(units: number, weights: Weights, x: Ref, h: Ref): { parts: Ref[]; output: Ref } {
    const xh = concat(this.graph, [x, h]);
    const gate = (g: number): Ref => this.tanh(this.gates(xh, weights, g * units, (g + 1) * units, 0.5));
    const [z, r] = [gate(0), gate(1)];
    const candidate: Part = { columns: [2 * units, 3 * units] };
    // 2 (r * h) = h + r h, r in -1 .. 1
    const rh = this.product(this.add(h, this.multiply(r, h)), weights.get('recurrent_kernel', { ...candidate, scale: 0.5 }));
    const c = this.tanh(this.add(rh, affine(this.graph, x, weights.get('kernel', candidate), weights.get('bias', candidate))));
    // z h + (1 - z) c = c + d + z d, d = (h - c) / 2, z in -1 .. 1
    const d = this.multiply(this.graph.floats(Float32Array.of(0.5), []), this.graph.node('Sub', [h, c], { T: attr.type(FLOAT) }));
    const next = this.graph.node('AddN', [c, d, this.multiply(z, d)], { N: attr.int(3), T: attr.type(FLOAT) });
    return { parts: [next], output: next };
  }

  private gates(xh: Ref, weights: Weights, first: number, last: number, scale = 1): Ref {
    const part = { columns: [first, last] as [number, number], scale };
    return affine(this.graph, xh, weights.joined(part), weights.get('bias', part));
  }

  private readonly product = (a: Ref, b: Ref): Ref => product(this.graph, a, b);

  /** Columns first to first + n - 1 of a matrix. */
  private columns(matrix: Ref, first: number, n: number): Ref {
    return this.graph.node('Slice', [matrix, this.graph.ints([0, first], [2]), this.graph.ints([-1, n], [2])],
      { T: attr.type(FLOAT), Index: attr.type(INT32) });
  }

  private readonly sigmoid = (a: Ref): Ref => this.graph.node('Sigmoid', [a], { T: attr.type(FLOAT) });
  private readonly tanh = (a: Ref): Ref => this.graph.node('Tanh', [a], { T: attr.type(FLOAT) });
  private readonly multiply = (a: Ref, b: Ref): Ref => this.graph.node('Mul', [a, b], { T: attr.type(FLOAT) });
  private readonly add = (a: Ref, b: Ref): Ref => this.graph.node('AddV2', [a, b], { T: attr.type(FLOAT) });
}

function product(graph: Graph, a: Ref, b: Ref): Ref {
  return graph.node('MatMul', [a, b], { T: attr.type(FLOAT) });
}

function affine(graph: Graph, x: Ref, kernel: Ref, bias: Ref): Ref {
  return graph.node('BiasAdd', [product(graph, x, kernel), bias], { T: attr.type(FLOAT) });
}

function concat(graph: Graph, parts: Ref[], axis = 1): Ref {
  return graph.node('ConcatV2', [...parts, graph.ints([axis])],
    { N: attr.int(parts.length), T: attr.type(FLOAT), Tidx: attr.type(INT32) });
}

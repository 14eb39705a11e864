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
  const { inputs, head } = network.config;
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
  const weights = new Weights(graph, network, 'head.');
  const outputs = affine(graph, head.skip ? concat(graph, [y, x]) : y, weights.get('kernel'), weights.get('bias'));
  graph.output('step', outputs, FLOAT, [scatter(state)]);
  graph.output('get', gathered, FLOAT);
  graph.output('set', slots, INT32, [scatter(graph.placeholder(FLOAT, [-1, size], 'state'))]);
  addSizing(graph, variable);
  return graph.savedModel(SAVED_MODEL_TAG);
}

function addSizing(graph: Graph, variable: Ref): void {
  const dims = graph.placeholder(INT32, [2], 'dims');
  const zeros = graph.node('Fill', [dims, graph.floats(Float32Array.of(0), [])], { T: attr.type(FLOAT), index_type: attr.type(INT32) });
  const old = graph.node('ReadVariableOp', [variable], { dtype: attr.type(FLOAT) });
  const assign = (value: Ref): Ref => graph.node('AssignVariableOp', [variable, value], { dtype: attr.type(FLOAT) });
  graph.output('size', dims, INT32, [assign(zeros)]);
  graph.output('grow', dims, INT32, [assign(concat(graph, [old, zeros], 0))]);
}

/** Tensors of a network as constants, whole or by columns. */
class Weights {
  constructor(private readonly graph: Graph, private readonly network: Network, private readonly prefix: string) {}

  get(name: string): Ref {
    const { data, shape } = this.tensor(name);
    return this.graph.floats(data, shape);
  }

  /** [kernel; recurrent_kernel] side to side with [x, h], the columns first to last: one product and not two. */
  joined(first: number, last: number): { kernel: Ref; bias: Ref } {
    const parts = [this.columns('kernel', first, last), this.columns('recurrent_kernel', first, last)];
    const data = new Float32Array(parts[0].length + parts[1].length);
    data.set(parts[0]);
    data.set(parts[1], parts[0].length);
    return {
      kernel: this.graph.floats(data, [data.length / (last - first), last - first]),
      bias: this.graph.floats(this.tensor('bias').data.slice(first, last), [last - first]),
    };
  }

  private columns(name: string, first: number, last: number): Float32Array {
    const { data, shape: [rows, columns] } = this.tensor(name);
    const out = new Float32Array(rows * (last - first));
    for (let k = 0; k < rows; k++) out.set(data.subarray(k * columns + first, k * columns + last), k * (last - first));
    return out;
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

  private gru(units: number, weights: Weights, x: Ref, h: Ref): { parts: Ref[]; output: Ref } {
    const xh = concat(this.graph, [x, h]);
    const z = this.sigmoid(this.gates(xh, weights, 0, units));
    const r = this.sigmoid(this.gates(xh, weights, units, 2 * units));
    const c = this.tanh(this.gates(concat(this.graph, [x, this.multiply(r, h)]), weights, 2 * units, 3 * units));
    // z h + (1 - z) c, in three operations and not four
    const next = this.add(c, this.multiply(z, this.graph.node('Sub', [h, c], { T: attr.type(FLOAT) })));
    return { parts: [next], output: next };
  }

  private gates(xh: Ref, weights: Weights, first: number, last: number): Ref {
    const { kernel, bias } = weights.joined(first, last);
    return affine(this.graph, xh, kernel, bias);
  }

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

function affine(graph: Graph, x: Ref, kernel: Ref, bias: Ref): Ref {
  const product = graph.node('MatMul', [x, kernel], { T: attr.type(FLOAT) });
  return graph.node('BiasAdd', [product, bias], { T: attr.type(FLOAT) });
}

function concat(graph: Graph, parts: Ref[], axis = 1): Ref {
  return graph.node('ConcatV2', [...parts, graph.ints([axis])],
    { N: attr.int(parts.length), T: attr.type(FLOAT), Tidx: attr.type(INT32) });
}

import { createRequire } from 'node:module';
import { bytes, message, text, varint, type Message } from '../../model/backends/tensorflow/protobuf.js';
import type { Network } from '../../model/network.js';

/** The part of onnxruntime-node that is used here. */
interface OrtTensor {
  data: Float32Array;
}
interface Session {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}
interface Ort {
  Tensor: new (type: 'float32', data: Float32Array, dims: number[]) => OrtTensor;
  InferenceSession: { create(model: Uint8Array, options: Record<string, unknown>): Promise<Session> };
}

const FLOAT = 1;

/** Field numbers are those of onnx/onnx.proto (ModelProto, GraphProto, NodeProto, TensorProto, ...). */
function node(op: string, inputs: string[], outputs: string[], ...attributes: Message[]): Message {
  return bytes(1, message(...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name)), text(4, op), ...attributes));
}

const intAttribute = (name: string, value: number): Message => bytes(5, message(text(1, name), varint(3, value), varint(20, 2)));

function initializer(name: string, data: Float32Array, dims: number[]): Message {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bytes(5, message(...dims.map((d) => varint(1, d)), varint(2, FLOAT), text(8, name), bytes(9, raw)));
}

function int64s(name: string, values: number[]): Message {
  const raw = Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  return bytes(5, message(varint(1, values.length), varint(2, 7), text(8, name), bytes(9, raw)));
}

/** A value's name, type and shape; -1 is the batch. */
function value(field: number, name: string, dims: number[]): Message {
  const shape = message(...dims.map((d) => bytes(1, d < 0 ? text(2, 'batch') : varint(1, d))));
  return bytes(field, message(text(1, name), bytes(2, bytes(1, message(varint(1, FLOAT), bytes(2, shape))))));
}

/** [rows, columns] to [columns, rows], of columns first to last. */
function transposed(data: Float32Array, columns: number, first: number, last: number): Float32Array {
  const rows = data.length / columns;
  const out = new Float32Array((last - first) * rows);
  for (let j = first; j < last; j++) for (let k = 0; k < rows; k++) out[(j - first) * rows + k] = data[k * columns + j];
  return out;
}

/** One step of a one-layer GRU network with ONNX's own GRU operator: x [1, n, I], h [1, n, H] -> y [n, O], h' [1, n, H]. */
export function gruModel(network: Network): Uint8Array {
  const { inputs, layers: [{ units }], head } = network.config;
  const tensor = (name: string): Float32Array => network.tensors.get(name)?.data ?? new Float32Array(0);
  const bias = new Float32Array(6 * units);
  bias.set(tensor('layers.0.bias'));
  const graph = message(
    // linear_before_reset = 0 is the reset-before GRU; gates in the order z, r, h, as in Keras.
    node('GRU', ['x', 'W', 'R', 'B', '', 'h'], ['', 'h_next'], intAttribute('hidden_size', units), intAttribute('linear_before_reset', 0)),
    node('Squeeze', ['h_next', 'axis0'], ['h2']),
    node('Squeeze', ['x', 'axis0'], ['x2']),
    node('Concat', ['h2', 'x2'], ['hx'], intAttribute('axis', 1)),
    node('Gemm', ['hx', 'K', 'b'], ['y']),
    text(2, 'step'),
    initializer('W', transposed(tensor('layers.0.kernel'), 3 * units, 0, 3 * units), [1, 3 * units, inputs]),
    initializer('R', transposed(tensor('layers.0.recurrent_kernel'), 3 * units, 0, 3 * units), [1, 3 * units, units]),
    initializer('B', bias, [1, 6 * units]),
    initializer('K', tensor('head.kernel'), [units + inputs, head.outputs]),
    initializer('b', tensor('head.bias'), [head.outputs]),
    int64s('axis0', [0]),
    value(11, 'x', [1, -1, inputs]), value(11, 'h', [1, -1, units]),
    value(12, 'y', [-1, head.outputs]), value(12, 'h_next', [1, -1, units]),
  );
  return model(graph);
}

/** The same step of basic operators: x [n, I], h [n, H] -> y [n, O], h' [n, H]. */
export function basicModel(network: Network): Uint8Array {
  const { inputs, layers: [{ units }], head } = network.config;
  const tensor = (name: string): Float32Array => network.tensors.get(name)?.data ?? new Float32Array(0);
  const joined = (first: number, last: number): Float32Array => {
    const columns = (data: Float32Array): number[] => Array.from({ length: data.length / (3 * units) }, (_, k) =>
      [...data.subarray(k * 3 * units + first, k * 3 * units + last)]).flat();
    return Float32Array.from([...columns(tensor('layers.0.kernel')), ...columns(tensor('layers.0.recurrent_kernel'))]);
  };
  const gates = (first: number, name: string, input: string, n: number): Message[] => [
    initializer(`${name}_k`, joined(first * units, (first + n) * units), [inputs + units, n * units]),
    initializer(`${name}_b`, tensor('layers.0.bias').slice(first * units, (first + n) * units), [n * units]),
    node('Gemm', [input, `${name}_k`, `${name}_b`], [`${name}_a`]),
  ];
  const axis = intAttribute('axis', 1);
  const graph = message(
    node('Concat', ['x', 'h'], ['xh'], axis),
    ...gates(0, 'z', 'xh', 1), node('Sigmoid', ['z_a'], ['z']),
    ...gates(1, 'r', 'xh', 1), node('Sigmoid', ['r_a'], ['r']),
    node('Mul', ['r', 'h'], ['rh']), node('Concat', ['x', 'rh'], ['xrh'], axis),
    ...gates(2, 'c', 'xrh', 1), node('Tanh', ['c_a'], ['c']),
    node('Sub', ['h', 'c'], ['d']), node('Mul', ['z', 'd'], ['zd']), node('Add', ['c', 'zd'], ['h_next']),
    node('Concat', ['h_next', 'x'], ['hx'], axis),
    node('Gemm', ['hx', 'K', 'b'], ['y']),
    text(2, 'step'),
    initializer('K', tensor('head.kernel'), [units + inputs, head.outputs]),
    initializer('b', tensor('head.bias'), [head.outputs]),
    value(11, 'x', [-1, inputs]), value(11, 'h', [-1, units]),
    value(12, 'y', [-1, head.outputs]), value(12, 'h_next', [-1, units]),
  );
  return model(graph);
}

const model = (graph: Message): Uint8Array =>
  new Uint8Array(message(varint(1, 8), bytes(7, graph), bytes(8, message(text(1, ''), varint(2, 14)))));

/**
 * The engine's job done with onnxruntime: the states of many series lie in one arena, a step takes the rows of n of them,
 * runs the model, and puts the next states back. onnxruntime has no operator that updates rows of a resident tensor, so the
 * rows are copied here, a `set` a row.
 */
export class OnnxStepper {
  /** [n, H] */
  private readonly state: Float32Array;

  private constructor(
    private readonly ort: Ort, private readonly session: Session, private readonly arena: Float32Array,
    private readonly dims: number[], private readonly inputs: number, private readonly units: number,
  ) {
    this.state = new Float32Array((dims.at(-1) ?? 0) * units);
  }

  /** capacity: slots of the arena; n: rows a step; threads: 0 for all cores. */
  static async open(network: Network, capacity: number, n: number, how: 'gru' | 'basic', threads: number): Promise<OnnxStepper> {
    const ort = createRequire(import.meta.url)('onnxruntime-node') as Ort;
    const bytesOfModel = how === 'gru' ? gruModel(network) : basicModel(network);
    const session = await ort.InferenceSession.create(bytesOfModel, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
    const { inputs, layers: [{ units }] } = network.config;
    return new OnnxStepper(ort, session, new Float32Array(capacity * units), how === 'gru' ? [1, n] : [n], inputs, units);
  }

  /** slots: [n]; x: [n, I]; gives y: [n, O]. */
  async step(slots: Uint32Array, x: Float32Array): Promise<Float32Array> {
    const { arena, state, units, ort } = this;
    for (let i = 0; i < slots.length; i++) state.set(arena.subarray(slots[i] * units, (slots[i] + 1) * units), i * units);
    const result = await this.session.run({
      x: new ort.Tensor('float32', x, [...this.dims, this.inputs]), h: new ort.Tensor('float32', state, [...this.dims, units]),
    });
    const next = result.h_next.data;
    for (let i = 0; i < slots.length; i++) arena.set(next.subarray(i * units, (i + 1) * units), slots[i] * units);
    return result.y.data;
  }

  release(): Promise<void> {
    return this.session.release();
  }
}

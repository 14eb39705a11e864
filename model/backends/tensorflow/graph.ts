import { bytes, entry, message, text, varint, type Message } from './protobuf.js';

/** Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,types}.proto and saved_model.proto. */
export const FLOAT = 1;
export const INT32 = 3;
export type DataType = typeof FLOAT | typeof INT32;

/** The name of a node's output, as other nodes refer to it: `name`, `name:1`, or `^name` for "after it". */
export type Ref = string;

/** AttrValue messages. */
export const attr = {
  text: (value: string): Message => text(2, value),
  int: (value: number): Message => varint(3, value),
  bool: (value: boolean): Message => varint(5, value ? 1 : 0),
  type: (value: DataType): Message => varint(6, value),
  shape: (dims: number[] | undefined): Message => bytes(7, shapeMessage(dims)),
};

/** -1 is an unknown size; undefined is an unknown rank. */
function shapeMessage(dims: number[] | undefined): Message {
  return dims ? message(...dims.map((size) => bytes(2, varint(1, size)))) : varint(3, 1);
}

/** A GraphDef in the making, and the SavedModel around it. */
export class Graph {
  private readonly nodes: Message[] = [];
  private count = 0;

  /** Adds a node and gives the reference to its first output. */
  node(op: string, inputs: Ref[], attributes: Record<string, Message> = {}, name = `${op}_${this.count++}`): Ref {
    this.nodes.push(bytes(1, message(
      text(1, name), text(2, op), ...inputs.map((input) => text(3, input)),
      ...Object.entries(attributes).map(([key, value]) => entry(5, key, value)),
    )));
    return name;
  }

  floats(data: Float32Array, shape: number[]): Ref {
    return this.constant(FLOAT, shape, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }

  ints(data: number[], shape: number[] = []): Ref {
    return this.constant(INT32, shape, Buffer.from(Int32Array.from(data).buffer));
  }

  placeholder(type: DataType, shape: number[], name: string): Ref {
    return this.node('Placeholder', [], { dtype: attr.type(type), shape: attr.shape(shape) }, name);
  }

  /** A value handed on under a name that a caller may fetch, once `after` has run. */
  output(name: string, value: Ref, type: DataType, after: Ref[] = []): void {
    this.node('Identity', [value, ...after.map((ref) => `^${ref}`)], { T: attr.type(type) }, name);
  }

  /** The bytes of saved_model.pb. */
  savedModel(tag: string): Uint8Array {
    const graphDef = message(...this.nodes, bytes(4, varint(1, 1087)));
    const metaGraph = message(bytes(1, message(text(4, tag), text(5, '2.10.1'))), bytes(2, graphDef));
    return message(varint(1, 1), bytes(2, metaGraph));
  }

  private constant(type: DataType, shape: number[], content: Buffer): Ref {
    const tensor = message(varint(1, type), bytes(2, shapeMessage(shape)), bytes(4, content));
    return this.node('Const', [], { dtype: attr.type(type), value: bytes(8, tensor) });
  }
}

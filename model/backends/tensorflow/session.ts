import { SAVED_MODEL_TAG } from './saved-model.js';

/**
 * The part of tfjs-node's native binding that is used here (its dist/tfjs_binding.d.ts). It is driven directly: the layers above
 * it (tensors with scopes and profiles, names looked up and checked) took a fifth of a step of 1,024 rows. Handles are numbers.
 */
export interface Binding {
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(model: number): void;
  /** The tensor lies in the array itself where that is aligned for TensorFlow, else in a copy. */
  createTensor(shape: number[], type: number, data: Float32Array | Int32Array): number;
  deleteTensor(handle: number): void;
  tensorDataSync(handle: number): Float32Array | Int32Array;
  runSavedModel(model: number, inputs: number[], inputNames: string, outputNames: string): { id: number }[];
}

/** A SavedModel that is loaded. */
export class Session {
  private readonly model: number;

  /** @throws Error when TensorFlow does not take the SavedModel in the folder. */
  constructor(readonly binding: Binding, folder: string) {
    this.model = binding.loadSavedModel(folder, SAVED_MODEL_TAG);
  }

  /** Feeds tensors to the placeholders named, in their order (`a:0,b:0`), and gives the output's values. */
  run(output: string, names: string, tensors: number[]): Float32Array | Int32Array {
    const [{ id }] = this.binding.runSavedModel(this.model, tensors, names, `${output}:0`);
    const data = this.binding.tensorDataSync(id);
    this.binding.deleteTensor(id);
    return data;
  }

  /** The same with tensors made of arrays for this call only. */
  runOnce(output: string, feeds: Record<string, { data: Float32Array | Int32Array; shape: number[] }>): Float32Array | Int32Array {
    const { binding } = this;
    const tensors = Object.values(feeds).map(({ data, shape }) =>
      binding.createTensor(shape, data instanceof Int32Array ? binding.TF_INT32 : binding.TF_FLOAT, data));
    const result = this.run(output, Object.keys(feeds).map((name) => `${name}:0`).join(','), tensors);
    for (const tensor of tensors) binding.deleteTensor(tensor);
    return result;
  }

  dispose(): void {
    this.binding.deleteSavedModel(this.model);
  }
}

/** What TensorFlow wants the addresses of tensors to be multiples of, at most. */
const ALIGNMENT = 64;

/**
 * Rows that are fed again and again: the tensor lies in `array` itself, so that a step of as many rows as the last one makes no
 * tensor and copies nothing.
 */
export class Feed {
  /** [rows, width] */
  floats = new Float32Array(0);
  /** The same memory. */
  ints = new Int32Array(0);
  private tensor = -1;
  private tensorRows = -1;
  /** Whether TensorFlow took the memory as it is, and not a copy. */
  private shared = false;

  constructor(private readonly binding: Binding, private readonly type: 'float32' | 'int32', private readonly width?: number) {}

  /** Makes room for so many rows; what was there is lost. */
  reserve(rows: number): void {
    const numbers = rows * (this.width ?? 1);
    if (numbers <= this.floats.length) return;
    this.free();
    const buffer = new ArrayBuffer(4 * numbers + ALIGNMENT);
    let offset = 0;
    // JavaScript does not know its arrays' addresses: a change that shows through a tensor tells.
    while (!(this.shared = this.shares(buffer, offset)) && offset < ALIGNMENT - 8) offset += 8;
    this.floats = new Float32Array(buffer, offset, numbers);
    this.ints = new Int32Array(buffer, offset, numbers);
  }

  /** The first n rows as a tensor; of one dimension without a width. */
  rows(n: number): number {
    if (this.shared && n === this.tensorRows) return this.tensor;
    this.free();
    const data = (this.type === 'int32' ? this.ints : this.floats).subarray(0, n * (this.width ?? 1));
    this.tensor = this.binding.createTensor(this.width === undefined ? [n] : [n, this.width], this.code, data);
    this.tensorRows = n;
    return this.tensor;
  }

  free(): void {
    if (this.tensorRows >= 0) this.binding.deleteTensor(this.tensor);
    this.tensorRows = -1;
  }

  private get code(): number {
    return this.type === 'int32' ? this.binding.TF_INT32 : this.binding.TF_FLOAT;
  }

  private shares(buffer: ArrayBuffer, offset: number): boolean {
    const one = this.type === 'int32' ? new Int32Array(buffer, offset, 1) : new Float32Array(buffer, offset, 1);
    const tensor = this.binding.createTensor([1], this.code, one);
    one[0] = 1;
    const seen = this.binding.tensorDataSync(tensor)[0];
    this.binding.deleteTensor(tensor);
    one[0] = 0;
    return seen === 1;
  }
}

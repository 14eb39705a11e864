import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import util from 'node:util';
import { GruardError, messageOf } from '../../core/errors.js';
import { stateSize, type Network } from '../network.js';
import { checkSlot, checkStates, checkStep, type Backend } from './backend.js';
import { SAVED_MODEL_TAG, savedModel } from './tensorflow/saved-model.js';

/** The part of tfjs-node that is used here; its own types need the package, which is optional. */
interface Tensor {
  dataSync(): Float32Array;
  dispose(): void;
}
interface Signature {
  predict(inputs: Record<string, Tensor>): Record<string, Tensor>;
  dispose(): void;
}
interface TensorFlow {
  version: Record<string, string>;
  tensor(data: Float32Array | Int32Array, shape: number[], type: 'float32' | 'int32'): Tensor;
  node: { loadSavedModel(path: string, tags: string[], signature: string): Promise<Signature> };
}

const SIGNATURES = ['size', 'grow', 'step', 'get', 'set'] as const;
/** Slots made at first: TensorFlow copies the variable whenever it grows. */
const FIRST_CAPACITY = 1024;
const PAGE_SLOTS = 1024;

let loaded: TensorFlow | undefined;

/** @throws GruardError BACKEND_UNAVAILABLE when @tensorflow/tfjs-node is not installed, not built, or does not load. */
export function loadTensorFlow(): TensorFlow {
  if (loaded) return loaded;
  // tfjs-node 4.22 calls two functions that Node 23 removed.
  const legacy = util as unknown as Record<string, unknown>;
  legacy.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  legacy.isArray ??= Array.isArray;
  try {
    loaded = createRequire(import.meta.url)('@tensorflow/tfjs-node') as TensorFlow;
  } catch (error) {
    const reason = messageOf(error).split('\n')[0];
    throw new GruardError('BACKEND_UNAVAILABLE',
      `@tensorflow/tfjs-node does not load (${reason}); \`npm run build:tensorflow\` builds it where its download does not work`,
      { cause: error });
  }
  return loaded;
}

/** What `gruard doctor` says of TensorFlow. */
export function tensorFlowStatus(): { available: boolean; detail: string } {
  try {
    const { version } = loadTensorFlow();
    return { available: true, detail: `tfjs-node ${version['tfjs-node'] ?? version['tfjs-core']}` };
  } catch (error) {
    return { available: false, detail: messageOf(error) };
  }
}

/**
 * TensorFlow's native kernels in graph mode: the states stay inside TensorFlow and only outputs come back. A call blocks
 * its thread and costs some 30 us whatever the batch, so it wants batches of a thousand and more. Its sums may differ in
 * the last bits with the size of the batch.
 */
export class TensorFlowBackend implements Backend {
  readonly name = 'tensorflow';
  readonly stateSize: number;
  capacity = 0;
  // A call costs the same for one slot as for a thousand, and a snapshot reads slot by slot, a restore writes so: reads are
  // made a page ahead (until a state changes), writes wait until a page is full or anything else is asked.
  private read: Float32Array = new Float32Array(0);
  private readFirst = -1;
  private readonly written = new Map<number, Float32Array>();

  private constructor(
    readonly network: Network, private readonly tf: TensorFlow, private readonly run: Record<(typeof SIGNATURES)[number], Signature>,
  ) {
    this.stateSize = stateSize(network.config);
    this.resize('size', FIRST_CAPACITY);
  }

  /** Writes the SavedModel to a directory of its own (TensorFlow reads models from files only) and loads it. */
  static async open(network: Network): Promise<TensorFlowBackend> {
    const tf = loadTensorFlow();
    const folder = await mkdtemp(join(tmpdir(), 'gruard-model-'));
    try {
      await writeFile(join(folder, 'saved_model.pb'), savedModel(network));
      const run: Partial<Record<(typeof SIGNATURES)[number], Signature>> = {};
      // One session: tfjs-node shares it between the signatures of one path.
      for (const name of SIGNATURES) run[name] = await tf.node.loadSavedModel(folder, [SAVED_MODEL_TAG], name);
      return new TensorFlowBackend(network, tf, run as Record<(typeof SIGNATURES)[number], Signature>);
    } catch (error) {
      throw new GruardError('BACKEND_UNAVAILABLE', `tensorflow: ${messageOf(error)}`, { cause: error });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  reserve(capacity: number): void {
    if (capacity <= this.capacity) return;
    this.flush();
    this.readFirst = -1;
    this.resize('grow', Math.max(capacity, Math.ceil(this.capacity * 1.5)) - this.capacity);
  }

  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void {
    checkStep(this, slots, n, inputs, outputs);
    this.flush();
    this.readFirst = -1;
    if (n === 0) return;
    const { inputs: I, head: { outputs: O } } = this.network.config;
    const result = this.call('step', {
      slots: this.slotTensor(slots, n), inputs: this.tf.tensor(inputs.subarray(0, n * I), [n, I], 'float32'),
    });
    outputs.set(result.subarray(0, n * O));
  }

  getState(slot: number, out: Float32Array): void {
    checkSlot(this, slot);
    this.flush();
    const first = slot - (slot % PAGE_SLOTS);
    if (first !== this.readFirst) {
      const n = Math.min(PAGE_SLOTS, this.capacity - first);
      this.read = this.call('get', { slots: this.slotTensor(Uint32Array.from({ length: n }, (_, i) => first + i), n) });
      this.readFirst = first;
    }
    out.set(this.read.subarray((slot - first) * this.stateSize, (slot - first + 1) * this.stateSize));
  }

  setState(slot: number, state: Float32Array): void {
    checkSlot(this, slot);
    this.written.set(slot, state.slice(0, this.stateSize));
    if (this.written.size >= PAGE_SLOTS) this.flush();
  }

  getStates(slots: Uint32Array, n: number, out: Float32Array): void {
    checkStates(this, slots, n, out);
    this.flush();
    if (n > 0) out.set(this.call('get', { slots: this.slotTensor(slots, n) }));
  }

  setStates(slots: Uint32Array, n: number, states: Float32Array): void {
    checkStates(this, slots, n, states);
    this.flush();
    this.readFirst = -1;
    if (n === 0) return;
    const state = this.tf.tensor(states.subarray(0, n * this.stateSize), [n, this.stateSize], 'float32');
    this.call('set', { slots: this.slotTensor(slots, n), state });
  }

  clear(slot: number): void {
    this.setState(slot, new Float32Array(this.stateSize));
  }

  inputView(n: number): Float32Array {
    return new Float32Array(n * this.network.config.inputs);
  }

  outputView(n: number): Float32Array {
    return new Float32Array(n * this.network.config.head.outputs);
  }

  dispose(): void {
    // The session ends with the last signature.
    for (const name of SIGNATURES) this.run[name].dispose();
    this.capacity = 0;
  }

  /** Writes the states that setState and clear left waiting. */
  private flush(): void {
    if (this.written.size === 0) return;
    const states = new Float32Array(this.written.size * this.stateSize);
    const slots = Uint32Array.from(this.written.keys());
    [...this.written.values()].forEach((state, i) => states.set(state, i * this.stateSize));
    this.written.clear();
    this.setStates(slots, slots.length, states);
  }

  private resize(how: 'size' | 'grow', rows: number): void {
    this.call(how, { dims: this.tf.tensor(Int32Array.of(rows, this.stateSize), [2], 'int32') });
    this.capacity += rows;
  }

  private slotTensor(slots: Uint32Array, n: number): Tensor {
    return this.tf.tensor(new Int32Array(slots.buffer, slots.byteOffset, n), [n], 'int32');
  }

  /** Runs a signature, reads its one output and frees every tensor. */
  private call(name: (typeof SIGNATURES)[number], inputs: Record<string, Tensor>): Float32Array {
    const [output] = Object.values(this.run[name].predict(inputs));
    const data = output.dataSync();
    output.dispose();
    for (const tensor of Object.values(inputs)) tensor.dispose();
    return data;
  }
}

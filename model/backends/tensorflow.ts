import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import util from 'node:util';
import { prepareTensorFlow } from '../../config/environment.js';
import { GruardError, messageOf } from '../../core/errors.js';
import { stateSize, type Network } from '../network.js';
import { checkSlot, checkStates, checkStep, type Backend } from './backend.js';
import { savedModel } from './tensorflow/saved-model.js';
import { Feed, Session, type Binding } from './tensorflow/session.js';

/** The part of tfjs-node that is used here; its own types need the package, which is optional. */
interface TensorFlow {
  version: Record<string, string>;
  backend(): { binding: Binding };
}

/** Slots made at first: TensorFlow copies the variable whenever it grows. */
const FIRST_CAPACITY = 1024;
const PAGE_SLOTS = 1024;
/**
 * Rows of one run of the session; a larger batch is stepped in even pieces. The tensors between the operations of so many rows stay in
 * the second cache: a row of a run of 2,048 or more costs a quarter to a half more.
 */
const ROWS = 1024;
/**
 * A block of this size, freed once, teaches glibc to keep freed memory up to twice as much (mallopt(3): M_MMAP_THRESHOLD is dynamic).
 * Until then it gives the tensors of a step back to the system, and every step has them mapped and zeroed again: a sixth of its time.
 */
const LESSON_BYTES = 16 * 2 ** 20;

let loaded: TensorFlow | undefined;

/** @throws GruardError BACKEND_UNAVAILABLE when @tensorflow/tfjs-node is not installed, not built, or does not load. */
export function loadTensorFlow(): TensorFlow {
  if (loaded) return loaded;
  // tfjs-node 4.22 calls two functions that Node 23 removed.
  const legacy = util as unknown as Record<string, unknown>;
  legacy.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  legacy.isArray ??= Array.isArray;
  prepareTensorFlow();
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
 * its thread and costs some 50 us whatever the batch, so it wants batches of a thousand and more. Its sums may differ in
 * the last bits with the size of the batch.
 */
export class TensorFlowBackend implements Backend {
  readonly name = 'tensorflow';
  readonly stateSize: number;
  capacity = 0;
  private readonly slotFeed: Feed;
  private readonly inputFeed: Feed;
  /** The view last handed out. */
  private inputLent: Float32Array | undefined;
  // A call costs the same for one slot as for a thousand, and a snapshot reads slot by slot, a restore writes so: reads are
  // made a page ahead (until a state changes), writes wait until a page is full or anything else is asked.
  private read: Float32Array = new Float32Array(0);
  private readFirst = -1;
  private readonly written = new Map<number, Float32Array>();

  private constructor(readonly network: Network, private readonly session: Session) {
    this.stateSize = stateSize(network.config);
    this.slotFeed = new Feed(session.binding, 'int32');
    this.inputFeed = new Feed(session.binding, 'float32', network.config.inputs);
    this.resize('size', Math.ceil(LESSON_BYTES / 4 / this.stateSize));
    this.resize('size', FIRST_CAPACITY);
    this.capacity = FIRST_CAPACITY;
  }

  /** Writes the SavedModel to a directory of its own (TensorFlow reads models from files only) and loads it. */
  static async open(network: Network): Promise<TensorFlowBackend> {
    const { binding } = loadTensorFlow().backend();
    const folder = await mkdtemp(join(tmpdir(), 'gruard-model-'));
    try {
      await writeFile(join(folder, 'saved_model.pb'), savedModel(network));
      return new TensorFlowBackend(network, new Session(binding, folder));
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
    const more = Math.max(capacity, Math.ceil(this.capacity * 1.5)) - this.capacity;
    this.resize('grow', more);
    this.capacity += more;
  }

  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void {
    checkStep(this, slots, n, inputs, outputs);
    this.flush();
    this.readFirst = -1;
    if (n === 0) return;
    const { inputs: I, head: { outputs: O } } = this.network.config;
    const rows = Math.ceil(n / Math.ceil(n / ROWS));
    this.reserveRows(rows);
    for (let at = 0; at < n; at += rows) {
      const m = Math.min(rows, n - at);
      // Slots are below 2^31: their bits are those of int32.
      this.slotFeed.ints.set(new Int32Array(slots.buffer, slots.byteOffset + 4 * at, m));
      if (inputs !== this.inputLent) this.inputFeed.floats.set(inputs.subarray(at * I, (at + m) * I));
      outputs.set(this.session.run('step', 'slots:0,inputs:0', [this.slotFeed.rows(m), this.inputFeed.rows(m)]), at * O);
    }
  }

  getState(slot: number, out: Float32Array): void {
    checkSlot(this, slot);
    this.flush();
    const first = slot - (slot % PAGE_SLOTS);
    if (first !== this.readFirst) {
      const n = Math.min(PAGE_SLOTS, this.capacity - first);
      this.read = this.gather(Int32Array.from({ length: n }, (_, i) => first + i));
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
    if (n > 0) out.set(this.gather(Int32Array.from(slots.subarray(0, n))));
  }

  setStates(slots: Uint32Array, n: number, states: Float32Array): void {
    checkStates(this, slots, n, states);
    this.flush();
    this.readFirst = -1;
    if (n === 0) return;
    this.session.runOnce('set', {
      slots: { data: Int32Array.from(slots.subarray(0, n)), shape: [n] },
      state: { data: states.subarray(0, n * this.stateSize), shape: [n, this.stateSize] },
    });
  }

  clear(slot: number): void {
    this.setState(slot, new Float32Array(this.stateSize));
  }

  /** n <= 1024, the rows of one run; of more, an ordinary array. */
  inputView(n: number): Float32Array {
    const length = n * this.network.config.inputs;
    if (n > ROWS) return new Float32Array(length);
    this.reserveRows(n);
    return (this.inputLent = this.inputFeed.floats.subarray(0, length));
  }

  outputView(n: number): Float32Array {
    return new Float32Array(n * this.network.config.head.outputs);
  }

  dispose(): void {
    this.slotFeed.free();
    this.inputFeed.free();
    this.session.dispose();
    this.capacity = 0;
  }

  /** Room for steps of so many rows; a view that is lent stays right unless they have to grow. */
  private reserveRows(n: number): void {
    if (n <= this.slotFeed.ints.length) return;
    this.slotFeed.reserve(n);
    this.inputFeed.reserve(n);
    this.inputLent = undefined;
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
    this.session.runOnce(how, { dims: { data: Int32Array.of(rows, this.stateSize), shape: [2] } });
  }

  /** slots: [n]; gives [n, stateSize]. */
  private gather(slots: Int32Array): Float32Array {
    return this.session.runOnce('get', { slots: { data: slots, shape: [slots.length] } }) as Float32Array;
  }
}

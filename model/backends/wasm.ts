import { GruardError, messageOf } from '../../core/errors.js';
import { KERNEL_WASM_BASE64 } from '../kernel/module.js';
import { buildProgram, type Program } from '../kernel/program.js';
import { wasmApi, type WasmMemory } from '../kernel/webassembly.js';
import { stateSize, type Network } from '../network.js';
import { checkSlot, checkStates, checkStep, type Backend } from './backend.js';

const PAGE_BYTES = 65536;
const MOST_PAGES = 65536;
/** Rows of the staging area; a larger batch is stepped in pieces. */
const STAGED_ROWS = 8192;

interface KernelExports {
  step(program: number, arena: number, slots: number, n: number, inputs: number, outputs: number): void;
}

let compiled: object | undefined;

function kernelModule(): object {
  return (compiled ??= new wasmApi.Module(Buffer.from(KERNEL_WASM_BASE64, 'base64')));
}

/**
 * The fused SIMD kernel (model/kernel/kernel.c). Its memory holds, in this order: the kernel's own data, the program and
 * weights, the staging area (slots, inputs, outputs of STAGED_ROWS rows), and the arena of states. The arena is last, so
 * that it grows in place: nothing is copied, and pages never written cost nothing. A row's result does not depend on the
 * rows stepped with it, to the bit.
 */
export class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly stateSize: number;
  capacity = 0;
  private readonly memory: WasmMemory;
  private readonly kernel: KernelExports;
  private readonly program: Program;
  private readonly programAt: number;
  private readonly slotsAt: number;
  private readonly inputsAt: number;
  private readonly outputsAt: number;
  private readonly arenaAt: number;
  private slots!: Uint32Array;
  private inputs!: Float32Array;
  private outputs!: Float32Array;
  /** [capacity, program.stride] */
  private arena!: Float32Array;
  /** The views last handed out. */
  private inputLent: Float32Array | undefined;
  private outputLent: Float32Array | undefined;

  constructor(readonly network: Network) {
    const { inputs, head } = network.config;
    this.stateSize = stateSize(network.config);
    try {
      this.memory = new wasmApi.Memory({ initial: 16, maximum: MOST_PAGES });
      const instance = new wasmApi.Instance(kernelModule(), { env: { memory: this.memory } });
      this.kernel = instance.exports as unknown as KernelExports;
      this.programAt = aligned((instance.exports.__heap_base as { value: number }).value);
    } catch (error) {
      throw new GruardError('BACKEND_UNAVAILABLE', `wasm: ${messageOf(error)}`, { cause: error });
    }
    this.program = buildProgram(network, this.programAt);
    this.slotsAt = aligned(this.programAt + this.program.bytes.length);
    this.inputsAt = aligned(this.slotsAt + 4 * STAGED_ROWS);
    this.outputsAt = aligned(this.inputsAt + 4 * STAGED_ROWS * inputs);
    this.arenaAt = aligned(this.outputsAt + 4 * STAGED_ROWS * head.outputs);
    this.grow(this.arenaAt);
    new Uint8Array(this.memory.buffer).set(this.program.bytes, this.programAt);
  }

  reserve(capacity: number): void {
    if (capacity <= this.capacity) return;
    this.grow(this.arenaAt + capacity * this.program.stride * 4);
  }

  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void {
    checkStep(this, slots, n, inputs, outputs);
    const { inputs: I, head: { outputs: O } } = this.network.config;
    const staged = inputs !== this.inputLent;
    const copied = outputs !== this.outputLent;
    for (let at = 0; at < n; at += STAGED_ROWS) {
      const rows = Math.min(STAGED_ROWS, n - at);
      copy(slots, at, this.slots, rows);
      if (staged) copy(inputs, at * I, this.inputs, rows * I);
      this.kernel.step(this.programAt, this.arenaAt, this.slotsAt, rows, this.inputsAt, this.outputsAt);
      if (copied) copyOut(this.outputs, outputs, at * O, rows * O);
    }
  }

  getState(slot: number, out: Float32Array): void {
    checkSlot(this, slot);
    this.unpack(slot, out, 0);
  }

  setState(slot: number, state: Float32Array): void {
    checkSlot(this, slot);
    this.pack(slot, state, 0);
  }

  getStates(slots: Uint32Array, n: number, out: Float32Array): void {
    checkStates(this, slots, n, out);
    for (let i = 0; i < n; i++) this.unpack(slots[i], out, i * this.stateSize);
  }

  setStates(slots: Uint32Array, n: number, states: Float32Array): void {
    checkStates(this, slots, n, states);
    for (let i = 0; i < n; i++) this.pack(slots[i], states, i * this.stateSize);
  }

  clear(slot: number): void {
    checkSlot(this, slot);
    this.arena.fill(0, slot * this.program.stride, (slot + 1) * this.program.stride);
  }

  /** n <= 8192, the staging area's rows; of more, an ordinary array. */
  inputView(n: number): Float32Array {
    const length = n * this.network.config.inputs;
    if (n > STAGED_ROWS) return new Float32Array(length);
    return (this.inputLent = this.inputs.length === length ? this.inputs : this.inputs.subarray(0, length));
  }

  outputView(n: number): Float32Array {
    const length = n * this.network.config.head.outputs;
    if (n > STAGED_ROWS) return new Float32Array(length);
    return (this.outputLent = this.outputs.subarray(0, length));
  }

  dispose(): void {
    // The memory goes with the last reference to it.
    this.capacity = 0;
    this.arena = this.inputs = this.outputs = new Float32Array(0);
    this.slots = new Uint32Array(0);
  }

  /** A padded slot as callers see it, to out[at..]. */
  private unpack(slot: number, out: Float32Array, at: number): void {
    const { places, stride } = this.program;
    for (let i = 0; i < places.length; i++) out[at + i] = this.arena[slot * stride + places[i]];
  }

  private pack(slot: number, state: Float32Array, at: number): void {
    const { places, stride } = this.program;
    for (let i = 0; i < places.length; i++) this.arena[slot * stride + places[i]] = state[at + i];
  }

  /** Makes the memory hold at least `bytes` and the views fit it (growing detaches the old ones). */
  private grow(bytes: number): void {
    const has = this.memory.buffer.byteLength;
    if (bytes > has) {
      const pages = Math.ceil((bytes - has) / PAGE_BYTES);
      // A quarter more than asked for, so that a fleet that comes in one by one does not grow it at each.
      const ahead = Math.min(Math.ceil(bytes / 4 / PAGE_BYTES), MOST_PAGES - Math.ceil(bytes / PAGE_BYTES));
      try {
        this.memory.grow(pages + Math.max(0, ahead));
      } catch (error) {
        throw new GruardError('MODEL_MEMORY', `the states need ${Math.ceil(bytes / 2 ** 20)} MiB: ${messageOf(error)}`, { cause: error });
      }
    }
    const { buffer } = this.memory;
    const { inputs, head } = this.network.config;
    this.slots = new Uint32Array(buffer, this.slotsAt, STAGED_ROWS);
    this.inputs = new Float32Array(buffer, this.inputsAt, STAGED_ROWS * inputs);
    this.outputs = new Float32Array(buffer, this.outputsAt, STAGED_ROWS * head.outputs);
    this.inputLent = this.outputLent = undefined;
    const slotBytes = this.program.stride * 4;
    this.capacity = Math.floor((buffer.byteLength - this.arenaAt) / slotBytes);
    this.arena = new Float32Array(buffer, this.arenaAt, this.capacity * this.program.stride);
  }
}

function aligned(address: number): number {
  return Math.ceil(address / 64) * 64;
}

/** to[0..n) = from[at..at + n). A loop beats `set` below a few dozen numbers. */
function copy<T extends Float32Array | Uint32Array>(from: T, at: number, to: T, n: number): void {
  if (n > 64) to.set(from.subarray(at, at + n));
  else for (let i = 0; i < n; i++) to[i] = from[at + i];
}

function copyOut(from: Float32Array, to: Float32Array, at: number, n: number): void {
  if (n > 64) to.set(from.subarray(0, n), at);
  else for (let i = 0; i < n; i++) to[at + i] = from[i];
}

import { GruardError, messageOf } from '../../core/errors.js';
import { bandCalibration, OUTPUTS, QUANTILES } from '../forecast.js';
import { KERNEL_WASM_BASE64 } from '../kernel/module.js';
import { buildProgram, PAGE_SLOTS, type Program } from '../kernel/program.js';
import { MOST_PAGES, openKernel, PAGE_BYTES, type WasmMemory } from '../kernel/webassembly.js';
import { stateSize, type Network } from '../network.js';
import { FEATURES, LentNormaliser, SERIES_BYTES } from '../normaliser.js';
import { checkSlot, checkSlots, checkStates, checkStep, type Backend, type Fused } from './backend.js';

/** Rows of the staging area; a larger batch is stepped in pieces. */
const STAGED_ROWS = 8192;
/** Numbers of a forecast: yhat and its band, three locations, three spreads. */
const FORECAST = 9;

interface KernelExports {
  step(program: number, arena: number, slots: number, n: number, inputs: number, outputs: number): void;
  advance(
    program: number, arena: number, band: number, slots: number, n: number, timestampMs: number, value: number, learning: number, features: number, forecasts: number,
  ): void;
}

/**
 * The fused SIMD kernel (model/kernel/kernel.c). Its memory holds, in this order: the kernel's own data, the program and
 * weights, the band's table, the staging area (columns of STAGED_ROWS rows), and the arena: pages of 1,024 slots, each the normalisers of its slots and
 * then their states. The arena is last, so that it grows in place: nothing is copied, and what was never written costs nothing. A row's
 * result does not depend on the rows stepped with it, to the bit.
 */
export class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly stateSize: number;
  capacity = 0;
  private readonly memory: WasmMemory;
  private readonly kernel: KernelExports;
  private readonly program: Program;
  private readonly programAt: number;
  /** Addresses of the staging area's columns, of the band and of the arena. */
  private readonly places: Record<'band' | 'slots' | 'timestampMs' | 'value' | 'learning' | 'inputs' | 'outputs' | 'forecasts' | 'arena', number>;
  private readonly normaliser: LentNormaliser | undefined;
  readonly fused: Fused | undefined;
  private slots!: Uint32Array;
  private inputs!: Float32Array;
  private outputs!: Float32Array;
  private timestampMs!: Float64Array;
  private value!: Float64Array;
  private learning!: Float32Array;
  private forecasts!: Float64Array;
  /** [pages, program.page] */
  private arena!: Float32Array;
  /** The views last handed out. */
  private inputLent: Float32Array | undefined;
  private outputLent: Float32Array | undefined;

  constructor(readonly network: Network) {
    const { inputs, head } = network.config;
    this.stateSize = stateSize(network.config);
    const { memory, kernel, heapBase } = openKernel<KernelExports>(KERNEL_WASM_BASE64, 16);
    this.memory = memory;
    this.kernel = kernel;
    this.programAt = aligned(heapBase);
    const takesReadings = network.config.features === 'v1' && inputs === FEATURES && head.outputs === OUTPUTS;
    this.program = buildProgram(network, this.programAt, takesReadings ? SERIES_BYTES : 0);
    let end = this.programAt + this.program.bytes.length;
    const place = (bytes: number): number => {
      const at = aligned(end);
      end = at + bytes;
      return at;
    };
    const band = Float64Array.of(bandCalibration(network.metadata)[0], ...QUANTILES);
    this.places = {
      band: place(band.byteLength), slots: place(4 * STAGED_ROWS), timestampMs: place(8 * STAGED_ROWS), value: place(8 * STAGED_ROWS), learning: place(4 * STAGED_ROWS),
      inputs: place(4 * STAGED_ROWS * inputs), outputs: place(4 * STAGED_ROWS * head.outputs), forecasts: place(8 * STAGED_ROWS * FORECAST), arena: place(0),
    };
    if (takesReadings) {
      this.normaliser = new LentNormaliser((capacity) => this.reserve(capacity));
      this.fused = { normaliser: this.normaliser, advance: (...columns) => this.advance(...columns) };
    }
    this.grow(this.places.arena);
    new Uint8Array(this.memory.buffer).set(this.program.bytes, this.programAt);
    new Float64Array(this.memory.buffer, this.places.band, band.length).set(band);
  }

  reserve(capacity: number): void {
    if (capacity > this.capacity) this.grow(this.places.arena + Math.ceil(capacity / PAGE_SLOTS) * this.program.page * 4);
  }

  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void {
    checkStep(this, slots, n, inputs, outputs);
    const { inputs: I, head: { outputs: O } } = this.network.config;
    const { places } = this;
    const staged = inputs !== this.inputLent;
    const copied = outputs !== this.outputLent;
    for (let at = 0; at < n; at += STAGED_ROWS) {
      const rows = Math.min(STAGED_ROWS, n - at);
      copy(slots, at, this.slots, rows);
      if (staged) copy(inputs, at * I, this.inputs, rows * I);
      this.kernel.step(this.programAt, places.arena, places.slots, rows, places.inputs, places.outputs);
      if (copied) copyOut(this.outputs, outputs, at * O, rows * O);
    }
  }

  private advance(
    slots: Uint32Array, n: number, timestampMs: Float64Array, value: Float64Array, learning: Float32Array, features: Float32Array, forecasts: Float64Array,
  ): void {
    checkSlots(this, slots, n);
    const shortest = Math.min(timestampMs.length, value.length, learning.length, features.length / FEATURES, forecasts.length / FORECAST);
    if (shortest < n) throw new RangeError(`columns of ${Math.floor(shortest)} for ${n} readings`);
    const { places } = this;
    for (let at = 0; at < n; at += STAGED_ROWS) {
      const rows = Math.min(STAGED_ROWS, n - at);
      copy(slots, at, this.slots, rows);
      copy(timestampMs, at, this.timestampMs, rows);
      copy(value, at, this.value, rows);
      copy(learning, at, this.learning, rows);
      this.kernel.advance(this.programAt, places.arena, places.band, places.slots, rows, places.timestampMs, places.value, places.learning, places.inputs, places.forecasts);
      copyOut(this.inputs, features, at * FEATURES, rows * FEATURES);
      copyOut(this.forecasts, forecasts, at * FORECAST, rows * FORECAST);
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
    const at = this.stateAt(slot);
    this.arena.fill(0, at, at + this.program.stride);
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
    this.arena = this.inputs = this.outputs = this.learning = new Float32Array(0);
    this.timestampMs = this.value = this.forecasts = new Float64Array(0);
    this.slots = new Uint32Array(0);
    this.normaliser?.lie([]);
  }

  /** Where a slot's state begins in the arena. */
  private stateAt(slot: number): number {
    const { page, states, stride } = this.program;
    return Math.floor(slot / PAGE_SLOTS) * page + states + (slot % PAGE_SLOTS) * stride;
  }

  /** A padded slot as callers see it, to out[at..]. */
  private unpack(slot: number, out: Float32Array, at: number): void {
    const { places } = this.program;
    const from = this.stateAt(slot);
    for (let i = 0; i < places.length; i++) out[at + i] = this.arena[from + places[i]];
  }

  private pack(slot: number, state: Float32Array, at: number): void {
    const { places } = this.program;
    const to = this.stateAt(slot);
    for (let i = 0; i < places.length; i++) this.arena[to + places[i]] = state[at + i];
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
    const { places, program } = this;
    this.slots = new Uint32Array(buffer, places.slots, STAGED_ROWS);
    this.timestampMs = new Float64Array(buffer, places.timestampMs, STAGED_ROWS);
    this.value = new Float64Array(buffer, places.value, STAGED_ROWS);
    this.learning = new Float32Array(buffer, places.learning, STAGED_ROWS);
    this.inputs = new Float32Array(buffer, places.inputs, STAGED_ROWS * inputs);
    this.outputs = new Float32Array(buffer, places.outputs, STAGED_ROWS * head.outputs);
    this.forecasts = new Float64Array(buffer, places.forecasts, STAGED_ROWS * FORECAST);
    this.inputLent = this.outputLent = undefined;
    const pages = Math.floor((buffer.byteLength - places.arena) / (program.page * 4));
    this.capacity = pages * PAGE_SLOTS;
    this.arena = new Float32Array(buffer, places.arena, pages * program.page);
    this.normaliser?.lie(Array.from({ length: pages }, (_, i) => new Float64Array(buffer, places.arena + i * program.page * 4, (PAGE_SLOTS * SERIES_BYTES) / 8)));
  }
}

function aligned(address: number): number {
  return Math.ceil(address / 64) * 64;
}

/** to[0..n) = from[at..at + n). A loop beats `set` below a few dozen numbers. */
function copy<T extends Float32Array | Float64Array | Uint32Array>(from: T, at: number, to: T, n: number): void {
  if (n > 64) to.set(from.subarray(at, at + n));
  else for (let i = 0; i < n; i++) to[i] = from[at + i];
}

function copyOut<T extends Float32Array | Float64Array>(from: T, to: T, at: number, n: number): void {
  if (n > 64) to.set(from.subarray(0, n), at);
  else for (let i = 0; i < n; i++) to[at + i] = from[i];
}

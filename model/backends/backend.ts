import type { Network } from '../network.js';
import type { Normaliser } from '../normaliser.js';

export const BACKEND_NAMES = ['tensorflow', 'wasm', 'js'] as const;

export type BackendName = (typeof BACKEND_NAMES)[number];

/** What a backend does that takes readings as they come: normalise, step and decode in one call, over states that lie side by side. */
export interface Fused {
  /** The normalisers of its slots, in its own memory; `reserve` is the backend's. */
  readonly normaliser: Normaliser;
  /**
   * One reading of each of n distinct slots: what `normaliser.step`, `Backend.step` and `ForecastDecoder.decode` do one after the other, bit for bit.
   *
   * @param learning [n] as of `Normaliser.step`
   * @param features [n, 7] written
   * @param forecasts [n, 9] written: yhat, yhatLower, yhatUpper, location [3], spread [3]
   */
  advance(slots: Uint32Array, n: number, timestampMs: Float64Array, value: Float64Array, learning: Float32Array, features: Float32Array, forecasts: Float64Array): void;
}

/**
 * Steps the states of many series at once. A slot is a row of the backend's state arena; who owns which slot is the
 * caller's business, and a retired slot is given back by `clear` and used again. All calls are synchronous and none keeps
 * a reference to the caller's arrays.
 */
export interface Backend {
  readonly name: BackendName;
  readonly network: Network;
  /** Floats of state a slot holds, all layers (h, and c for an LSTM), in the order of the layers. */
  readonly stateSize: number;
  /** Slots that exist: 0 to capacity - 1. */
  readonly capacity: number;
  /** Where the backend normalises by itself and the network has the features and the head of gruard's own. */
  readonly fused?: Fused;
  /** Makes at least `capacity` slots exist; new ones are zero, old ones keep their state. */
  reserve(capacity: number): void;
  /**
   * One step of n slots, which must be distinct. slots: [n]; inputs: [n, I] row-major; outputs: [n, O] row-major.
   * A slot out of range is a RangeError.
   */
  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void;
  /** Copies a slot's state to out: [stateSize]. */
  getState(slot: number, out: Float32Array): void;
  /** Replaces a slot's state by state: [stateSize]. */
  setState(slot: number, state: Float32Array): void;
  /** The same for n slots at once, out: [n, stateSize]: what a snapshot reads, and much faster on TensorFlow. */
  getStates(slots: Uint32Array, n: number, out: Float32Array): void;
  /** Replaces the states of n distinct slots, states: [n, stateSize]. */
  setStates(slots: Uint32Array, n: number, states: Float32Array): void;
  /** Sets a slot's state to zero, as a new series has it. */
  clear(slot: number): void;
  /**
   * A place of [n, I] where inputs may be written so that `step` need not copy them: pass it to `step` as `inputs`. Valid
   * until the next call of `reserve`, `inputView` or `outputView`.
   */
  inputView(n: number): Float32Array;
  /** The same for outputs, [n, O]: what `step` was given as `outputs` is read there. */
  outputView(n: number): Float32Array;
  /** Frees what the backend holds; nothing may be called after. */
  dispose(): void;
}

/** Throws unless the arguments of a step fit together; the kernels below this trust them. */
export function checkStep(
  backend: Backend, slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array,
): void {
  const { config } = backend.network;
  if (slots.length < n || inputs.length < n * config.inputs || outputs.length < n * config.head.outputs) {
    throw new RangeError(`step of ${n}: slots ${slots.length}, inputs ${inputs.length}, outputs ${outputs.length}`);
  }
  checkSlots(backend, slots, n);
}

/** Throws unless there are n slots and all exist. */
export function checkSlots({ capacity }: Backend, slots: Uint32Array, n: number): void {
  if (slots.length < n) throw new RangeError(`${slots.length} slots of ${n}`);
  for (let i = 0; i < n; i++) {
    if (slots[i] >= capacity) throw new RangeError(`slot ${slots[i]} of ${capacity}`);
  }
}

/** Throws unless the arguments of getStates or setStates fit together. */
export function checkStates(backend: Backend, slots: Uint32Array, n: number, states: Float32Array): void {
  if (slots.length < n || states.length < n * backend.stateSize) {
    throw new RangeError(`states of ${n}: slots ${slots.length}, states ${states.length}`);
  }
  for (let i = 0; i < n; i++) checkSlot(backend, slots[i]);
}

/** Throws unless the slot exists. */
export function checkSlot(backend: Backend, slot: number): void {
  if (!(slot >= 0 && slot < backend.capacity)) throw new RangeError(`slot ${slot} of ${backend.capacity}`);
}

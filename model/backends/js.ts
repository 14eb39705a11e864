import { Reference, referenceParameters } from '../cells/reference.js';
import { stateSize, type Network } from '../network.js';
import { checkSlot, checkStates, checkStep, type Backend } from './backend.js';

/** The float64 reference over an arena of float32 states: slow, and right everywhere. */
export class JsBackend implements Backend {
  readonly name = 'js';
  readonly stateSize: number;
  private readonly reference: Reference;
  /** [capacity, stateSize] */
  private arena = new Float32Array(0);
  private readonly x: Float64Array;
  private readonly state: Float64Array;
  private readonly y: Float64Array;

  constructor(readonly network: Network) {
    this.stateSize = stateSize(network.config);
    this.reference = new Reference(network.config, referenceParameters(network));
    this.x = new Float64Array(network.config.inputs);
    this.state = new Float64Array(this.stateSize);
    this.y = new Float64Array(network.config.head.outputs);
  }

  get capacity(): number {
    return this.arena.length / this.stateSize;
  }

  reserve(capacity: number): void {
    if (capacity <= this.capacity) return;
    const arena = new Float32Array(Math.max(capacity, Math.ceil(this.capacity * 1.5)) * this.stateSize);
    arena.set(this.arena);
    this.arena = arena;
  }

  step(slots: Uint32Array, n: number, inputs: Float32Array, outputs: Float32Array): void {
    checkStep(this, slots, n, inputs, outputs);
    const { x, state, y } = this;
    for (let i = 0; i < n; i++) {
      const at = slots[i] * this.stateSize;
      for (let k = 0; k < x.length; k++) x[k] = inputs[i * x.length + k];
      for (let k = 0; k < state.length; k++) state[k] = this.arena[at + k];
      this.reference.step(x, state, y);
      for (let k = 0; k < state.length; k++) this.arena[at + k] = state[k];
      for (let k = 0; k < y.length; k++) outputs[i * y.length + k] = y[k];
    }
  }

  getState(slot: number, out: Float32Array): void {
    checkSlot(this, slot);
    out.set(this.arena.subarray(slot * this.stateSize, (slot + 1) * this.stateSize));
  }

  setState(slot: number, state: Float32Array): void {
    checkSlot(this, slot);
    this.arena.set(state.subarray(0, this.stateSize), slot * this.stateSize);
  }

  getStates(slots: Uint32Array, n: number, out: Float32Array): void {
    checkStates(this, slots, n, out);
    for (let i = 0; i < n; i++) this.getState(slots[i], out.subarray(i * this.stateSize, (i + 1) * this.stateSize));
  }

  setStates(slots: Uint32Array, n: number, states: Float32Array): void {
    checkStates(this, slots, n, states);
    for (let i = 0; i < n; i++) this.setState(slots[i], states.subarray(i * this.stateSize, (i + 1) * this.stateSize));
  }

  clear(slot: number): void {
    checkSlot(this, slot);
    this.arena.fill(0, slot * this.stateSize, (slot + 1) * this.stateSize);
  }

  inputView(n: number): Float32Array {
    return new Float32Array(n * this.network.config.inputs);
  }

  outputView(n: number): Float32Array {
    return new Float32Array(n * this.network.config.head.outputs);
  }

  dispose(): void {
    this.arena = new Float32Array(0);
  }
}

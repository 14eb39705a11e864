import { describe, expect, it } from 'vitest';
import { initialise } from '../network.js';
import { WasmBackend } from './wasm.js';

const network = initialise(
  { features: 'test', inputs: 3, layers: [{ cell: 'lstm', units: 5 }], head: { outputs: 2, skip: true }, horizons: [1] }, 1);

describe('wasm backend', () => {
  it('refuses more states than its memory can hold, and goes on with those it has', () => {
    const backend = new WasmBackend(network);
    backend.reserve(10);
    const state = Float32Array.from({ length: 10 }, (_, i) => i / 10);
    backend.setState(9, state);
    for (const capacity of [1e8, 1e12]) expect(() => backend.reserve(capacity)).toThrow(expect.objectContaining({ code: 'MODEL_MEMORY' }));
    const back = new Float32Array(10);
    backend.getState(9, back);
    expect(back).toEqual(state);
  });

  it('steps a batch larger than its staging area as it would smaller ones', () => {
    const n = 10_000;
    const slots = Uint32Array.from({ length: n }, (_, i) => n - 1 - i);
    const x = Float32Array.from({ length: 3 * n }, (_, i) => Math.sin(i));
    const [whole, parts] = [new WasmBackend(network), new WasmBackend(network)];
    const [a, b] = [whole.outputView(n), new Float32Array(2 * n)];
    for (const backend of [whole, parts]) backend.reserve(n);
    whole.step(slots, n, x, a);
    for (let at = 0; at < n; at += 1000) {
      const outputs = parts.outputView(1000);
      parts.step(slots.subarray(at, at + 1000), 1000, x.subarray(3 * at), outputs);
      b.set(outputs, 2 * at);
    }
    expect(a).toEqual(b);
  });

  it('hands out views that stay right when others are asked for, and new ones after it has grown', () => {
    const backend = new WasmBackend(network);
    backend.reserve(4);
    const small = backend.inputView(2).fill(0.25);
    const large = backend.inputView(4);
    const [a, b] = [new Float32Array(4), new Float32Array(4)];
    backend.step(Uint32Array.of(0, 1), 2, small, a);
    backend.clear(0);
    backend.clear(1);
    large.fill(0.25);
    backend.reserve(backend.capacity + 1);
    backend.step(Uint32Array.of(0, 1), 2, backend.inputView(2), b);
    expect(b).toEqual(a);
  });
});

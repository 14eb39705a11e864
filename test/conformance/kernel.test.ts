import { describe, expect, it } from 'vitest';
import { KERNEL_WASM_BASE64 } from '../../model/kernel/module.js';
import { wasmApi } from '../../model/kernel/webassembly.js';

const memory = new wasmApi.Memory({ initial: 32, maximum: 32 });
const { exports } = new wasmApi.Instance(new wasmApi.Module(Buffer.from(KERNEL_WASM_BASE64, 'base64')), { env: { memory } });
const activate = exports.activate as (x: number, n: number, what: number, out: number) => void;
const base = (exports.__heap_base as { value: number }).value;

/** The kernel's approximation of each x. */
function approximate(what: number, x: Float32Array): Float32Array {
  const view = new Float32Array(memory.buffer, base, x.length);
  view.set(x);
  activate(base, x.length, what, base + x.byteLength);
  return new Float32Array(memory.buffer, base + x.byteLength, x.length).slice();
}

/** Dense near zero, on both sides, out to `most`. */
function points(most: number): Float32Array {
  const n = 1 << 17;
  return Float32Array.from({ length: n }, (_, i) => (i % 2 ? 1 : -1) * most * (i / n) ** 3);
}

describe('kernel approximations', () => {
  const cases = [
    { what: 0, title: 'exp', f: Math.exp, most: 86 },
    { what: 1, title: 'sigmoid', f: (x: number) => 1 / (1 + Math.exp(-x)), most: 86 },
    { what: 2, title: 'tanh', f: Math.tanh, most: 30 },
  ];
  it.each(cases)('$title is within 1e-6 relative', ({ what, f, most }) => {
    const x = points(most);
    const y = approximate(what, x);
    let worst = 0;
    x.forEach((v, i) => {
      const error = f(v) === 0 ? Math.abs(y[i]) : Math.abs(y[i] / f(v) - 1);
      if (!(error <= worst)) worst = error;
    });
    expect(worst).toBeLessThan(1e-6);
  });

  it('stays finite however large the argument', () => {
    const far = Float32Array.of(-3e38, -1e6, 1e6, 3e38);
    expect([...approximate(1, far)].map((y) => Math.round(y))).toEqual([0, 0, 1, 1]);
    expect([...approximate(2, far)].map((y) => Math.round(y))).toEqual([-1, -1, 1, 1]);
  });
});

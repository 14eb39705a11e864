import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../core/random.js';
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

describe('kernel logarithm and exponential of float64', () => {
  const elementary = exports.elementary as (x: number, n: number, exponential: number, pairs: number) => void;
  const special = [0, -0, 1, -1, Math.E, 1 + 2 ** -52, 1 - 2 ** -53, 1 + 2 ** -21, 2 ** -1074, 2 ** -1022, 5e-324, Number.MAX_VALUE, Infinity, -Infinity, NaN, 709.782712893384, 709.7827128933841, -745.1332191019411, -745.14, -720, 0.3465735902799726, 1.0397207708399179];

  function both(x: Float64Array, exponential: 0 | 1, pairs: 0 | 1): [Float64Array, Float64Array] {
    const at = Math.ceil(base / 8) * 8;
    new Float64Array(memory.buffer, at, x.length).set(x);
    elementary(at, x.length, exponential, pairs);
    return [new Float64Array(memory.buffer, at, x.length).slice(), x.map(exponential ? Math.exp : Math.log)];
  }

  it.each([['log', 0, 0], ['exp', 1, 0], ['log in pairs', 0, 1], ['exp in pairs', 1, 1]] as const)('%s is that of this engine, to the bit', (_, exponential, pairs) => {
    const random = seededRandom(1);
    const drawn = Float64Array.from({ length: 50_000 }, (_, i) => {
      if (i < special.length) return special[i];
      if (exponential) return (random() - 0.5) * [1e-9, 0.7, 3, 40, 1500][i % 5];
      return i % 3 === 0 ? 1 + (random() - 0.5) * 2 ** -(i % 60) : Math.exp((random() - 0.5) * 1400);
    });
    const [ours, theirs] = both(drawn, exponential, pairs);
    expect([...ours.keys()].filter((i) => !Object.is(ours[i], theirs[i])).map((i) => [drawn[i], ours[i], theirs[i]])).toEqual([]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shippedFile } from '../../core/paths.js';
import { WasmBackend } from '../../model/backends/wasm.js';
import { ForecastDecoder, Forecasts } from '../../model/forecast.js';
import { FEATURES, Normaliser } from '../../model/normaliser.js';
import { initialise } from '../../model/network.js';
import { readWeights } from '../../model/weights.js';

const network = initialise({ features: 'v1', inputs: 7, layers: [{ cell: 'gru', units: 8 }], head: { outputs: 9, skip: true }, horizons: [1, 8, 32] }, 1);

interface Reading {
  dtMs: number;
  value: number;
  learning: number;
}

/** What sensors send and what they should not: noise, constants, counters and their resets, jumps, values at the ends of the range, gaps. */
const dtMs = fc.oneof({ weight: 6, arbitrary: fc.constant(60_000) }, fc.integer({ min: 1, max: 200_000 }), fc.constantFrom(1e-9, 1, 3_600_000, 1e9, 1e13));
const learning = fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.constantFrom(0, 0.25));
const values: Record<string, fc.Arbitrary<number[]>> = {
  noise: fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 300 }),
  anything: fc.array(fc.double(), { minLength: 1, maxLength: 120 }),
  'far ends': fc.array(fc.constantFrom(0, -0, 5e-324, -5e-324, 2 ** -1022, 1e-300, 1e120, -1e121, 1.7e308, -1.7e308, 1, Infinity, -Infinity, NaN), { minLength: 1, maxLength: 120 }),
  constant: fc.tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 1, max: 700 })).map(([x, n]) => new Array<number>(n).fill(x)),
  counter: fc.array(fc.oneof({ weight: 30, arbitrary: fc.double({ min: 0, max: 9, noNaN: true }) }, fc.constant(-1)), { minLength: 60, maxLength: 400 }).map((rises) => {
    let total = 1e9;
    return rises.map((rise) => (total = rise < 0 ? 0 : total + rise));
  }),
  steps: fc.array(fc.tuple(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 8 }).map((levels) => levels.flatMap(([level, n]) => Array.from({ length: n }, (_, i) => level + (i % 3)))),
};

function sequence(course: fc.Arbitrary<number[]>): fc.Arbitrary<Reading[]> {
  return course.chain((list) => fc.tuple(fc.constant(list), fc.array(dtMs, { minLength: list.length, maxLength: list.length }), fc.array(learning, { minLength: list.length, maxLength: list.length })))
    .map(([list, steps, rates]) => list.map((value, i) => ({ value, dtMs: steps[i], learning: rates[i] })));
}

/** The same bits, but any NaN for any other. */
function expectSame(a: ArrayLike<number>, b: ArrayLike<number>, when: string): void {
  for (let i = 0; i < b.length; i++) if (!Object.is(a[i], b[i])) expect(`${when}, ${i}: ${a[i]}`).toBe(`${when}, ${i}: ${b[i]}`);
}

function stateOf(normaliser: Normaliser, slot: number): Float64Array {
  const bytes = new Uint8Array(normaliser.bytesPerSlot);
  normaliser.write(slot, bytes, 0);
  return new Float64Array(bytes.buffer);
}

describe('the kernel takes readings', () => {
  it.each(Object.keys(values))('as normaliser, step and decoder do one after the other, to the bit: %s', (course) => {
    const fusedOnly = new WasmBackend(network);
    const stepped = new WasmBackend(network);
    for (const backend of [fusedOnly, stepped]) backend.reserve(2048);
    const { fused } = fusedOnly;
    const slots = Uint32Array.of(1030);
    fc.assert(fc.property(sequence(values[course]), (readings) => {
      const normaliser = new Normaliser();
      normaliser.reserve(2048);
      fused!.normaliser.clear(1030);
      for (const backend of [fusedOnly, stepped]) backend.clear(1030);
      const [a, b] = [new Float32Array(FEATURES), new Float32Array(FEATURES)];
      const [forecasts, outputs, made] = [new Float64Array(9), new Float32Array(9), new Forecasts(1)];
      const decoder = new ForecastDecoder(network.metadata);
      let atMs = 1_700_000_000_000;
      readings.forEach((reading, t) => {
        const [time, value, rate] = [Float64Array.of(atMs += reading.dtMs), Float64Array.of(reading.value), Float32Array.of(reading.learning)];
        fused!.advance(slots, 1, time, value, rate, a, forecasts);
        normaliser.step(slots, 1, time, value, b, rate);
        stepped.step(slots, 1, b, outputs);
        decoder.decode(normaliser, slots, 1, outputs, made);
        expectSame(a, b, `features of reading ${t}`);
        expectSame(stateOf(fused!.normaliser, 1030), stateOf(normaliser, 1030), `normaliser after reading ${t}`);
        expectSame(forecasts, [made.yhat[0], made.yhatLower[0], made.yhatUpper[0], ...made.location, ...made.spread], `forecast of reading ${t}`);
      });
    }), { numRuns: 40 });
  });

  it('of a whole fleet as of each series alone, also in pieces and after its memory has grown', async () => {
    const shipped = await readWeights(shippedFile('model/weights/default.safetensors'));
    const [whole, alone] = [new WasmBackend(shipped), new WasmBackend(shipped)];
    const n = 9001;
    const slots = Uint32Array.from({ length: n }, (_, i) => (i * 7919) % n);
    const columns = (rows: number): [Float64Array, Float64Array, Float32Array, Float32Array, Float64Array] => [new Float64Array(rows).fill(0), new Float64Array(rows), new Float32Array(rows).fill(1), new Float32Array(7 * rows), new Float64Array(9 * rows)];
    const [time, value, learning, features, forecasts] = columns(n);
    whole.fused!.normaliser.reserve(n);
    alone.reserve(1);
    const followed = [0, 5, 4097, 8999];
    const one = columns(1);
    for (let t = 0; t < 12; t++) {
      slots.forEach((slot, i) => (value[i] = Math.sin(slot + t)));
      time.fill(60_000 * t);
      if (t === 6) {
        whole.reserve(whole.capacity + 1);
        alone.fused!.normaliser.reserve(n);
      }
      whole.fused!.advance(slots, n, time, value, learning, features, forecasts);
      for (const row of followed) {
        // In the small backend the slots are others: the place must not matter.
        const slot = Uint32Array.of(followed.indexOf(row));
        one[0][0] = time[row];
        one[1][0] = value[row];
        alone.fused!.advance(slot, 1, ...one);
        expect(one[3]).toEqual(features.slice(7 * row, 7 * row + 7));
        expect(one[4]).toEqual(forecasts.slice(9 * row, 9 * row + 9));
      }
    }
  });

  it('whose states other backends can go on with: a snapshot has no trace of who wrote it', () => {
    const { fused } = new WasmBackend(network);
    const other = new Normaliser();
    fused!.normaliser.reserve(1);
    other.reserve(1);
    expect([fused!.normaliser.name, fused!.normaliser.version, fused!.normaliser.bytesPerSlot]).toEqual([other.name, other.version, other.bytesPerSlot]);
    const slot = Uint32Array.of(0);
    const [a, b] = [new Float32Array(7), new Float32Array(7)];
    for (let t = 0; t < 50; t++) fused!.advance(slot, 1, Float64Array.of(1000 * t), Float64Array.of(Math.sin(t)), Float32Array.of(1), a, new Float64Array(9));
    const bytes = new Uint8Array(other.bytesPerSlot);
    fused!.normaliser.write(0, bytes, 0);
    other.read(0, bytes, 0);
    other.step(slot, 1, Float64Array.of(50_000), Float64Array.of(0.3), b);
    fused!.advance(slot, 1, Float64Array.of(50_000), Float64Array.of(0.3), Float32Array.of(1), a, new Float64Array(9));
    expect(a).toEqual(b);
  });

  it('and refuses a slot that does not exist and columns that are too short', () => {
    const backend = new WasmBackend(network);
    backend.reserve(1);
    const [one, features, forecasts] = [Float64Array.of(1), new Float32Array(7), new Float64Array(9)];
    expect(() => backend.fused!.advance(Uint32Array.of(backend.capacity), 1, one, one, Float32Array.of(1), features, forecasts)).toThrow(RangeError);
    expect(() => backend.fused!.advance(new Uint32Array(0), 1, one, one, Float32Array.of(1), features, forecasts)).toThrow(RangeError);
    expect(() => backend.fused!.advance(Uint32Array.of(0), 1, one, one, Float32Array.of(1), features, forecasts.subarray(1))).toThrow(RangeError);
    expect(backend.fused!.normaliser.count(0)).toBe(0);
  });

  it('only for a network with gruard\'s own features and head', () => {
    expect(new WasmBackend(initialise({ ...network.config, features: 'test', inputs: 3 }, 1)).fused).toBeUndefined();
  });
});

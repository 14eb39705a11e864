import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Random } from '../../core/random.js';

/** Hostile inputs: structured ones from fast-check, well-formed ones with changed bytes, and plain noise. */

export const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)];
export const below = (random: Random, n: number): number => Math.floor(random() * n);

const encoder = new TextEncoder();
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

/** What breaks parsers: numbers at the edges of a double, names of object machinery, look-alikes, half characters, controls, formulas, wildcards, injections. */
export const NASTY = [
  '1e309', '-1e309', '5e-324', '-0', '1e-400', '9007199254740993', '9'.repeat(400), '0x10', 'NaN', '-Infinity', '1.7976931348623157e308', '00', '1_000', '٣',
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '{"__proto__":{"polluted":1}}', '"constructor":{"prototype":{"polluted":1}}',
  '\ufeff', '\u202eabc', 'оvеn', 'e\u0301', '\u0000', '\u001b[2J', '\r\n', '\u2028', '\\ud800', '\\u0000', '"\\', '=cmd|\' /C calc\'!A0', '+1+1', '@SUM(A1)', '#', '+', '$SYS', '../../etc/passwd', '%2e%2e%2f',
  "'; DROP TABLE x;--", '" OR 1=1', 'a b=c,d', '\\', '\\\\', '*', 'a'.repeat(300), '[[[[[[[[[[[[[[[[[[[[', '{"a":'.repeat(20), ',', '":"', '}', ']',
] as const;

const INVALID_UTF8 = [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0xe2, 0x28, 0xa1], [0x80]];

/** 1 to 8 changes: bits, bytes, runs that are repeated, cut, moved or replaced by something nasty. */
export function mutate(random: Random, bytes: Uint8Array, mostBytes = 65_536): Uint8Array {
  let out = Buffer.from(bytes);
  for (let edits = 1 + below(random, 8); edits > 0; edits--) {
    const at = below(random, out.length + 1);
    const to = Math.min(out.length, at + below(random, 32));
    switch (below(random, 9)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << below(random, 8);
        break;
      case 1:
        if (at < out.length) out[at] = pick(random, [0, 0x0a, 0x22, 0x5c, 0x7b, 0x7d, 0x7f, 0x80, 0xff, below(random, 256)]);
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at), bytesOf(pick(random, NASTY)), out.subarray(at)]);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, at), bytesOf(pick(random, NASTY)), out.subarray(to)]);
        break;
      case 4:
        out = Buffer.concat([out.subarray(0, at), out.subarray(to)]);
        break;
      case 5:
        out = out.subarray(0, at);
        break;
      case 6:
        out = Buffer.concat([out.subarray(0, to), ...Array<Buffer>(1 + below(random, 20)).fill(out.subarray(at, to)), out.subarray(to)]);
        break;
      case 7:
        out = Buffer.concat([out.subarray(0, at), Buffer.from(pick(random, INVALID_UTF8)), out.subarray(at)]);
        break;
      default:
        if (at + 8 <= out.length) out.writeUInt32LE(pick(random, [0, 1, 0x7fffffff, 0xffffffff, below(random, 2 ** 32)]), at);
    }
    if (out.length > mostBytes) out = out.subarray(0, mostBytes);
  }
  return new Uint8Array(out);
}

export function noise(random: Random, mostBytes = 200): Uint8Array {
  return Uint8Array.from({ length: below(random, mostBytes) }, () => below(random, 256));
}

/** A folder for files that are written thousands of times a second: in memory, where the system has such a place. */
export function scratchFolder(): string {
  for (const parent of ['/dev/shm', tmpdir()]) {
    try {
      return mkdtempSync(join(parent, 'gruard-fuzz-'));
    } catch {
      // Not here: the next one.
    }
  }
  throw new Error('no folder for temporary files');
}

/** Endless values of a fast-check arbitrary, repeatable from the random numbers. */
export class Stream<T> {
  #values: T[] = [];

  constructor(private readonly arbitrary: fc.Arbitrary<T>) {}

  next(random: Random): T {
    if (this.#values.length === 0) this.#values = fc.sample(this.arbitrary, { numRuns: 200, seed: below(random, 2 ** 31) });
    return this.#values.pop()!;
  }
}

const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom('temperature', 'device', 'id', 'ts', 'timestamp', 'time', 'tags', 'metrics', 'readings', 'data', 'metric', 'value', 'a.b', '*', '0') }, { weight: 1, arbitrary: fc.constantFrom(...NASTY) }, fc.string({ unit: 'binary', maxLength: 12 }));
const leaf = fc.oneof(fc.double(), fc.integer(), fc.boolean(), fc.constant(null), fc.constantFrom<unknown>(1.7e9, 1.7e12, 1.7e18, -1, 8.64e15, 2 ** 60, ...NASTY), fc.string({ unit: 'binary', maxLength: 12 }));

/** JSON as a fleet might send it, with keys given twice and names that mean something to an engine. */
export const json: fc.Arbitrary<string> = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, { weight: 4, arbitrary: leaf.map((v) => JSON.stringify(v) ?? 'null') }, { weight: 1, arbitrary: tie('object') }, { weight: 1, arbitrary: tie('array') }),
  object: fc.array(fc.tuple(name, tie('value')), { maxLength: 6 }).map((fields) => `{${fields.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
  array: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
})).object;

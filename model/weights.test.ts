import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GruardError } from '../core/errors.js';
import { initialise, parseNetworkConfig, tensorSpecs, type Network, type NetworkConfig } from './network.js';
import { decodeWeights, encodeWeights, listWeights, readWeights, requireConfig } from './weights.js';

const config: NetworkConfig = {
  features: 'v1', inputs: 3, layers: [{ cell: 'gru', units: 4 }, { cell: 'lstm', units: 3 }], head: { outputs: 2, skip: true }, horizons: [1, 8],
};
const network: Network = { ...initialise(config, 1), metadata: { command: 'gruard train --seed 1', data_hash: 'abc', metrics: '{"nll":1.5}' } };
const bytes = encodeWeights(network);

function codeOf(f: () => unknown): string | undefined {
  try {
    f();
    return undefined;
  } catch (error) {
    if (error instanceof GruardError) return error.code;
    throw error;
  }
}

/** The same file with its header and data changed by `change`; the checksum is made to fit unless it is to be `stale`. */
function changed(change: (header: Record<string, never>, data: Buffer) => unknown, stale = false): Uint8Array {
  const length = Number(Buffer.from(bytes).readBigUInt64LE());
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()) as Record<string, never>;
  const data = Buffer.from(bytes.subarray(8 + length));
  change(header, data);
  if (!stale) {
    const { __metadata__: metadata, ...entries } = header as Record<string, Record<string, string>>;
    const rest = Object.entries(metadata).filter(([key]) => key !== 'sha256');
    metadata.sha256 = createHash('sha256').update(JSON.stringify([rest, Object.entries(entries)])).update(data).digest('hex');
  }
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, data]);
}

describe('weights files', () => {
  it('give back the network that was written, and what its trainer said', () => {
    const read = decodeWeights(bytes);
    expect(read.config).toEqual(config);
    expect(read.metadata).toMatchObject(network.metadata);
    for (const { name, shape } of tensorSpecs(config)) {
      expect(read.tensors.get(name)).toEqual({ shape, data: network.tensors.get(name)?.data });
    }
    expect(encodeWeights(read)).toEqual(bytes);
  });

  it('are refused wherever they are cut off', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
      expect(codeOf(() => decodeWeights(bytes.subarray(0, length)))).toBe('WEIGHTS_INVALID');
    }), { numRuns: 300 });
  });

  it('are refused, or mean the same, with any bit flipped', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
      const flipped = bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      let read: Network;
      try {
        read = decodeWeights(flipped);
      } catch (error) {
        expect(error).toBeInstanceOf(GruardError);
        return;
      }
      // A flip in the header's padding or white space changes nothing.
      expect(encodeWeights(read)).toEqual(bytes);
    }), { numRuns: 1500 });
  });

  it('never crash the reader, whatever the bytes', () => {
    const anyFile = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((json) => {
        const text = Buffer.from(json);
        const prefix = Buffer.alloc(8);
        prefix.writeBigUInt64LE(BigInt(text.length));
        return new Uint8Array(Buffer.concat([prefix, text]));
      }),
    );
    fc.assert(fc.property(anyFile, (file) => {
      expect(codeOf(() => decodeWeights(file))).toMatch(/^WEIGHTS_/);
    }), { numRuns: 500 });
  });

  it('are refused with another shape, a missing tensor or one too many, by name', () => {
    const retold = (change: (network: Network) => void): (() => unknown) => () => {
      const other: Network = { config: structuredClone(network.config), tensors: new Map(network.tensors), metadata: {} };
      change(other);
      return encodeWeights(other);
    };
    expect(codeOf(retold(({ tensors }) => tensors.set('head.bias', { shape: [3], data: new Float32Array(3) })))).toBe('WEIGHTS_MISMATCH');
    expect(codeOf(retold(({ tensors }) => tensors.delete('layers.1.bias')))).toBe('WEIGHTS_MISMATCH');
    expect(codeOf(retold(({ config: c }) => (c.layers[0].units = 5)))).toBe('WEIGHTS_MISMATCH');
    expect(codeOf(retold(({ config: c }) => (c.layers[0].units = 257)))).toBe('WEIGHTS_INVALID');
    type Entry = { shape: number[]; data_offsets: number[] };
    const readCode = (change: (bias: Entry, header: Record<string, never>) => unknown): string | undefined =>
      codeOf(() => decodeWeights(changed((header) => change(header['head.bias'], header))));
    expect(readCode(() => undefined)).toBe(undefined);
    expect(readCode((_, header) => delete header['head.bias'])).toBe('WEIGHTS_MISMATCH');
    expect(readCode((bias, header) => Object.assign(header, { extra: bias }))).toBe('WEIGHTS_MISMATCH');
    expect(readCode((bias) => bias.shape.push(1))).toBe('WEIGHTS_MISMATCH');
    expect(readCode((bias) => bias.shape.push(2))).toBe('WEIGHTS_INVALID');
    expect(readCode((bias) => (bias.data_offsets = [0, 1e15]))).toBe('WEIGHTS_INVALID');
    expect(codeOf(() => decodeWeights(changed((header) => delete header['head.bias'], true)))).toBe('WEIGHTS_INVALID');
  });

  it('are refused with NaN or Infinity, when written and when read', () => {
    for (const value of [NaN, Infinity, -Infinity]) {
      const data = Float32Array.of(0, value);
      const tensors = new Map(network.tensors).set('head.bias', { shape: [2], data });
      expect(codeOf(() => encodeWeights({ ...network, tensors }))).toBe('WEIGHTS_INVALID');
      expect(codeOf(() => decodeWeights(changed((_, bytesOfData) => bytesOfData.writeFloatLE(value, 8))))).toBe('WEIGHTS_INVALID');
    }
  });

  it('are listed by name, the bad ones with their problem', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gruard-weights-'));
    try {
      writeFileSync(join(folder, 'good.safetensors'), bytes);
      writeFileSync(join(folder, 'bad.safetensors'), bytes.subarray(0, 100));
      writeFileSync(join(folder, 'notes.txt'), '');
      const [bad, good] = await listWeights(folder);
      expect(bad).toMatchObject({ name: 'bad', problem: expect.stringContaining('bad.safetensors') as string });
      expect(good).toMatchObject({ name: 'good', network: { config, metadata: { data_hash: 'abc' } } });
      await expect(readWeights(join(folder, 'none.safetensors'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
      expect(await listWeights(join(folder, 'nowhere'))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('are held against what the configuration asks for', () => {
    const one = initialise({ ...config, layers: [{ cell: 'gru', units: 4 }] }, 1);
    requireConfig(one, {});
    requireConfig(one, { cell: 'gru', layers: [4], features: 'v1', inputs: 3 });
    expect(() => requireConfig(one, { layers: [32] })).toThrow('layers is [4] in the weights, and [32] is wanted');
    expect(codeOf(() => requireConfig(one, { cell: 'lstm' }))).toBe('WEIGHTS_MISMATCH');
  });
});

describe('parseNetworkConfig', () => {
  it('drops what it does not know and refuses what is out of bounds', () => {
    expect(parseNetworkConfig({ ...config, note: 'x' })).toEqual(config);
    const bad: unknown[] = [
      null, [], { ...config, inputs: 0 }, { ...config, inputs: 1.5 }, { ...config, layers: [] }, { ...config, features: '../x' },
      { ...config, layers: Array(5).fill({ cell: 'gru', units: 8 }) }, { ...config, layers: [{ cell: 'cnn', units: 8 }] },
      { ...config, head: { outputs: 2 } }, { ...config, horizons: 'all' },
    ];
    for (const value of bad) expect(codeOf(() => parseNetworkConfig(value))).toBe('WEIGHTS_INVALID');
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fleet } from '../core/fleet.js';
import { openDetector } from './detector.js';
import { initialise, type Network, type NetworkConfig } from './network.js';
import { readServingWeights } from './serving.js';
import { encodeWeights } from './weights.js';

const CONFIG: NetworkConfig = { features: 'v1', inputs: 7, layers: [{ cell: 'lstm', units: 4 }], head: { outputs: 9, skip: true }, horizons: [1, 8, 32] };
const network = (changes: Partial<NetworkConfig> = {}): Network => initialise({ ...CONFIG, ...changes }, 1);

/** Networks that are sound in themselves, and that the detector would feed or read wrongly. */
const OTHERS: [string, Partial<NetworkConfig>][] = [
  ['features is "v2"', { features: 'v2' }],
  ['inputs is 6', { inputs: 6 }],
  ['outputs is 12', { head: { outputs: 12, skip: true } }],
  ['horizons is [1,4,16]', { horizons: [1, 4, 16] }],
];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gruard-serving-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('weights for the detector', () => {
  it.each(OTHERS)('are refused where %s, as a file, as a network and as one of several', async (says, changes) => {
    const file = join(folder, 'other.safetensors');
    await writeFile(file, encodeWeights(network(changes)));
    const refusal = { code: 'WEIGHTS_MISMATCH', message: expect.stringContaining(says) as string };
    await expect(readServingWeights(file)).rejects.toMatchObject({ ...refusal, message: expect.stringContaining(`${file}: ${says}`) as string });
    await expect(openDetector(new Fleet(), { network: network(changes) })).rejects.toMatchObject(refusal);
    await expect(openDetector(new Fleet(), { models: [{ devices: '*', network: file }] })).rejects.toMatchObject(refusal);
  });

  it('are refused where they are not of the cell or the layers that are asked for', async () => {
    const file = join(folder, 'lstm.safetensors');
    await writeFile(file, encodeWeights(network()));
    expect((await readServingWeights(file, { cell: 'lstm', layers: [4] })).config).toEqual(CONFIG);
    await expect(openDetector(new Fleet(), { network: file, wanted: { cell: 'gru' } })).rejects.toMatchObject({ code: 'WEIGHTS_MISMATCH', message: expect.stringContaining('cell is "lstm" in the weights, and "gru" is wanted') as string });
    await expect(openDetector(new Fleet(), { network: file, wanted: { layers: [32] } })).rejects.toMatchObject({ code: 'WEIGHTS_MISMATCH' });
    await openDetector(new Fleet(), { network: file, wanted: { cell: 'lstm' } });
  });
});

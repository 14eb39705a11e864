import { GruardError } from '../core/errors.js';
import { HORIZONS, OUTPUTS } from './forecast.js';
import type { Network } from './network.js';
import { FEATURES } from './normaliser.js';
import { readWeights, requireConfig, type Wanted } from './weights.js';

/** What the detector gives a network and reads from it: another would be stepped with numbers that it does not mean. */
const DETECTOR: Wanted = { features: 'v1', inputs: FEATURES, outputs: OUTPUTS, horizons: [...HORIZONS] };

/** @throws GruardError WEIGHTS_MISMATCH when the detector cannot use the network, or when it is not the `wanted` one. */
export function requireServing(network: Network, wanted: Wanted = {}): Network {
  requireConfig(network, { ...DETECTOR, ...wanted });
  return network;
}

/** Reads a weights file for the detector. @throws GruardError FILE_UNREADABLE, WEIGHTS_INVALID or WEIGHTS_MISMATCH, each naming the file. */
export async function readServingWeights(path: string, wanted: Wanted = {}): Promise<Network> {
  const network = await readWeights(path);
  try {
    return requireServing(network, wanted);
  } catch (error) {
    if (!(error instanceof GruardError)) throw error;
    throw new GruardError(error.code, `weights ${path}: ${error.message}`, { cause: error });
  }
}

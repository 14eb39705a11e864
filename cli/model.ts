import { copyFile, mkdir } from 'node:fs/promises';
import { shippedFile } from '../core/paths.js';
import { parameterCount, stateSize } from '../model/network.js';
import { readServingWeights } from '../model/serving.js';
import { listWeights, readWeights, type WeightsListing } from '../model/weights.js';
import { writeWhole } from '../store/place-file.js';
import { ownWeightsPath, wantedOf, weightsPathOf } from '../wiring.js';
import { configOf, type CommonOptions } from './options.js';
import { table } from './text.js';

/** `gruard model list [FOLDER]`. */
export async function listModels(folder: string | undefined, options: { json?: boolean }): Promise<void> {
  const listing = await listWeights(folder ?? shippedFile('model/weights'));
  process.stdout.write(options.json ? `${JSON.stringify(listing)}\n` : `${table(['name', 'network', 'made by'], listing.map(row))}\n`);
}

function row({ name, network, problem }: WeightsListing): string[] {
  if (!network) return [name, 'unusable', problem ?? ''];
  const { layers, inputs, horizons } = network.config;
  return [name, `${layers.map(({ cell, units }) => `${cell} ${units}`).join(' + ')}, ${inputs} inputs, horizons ${horizons.join('/')}`, network.metadata.command ?? ''];
}

/** `gruard model show [FILE]`. */
export async function showModel(file: string | undefined, options: { json?: boolean }): Promise<void> {
  const network = await readWeights(file ?? shippedFile('model/weights/default.safetensors'));
  const about = { config: network.config, parameters: parameterCount(network.config), state_floats: stateSize(network.config), metadata: network.metadata };
  process.stdout.write(`${options.json ? JSON.stringify(about) : JSON.stringify(about, null, 2)}\n`);
}

/** `gruard model use FILE`: checked, then copied into the data directory; the next start uses it. */
export async function useModel(file: string, options: CommonOptions): Promise<void> {
  const config = configOf(options);
  await readServingWeights(file, wantedOf(config));
  const path = ownWeightsPath(config);
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  await writeWhole(path, true, (temporary) => copyFile(file, temporary));
  process.stdout.write(`${path}: in force from the next start on${config.model.weights === '' ? '' : ', once model.weights is no longer set'}; states of the network before begin afresh\n`);
}

/** `gruard model export FILE`: the weights in force, as a file of their own. @throws GruardError FILE_EXISTS, FILE_UNREADABLE */
export async function exportModel(out: string, options: CommonOptions & { force?: boolean }): Promise<void> {
  const path = weightsPathOf(configOf(options));
  await writeWhole(out, options.force ?? false, (temporary) => copyFile(path, temporary));
  process.stdout.write(`${path} written to ${out}\n`);
}

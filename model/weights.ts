import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GruardError, messageOf } from '../core/errors.js';
import { parseNetworkConfig, tensorSpecs, type CellKind, type Network, type NetworkConfig, type Tensor } from './network.js';

/**
 * Weights files are safetensors (https://github.com/huggingface/safetensors#format): u64 length of the header, a JSON
 * header of `name: { dtype, shape, data_offsets }`, then the tensors' bytes. Under `__metadata__` gruard keeps
 *   gruard_format  '1'
 *   config         the NetworkConfig as JSON
 *   sha256         over the rest of the header and the tensors' bytes, so that one flipped bit is found
 * and whatever the trainer says of itself: `command`, `data_hash`, `metrics` (JSON), `created`, ...
 */
const FORMAT = '1';
const HEADER_LIMIT_BYTES = 1 << 20;
const OWN_KEYS = ['gruard_format', 'config', 'sha256'];

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The bytes of a weights file. */
export function encodeWeights(network: Network): Uint8Array {
  const config = parseNetworkConfig(network.config);
  const entries: [string, HeaderEntry][] = [];
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const spec of tensorSpecs(config)) {
    const tensor = checkedTensor(network.tensors.get(spec.name), spec.name, spec.shape);
    const bytes = littleEndian(tensor.data);
    entries.push([spec.name, { dtype: 'F32', shape: spec.shape, data_offsets: [offset, offset + bytes.length] }]);
    parts.push(bytes);
    offset += bytes.length;
  }
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(network.metadata)) if (!OWN_KEYS.includes(key)) metadata[key] = value;
  metadata.gruard_format = FORMAT;
  metadata.config = JSON.stringify(config);
  const data = Buffer.concat(parts);
  metadata.sha256 = checksum(metadata, entries, data);
  let header = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  // The format wants the tensors to begin at a multiple of 8.
  header += ' '.repeat((8 - (Buffer.byteLength(header) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return new Uint8Array(Buffer.concat([length, Buffer.from(header), data]));
}

/**
 * Reads the bytes of a weights file, believing nothing.
 * @throws GruardError WEIGHTS_INVALID (not such a file, damaged, NaN) or WEIGHTS_MISMATCH (tensors do not fit its configuration).
 */
export function decodeWeights(bytes: Uint8Array): Network {
  const { metadata, entries, data } = parseFile(bytes);
  if (metadata.sha256 !== checksum(metadata, entries, data)) throw invalid('the checksum does not match: the file is damaged');
  let config: NetworkConfig;
  try {
    config = parseNetworkConfig(JSON.parse(metadata.config));
  } catch (error) {
    throw error instanceof GruardError ? error : invalid(`config is not JSON: ${messageOf(error)}`);
  }
  const byName = new Map(entries);
  const tensors = new Map<string, Tensor>();
  for (const { name, shape } of tensorSpecs(config)) {
    const entry = byName.get(name);
    if (entry === undefined) throw mismatch(`there is no tensor ${name}, which its configuration asks for`);
    const [begin, end] = entry.data_offsets;
    const tensor = { shape: entry.shape, data: floats(data.subarray(begin, end)) };
    tensors.set(name, checkedTensor(tensor, name, shape));
  }
  if (byName.size !== tensors.size) throw mismatch('it has tensors that its configuration does not ask for');
  const said = Object.entries(metadata).filter(([key]) => !OWN_KEYS.includes(key));
  return { config, tensors, metadata: { ...Object.fromEntries(said), sha256: metadata.sha256 } };
}

/** Reads a weights file. @throws GruardError FILE_UNREADABLE, WEIGHTS_INVALID or WEIGHTS_MISMATCH, each naming the file. */
export async function readWeights(path: string): Promise<Network> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new GruardError('FILE_UNREADABLE', `weights ${path}: ${messageOf(error)}`, { cause: error });
  }
  try {
    return decodeWeights(bytes);
  } catch (error) {
    if (!(error instanceof GruardError)) throw error;
    throw new GruardError(error.code, `weights ${path}: ${error.message}`, { cause: error });
  }
}

export interface WeightsListing {
  /** File name without its ending. */
  name: string;
  path: string;
  /** Undefined when the file cannot be used; `problem` then says why. */
  network?: Pick<Network, 'config' | 'metadata'>;
  problem?: string;
}

/** What the weights files of a folder say of themselves, by name; a folder that does not exist has none. */
export async function listWeights(folder: string): Promise<WeightsListing[]> {
  const files = await readdir(folder).catch(() => []);
  return Promise.all(files.filter((file) => file.endsWith('.safetensors')).sort().map(async (file) => {
    const path = join(folder, file);
    const name = file.slice(0, -'.safetensors'.length);
    try {
      const { config, metadata } = await readWeights(path);
      return { name, path, network: { config, metadata } };
    } catch (error) {
      return { name, path, problem: messageOf(error) };
    }
  }));
}

/** What a network is asked to be; absent fields ask for nothing. `layers` are units, bottom first; a stack of several cells is of no one `cell`. */
export interface Wanted {
  cell?: CellKind;
  layers?: readonly number[];
  features?: string;
  inputs?: number;
  outputs?: number;
  horizons?: readonly number[];
}

/** @throws GruardError WEIGHTS_MISMATCH when a network is not what is asked for. */
export function requireConfig(network: Network, wanted: Wanted): void {
  const { config } = network;
  const check = (what: string, has: unknown, asked: unknown): void => {
    if (asked !== undefined && JSON.stringify(has) !== JSON.stringify(asked)) {
      throw mismatch(`${what} is ${JSON.stringify(has)} in the weights, and ${JSON.stringify(asked)} is wanted`);
    }
  };
  check('features', config.features, wanted.features);
  check('inputs', config.inputs, wanted.inputs);
  check('outputs', config.head.outputs, wanted.outputs);
  check('horizons', config.horizons, wanted.horizons);
  check('layers', config.layers.map((layer) => layer.units), wanted.layers);
  const cells = [...new Set(config.layers.map((layer) => layer.cell))];
  check('cell', cells.length === 1 ? cells[0] : cells, wanted.cell);
}

function parseFile(bytes: Uint8Array): { metadata: Record<string, string>; entries: [string, HeaderEntry][]; data: Uint8Array } {
  if (bytes.length < 8) throw invalid('the file is too short');
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, 8).readBigUInt64LE();
  if (length > BigInt(Math.min(HEADER_LIMIT_BYTES, bytes.length - 8))) throw invalid('the header is longer than the file');
  const data = bytes.subarray(8 + Number(length));
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + Number(length))));
  } catch (error) {
    throw invalid(`the header is not JSON: ${messageOf(error)}`);
  }
  if (!isRecord(header) || !isRecord(header.__metadata__)) throw invalid('the header has no __metadata__');
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(header.__metadata__)) {
    if (typeof value !== 'string') throw invalid(`metadata ${key} is not a string`);
    metadata[key] = value;
  }
  if (metadata.gruard_format !== FORMAT) throw invalid(`gruard_format is ${metadata.gruard_format ?? 'absent'}, and ${FORMAT} is read`);
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__')
    .map(([name, entry]): [string, HeaderEntry] => [name, parseEntry(name, entry, data.length)]);
  return { metadata, entries, data };
}

function parseEntry(name: string, entry: unknown, dataBytes: number): HeaderEntry {
  const counts = (value: unknown, most: number): value is number[] =>
    Array.isArray(value) && value.length <= most && value.every((x) => Number.isInteger(x) && x >= 0 && x <= dataBytes);
  if (!isRecord(entry) || entry.dtype !== 'F32') throw invalid(`tensor ${name} is not of dtype F32`);
  const { shape, data_offsets: offsets } = entry;
  if (!counts(shape, 2) || !counts(offsets, 2) || offsets.length !== 2) throw invalid(`tensor ${name} has no proper shape or place`);
  const [begin, end] = offsets;
  if (end - begin !== 4 * shape.reduce((a, b) => a * b, 1)) throw invalid(`tensor ${name}: its bytes do not fit its shape`);
  return { dtype: 'F32', shape, data_offsets: [begin, end] };
}

function checkedTensor(tensor: Tensor | undefined, name: string, shape: number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  if (tensor === undefined) throw mismatch(`there is no tensor ${name}`);
  if (JSON.stringify(tensor.shape) !== JSON.stringify(shape) || tensor.data.length !== size) {
    throw mismatch(`tensor ${name} is ${JSON.stringify(tensor.shape)}, and its configuration makes it ${JSON.stringify(shape)}`);
  }
  if (!tensor.data.every((x) => Number.isFinite(x))) throw invalid(`tensor ${name} holds NaN or Infinity`);
  return tensor;
}

function checksum(metadata: Record<string, string>, entries: [string, HeaderEntry][], data: Uint8Array): string {
  const rest = Object.entries(metadata).filter(([key]) => key !== 'sha256');
  return createHash('sha256').update(JSON.stringify([rest, entries])).update(data).digest('hex');
}

/** The format is little-endian, whatever the machine is. */
function littleEndian(data: Float32Array): Uint8Array {
  const bytes = Buffer.alloc(data.length * 4);
  data.forEach((x, i) => bytes.writeFloatLE(x, 4 * i));
  return bytes;
}

function floats(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(detail: string): GruardError {
  return new GruardError('WEIGHTS_INVALID', detail);
}

function mismatch(detail: string): GruardError {
  return new GruardError('WEIGHTS_MISMATCH', detail);
}

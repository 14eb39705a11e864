import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemClock, type Clock } from '../../core/clock.js';
import { GruardError, messageOf } from '../../core/errors.js';
import type { Network } from '../network.js';
import { BACKEND_NAMES, type Backend, type BackendName } from './backend.js';
import { openBackend } from './index.js';

export interface Choice {
  backend: BackendName;
  /** One line for the log: what was chosen and why. */
  reason: string;
}

export interface ChooseOptions {
  /** Series a batch to expect: TensorFlow wants many. */
  batch?: number;
  /** How long each backend is timed. */
  timeMs?: number;
  clock?: Clock;
  open?: (name: BackendName, network: Network) => Promise<Backend>;
}

interface Recorded extends Choice {
  readings_per_s: Partial<Record<BackendName, number>>;
}

/**
 * TensorFlow has to be this much faster than the kernel to be taken: the kernel gives the same bits whatever the batch,
 * and its calls are short.
 */
const TENSORFLOW_MARGIN = 1.3;

/**
 * The backend for a network: what `file` (in the data directory) has recorded for it, else the one that a short
 * measurement prefers, which is then recorded, so that a restart computes the same bits. Damage to the file, or a
 * recorded backend that is gone, leads to a new measurement, and the line says so.
 */
export async function chooseBackend(network: Network, file: string, options: ChooseOptions = {}): Promise<Choice> {
  const openOne = options.open ?? openBackend;
  const key = networkKey(network);
  const { choices, problem } = await readChoices(file);
  const recorded = choices[key];
  let preface = problem ? `${problem}; ` : '';
  if (recorded) {
    try {
      (await openOne(recorded.backend, network)).dispose();
      return { backend: recorded.backend, reason: `backend ${recorded.backend}, as recorded at the first start` };
    } catch (error) {
      preface += `${recorded.backend} was recorded and is not available now (${messageOf(error)}); `;
    }
  }
  const measured = await measure(network, openOne, options);
  const choice = judge(measured, options.batch ?? DEFAULT_BATCH);
  const reason = preface + choice.reason;
  await writeChoices(file, { ...choices, [key]: { backend: choice.backend, reason, readings_per_s: measured } });
  return { backend: choice.backend, reason };
}

const DEFAULT_BATCH = 1024;
const DEFAULT_TIME_MS = 60;
const ROUNDS = 3;

/** Readings a second of each backend that opens; js is timed only when nothing else is there. */
async function measure(
  network: Network, openOne: (name: BackendName, network: Network) => Promise<Backend>,
  { batch = DEFAULT_BATCH, timeMs = DEFAULT_TIME_MS, clock = systemClock }: ChooseOptions,
): Promise<Partial<Record<BackendName, number>>> {
  const backends: Backend[] = [];
  for (const name of BACKEND_NAMES) {
    if (name === 'js' && backends.length > 0) continue;
    try {
      backends.push(await openOne(name, network));
    } catch (error) {
      if (!(error instanceof GruardError && error.code === 'BACKEND_UNAVAILABLE')) throw error;
    }
  }
  if (backends.length === 0) throw new GruardError('BACKEND_UNAVAILABLE', 'no backend opens');
  const rates: Partial<Record<BackendName, number>> = {};
  if (backends.length > 1) {
    for (const backend of backends) backend.reserve(batch);
    // Interleaved, and the best of each: what else the machine does at start must not decide.
    for (let round = 0; round < ROUNDS; round++) {
      for (const backend of backends) {
        rates[backend.name] = Math.max(rates[backend.name] ?? 0, rate(backend, batch, timeMs / ROUNDS, clock));
      }
    }
  } else {
    rates[backends[0].name] = 0;
  }
  for (const backend of backends) backend.dispose();
  return rates;
}

function rate(backend: Backend, batch: number, timeMs: number, clock: Clock): number {
  const { inputs, head } = backend.network.config;
  const slots = Uint32Array.from({ length: batch }, (_, i) => i);
  const x = new Float32Array(batch * inputs);
  const y = new Float32Array(batch * head.outputs);
  backend.step(slots, batch, x, y);
  const began = clock.nowMs();
  let readings = 0;
  let elapsedMs = 0;
  while (elapsedMs < timeMs) {
    backend.step(slots, batch, x, y);
    readings += batch;
    elapsedMs = clock.nowMs() - began;
  }
  return Math.round((readings / elapsedMs) * 1000);
}

function judge(rates: Partial<Record<BackendName, number>>, batch: number): Choice {
  const { tensorflow, wasm } = rates;
  if (tensorflow !== undefined && wasm !== undefined) {
    const backend = tensorflow >= TENSORFLOW_MARGIN * wasm ? 'tensorflow' : 'wasm';
    const figures = `${millions(tensorflow)} against ${millions(wasm)} million readings/s at batches of ${batch}`;
    return { backend, reason: `backend ${backend}: tensorflow does ${figures}, and is taken from ${TENSORFLOW_MARGIN} times` };
  }
  const [backend] = Object.keys(rates) as BackendName[];
  const others = BACKEND_NAMES.slice(0, BACKEND_NAMES.indexOf(backend)).join(' and ');
  return { backend, reason: `backend ${backend}: ${others ? `${others} not available here` : 'the only one that opens'}` };
}

const millions = (rate: number): string => (rate / 1e6).toFixed(2);

/** One network, by its parameters: other weights are measured anew. */
function networkKey(network: Network): string {
  const hash = createHash('sha256').update(JSON.stringify(network.config));
  for (const [name, { data }] of network.tensors) hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex').slice(0, 16);
}

async function readChoices(file: string): Promise<{ choices: Record<string, Recorded>; problem?: string }> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { choices: {} };
    return { choices: {}, problem: `${file} cannot be read (${messageOf(error)})` };
  }
  try {
    const parsed = JSON.parse(text) as { version: number; choices: Record<string, Recorded> };
    if (parsed.version !== 1) throw new Error(`version ${parsed.version}`);
    const known = Object.entries(parsed.choices).filter(([, choice]) => BACKEND_NAMES.includes(choice.backend));
    return { choices: Object.fromEntries(known) };
  } catch (error) {
    return { choices: {}, problem: `${file} is damaged (${messageOf(error)})` };
  }
}

/** Replaced whole: temporary file, fsync, rename. */
async function writeChoices(file: string, choices: Record<string, Recorded>): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(`${JSON.stringify({ version: 1, choices }, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Fleet } from '../../core/fleet.js';
import { openBackend, type Backend, type BackendName } from '../../model/backends/index.js';
import { Normaliser } from '../../model/normaliser.js';
import type { Network } from '../../model/network.js';

const CHUNK = 8192;
const METRICS = ['temperature', 'humidity', 'pressure', 'battery', 'vibration'];

function residentBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage.rss();
}

/** Slots first to first + n - 1. */
function slotsFrom(first: number, n: number): Uint32Array {
  return Uint32Array.from({ length: n }, (_, i) => first + i);
}

/**
 * Resident bytes a series, by part, with `series` series of five a device: every state written once, so that its pages
 * are there. The parts are measured one after the other in this process; state and normaliser lie in the kernel's arena.
 */
export async function bytesPerSeries(network: Network, series: number): Promise<Record<string, number>> {
  const parts: Record<string, number> = {};
  const kept: unknown[] = [];
  const measure = async (name: string, fill: () => unknown): Promise<void> => {
    const before = residentBytes();
    kept.push(await fill());
    parts[name] = (residentBytes() - before) / series;
  };
  const backend = await openBackend('wasm', network);
  const normaliser = backend.fused?.normaliser ?? new Normaliser();
  await measure('network_state', () => {
    backend.reserve(series);
    const state = new Float32Array(backend.stateSize).fill(0.5);
    for (let slot = 0; slot < series; slot++) backend.setState(slot, state);
    return backend;
  });
  await measure('normaliser', () => {
    normaliser.reserve(series);
    const one = new Float64Array(1);
    const features = new Float32Array(7);
    const slots = new Uint32Array(1);
    for (let slot = 0; slot < series; slot++) {
      slots[0] = slot;
      normaliser.step(slots, 1, one, one, features);
    }
    return normaliser;
  });
  await measure('names_and_bookkeeping', () => {
    const fleet = new Fleet();
    for (let i = 0; i * METRICS.length < series; i++) {
      const { device } = fleet.addDevice(`plant-7/line-3/sensor-${i}`, {}, 0);
      for (const metric of METRICS) fleet.addSeries(device, metric);
    }
    return fleet;
  });
  parts.total = parts.network_state + parts.normaliser + parts.names_and_bookkeeping;
  if (kept.length !== 3) throw new Error('a part was not kept');
  return parts;
}

/** Seconds to write the states of `series` series to a file and to read them back into a new backend. */
export async function restoreSeconds(network: Network, series: number): Promise<{ write: number; read: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'gruard-bench-'));
  const file = join(folder, 'states');
  try {
    const from = await openBackend('wasm', network);
    from.reserve(series);
    const row = new Float32Array(CHUNK * from.stateSize).map((_, i) => Math.sin(i));
    for (let first = 0; first < series; first += CHUNK) from.setStates(slotsFrom(first, CHUNK), Math.min(CHUNK, series - first), row);
    const write = timeChunks(file, 'w', from, series, (descriptor, slots, n, states, bytes) => {
      from.getStates(slots, n, states);
      writeSync(descriptor, bytes);
    });
    from.dispose();
    const to = await openBackend('wasm', network);
    to.reserve(series);
    const read = timeChunks(file, 'r', to, series, (descriptor, slots, n, states, bytes) => {
      readSync(descriptor, bytes);
      to.setStates(slots, n, states);
    });
    const last = new Float32Array(to.stateSize);
    to.getState(series - 1, last);
    const place = ((series - 1) % CHUNK) * to.stateSize;
    if (last.some((value, i) => value !== row[place + i])) throw new Error('the states that came back are not those that were written');
    to.dispose();
    return { write, read };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function timeChunks(
  file: string, mode: 'r' | 'w', backend: Backend, series: number,
  each: (descriptor: number, slots: Uint32Array, n: number, states: Float32Array, bytes: Uint8Array) => void,
): number {
  const descriptor = openSync(file, mode);
  const states = new Float32Array(CHUNK * backend.stateSize);
  const began = performance.now();
  for (let first = 0; first < series; first += CHUNK) {
    const n = Math.min(CHUNK, series - first);
    each(descriptor, slotsFrom(first, n), n, states, new Uint8Array(states.buffer, 0, n * backend.stateSize * 4));
  }
  closeSync(descriptor);
  return (performance.now() - began) / 1000;
}

/** Growth of resident memory in MiB over so many steps of the batch, after a tenth of them have warmed it up. */
export async function growthMiB(name: BackendName, network: Network, batch: number, steps: number): Promise<number> {
  const backend = await openBackend(name, network);
  backend.reserve(batch);
  const slots = slotsFrom(0, batch);
  const x = new Float32Array(batch * network.config.inputs).fill(0.3);
  const y = new Float32Array(batch * network.config.head.outputs);
  for (let done = 0; done < steps / 10; done += batch) backend.step(slots, batch, x, y);
  const before = residentBytes();
  for (let done = 0; done < steps; done += batch) backend.step(slots, batch, x, y);
  const growth = (residentBytes() - before) / 2 ** 20;
  backend.dispose();
  return growth;
}

/**
 * The 99th percentile in ms of what a timer on the same thread waits too long while steps of the batch follow each other,
 * each in its own turn of the event loop: what a network thread would feel if it stepped by itself.
 */
export async function eventLoopDelayP99Ms(backend: Backend, batch: number, millis: number): Promise<number> {
  backend.reserve(batch);
  const slots = slotsFrom(0, batch);
  const x = new Float32Array(batch * backend.network.config.inputs).fill(0.3);
  const y = new Float32Array(batch * backend.network.config.head.outputs);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  while (performance.now() - began < millis) {
    backend.step(slots, batch, x, y);
    await new Promise((resolve) => setImmediate(resolve));
  }
  delay.disable();
  return delay.percentile(99) / 1e6;
}

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../core/clock.js';
import { GruardError } from '../../core/errors.js';
import { initialise } from '../network.js';
import type { Backend, BackendName } from './backend.js';
import { chooseBackend, type ChooseOptions } from './choose.js';
import { JsBackend } from './js.js';

const network = initialise(
  { features: 'test', inputs: 3, layers: [{ cell: 'gru', units: 4 }], head: { outputs: 2, skip: true }, horizons: [1] }, 1);

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gruard-choose-'));
  file = join(folder, 'model', 'backend.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Backends whose step takes the given milliseconds; one that is not named is not available. */
function machine(stepMs: Partial<Record<BackendName, number>>): ChooseOptions & { opened: BackendName[] } {
  const clock = new ManualClock(0);
  const opened: BackendName[] = [];
  const open = async (name: BackendName): Promise<Backend> => {
    opened.push(name);
    const ms = stepMs[name];
    if (ms === undefined) throw new GruardError('BACKEND_UNAVAILABLE', 'not here');
    const backend = new JsBackend(network) as Backend;
    const step = (): void => clock.advance(ms);
    return Object.assign(Object.create(backend) as Backend, { name, step });
  };
  return { clock, open, batch: 8, opened };
}

describe('chooseBackend', () => {
  it('takes tensorflow when it is clearly faster, else the kernel', async () => {
    expect(await chooseBackend(network, file, machine({ tensorflow: 1, wasm: 2 })))
      .toMatchObject({ backend: 'tensorflow', reason: expect.stringContaining('0.01 against 0.00') as string });
    expect((await chooseBackend(network, `${file}2`, machine({ tensorflow: 2, wasm: 2.2 }))).backend).toBe('wasm');
  });

  it('takes what there is, and says what is missing', async () => {
    expect(await chooseBackend(network, file, machine({ wasm: 2, js: 1 })))
      .toEqual({ backend: 'wasm', reason: 'backend wasm: tensorflow not available here' });
    expect((await chooseBackend(network, `${file}2`, machine({ js: 1 }))).backend).toBe('js');
    await expect(chooseBackend(network, `${file}3`, machine({}))).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
  });

  it('keeps its choice over restarts, whatever a new measurement would say', async () => {
    await chooseBackend(network, file, machine({ tensorflow: 1, wasm: 5 }));
    const again = machine({ tensorflow: 5, wasm: 1 });
    expect((await chooseBackend(network, file, again)).backend).toBe('tensorflow');
    expect(again.opened).toEqual(['tensorflow']);
  });

  it('measures each network for itself', async () => {
    await chooseBackend(network, file, machine({ tensorflow: 1, wasm: 5 }));
    expect((await chooseBackend(initialise(network.config, 2), file, machine({ tensorflow: 5, wasm: 1 }))).backend).toBe('wasm');
    expect((await chooseBackend(network, file, machine({ tensorflow: 5, wasm: 1 }))).backend).toBe('tensorflow');
  });

  it('chooses anew, and says why, when the recorded backend is gone or the file is damaged', async () => {
    await chooseBackend(network, file, machine({ tensorflow: 1, wasm: 5 }));
    const gone = await chooseBackend(network, file, machine({ wasm: 5 }));
    expect(gone).toMatchObject({ backend: 'wasm', reason: expect.stringContaining('tensorflow was recorded') as string });
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 20));
    const damaged = await chooseBackend(network, file, machine({ tensorflow: 1, wasm: 5 }));
    expect(damaged).toMatchObject({ backend: 'tensorflow', reason: expect.stringContaining('is damaged') as string });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 1 });
  });
});

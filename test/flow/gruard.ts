import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../config/load.js';
import { silentLog } from '../../core/log.js';
import { openGruard, type Gruard } from '../../gruard.js';

/** A gruard of its own for a test: free ports, a temporary data directory unless one is given. */
export async function startGruard(overrides: Record<string, unknown> = {}): Promise<Gruard & { dataDir: string; get: <T>(path: string) => Promise<T> }> {
  const dataDir = (overrides.data_dir as string | undefined) ?? mkdtempSync(join(tmpdir(), 'gruard-flow-'));
  const config = loadConfig({ environment: {}, overrides: { 'api.port': 0, 'broker.port': 0, 'model.backend': 'wasm', ...overrides, data_dir: dataDir } });
  const gruard = await openGruard(config, silentLog);
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(new URL(path, gruard.addresses.page));
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json() as T;
  };
  return { ...gruard, dataDir, get };
}

/** Every item of a list, page by page. */
export async function all<T>(get: <R>(path: string) => Promise<R>, path: string): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const mark = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: { items: T[]; next_cursor: string | null } = await get(`${path}${path.includes('?') ? '&' : '?'}limit=1000${mark}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return items;
}

/** Waits until `condition` holds, looking often; a condition that throws does not hold yet. Fails after `timeoutMs`. */
export async function until(condition: () => Promise<boolean> | boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  const holds = async (): Promise<boolean> => {
    try {
      return await condition();
    } catch (thrown) {
      last = thrown;
      return false;
    }
  };
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../core/paths.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-binding-'));
/** What `npm ci --omit=optional` leaves out is not found. */
const preload = join(dir, 'without-binding.cjs');
writeFileSync(preload, `
  const Module = require('node:module');
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (request, ...rest) {
    if (request.startsWith('@duckdb/node-bindings-')) throw Object.assign(new Error("Cannot find module '" + request + "'"), { code: 'MODULE_NOT_FOUND' });
    return resolve.call(this, request, ...rest);
  };`);

function gruard(...words: string[]): { status: number | null; stderr: string; stdout: string } {
  const file = join(dir, 'gruard.yaml');
  writeFileSync(file, JSON.stringify({ data_dir: join(dir, 'data'), api: { port: 0 }, broker: { enabled: 'off' }, model: { backend: 'wasm' } }));
  return spawnSync(process.execPath, ['--require', preload, '--import', 'tsx', join(packageRoot, 'cli/main.ts'), ...words, '--config', file], { encoding: 'utf8', cwd: packageRoot, timeout: 60_000 });
}

it('without the native part of DuckDB, what opens the store ends with a code that says what to do', () => {
  for (const words of [['start'], ['export', '--out', join(dir, 'out.csv')], ['store', 'migrate']]) {
    const { status, stderr } = gruard(...words);
    expect(stderr, words[0]).toContain('[STORE_BINDING_MISSING]');
    expect(stderr).toContain('npm ci --include=optional');
    expect(stderr).toContain("Cannot find module '@duckdb/node-bindings-");
    expect(stderr).not.toMatch(/^ +at /m);
    expect(status).toBe(1);
  }
  const { status, stdout } = gruard('doctor', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ findings: expect.arrayContaining([expect.objectContaining({ check: 'embedded store', status: 'problem', next: expect.stringContaining('--include=optional') as string })]) as unknown });
  expect(status).toBe(1);
}, 240_000);

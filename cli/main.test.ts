import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';

it('ends without a stack trace where its output is no longer read', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', shippedFile('cli/main.ts'), 'config', '--example'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let told = '';
  child.stderr.on('data', (piece: Buffer) => { told += piece.toString(); });
  const [code] = await once(child, 'close') as [number];
  expect(told).toBe('');
  expect(code).toBe(0);
}, 60_000);

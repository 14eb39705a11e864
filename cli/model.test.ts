import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { exportModel } from './model.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-model-'));
const quiet = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
afterAll(() => {
  quiet.mockRestore();
  rmSync(dir, { recursive: true, force: true });
});

it('exports the weights in force, and takes the place of another file only where that is wanted', async () => {
  const out = join(dir, 'weights.safetensors');
  const options = { dataDir: dir };
  await expect(exportModel(out, options)).resolves.toBeUndefined();
  const shipped = readFileSync(shippedFile('model/weights/default.safetensors'));
  expect(readFileSync(out).equals(shipped)).toBe(true);
  writeFileSync(out, 'mine');
  await expect(exportModel(out, options)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  expect(readFileSync(out, 'utf8')).toBe('mine');
  await exportModel(out, { ...options, force: true });
  expect(readFileSync(out).equals(shipped)).toBe(true);
});

it('says which file cannot be written', async () => {
  await expect(exportModel(join(dir, 'nowhere', 'weights.safetensors'), { dataDir: dir })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
});

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { placeFile, refuseExisting } from './place-file.js';

let dir: string;
let made: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-place-'));
  [made, path] = [join(dir, 'out.csv.part'), join(dir, 'out.csv')];
  writeFileSync(made, 'made');
});
afterEach(() => rmSync(dir, { recursive: true }));

it('gives a file its name', async () => {
  await refuseExisting(path);
  await placeFile(made, path, false);
  expect([readFileSync(path, 'utf8'), existsSync(made)]).toEqual(['made', false]);
});

it('takes the place of another file only by force', async () => {
  writeFileSync(path, 'mine');
  await expect(refuseExisting(path)).rejects.toMatchObject({ code: 'FILE_EXISTS', message: `${path} is there already` });
  await expect(placeFile(made, path, false)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  expect([readFileSync(path, 'utf8'), existsSync(made)]).toEqual(['mine', true]);
  await placeFile(made, path, true);
  expect([readFileSync(path, 'utf8'), existsSync(made)]).toEqual(['made', false]);
});

it('takes a link that leads nowhere for a file', async () => {
  symlinkSync(join(dir, 'nowhere'), path);
  await expect(refuseExisting(path)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
  await expect(placeFile(made, path, false)).rejects.toMatchObject({ code: 'FILE_EXISTS' });
});

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CursorFile } from './cursor.js';

const fresh = (): string => join(mkdtempSync(join(tmpdir(), 'gruard-cursor-')), 'deep', 'a.json');

it('comes back as it was written, and is not there before', async () => {
  const path = fresh();
  expect(await CursorFile.at(path).read()).toBeUndefined();
  await CursorFile.at(path).write({ position: 41, text: 'line\nfeed' });
  expect(await CursorFile.at(path).read()).toEqual({ position: 41, text: 'line\nfeed' });
});

it('cut anywhere, or with any bit flipped, is refused, and never another document', async () => {
  const path = fresh();
  await CursorFile.at(path).write({ version: 1, position: 123456 });
  const bytes = readFileSync(path);
  for (let length = 0; length < bytes.length; length++) {
    writeFileSync(path, bytes.subarray(0, length));
    await expect(CursorFile.at(path).read(), `${length} bytes`).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] ^= 1 << (bit & 7);
    writeFileSync(path, flipped);
    await expect(CursorFile.at(path).read(), `bit ${bit}`).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  }
});

import { beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../core/random.js';
import { holds as holdsWhole, opened, RECORDS, statesOf, valuesOf, wholeDirectory, type Whole } from '../test/fuzz/damage.js';

/** Coprime to 8, so that every place in a word has its turn. */
const STRIDE = 37;

let undamaged: Whole;
let whole: Map<string, Uint8Array>;

beforeAll(async () => {
  undamaged = await wholeDirectory();
  whole = undamaged.files;
});

const holds = (files: Map<string, Uint8Array>): Promise<void> => holdsWhole(files, undamaged);
const changed = (name: string, bytes: Uint8Array): Map<string, Uint8Array> => new Map(whole).set(name, bytes);

describe('damaged files', () => {
  it('there are some of every kind, and undamaged they hold everything', async () => {
    const names = [...whole.keys()];
    for (const kind of [/^journal\/.*segment$/, /shard$/, /index$/, /^cursors/]) expect(names.filter((name) => kind.test(name)).length).toBeGreaterThan(0);
    expect(names.filter((name) => name.endsWith('segment')).length).toBeGreaterThan(1);
    const bench = await opened(whole);
    expect((await valuesOf(bench)).size).toBe(RECORDS);
    expect(statesOf(bench)).toEqual(undamaged.states);
    expect(bench.loaded.notes).toEqual([]);
    expect(bench.journal.status().damage).toEqual([]);
  });

  it('cut anywhere: what is read is right, what is missing is reported', async () => {
    for (const [name, bytes] of whole) {
      for (let length = 0; length < bytes.length; length += STRIDE) await holds(changed(name, bytes.slice(0, length)));
    }
  });

  it('with a flipped bit anywhere: what is read is right, what is missing is reported', async () => {
    const random = seededRandom(3);
    for (const [name, bytes] of whole) {
      for (let at = 0; at < bytes.length; at += STRIDE) {
        const damaged = bytes.slice();
        damaged[at] ^= 1 << Math.floor(random() * 8);
        await holds(changed(name, damaged));
      }
    }
  });

  it('with a hole of zeros anywhere, as a disk leaves that lost a block: what is read is right, what is missing is reported', async () => {
    for (const [name, bytes] of whole) {
      for (let at = 0; at < bytes.length; at += at < 64 ? 4 : STRIDE) await holds(changed(name, bytes.slice().fill(0, at, at + 12)));
    }
  });

  it('removed, any one of them: what is read is right, what is missing is reported', async () => {
    for (const name of whole.keys()) {
      const files = new Map(whole);
      files.delete(name);
      // Nothing is left that could say that a cursor or a shard was ever there; a journal file is missed.
      // The oldest may have been removed because nobody needs it.
      if (name.endsWith('segment') && name !== [...whole.keys()].filter((other) => other.endsWith('segment')).sort()[0]) await holds(files);
    }
  });

  it('keeps a copy of a damaged segment for a person to look at', async () => {
    const name = [...whole.keys()].find((file) => file.endsWith('segment'))!;
    const damaged = whole.get(name)!.slice();
    damaged[30] ^= 1;
    const bench = await opened(changed(name, damaged));
    await valuesOf(bench);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(bench.disk.contents().get(name.replace('journal/', 'journal/damaged/'))).toEqual(damaged);
    expect(bench.journal.status()).toMatchObject({ state: 'degraded', code: 'JOURNAL_DAMAGED', damage: [{ from: 0, to: 0 }] });
  });
});

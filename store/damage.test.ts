import { beforeAll, describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { GruardError } from '../core/errors.js';
import { Fleet } from '../core/fleet.js';
import { seededRandom } from '../core/random.js';
import { SmallDetector } from '../test/sim/detector.js';
import { CursorFile } from './cursor.js';
import { SimulatedDisk } from './disk/simulated.js';
import { Journal } from './journal.js';
import { JournalReader } from './reader.js';
import { decodeRecord } from './record.js';
import { Snapshots } from './snapshot.js';

const RECORDS = 14;
const DEVICES = 3;
/** Coprime to 8, so that every place in a word has its turn. */
const STRIDE = 37;

function batchOf(fleet: Fleet, record: number): Batch {
  const batch = new Batch(8);
  for (let d = 0; d < DEVICES; d++) {
    const name = `device ${d}`;
    if (!fleet.get(name)) batch.declarations.push(fleet.addDevice(name, { site: 'a' }, 1).declaration);
    const device = fleet.get(name)!;
    if (device.slots.length === 0) batch.declarations.push(fleet.addSeries(device, 'metric').declaration);
    batch.push(device.seriesIds[0], device.slots[0], record + 1, record * 10 + d, 0);
  }
  return batch;
}

/** A data directory, and gruard's own view of what is in it. */
async function opened(files: Map<string, Uint8Array>, replayed = false) {
  const disk = new SimulatedDisk(seededRandom(1), (_delayMs, run) => queueMicrotask(run));
  for (const [name, bytes] of files) disk.put(name, bytes);
  const timing = { sleep: async () => undefined, random: seededRandom(2) };
  const journal = new Journal({ disk: disk.attach(), segmentBytes: 2048, recentBytes: 0, ...timing });
  const recovery = await journal.open();
  const fleet = new Fleet();
  const detector = new SmallDetector(fleet);
  const snapshots = new Snapshots({ journal, fleet, parts: detector.parts, documents: detector.documents, devicesPerShard: 2, ...timing });
  const loaded = await snapshots.load();
  if (!replayed) journal.reachTo(RECORDS - 1);
  return { disk, journal, recovery, fleet, detector, snapshots, loaded };
}

type Opened = Awaited<ReturnType<typeof opened>>;

async function valuesOf({ journal }: Opened): Promise<Map<number, number[]>> {
  const values = new Map<number, number[]>();
  const reader = new JournalReader(journal, 0);
  for (;;) {
    const records = await reader.take(RECORDS - 1, 4, 1e6);
    if (records.length === 0) return values;
    for (const { sequence, record } of records) {
      const batch = new Batch(8);
      decodeRecord(record, batch);
      values.set(sequence, [...batch.value.subarray(0, batch.n)]);
    }
  }
}

function statesOf({ fleet, detector }: Opened): Map<string, string> {
  return new Map([...fleet.devices()].map((device) => {
    const bytes = new Uint8Array(detector.parts[0].bytesPerSlot);
    detector.parts[0].write(device.slots[0], bytes, 0);
    return [device.name, Buffer.from(bytes).toString('hex')];
  }));
}

let whole: Map<string, Uint8Array>;
let states: Map<string, string>;

beforeAll(async () => {
  const bench = await opened(new Map(), true);
  for (let record = 0; record < RECORDS; record++) {
    const batch = batchOf(bench.fleet, record);
    bench.detector.step(batch);
    const durable = bench.journal.append(batch);
    bench.snapshots.touched(batch);
    await durable;
  }
  await bench.snapshots.round();
  states = statesOf(bench);
  await new CursorFile(bench.journal.disk, 'alerts').save(17);
  await bench.journal.close();
  whole = bench.disk.contents();
});

/** Every record that can be read is right, and every other one is reported; the same for the state of every device. Or it refuses with a code. */
async function holds(files: Map<string, Uint8Array>): Promise<void> {
  let bench: Opened;
  try {
    bench = await opened(files);
  } catch (error) {
    expect(error).toBeInstanceOf(GruardError);
    return;
  }
  const values = await valuesOf(bench);
  const { damage } = bench.journal.status();
  for (let sequence = 0; sequence < RECORDS; sequence++) {
    const got = values.get(sequence);
    if (got) expect(got).toEqual([0, 1, 2].map((d) => sequence * 10 + d));
    else expect(damage.some(({ from, to }) => from <= sequence && sequence <= to), `record ${sequence} is missing and not reported`).toBe(true);
  }
  const found = statesOf(bench);
  for (const [name, state] of states) if (found.get(name) !== state) expect(bench.loaded.notes, name).not.toEqual([]);
  for (const name of found.keys()) expect([...states.keys()]).toContain(name);
  const cursor = await new CursorFile(bench.journal.disk, 'alerts').load().catch((error: unknown) => error);
  if (!(cursor instanceof GruardError) && files.has('cursors/alerts')) expect(cursor).toBe(17);
}

const changed = (name: string, bytes: Uint8Array): Map<string, Uint8Array> => new Map(whole).set(name, bytes);

describe('damaged files', () => {
  it('there are some of every kind, and undamaged they hold everything', async () => {
    const names = [...whole.keys()];
    for (const kind of [/^journal\/.*segment$/, /shard$/, /index$/, /^cursors/]) expect(names.filter((name) => kind.test(name)).length).toBeGreaterThan(0);
    expect(names.filter((name) => name.endsWith('segment')).length).toBeGreaterThan(1);
    const bench = await opened(whole);
    expect((await valuesOf(bench)).size).toBe(RECORDS);
    expect(statesOf(bench)).toEqual(states);
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

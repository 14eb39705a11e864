import { strict as assert } from 'node:assert';
import { Batch } from '../../core/batch.js';
import { GruardError } from '../../core/errors.js';
import { Fleet } from '../../core/fleet.js';
import { seededRandom } from '../../core/random.js';
import { SmallDetector } from '../sim/detector.js';
import { CursorFile } from '../../store/cursor.js';
import { SimulatedDisk } from '../../store/disk/simulated.js';
import { Journal } from '../../store/journal.js';
import { JournalReader } from '../../store/reader.js';
import { decodeRecord } from '../../store/record.js';
import { Snapshots } from '../../store/snapshot.js';

export const RECORDS = 14;
const DEVICES = 3;

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
export async function opened(files: Map<string, Uint8Array>, replayed = false) {
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

export type Opened = Awaited<ReturnType<typeof opened>>;

export async function valuesOf({ journal }: Opened): Promise<Map<number, number[]>> {
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

export function statesOf({ fleet, detector }: Opened): Map<string, string> {
  return new Map([...fleet.devices()].map((device) => {
    const bytes = new Uint8Array(detector.parts[0].bytesPerSlot);
    detector.parts[0].write(device.slots[0], bytes, 0);
    return [device.name, Buffer.from(bytes).toString('hex')];
  }));
}

/** A data directory in which nothing is damaged. */
export interface Whole {
  files: Map<string, Uint8Array>;
  /** By device. */
  states: Map<string, string>;
}

export async function wholeDirectory(): Promise<Whole> {
  const bench = await opened(new Map(), true);
  for (let record = 0; record < RECORDS; record++) {
    const batch = batchOf(bench.fleet, record);
    bench.detector.step(batch);
    const durable = bench.journal.append(batch);
    bench.snapshots.touched(batch);
    await durable;
  }
  await bench.snapshots.round();
  const states = statesOf(bench);
  await new CursorFile<{ position: number }>(bench.journal.disk, 'cursors/alerts').write({ position: 17 });
  await bench.journal.close();
  return { files: bench.disk.contents(), states };
}

/** Every record that can be read is right, and every other one is reported; the same for the state of every device. Or it refuses with a code. `unreported`, for the test of the tests: a journal that is silent about what it misses. */
export async function holds(files: Map<string, Uint8Array>, whole: Whole, mutant: { unreported?: boolean } = {}): Promise<void> {
  let bench: Opened;
  try {
    bench = await opened(files);
  } catch (error) {
    assert.ok(error instanceof GruardError, String(error));
    return;
  }
  const values = await valuesOf(bench);
  const damage = mutant.unreported ? [] : bench.journal.status().damage;
  for (let sequence = 0; sequence < RECORDS; sequence++) {
    const got = values.get(sequence);
    if (got) assert.deepEqual(got, [0, 1, 2].map((d) => sequence * 10 + d));
    else assert.ok(damage.some(({ from, to }) => from <= sequence && sequence <= to), `record ${sequence} is missing and not reported`);
  }
  const found = statesOf(bench);
  for (const [name, state] of whole.states) if (found.get(name) !== state) assert.notEqual(bench.loaded.notes.length, 0, `the state of ${name} is wrong, and nothing says so`);
  for (const name of found.keys()) assert.ok(whole.states.has(name), `a device ${name} that was never there`);
  const cursor = await new CursorFile<{ position: number }>(bench.journal.disk, 'cursors/alerts').read().catch((error: unknown) => error);
  if (!(cursor instanceof GruardError) && files.has('cursors/alerts')) assert.deepEqual(cursor, { position: 17 });
}

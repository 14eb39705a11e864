import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { Fleet } from '../core/fleet.js';
import { seededRandom } from '../core/random.js';
import type { StatePart } from '../core/state.js';
import { SmallDetector } from '../test/sim/detector.js';
import { VirtualTime } from '../test/sim/time.js';
import { backUp, restoreBackup } from './backup.js';
import { SimulatedDisk } from './disk/simulated.js';
import { dumpJournal, inspectJournal } from './inspect.js';
import { Journal } from './journal.js';
import { replay } from './replay.js';
import { Snapshots } from './snapshot.js';

class Bench {
  readonly time = new VirtualTime();
  readonly disk = new SimulatedDisk(seededRandom(1), this.time.schedule);
  fleet!: Fleet;
  detector!: SmallDetector;
  journal!: Journal;
  snapshots!: Snapshots;
  readonly replayed: { sequence: number; devices: string[] }[] = [];

  async open(parts: (parts: readonly StatePart[]) => readonly StatePart[] = (all) => all) {
    const timing = { clock: this.time, sleep: this.time.sleep, random: seededRandom(2) };
    this.fleet = new Fleet();
    this.detector = new SmallDetector(this.fleet);
    this.journal = new Journal({ disk: this.disk.attach(), segmentBytes: 65_536, ...timing });
    await this.time.result(this.journal.open());
    this.snapshots = new Snapshots({ journal: this.journal, fleet: this.fleet, parts: parts(this.detector.parts), documents: this.detector.documents, devicesPerShard: 2, ...timing });
    const loaded = await this.time.result(this.snapshots.load());
    this.replayed.length = 0;
    await this.time.result(this.#replay());
    return loaded;
  }

  async #replay(): Promise<void> {
    for await (const { sequence, batch } of replay({ journal: this.journal, snapshots: this.snapshots, declare: (all) => all.forEach((one) => this.#declare(one)) })) {
      this.replayed.push({ sequence, devices: [...batch.slot.subarray(0, batch.n)].map((slot) => this.fleet.deviceOfSlot(slot)!.name) });
      this.detector.step(batch);
    }
  }

  #declare(declaration: Parameters<Fleet['apply']>[0]): void {
    const device = declaration.kind === 'retire' ? this.fleet.getById(declaration.deviceId) : undefined;
    if (device) this.detector.retire(device);
    this.fleet.apply(declaration);
  }

  async step(device: string, atMs: number, value: number): Promise<void> {
    const batch = new Batch(8);
    if (!this.fleet.get(device)) batch.declarations.push(this.fleet.addDevice(device, { site: 'a' }, atMs).declaration);
    const found = this.fleet.get(device)!;
    if (found.slots.length === 0) batch.declarations.push(this.fleet.addSeries(found, 'metric').declaration);
    batch.push(found.seriesIds[0], found.slots[0], atMs, value, 0);
    await this.commit(batch);
  }

  async retire(device: string): Promise<void> {
    const batch = new Batch(1);
    batch.declarations.push({ kind: 'retire', deviceId: this.fleet.get(device)!.id, atMs: 1 });
    this.#declare(batch.declarations[0]);
    await this.commit(batch);
  }

  async commit(batch: Batch): Promise<void> {
    this.detector.step(batch);
    const durable = this.journal.append(batch);
    this.snapshots.touched(batch);
    await this.time.result(durable);
  }

  round(): Promise<void> {
    return this.time.result(this.snapshots.round());
  }

  readings(device: string): number {
    const found = this.fleet.get(device);
    return found ? this.detector.seriesInfo(found.slots[0]).readings : -1;
  }
}

describe('snapshots and replay', () => {
  it('bring back devices, tags, state and documents; the replay gives each shard what it has not seen', async () => {
    const bench = new Bench();
    await bench.open();
    for (let i = 1; i <= 5; i++) for (const device of ['a', 'b', 'c']) await bench.step(device, i, i === 5 ? 90 : 1);
    await bench.round();
    await bench.step('c', 6, 1);
    // Only the shard of b and c is written (ids 2 and 3 share it), and then the power goes, before the round is over.
    bench.disk.onOperation = (operation, moment, name) => { if (operation === 'rename' && moment === 'done' && name.endsWith('.shard')) bench.disk.faults.open = 1; };
    await expect(bench.round()).rejects.toMatchObject({ code: 'JOURNAL_IO' });
    expect(bench.snapshots.status().state).toBe('degraded');
    bench.disk.faults.open = 0;
    bench.disk.onOperation = undefined;
    await bench.step('a', 7, 1);
    await bench.step('c', 7, 1);
    const open = bench.detector.documents[0].writeDevice(bench.fleet.get('a')!.id);
    bench.disk.powerCut();
    const loaded = await bench.open();
    expect(loaded).toMatchObject({ devices: 3, series: 3, notes: [] });
    expect(bench.replayed).toEqual([{ sequence: 16, devices: ['a'] }, { sequence: 17, devices: ['c'] }]);
    expect(['a', 'b', 'c'].map((device) => bench.readings(device))).toEqual([6, 5, 7]);
    expect(bench.fleet.get('b')).toMatchObject({ tags: { site: 'a' }, metrics: ['metric'] });
    expect(open).not.toBeNull();
    expect(bench.detector.documents[0].writeDevice(bench.fleet.get('a')!.id)).toEqual(open);
  });

  it('write only what has changed', async () => {
    const bench = new Bench();
    await bench.open();
    for (const device of ['a', 'b', 'c', 'd', 'e', 'f']) await bench.step(device, 1, 1);
    await bench.round();
    const written: string[] = [];
    bench.disk.onOperation = (operation, moment, name) => { if (operation === 'rename' && moment === 'done') written.push(name); };
    await bench.step('f', 2, 1);
    await bench.round();
    expect(written).toEqual(['snapshot/00000003.shard', 'snapshot/index']);
    await bench.round();
    expect(written.length).toBe(2);
  });

  it('never give an identity out again, also when its device was retired before the snapshot, and keep the names of what was retired', async () => {
    const bench = new Bench();
    await bench.open();
    await bench.step('a', 1, 1);
    await bench.step('b', 1, 1);
    const { id, seriesIds } = bench.fleet.get('b')!;
    await bench.retire('b');
    await bench.round();
    await bench.open();
    expect(bench.fleet.get('b')).toBeUndefined();
    expect(bench.fleet.nameOf(seriesIds[0])).toMatchObject({ device: 'b', metric: 'metric' });
    await bench.step('c', 2, 1);
    expect(bench.fleet.get('c')!.id).toBeGreaterThan(id);
    expect(bench.fleet.get('c')!.seriesIds[0]).toBeGreaterThan(seriesIds[0]);
  });

  it('begin a part afresh whose form has changed, say so, and keep the others', async () => {
    const bench = new Bench();
    await bench.open();
    for (let i = 1; i <= 3; i++) await bench.step('a', i, 1);
    await bench.round();
    const loaded = await bench.open((parts) => parts.map((part) => (part.per === 'series' ? nextVersion(part) : part)));
    expect(loaded.notes).toEqual([expect.stringContaining('small')]);
    expect(bench.readings('a')).toBe(0);
  });

  it('are refused when a later version wrote them', async () => {
    const bench = new Bench();
    await bench.open();
    await bench.step('a', 1, 1);
    await bench.round();
    const bytes = bench.disk.contents().get('snapshot/index')!;
    bytes[3] = 9;
    bench.disk.put('snapshot/index', bytes);
    await expect(bench.open()).rejects.toMatchObject({ code: 'FORMAT_VERSION' });
  });
});

describe('backup', () => {
  it('is taken while the journal is written, and brings back state and records', async () => {
    const bench = new Bench();
    await bench.open();
    for (let i = 1; i <= 4; i++) await bench.step('a', i, 1);
    await bench.round();
    await bench.step('a', 5, 1);
    const shelf = new SimulatedDisk(seededRandom(3), bench.time.schedule);
    const going = bench.journal.append(new Batch(1));
    const report = await bench.time.result(backUp(bench.journal.disk, shelf.attach()));
    expect(report.lastSequence).toBeGreaterThanOrEqual(4);
    await bench.time.result(going);
    await expect(bench.time.result(backUp(bench.journal.disk, shelf.attach()))).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });

    const other = new Bench();
    await other.time.result(restoreBackup(immediate(shelf), other.disk.attach()));
    await other.open();
    expect(other.readings('a')).toBe(5);
    const dumped: number[] = [];
    for await (const { batch } of dumpJournal(immediate(shelf), 3)) dumped.push(...batch.timestampMs.subarray(0, batch.n));
    expect(dumped).toEqual([4, 5]);
    expect(await inspectJournal(immediate(shelf))).toMatchObject({ first: 0, problems: [] });
  });

  it('is not made of a folder without a journal, nor put back from one', async () => {
    const empty = () => immediate(new SimulatedDisk(seededRandom(1), soon));
    await expect(backUp(empty(), empty())).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE', message: expect.stringContaining('nothing to back up') as string });
    await expect(restoreBackup(empty(), empty())).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE', message: expect.stringContaining('no backup') as string });
  });

  it('that is damaged is not put back', async () => {
    const bench = new Bench();
    await bench.open();
    for (let i = 1; i <= 4; i++) await bench.step('a', i, 1);
    const name = [...bench.disk.contents().keys()].find((file) => file.endsWith('segment'))!;
    const bytes = bench.disk.contents().get(name)!;
    bytes[40] ^= 1;
    bench.disk.put(name, bytes);
    await expect(restoreBackup(immediate(bench.disk), immediate(new SimulatedDisk(seededRandom(1), soon)))).rejects.toMatchObject({ code: 'JOURNAL_DAMAGED' });
  });
});

/** The same part, whose bytes mean something else from now on. */
function nextVersion(part: StatePart): StatePart {
  const { name, per, bytesPerSlot } = part;
  return {
    name, per, bytesPerSlot, version: part.version + 1,
    reserve: (capacity) => part.reserve(capacity),
    clear: (slot) => part.clear(slot),
    write: (slot, out, at) => part.write(slot, out, at),
    read: (slot, from, at) => part.read(slot, from, at),
  };
}

const soon = (_delayMs: number, run: () => void): void => queueMicrotask(run);

/** The same files on a disk that answers at once. */
function immediate(disk: SimulatedDisk) {
  const copy = new SimulatedDisk(seededRandom(1), soon);
  for (const [name, bytes] of disk.contents()) copy.put(name, bytes);
  return copy.attach();
}

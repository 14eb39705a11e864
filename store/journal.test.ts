import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { seededRandom } from '../core/random.js';
import { VirtualTime } from '../test/sim/time.js';
import { SimulatedDisk, type DiskFaults } from './disk/simulated.js';
import { Journal, type JournalOptions } from './journal.js';
import { JournalReader } from './reader.js';
import { decodeRecord, encodeRecord, sealFrame } from './record.js';
import { segmentName } from './segment.js';

/** A batch with one row that tells which record it is. */
function numbered(value: number, rows = 1): Batch {
  const batch = new Batch(rows);
  for (let row = 0; row < rows; row++) batch.push(1, 0, row, value, 0);
  return batch;
}

class Bench {
  readonly time = new VirtualTime();
  readonly disk: SimulatedDisk;
  journal!: Journal;

  constructor(seed = 1, faults: Partial<DiskFaults> = {}, private readonly options: Partial<JournalOptions> = {}) {
    this.disk = new SimulatedDisk(seededRandom(seed), this.time.schedule, faults);
  }

  async open() {
    this.journal = new Journal({ disk: this.disk.attach(), segmentBytes: 8192, clock: this.time, sleep: this.time.sleep, random: seededRandom(2), ...this.options });
    return this.time.result(this.journal.open());
  }

  append(...values: number[]): Promise<number[]> {
    return this.time.result(Promise.all(values.map((value) => this.journal.append(numbered(value)))));
  }

  /** The values of the records from a sequence on, read from disk (a journal without memory). */
  async values(from = 0): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    const reader = new JournalReader(this.journal, from);
    for (;;) {
      const records = await this.time.result(reader.take(this.journal.appended, 3, 1e6));
      if (records.length === 0) return found;
      for (const { sequence, record } of records) {
        const batch = new Batch(1000);
        decodeRecord(record, batch);
        found.set(sequence, batch.value[0]);
      }
    }
  }
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('journal', () => {
  it('numbers in call order, commits together what waits, and reads it back, from memory and from disk', async () => {
    const bench = new Bench();
    expect(await bench.open()).toEqual({ lastSequence: -1, firstSequence: 0, segments: 0, tornTail: false });
    expect(await bench.append(...upTo(100))).toEqual(upTo(100));
    expect(bench.journal.status().commits).toBeLessThan(10);
    for (const recentBytes of [0, 1e6]) {
      const again = new Bench(1, {}, { recentBytes });
      await again.open();
      for (const value of upTo(100)) await again.append(value);
      expect([...await again.values()]).toEqual(upTo(100).map((i) => [i, i]));
      expect([...await again.values(57)]).toEqual(upTo(100).slice(57).map((i) => [i, i]));
      expect(again.journal.status().segments).toBeGreaterThan(1);
    }
  });

  it('goes on where it ended, after a close and after a power cut', async () => {
    const bench = new Bench(3);
    await bench.open();
    await bench.append(...upTo(50));
    await bench.time.result(bench.journal.close());
    bench.disk.powerCut();
    expect(await bench.open()).toMatchObject({ lastSequence: 49, tornTail: false });
    await bench.append(50, 51);
    bench.disk.powerCut();
    await bench.open();
    expect([...await bench.values()]).toEqual(upTo(52).map((i) => [i, i]));
  });

  it('does not rely on the last commit before it is written once more: a kill, then a power cut, with no new record between', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const bench = new Bench(seed);
      await bench.open();
      await bench.append(0, 1);
      const pending = bench.journal.append(numbered(2)).catch(() => undefined);
      await bench.time.run(() => false, 1);
      bench.disk.kill();
      await bench.open();
      const promised = bench.journal.appended;
      await bench.time.result(bench.journal.durable(promised));
      expect(bench.journal.committed).toBe(promised);
      bench.disk.powerCut();
      await bench.open();
      expect((await bench.values()).size).toBeGreaterThanOrEqual(promised + 1);
      void pending;
    }
  });

  it('keeps the bytes and the order when the disk fails, says why, and goes on when it is back', async () => {
    const bench = new Bench();
    await bench.open();
    await bench.append(0);
    bench.disk.faults.write = 1;
    let resolved = false;
    const commit = bench.journal.append(numbered(1)).then((sequence) => { resolved = true; return sequence; });
    const next = bench.journal.append(numbered(2));
    await bench.time.run(() => false, 1000);
    expect(resolved).toBe(false);
    expect(bench.journal.status()).toMatchObject({ state: 'failing', code: 'JOURNAL_IO', committed: 0, appended: 2 });
    bench.disk.faults.write = 0;
    bench.disk.faults.capacityBytes = 0;
    await bench.time.run(() => false, 1000);
    expect(bench.journal.status()).toMatchObject({ state: 'failing', code: 'JOURNAL_FULL' });
    bench.disk.faults.capacityBytes = Infinity;
    expect(await bench.time.result(Promise.all([commit, next]))).toEqual([1, 2]);
    expect(bench.journal.status()).toMatchObject({ state: 'ok', committed: 2 });
    bench.disk.powerCut();
    await bench.open();
    expect([...await bench.values()]).toEqual([[0, 0], [1, 1], [2, 2]]);
  });

  it('says within a second that the disk does not answer', async () => {
    const bench = new Bench(1, { stall: 1, stallMs: 60_000 });
    void bench.open();
    await bench.time.run(() => bench.journal.appended >= 0 || bench.time.nowMs() > 1_700_000_300_000, 400_000);
    void bench.journal.append(numbered(0));
    await bench.time.run(() => false, 1100);
    expect(bench.journal.status()).toMatchObject({ state: 'failing', code: 'JOURNAL_IO' });
  });

  it('stops at max_bytes until what holds the segments has passed them, and removes those that nobody needs', async () => {
    const bench = new Bench(1, {}, { maxBytes: 4 * 65_536, segmentBytes: 65_536 });
    await bench.open();
    bench.journal.retain('store', -1);
    bench.journal.startRemoving();
    const all = upTo(40).map(async (value) => bench.journal.append(numbered(value, 150)));
    let done = false;
    void Promise.all(all).then(() => { done = true; });
    await bench.time.run(() => false, 5000);
    const { state, code, committed, detail } = bench.journal.status();
    expect({ state, code, done }).toEqual({ state: 'failing', code: 'JOURNAL_FULL', done: false });
    expect(detail).toContain('store is the furthest behind');
    bench.journal.retain('store', committed);
    await bench.time.run(() => done, 5000);
    expect(bench.journal.status().state).toBe('ok');
    expect(bench.journal.firstSequence).toBeGreaterThan(0);
    bench.journal.retain('alerts', 5);
    bench.journal.release('alerts');
    bench.journal.retain('store', 39);
    expect(bench.journal.status().segments).toBe(1);
  });

  it('never gives out a sequence that a store or a snapshot has seen, when the journal was removed', async () => {
    const bench = new Bench();
    await bench.open();
    expect(bench.journal.reachTo(41)).toBe(false);
    expect(bench.journal.reachTo(41)).toBe(true);
    expect(bench.journal.status().damage).toEqual([{ from: 0, to: 41, segment: 'end of the journal' }]);
    expect(await bench.append(7)).toEqual([42]);
    expect([...await bench.values(42)]).toEqual([[42, 7]]);
  });

  it('refuses what a later version wrote', async () => {
    const bench = new Bench();
    const record = encodeRecord(numbered(1));
    sealFrame(record, 0, 0);
    record[3] = 9;
    reseal(record);
    bench.disk.put(segmentName(1, 0), record);
    await expect(bench.open()).rejects.toMatchObject({ code: 'FORMAT_VERSION' });
  });

  it('rejects what is not durable when it is closed on a disk that fails', async () => {
    const bench = new Bench(1, { write: 1 });
    await bench.open();
    const commit = bench.journal.append(numbered(1));
    const rejected = expect(commit).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await bench.time.result(bench.journal.close());
    await rejected;
    await expect(bench.journal.append(numbered(2))).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });
});

/** Puts the right sum on a changed record. */
function reseal(record: Uint8Array): void {
  const view = new DataView(record.buffer);
  view.setUint32(8, 0, true);
  view.setUint32(8, crc(record), true);
}

function crc(bytes: Uint8Array): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}

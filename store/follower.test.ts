import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { seededRandom } from '../core/random.js';
import { VirtualTime } from '../test/sim/time.js';
import { withCursor } from '../test/sim/with-cursor.js';
import { SimulatedDisk } from './disk/simulated.js';
import { Follower, PoisonError, type FollowerTarget } from './follower.js';
import { Journal } from './journal.js';
import { JournalReader } from './reader.js';

function numbered(value: number): Batch {
  const batch = new Batch(1);
  batch.push(1, 0, value, value, 0);
  return batch;
}

async function bench(recentBytes = 1e6) {
  const time = new VirtualTime();
  const disk = new SimulatedDisk(seededRandom(1), time.schedule);
  const timing = { clock: time, sleep: time.sleep, random: seededRandom(2) };
  const journal = new Journal({ disk: disk.attach(), segmentBytes: 65_536, recentBytes, ...timing });
  await time.result(journal.open());
  const append = (...values: number[]): Promise<number[]> => time.result(Promise.all(values.map((value) => journal.append(numbered(value)))));
  return { time, disk, journal, timing, append };
}

/** Takes values; remembers what came. */
class Target implements FollowerTarget {
  taken: number[] = [];
  calls = 0;
  at = -1;
  refuse: (values: number[]) => Error | undefined = () => undefined;
  reachable: (() => Promise<boolean>) | undefined;

  async position(): Promise<number> {
    return this.at;
  }

  async apply(batch: Batch, position: number): Promise<void> {
    this.calls++;
    const values = [...batch.value.subarray(0, batch.n)];
    const error = this.refuse(values);
    if (error) throw error;
    this.taken.push(...values);
    this.at = position;
  }
}

describe('follower', () => {
  it('carries everything in order, several records at a time, and goes on from the position of its target', async () => {
    const { time, journal, timing, append } = await bench();
    await append(0, 1, 2, 3);
    const target = new Target();
    target.at = 1;
    const follower = new Follower({ name: 'store', journal, target, ...timing });
    follower.start();
    await append(4);
    await time.result(follower.caughtUp());
    expect(target.taken).toEqual([2, 3, 4]);
    expect(target.calls).toBeLessThan(3);
    expect(follower.status()).toMatchObject({ state: 'ok', position: 4, lagRecords: 0, lagMs: 0 });
    await time.result(follower.stop());
    expect(follower.status().state).toBe('stopped');
  });

  it('writes what goes on coming in a few large batches, and a backlog without waiting', async () => {
    const { time, journal, timing, append } = await bench();
    const target = new Target();
    const follower = new Follower({ name: 'store', journal, target, lingerMs: 200, rows: 50, ...timing });
    follower.start();
    for (let value = 0; value < 100; value++) {
      await append(value);
      await time.result(time.sleep(10));
    }
    await time.result(follower.caughtUp());
    expect(target.taken).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(target.calls).toBeLessThan(12);
    const beganMs = time.nowMs();
    await append(...Array.from({ length: 500 }, (_, i) => 100 + i));
    await time.result(follower.caughtUp());
    expect(target.taken).toHaveLength(600);
    expect(time.nowMs() - beganMs).toBeLessThan(1000);
    await time.result(follower.stop());
  });

  it('waits for a target that is down, for as long as it takes, and says so', async () => {
    const { time, journal, timing, append } = await bench();
    const target = new Target();
    target.refuse = () => new Error('refused');
    const follower = new Follower({ name: 'store', journal, target, ...timing });
    follower.start();
    await append(0, 1);
    await time.run(() => false, 3_600_000);
    expect(follower.status()).toMatchObject({ state: 'failing', lagRecords: 2, lastError: 'refused', poisonRecords: 0 });
    expect(follower.status().lagMs).toBeGreaterThan(3_500_000);
    // Back-off: an hour is not thousands of attempts.
    expect(target.calls).toBeLessThan(300);
    target.refuse = () => undefined;
    await time.result(follower.caughtUp());
    expect(target.taken).toEqual([0, 1]);
  });

  it.each([
    ['says so', () => new PoisonError('never'), undefined],
    ['is reachable and refuses it alone, again and again', () => new Error('odd'), async () => true],
  ])('sets a record aside where the target %s, and only that one', async (_how, error, reachable) => {
    const { time, disk, journal, timing, append } = await bench();
    const target = new Target();
    target.refuse = (values) => (values.includes(2) ? error() : undefined);
    target.reachable = reachable;
    const follower = new Follower({ name: 'store', journal, target, ...timing });
    await append(0, 1, 2, 3, 4);
    follower.start();
    await time.result(follower.caughtUp());
    expect(target.taken).toEqual([0, 1, 3, 4]);
    expect(follower.status()).toMatchObject({ state: 'ok', poisonRecords: 1, position: 4 });
    expect([...disk.contents().keys()]).toContain('poison/store-2.record');
  });

  it('moves its cursor only after what was sent, and does not send it again after a restart', async () => {
    const { time, journal, timing, append } = await bench();
    const sent: number[] = [];
    const open = (): Follower => {
      const send = async (batch: Batch): Promise<boolean> => {
        sent.push(...batch.value.subarray(0, batch.n));
        return batch.n > 0;
      };
      return new Follower({ name: 'alerts', journal, target: withCursor({ disk: journal.disk, name: 'alerts', send, clock: time }), ...timing });
    };
    const first = open();
    first.start();
    await append(0, 1);
    await time.result(first.caughtUp());
    await time.result(first.stop());
    await append(2);
    const second = open();
    second.start();
    await time.result(second.caughtUp());
    expect(sent).toEqual([0, 1, 2]);
  });
});

describe('reader', () => {
  it('sees a record that was written after it had read the bytes around it', async () => {
    const { time, journal, append } = await bench(0);
    const reader = new JournalReader(journal, 0);
    const take = async (): Promise<number[]> => (await time.result(reader.take(journal.committed, 100, 1e6))).map(({ sequence }) => sequence);
    await append(0);
    await append(1);
    await append(2);
    expect(await take()).toEqual([0, 1, 2]);
    for (const value of [3, 4, 5]) await append(value);
    expect(await take()).toEqual([3, 4, 5]);
    expect(journal.status().damage).toEqual([]);
  });

  it('loses nothing when the disk fails half way', async () => {
    const { time, disk, journal, append } = await bench(0);
    for (let value = 0; value < 200; value++) await append(value);
    disk.faults.read = 0.5;
    const reader = new JournalReader(journal, 0);
    const taken: number[] = [];
    while (reader.position <= 199) {
      const records = await time.result(reader.take(199, 1000, 1e6).catch(() => []));
      taken.push(...records.map(({ sequence }) => sequence));
    }
    expect(taken).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });
});

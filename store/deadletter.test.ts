import { describe, expect, it } from 'vitest';
import { seededRandom } from '../core/random.js';
import { VirtualTime } from '../test/sim/time.js';
import { DeadLetters } from './deadletter.js';
import { SimulatedDisk } from './disk/simulated.js';

function bench() {
  const time = new VirtualTime(1000);
  const disk = new SimulatedDisk(seededRandom(1), time.schedule);
  const open = async (most?: number): Promise<DeadLetters> => {
    const letters = new DeadLetters({ disk: disk.attach(), most, clock: time, sleep: time.sleep });
    await time.result(letters.open());
    return letters;
  };
  return { time, disk, open };
}

const add = (letters: DeadLetters, origin: string, payload: string | Uint8Array = 'x'): void => letters.add('mqtt', origin, 'unparseable', 'why', Buffer.from(payload));

describe('dead letters', () => {
  it('are listed newest first, before and after a restart', async () => {
    const { time, open } = bench();
    const letters = await open();
    add(letters, 'a');
    add(letters, 'b', '{"x":\u0001');
    const waiting = await time.result(letters.list(10));
    expect(waiting.map(({ origin }) => origin)).toEqual(['b', 'a']);
    await time.run(() => false, 1000);
    add(letters, 'c', Buffer.from([0xff, 0x41]));
    await time.result(letters.close());
    const again = await open();
    const listed = await time.result(again.list(2));
    expect(listed).toMatchObject([
      { origin: 'c', payload: '\\xffA', payloadBytes: 2 },
      { origin: 'b', payload: '{"x":\\x01', atMs: expect.closeTo(1001, -1) as number, source: 'mqtt', reason: 'unparseable', detail: 'why' },
    ]);
    expect(new Set(listed.map(({ id }) => id)).size).toBe(2);
  });

  it('are bounded: the oldest go, and so does what comes too fast for the disk', async () => {
    const { time, disk, open } = bench();
    const letters = await open(80);
    for (let i = 0; i < 400; i++) {
      add(letters, String(i));
      if (i % 5 === 4) await time.run(() => false, 300);
    }
    const listed = await time.result(letters.list(1000));
    expect(listed.length).toBeGreaterThanOrEqual(80);
    expect(listed.length).toBeLessThanOrEqual(100);
    expect(listed[0].origin).toBe('399');
    disk.faults.stall = 1;
    for (let i = 0; i < 2000; i++) add(letters, 'x', 'y'.repeat(2000));
    expect(letters.dropped).toBeGreaterThan(500);
    expect((await time.result(letters.list(1)))[0].payload.length).toBe(1024);
  });

  it('never fail who adds them: a disk that is full costs the letters', async () => {
    const { time, disk, open } = bench();
    const letters = await open();
    disk.faults.capacityBytes = 0;
    add(letters, 'a');
    await time.run(() => false, 1000);
    expect(letters).toMatchObject({ dropped: 1, error: expect.stringContaining('ENOSPC') as string });
    disk.faults.capacityBytes = Infinity;
    add(letters, 'b');
    await time.run(() => false, 1000);
    expect(letters.error).toBeNull();
    expect((await time.result(letters.list(10))).map(({ origin }) => origin)).toEqual(['b']);
  });
});

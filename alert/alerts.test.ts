import { describe, expect, test } from 'vitest';
import { Batch } from '../core/batch.js';
import type { AnomalyEvent } from '../core/event.js';
import type { AlertsDocument, AlertsOptions, Memory, SentDocument } from './alerts.js';
import { Alerts } from './alerts.js';
import type { Notification } from './notification.js';
import { testNotification } from './notification.js';
import type { AlertSink } from './sink.js';
import { SinkRefusal } from './sink.js';
import { ManualClock } from '../core/clock.js';

const telling = { route: {}, changes: ['opened', 'updated', 'resolved'], updateIntervalMs: 0, cooldownMs: 0 } as const;

/** Keeps what a file would: it outlives an `Alerts`. */
class Kept<T> implements Memory<T> {
  text: string | undefined;
  failing = false;
  writes = 0;

  async read(): Promise<T | undefined> {
    return this.text === undefined ? undefined : JSON.parse(this.text) as T;
  }

  async write(document: T): Promise<void> {
    if (this.failing) throw new Error('no space left');
    this.writes++;
    this.text = JSON.stringify(document);
  }
}

class Inbox implements AlertSink {
  readonly name = 'inbox';
  readonly keys: string[] = [];
  /** Called before a notification is taken; throws to refuse it. */
  before: (notification: Notification) => void | Promise<void> = () => undefined;
  closed = false;

  async deliver(notification: Notification): Promise<void> {
    await this.before(notification);
    this.keys.push(notification.key);
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

function events(...of: (Partial<AnomalyEvent> & { id: string })[]): Batch {
  const { subject } = testNotification(0);
  const batch = new Batch(1);
  if (subject.type === 'anomaly') batch.events = of.map((over) => ({ ...subject.event, device: 'd', ...over }));
  return batch;
}

const done = { state: 'resolved', resolvedMs: 9 } as const;

function setup(options: Partial<AlertsOptions> = {}): { inbox: Inbox; memory: Kept<AlertsDocument>; sentMemory: Kept<SentDocument>; slept: number[]; start: () => Promise<Alerts> } {
  const inbox = new Inbox();
  const memory = new Kept<AlertsDocument>();
  const sentMemory = new Kept<SentDocument>();
  const slept: number[] = [];
  return {
    inbox, memory, sentMemory, slept,
    async start() {
      const alerts = new Alerts({
        sink: inbox, telling, memory, sentMemory, clock: new ManualClock(0), random: () => 1,
        sleep: async (ms) => {
          slept.push(ms);
          await new Promise((resolve) => setImmediate(resolve));
        }, ...options,
      });
      await alerts.position();
      return alerts;
    },
  };
}

describe('alerts', () => {
  test('what happened is sent in order', async () => {
    const { inbox, start } = setup();
    const alerts = await start();
    await alerts.apply(events({ id: 'a' }, { id: 'b' }), 1);
    await alerts.apply(events({ id: 'a', ...done }), 2);
    await alerts.drained();
    expect(inbox.keys).toEqual(['a:opened:0', 'b:opened:0', 'a:resolved:0']);
    expect(alerts.status()).toEqual({ name: 'inbox', pending: 0, sent: 3, refused: 0, lastError: null });
    await alerts.close();
    expect(inbox.closed).toBe(true);
  });

  test('a restart sends nothing again and goes on where it was', async () => {
    const { inbox, start } = setup();
    const first = await start();
    await first.apply(events({ id: 'a' }), 1);
    await first.drained();
    await first.close();
    const second = await start();
    expect(await second.position()).toBe(1);
    await second.apply(events({ id: 'a', ...done }), 2);
    await second.drained();
    expect(inbox.keys).toEqual(['a:opened:0', 'a:resolved:0']);
    await second.close();
  });

  test('a kill at any write repeats at most what was under way, and misses nothing', async () => {
    const batches = [events({ id: 'a' }, { id: 'b' }), new Batch(1), events({ id: 'a', severity: 'critical' }, { id: 'c' }), events({ id: 'b', ...done }), events({ id: 'a', ...done }, { id: 'c', ...done })];
    const mustArrive = ['a:opened:0', 'b:opened:0', 'c:opened:0', 'b:resolved:0', 'a:resolved:1', 'c:resolved:0'];

    for (let kill = 0; kill < 20; kill++) {
      const { inbox, memory, sentMemory, start } = setup();
      // The files as they were at the kill: from then on nothing is written, though the doomed process goes on to send.
      let left = kill;
      let killed = false;
      const sentAtKill: { keys?: string[] } = {};
      const guard = <T>(kept: Kept<T>): void => {
        const write = kept.write.bind(kept);
        kept.write = async (document) => {
          if (killed) return new Promise(() => undefined);
          if (left-- === 0) {
            killed = true;
            sentAtKill.keys = [...inbox.keys];
            return new Promise(() => undefined);
          }
          return write(document);
        };
      };
      guard(memory);
      guard(sentMemory);
      const doomed = await start();
      void (async () => {
        for (const [i, batch] of batches.entries()) await doomed.apply(batch, i);
      })();
      for (let turn = 0; turn < 200 && !killed; turn++) await new Promise((resolve) => setImmediate(resolve));
      const before = sentAtKill.keys ?? [...inbox.keys];

      const again = setup();
      again.memory.text = memory.text;
      again.sentMemory.text = sentMemory.text;
      const survivor = await again.start();
      const position = await survivor.position();
      for (const [i, batch] of batches.entries()) if (i > position) await survivor.apply(batch, i);
      await survivor.drained();
      await survivor.close();
      const all = [...before, ...again.inbox.keys];
      expect(mustArrive.filter((key) => !all.includes(key)), `kill ${kill}`).toEqual([]);
      expect(all.length - new Set(all).size, `kill ${kill}: ${all.join(' ')}`).toBeLessThanOrEqual(1);
    }
  });

  test('a sink that is down holds nothing up, is asked ever more rarely, and gets all of it', async () => {
    const { inbox, start, slept } = setup();
    let failures = 4;
    inbox.before = () => {
      if (failures-- > 0) throw new Error('down');
    };
    const alerts = await start();
    for (let i = 0; i < 10; i++) await alerts.apply(events({ id: `e${i}` }), i);
    expect(await alerts.position()).toBe(9);
    await alerts.drained();
    expect(inbox.keys).toEqual(Array.from({ length: 10 }, (_, i) => `e${i}:opened:0`));
    expect(slept).toEqual([1000, 2000, 4000, 8000]);
    await alerts.close();
  });

  test('what waits survives a restart', async () => {
    const { inbox, start } = setup();
    inbox.before = () => {
      throw new Error('down');
    };
    const first = await start();
    await first.apply(events({ id: 'a' }), 1);
    await first.close();
    inbox.before = () => undefined;
    const second = await start();
    await second.drained();
    expect(inbox.keys).toEqual(['a:opened:0']);
    await second.close();
  });

  test('when too much waits the journal keeps the rest', async () => {
    const { inbox, start } = setup({ maxPending: 2 });
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    inbox.before = () => gate;
    const alerts = await start();
    await alerts.apply(events({ id: 'a' }, { id: 'b' }), 1);
    await expect(alerts.apply(events({ id: 'c' }), 2)).rejects.toThrow('2 notifications wait for inbox');
    expect(await alerts.position()).toBe(1);
    open();
    await alerts.drained();
    await alerts.apply(events({ id: 'c' }), 2);
    await alerts.drained();
    expect(inbox.keys).toEqual(['a:opened:0', 'b:opened:0', 'c:opened:0']);
    await alerts.close();
  });

  test('updates that others stand behind are not sent', async () => {
    const { inbox, start } = setup();
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    inbox.before = () => gate;
    const alerts = await start();
    await alerts.apply(events({ id: 'a', severity: 'info' }), 1);
    await alerts.apply(events({ id: 'a', severity: 'warning' }), 2);
    await alerts.apply(events({ id: 'a', severity: 'critical' }), 3);
    open();
    await alerts.drained();
    expect(inbox.keys).toEqual(['a:opened:0', 'a:updated:2']);
    await alerts.close();
  });

  test('what is refused for good is asked five times, counted, and passed', async () => {
    const { inbox, start } = setup();
    let asked = 0;
    inbox.before = ({ key }) => {
      if (!key.startsWith('bad')) return;
      asked++;
      throw new SinkRefusal('400');
    };
    const alerts = await start();
    await alerts.apply(events({ id: 'bad' }, { id: 'good' }), 1);
    await alerts.drained();
    expect(asked).toBe(5);
    expect(inbox.keys).toEqual(['good:opened:0']);
    expect(alerts.status()).toMatchObject({ sent: 1, refused: 1 });
    await alerts.close();
  });

  test('when the decision cannot be written nothing is sent, and the batch comes again to the same end', async () => {
    const { inbox, memory, start } = setup();
    const alerts = await start();
    memory.failing = true;
    await expect(alerts.apply(events({ id: 'a' }), 1)).rejects.toThrow('no space left');
    expect(await alerts.position()).toBe(-1);
    expect(inbox.keys).toEqual([]);
    memory.failing = false;
    await alerts.apply(events({ id: 'a' }), 1);
    await alerts.drained();
    expect(inbox.keys).toEqual(['a:opened:0']);
    await alerts.close();
  });

  test('more than the limit a minute wait for the next', async () => {
    const clock = new ManualClock(0);
    const waits: number[] = [];
    const { inbox, start } = setup({
      maxPerMinute: 2, clock,
      sleep: async (ms) => {
        waits.push(ms);
        clock.advance(ms);
      },
    });
    const alerts = await start();
    await alerts.apply(events(...Array.from({ length: 5 }, (_, i) => ({ id: `e${i}` }))), 1);
    await alerts.drained();
    expect(inbox.keys).toHaveLength(5);
    expect(waits).toEqual([60_000, 60_000]);
    await alerts.close();
  });

  test('batches that concern no one move the position, and write it once a second', async () => {
    const clock = new ManualClock(10_000);
    const { memory, start } = setup({ clock });
    const alerts = await start();
    for (let i = 0; i < 50; i++) {
      await alerts.apply(new Batch(1), i);
      clock.advance(100);
    }
    expect(memory.writes).toBe(5);
    await alerts.close();
    expect((await memory.read())?.position).toBe(49);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Batch } from '../../core/batch.js';
import { systemClock } from '../../core/clock.js';
import { Fleet } from '../../core/fleet.js';
import { DEFAULT_LIMITS } from '../../core/limits.js';
import { ReasonCounters } from '../../core/reasons.js';
import type { Source } from '../../core/source.js';
import { Decoder } from '../../ingest/decode/index.js';
import type { IngestStages, InletLimits } from '../../ingest/inlet.js';
import { Intake } from '../../ingest/intake.js';
import { Sequencer } from '../../ingest/sequence.js';

/** The stages behind a source, and a stand-in for the pipeline whose "disk" the test commits by hand. */
export class Bench {
  readonly counters = new ReasonCounters();
  readonly fleet = new Fleet();
  readonly deadLetters: { origin: string; reason: string; detail: string }[] = [];
  readonly intake = new Intake(this.counters, (_source, origin, reason, detail) => this.deadLetters.push({ origin, reason, detail }));
  readonly limits = DEFAULT_LIMITS;
  readonly decoder = new Decoder(this.intake, this.limits);
  readonly stages: IngestStages = { decoder: this.decoder, intake: this.intake, limits: this.limits };
  readonly sequencer = new Sequencer(this.fleet, this.intake, { limits: this.limits, clock: systemClock, time: 'event' });
  /** Rows in the order in which they were drained. */
  readonly rows: { device: string; metric: string; timestampMs: number; value: number; flags: number }[] = [];
  #woken: (() => void) | undefined;

  readonly wake = (): void => this.#woken?.();

  /** Drains one batch; returns the ticket to settle. */
  drain(source: Source, capacity = 4096): number {
    const batch = new Batch(capacity);
    this.sequencer.attach(batch);
    const ticket = source.drain(this.sequencer);
    for (let row = 0; row < batch.n; row++) {
      const { device, metric } = this.fleet.nameOf(batch.seriesId[row])!;
      this.rows.push({ device, metric, timestampMs: batch.timestampMs[row], value: batch.value[row], flags: batch.flags[row] });
    }
    return ticket;
  }

  /** Drains (and settles, unless told not to) until `enough`, which is asked after each batch. */
  async until(source: Source, enough: () => boolean, settle = true): Promise<number> {
    let ticket = 0;
    const deadline = performance.now() + 20_000;
    while (!enough()) {
      if (source.waiting === 0) {
        await new Promise<void>((resolve) => {
          this.#woken = resolve;
          setTimeout(resolve, 20);
        });
      }
      ticket = this.drain(source);
      if (settle) source.settle(ticket);
      if (performance.now() > deadline) throw new Error(`not enough after 20 s: ${this.rows.length} rows, ${JSON.stringify(source.status())}`);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
    return ticket;
  }
}

/** What the suite needs of one kind of source. */
export interface SourceUnderTest {
  source: Source;
  /** Sends payloads to `topic`; resolves when the source's peer has them (not: when they are acknowledged to it). */
  send(topic: string, payloads: string[]): Promise<void>;
  /** How many of the sent payloads are acknowledged to whoever sent them or to whoever keeps them. Undefined where nobody can tell. */
  acknowledged?: () => Promise<number>;
  /** Cuts the connection as a network does, where there is one. */
  cut?: () => Promise<void>;
  end(): Promise<void>;
}

export type MakeSource = (bench: Bench, limits: InletLimits) => Promise<SourceUnderTest>;

const ROOMY: InletLimits = { items: 20_000, bytes: 64 * 1024 * 1024 };

/** What every source must do, whatever it reads from. */
export function sourceConformance(name: string, make: MakeSource): void {
  describe(`source: ${name}`, () => {
    let bench: Bench;
    let t: SourceUnderTest;

    const start = async (limits = ROOMY): Promise<void> => {
      t = await make(bench, limits);
    };

    beforeEach(() => {
      bench = new Bench();
    });
    afterEach(async () => {
      await t.source.close();
      await t.end();
    });

    const payload = (i: number, device?: string): string =>
      JSON.stringify({ ...(device ? { device } : {}), timestamp: 1_700_000_000_000 + i * 1000, temperature: i, humidity: 50 });

    it('hands on every reading once and in order', async () => {
      await start();
      await t.send('plant/oven3', Array.from({ length: 500 }, (_, i) => payload(i, 'oven3')));
      await bench.until(t.source, () => bench.rows.length >= 1000);
      expect(bench.rows.filter((r) => r.metric === 'temperature').map((r) => r.value)).toEqual(Array.from({ length: 500 }, (_, i) => i));
      expect(new Set(bench.rows.map((r) => r.device))).toEqual(new Set(['oven3']));
      expect(bench.rows.every((r) => r.flags === 0)).toBe(true);
      expect(bench.deadLetters).toEqual([]);
      expect(t.source.waiting).toBe(0);
    });

    it('takes two readings of one series into one batch', async () => {
      await start();
      await t.send('plant/oven3', [payload(1, 'oven3'), payload(2, 'oven3')]);
      await expect.poll(() => t.source.waiting).toBe(2);
      t.source.settle(bench.drain(t.source));
      expect(bench.rows.map((r) => r.timestampMs - 1_700_000_000_000)).toEqual([1000, 1000, 2000, 2000]);
    });

    it('acknowledges nothing before it is settled, and then what the ticket covers', async () => {
      await start();
      await t.send('plant/oven3', Array.from({ length: 20 }, (_, i) => payload(i, 'oven3')));
      const ticket = await bench.until(t.source, () => bench.rows.length >= 40, false);
      expect(ticket).toBe(20);
      if (t.acknowledged) {
        await pause(50);
        expect(await t.acknowledged()).toBe(0);
        t.source.settle(7);
        await expect.poll(t.acknowledged).toBe(7);
        t.source.settle(20);
        await expect.poll(t.acknowledged).toBe(20);
      } else t.source.settle(20);
      t.source.settle(20);
    });

    it('reports what it cannot read, and goes on', async () => {
      await start();
      await t.send('plant/oven3', ['{"temperature":', 'nonsense', '{}', payload(1, 'oven3')]);
      await bench.until(t.source, () => bench.rows.length >= 2);
      expect(bench.counters.get('unparseable')).toBe(2);
      expect(bench.counters.get('no_metrics')).toBe(1);
      expect(bench.deadLetters.map((letter) => letter.reason)).toEqual(['unparseable', 'unparseable', 'no_metrics']);
    });

    it('takes a payload of more readings than a batch in parts, and acknowledges it with the last one', async () => {
      await start();
      const many = JSON.stringify(Array.from({ length: 3000 }, (_, i) => ({ device: `d${i % 50}`, timestamp: 1_700_000_000_000 + i, value: i })));
      await t.send('plant/gateway', [many]);
      await expect.poll(() => t.source.waiting).toBe(1);
      const small = 1024;
      const first = bench.drain(t.source, small);
      expect(first).toBe(0);
      let ticket = 0;
      while (t.source.waiting > 0) ticket = bench.drain(t.source, small);
      expect(ticket).toBe(1);
      t.source.settle(ticket);
      expect(bench.rows.length).toBe(3000);
      expect(new Set(bench.rows.map((r) => `${r.device} ${r.timestampMs}`)).size).toBe(3000);
    });

    it('takes what a cut connection brings again as duplicates', async (context) => {
      await start();
      if (!t.cut) return context.skip('no connection that could be cut');
      await t.send('plant/oven3', Array.from({ length: 2000 }, (_, i) => payload(i, 'oven3')));
      await bench.until(t.source, () => bench.rows.length >= 4000, false);
      await t.cut();
      await bench.until(t.source, () => bench.counters.get('duplicate') >= 4000);
      expect(bench.rows.length).toBe(4000);
      expect(bench.counters.get('late') + bench.counters.get('duplicate_differs')).toBe(0);
      if (t.acknowledged) await expect.poll(t.acknowledged).toBe(2000);
    });

    it('holds a bounded number of messages that are not durable', async () => {
      await start({ items: 100, bytes: 1024 * 1024 });
      const sent = t.send('plant/oven3', Array.from({ length: 3000 }, (_, i) => payload(i, 'oven3'))).catch(() => undefined);
      await pause(300);
      expect(t.source.waiting).toBeLessThan(1500);
      await bench.until(t.source, () => t.source.waiting === 0 && bench.rows.length >= 200);
      await bench.until(t.source, () => bench.rows.length >= 6000 || !t.acknowledged);
      await sent;
    });

    it('closes while messages are unsettled, twice if it must', async () => {
      await start();
      await t.send('plant/oven3', Array.from({ length: 100 }, (_, i) => payload(i, 'oven3'))).catch(() => undefined);
      await bench.until(t.source, () => bench.rows.length >= 200, false);
      await t.source.pause();
      await t.source.close();
      expect(t.source.status().state).toBe('stopped');
      await t.source.close();
    });
  });
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

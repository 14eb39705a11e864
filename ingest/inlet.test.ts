import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Bench } from '../test/conformance/sources.js';
import { Batch } from '../core/batch.js';
import { Inlet } from './inlet.js';

/** A queue against a plain array: whatever the order of pushing, draining and settling, every token comes back once and in order. */
it('gives back every token once, in order, and never one that was not drained', () => {
  const step = fc.oneof(fc.record({ push: fc.integer({ min: 1, max: 900 }) }), fc.constant({ drain: true }), fc.record({ settle: fc.double({ min: 0, max: 1, noNaN: true }) }));
  fc.assert(fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
    const bench = new Bench();
    const inlet = new Inlet<number>('test', bench.stages, { items: 1000, bytes: 1e9 });
    const given: number[] = [];
    let pushed = 0;
    let drained = 0;
    for (const s of steps) {
      if ('push' in s) for (let i = 0; i < s.push; i++) inlet.push('a/d', Buffer.from(`{"x":${pushed},"ts":${1_700_000_000_000 + pushed}}`), 1, pushed++);
      else if ('drain' in s) {
        bench.sequencer.attach(new Batch(1500));
        drained = inlet.drain(bench.sequencer);
      } else {
        const ticket = Math.floor(s.settle * (drained + 50));
        inlet.settle(ticket, (token) => given.push(token));
        expect(given.length).toBeLessThanOrEqual(drained);
        expect(given.length).toBeGreaterThanOrEqual(Math.min(ticket, drained));
      }
      expect(inlet.waiting).toBe(pushed - drained);
      expect(inlet.unsettled).toBe(pushed - given.length);
      expect(inlet.overfull).toBe(inlet.unsettled >= 1000);
    }
    inlet.discardWaiting((token) => expect(token).toBeGreaterThanOrEqual(drained));
    inlet.settle(Infinity, (token) => given.push(token));
    expect(given).toEqual(Array.from({ length: drained }, (_, i) => i));
    expect(inlet.unsettled).toBe(0);
  }), { numRuns: 60 });
});

it('is overfull by bytes as well', () => {
  const bench = new Bench();
  const inlet = new Inlet<number>('test', bench.stages, { items: 1000, bytes: 10_000 });
  inlet.push('a', Buffer.alloc(9000), 1, 1);
  expect(inlet.overfull).toBe(false);
  inlet.push('a', Buffer.alloc(1000), 1, 2);
  expect(inlet.overfull).toBe(true);
  bench.sequencer.attach(new Batch(1500));
  inlet.settle(inlet.drain(bench.sequencer), () => undefined);
  expect(inlet.overfull).toBe(false);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { decodeRecord, encodeRecord, FRAME_BYTES, readFrame, rowsOf, sealFrame } from './record.js';

const COLUMNS = ['seriesId', 'timestampMs', 'value', 'flags', 'yhat', 'yhatLower', 'yhatUpper', 'anomalyScore'] as const;
const any = fc.double();
const row = fc.record({ seriesId: fc.nat(0xfffffffe), timestampMs: any, value: any, flags: fc.nat(15), yhat: any, yhatLower: any, yhatUpper: any, anomalyScore: any });

const batches = fc.record({ rows: fc.array(row, { maxLength: 20 }), names: fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 }), nowMs: fc.nat() }).map(({ rows, names, nowMs }) => {
  const batch = new Batch(Math.max(1, rows.length));
  for (const values of rows) {
    const at = batch.push(values.seriesId, 7, values.timestampMs, values.value, values.flags);
    for (const column of COLUMNS) batch[column][at] = values[column];
  }
  batch.nowMs = nowMs;
  batch.declarations = names.map((name, i) => ({ kind: 'device', deviceId: i + 1, name: name.replace(/\p{Surrogate}/gu, '?'), tags: { a: 'b' }, atMs: 1 }));
  batch.positions = names.map((_, i) => ({ source: 's', partition: String(i), position: '9' }));
  return batch;
});

function sealed(batch: Batch, sequence = 5): Uint8Array {
  const record = encodeRecord(batch);
  sealFrame(record, sequence, 2);
  return record;
}

describe('record', () => {
  it('gives back every column bit for bit, and the rare parts', () => {
    fc.assert(fc.property(batches, (batch) => {
      const record = sealed(batch);
      expect(rowsOf(record)).toBe(batch.n);
      const back = new Batch(batch.capacity);
      decodeRecord(record, back);
      expect(back.n).toBe(batch.n);
      for (const column of COLUMNS) expect([...back[column].subarray(0, batch.n)]).toEqual([...batch[column].subarray(0, batch.n)]);
      expect(back.declarations).toEqual(batch.declarations);
      expect(back.positions).toEqual(batch.positions);
      expect(back.nowMs).toBe(batch.nowMs);
    }));
  });

  it('appends to a batch that holds rows, from bytes at any offset', () => {
    const batch = new Batch(3);
    batch.push(1, 0, 10, 1.5, 0);
    batch.push(2, 0, 11, 2.5, 1);
    const record = sealed(batch);
    const shifted = new Uint8Array(record.length + 3);
    shifted.set(record, 3);
    const back = new Batch(4);
    decodeRecord(record, back);
    decodeRecord(shifted.subarray(3), back);
    expect([...back.value.subarray(0, 4)]).toEqual([1.5, 2.5, 1.5, 2.5]);
  });

  it('is refused after any flipped bit, and asks for more after any cut', () => {
    const batch = new Batch(2);
    batch.push(1, 0, 10, 1.5, 0);
    batch.declarations = [{ kind: 'series', seriesId: 1, deviceId: 1, metric: 'é' }];
    const record = sealed(batch);
    expect(readFrame(record, 0)).toMatchObject({ kind: 'frame', frame: { sequence: 5, commitFirst: 3 } });
    for (let bit = 0; bit < record.length * 8; bit++) {
      const damaged = record.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      expect(readFrame(damaged, 0).kind).not.toBe('frame');
    }
    for (let length = 0; length < record.length; length++) {
      expect(readFrame(record.subarray(0, length), 0)).toEqual({ kind: 'short', needs: length < FRAME_BYTES ? FRAME_BYTES : record.length });
    }
  });
});

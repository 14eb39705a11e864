import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Batch, FLAG } from '../core/batch.js';
import { Rounds } from './rounds.js';

it('puts every row that is scored into one round, no series twice in it, its readings in order', () => {
  const rounds = new Rounds();
  fc.assert(fc.property(fc.oneof(fc.constant(5), fc.constant(400)).chain((most) => fc.array(fc.record({ slot: fc.nat(most), late: fc.boolean() }), { maxLength: 40 * (1 + most / 40), size: 'max' })), (rows) => {
    const batch = new Batch(440);
    rows.forEach(({ slot, late }, t) => batch.push(slot, slot, t, 0, late ? FLAG.LATE : 0));
    rounds.split(batch, 401);
    const seen: number[] = [];
    const lastRow = new Map<number, number>();
    for (let k = 0; k + 1 < rounds.starts.length; k++) {
      const round = [...rounds.rows.subarray(rounds.starts[k], rounds.starts[k + 1])];
      const slots = round.map((row) => batch.slot[row]);
      expect(new Set(slots).size).toBe(slots.length);
      for (const row of round) {
        expect(row).toBeGreaterThan(lastRow.get(batch.slot[row]) ?? -1);
        lastRow.set(batch.slot[row], row);
      }
      seen.push(...round);
    }
    expect(seen.sort((a, b) => a - b)).toEqual(rows.flatMap(({ late }, row) => (late ? [] : [row])));
  }));
});

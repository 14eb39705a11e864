import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignSticky } from './assigner.js';

const all = Array.from({ length: 12 }, (_, i) => `readings/${i}`);

describe('Assignment of partitions', () => {
  it('gives every partition to one member, evenly, whatever members say they hold', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 20 }), fc.array(fc.array(fc.constantFrom(...all, 'gone/1'))), (members, holds) => {
      const assigned = assignSticky(all, new Map(members.map((member, i) => [member, holds[i] ?? []])));
      expect([...assigned.values()].flat().sort()).toEqual([...all].sort());
      const sizes = [...assigned.values()].map((names) => names.length);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }));
  });

  it('moves only what a dead worker had, and gives a new one no more than its share', () => {
    const three = assignSticky(all, new Map([['a', []], ['b', []], ['c', []]]));
    const two = assignSticky(all, new Map([['a', three.get('a')!], ['b', three.get('b')!]]));
    for (const member of ['a', 'b']) expect(two.get(member)).toEqual(expect.arrayContaining(three.get(member)!));
    const again = assignSticky(all, new Map([['a', two.get('a')!], ['b', two.get('b')!], ['d', []]]));
    for (const member of ['a', 'b']) expect(two.get(member)).toEqual(expect.arrayContaining(again.get(member)!));
    expect(again.get('d')).toHaveLength(4);
  });
});

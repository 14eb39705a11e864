import { describe, expect, it } from 'vitest';
import { ReplayTurns } from './replay-turns.js';

interface One { name: string; ready: boolean; toReplay: number; next: number }
const one = (name: string, toReplay: number): One => ({ name, ready: true, toReplay, next: 0 });

describe('Turns of replay', () => {
  const begun: string[] = [];
  const turnsOf = (): ReplayTurns<One> => {
    begun.length = 0;
    return new ReplayTurns<One>(({ name }) => begun.push(name));
  };

  it('go to one after the other', () => {
    const turns = turnsOf();
    const [a, b, c] = [one('a', 5), one('b', 9), one('c', 2)];
    for (const each of [a, b, c]) turns.enter(each);
    turns.pass();
    expect(begun).toEqual(['a']);
    expect([a, b, c].map((each) => turns.isWaiting(each))).toEqual([false, true, true]);
    a.toReplay = 0;
    turns.pass();
    b.toReplay = 0;
    turns.pass();
    expect(begun).toEqual(['a', 'b', 'c']);
    c.toReplay = 0;
    turns.pass();
    turns.enter(one('d', 1));
    expect(begun.at(-1)).toBe('d');
  });

  it('pass over who was dropped, before its turn and in it', () => {
    const turns = turnsOf();
    const [a, b, c] = [one('a', 1), one('b', 2), one('c', 3)];
    for (const each of [a, b, c]) turns.enter(each);
    a.ready = false;
    b.ready = false;
    turns.pass();
    expect(begun).toEqual(['a', 'c']);
    expect(turns.isWaiting(b)).toBe(false);
  });

  it('end after some time for a long replay, which goes on', () => {
    const turns = turnsOf();
    const [a, b] = [one('a', 1_000_000), one('b', 2)];
    turns.enter(a);
    turns.enter(b);
    for (let look = 1; look <= 4; look++) {
      expect(begun).toEqual(['a']);
      a.next = look;
      turns.look();
    }
    expect(begun).toEqual(['a', 'b']);
  });

  it('are not held up by who does not come on', () => {
    const turns = turnsOf();
    const [a, b] = [one('a', 1), one('b', 2)];
    turns.enter(a);
    turns.enter(b);
    turns.look();
    a.next = 7;
    turns.look();
    expect(begun).toEqual(['a']);
    turns.look();
    expect(begun).toEqual(['a', 'b']);
  });
});

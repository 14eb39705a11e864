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
    const [a, b, c] = [one('a', 15_000), one('b', 19_000), one('c', 16_000)];
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

  it('are shared by short ones, as many as make one long one', () => {
    const turns = turnsOf();
    const all = ['a', 'b', 'c', 'd'].map((name) => one(name, 7000));
    for (const each of all) turns.enter(each);
    expect(begun).toEqual(['a', 'b']);
    all[0].toReplay = 6500;
    turns.pass();
    expect(begun).toEqual(['a', 'b']);
    all[0].toReplay = 0;
    turns.pass();
    expect(begun).toEqual(['a', 'b', 'c']);
  });

  it('pass over who was dropped, before its turn and in it', () => {
    const turns = turnsOf();
    const [a, b, c] = [one('a', 30_000), one('b', 30_000), one('c', 30_000)];
    for (const each of [a, b, c]) turns.enter(each);
    a.ready = false;
    b.ready = false;
    turns.pass();
    expect(begun).toEqual(['a', 'c']);
    expect(turns.isWaiting(b)).toBe(false);
  });

  it('end after some time for a long replay, which goes on', () => {
    const turns = turnsOf();
    const [a, b] = [one('a', 1_000_000), one('b', 20_000)];
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
    const [a, b] = [one('a', 20_000), one('b', 20_000)];
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

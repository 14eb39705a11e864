import { describe, expect, it } from 'vitest';
import { Assembly } from './snapshot-topic.js';

const name = 'readings/3';
const chunk = (offset: number, i: number, text: string): { key: Buffer; value: Buffer } => ({ key: Buffer.from(`${name}/${offset}/${i}`), value: Buffer.from(text) });
const manifest = (offset: number, chunks: number, bytes: number): { key: Buffer; value: Buffer } => ({ key: Buffer.from(name), value: Buffer.from(JSON.stringify({ version: 1, offset, chunks, bytes, crc32: 1 })) });
const read = (...messages: { key: Buffer; value: Buffer | null }[]): Assembly['newest'] => {
  const assembly = new Assembly(name);
  for (const message of messages) assembly.take(message);
  return assembly.newest;
};

describe('Snapshots put together again', () => {
  const whole = [chunk(10, 0, 'ab'), chunk(10, 1, 'c'), manifest(10, 2, 3)];

  it('takes the newest that is complete', () => {
    expect(read(...whole)).toMatchObject({ offset: 10, bytes: Buffer.from('abc') });
    expect(read(...whole, chunk(20, 0, 'x'))).toMatchObject({ offset: 10 });
    expect(read(...whole, chunk(20, 0, 'xy'), manifest(20, 1, 2), { ...chunk(10, 0, ''), value: null })).toMatchObject({ offset: 20, bytes: Buffer.from('xy') });
  });

  it('leaves what is incomplete, deleted, or of another partition', () => {
    expect(read(chunk(10, 1, 'c'), manifest(10, 2, 3))).toBeUndefined();
    expect(read(...whole, { key: Buffer.from(name), value: null })).toBeUndefined();
    expect(read({ key: Buffer.from('readings/33/10/0'), value: Buffer.from('abc') }, manifest(10, 1, 3))).toBeUndefined();
  });

  it('refuses a format that it does not know', () => {
    expect(() => read({ key: Buffer.from(name), value: Buffer.from('{"version":2}') })).toThrow(/version 2/);
  });
});

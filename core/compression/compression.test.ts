import fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { unpackRecords } from './index.js';
import { unpackLz4 } from './lz4.js';
import { unpackSnappy } from './snappy.js';
import { unpackZstd } from './zstd.js';

/** The same twelve messages as Kafka 4.4 has them in its log, from topics with `compression.type` of this name: record batches, base64. */
const LOGS: Record<string, string> = {
  uncompressed: 'AAAAAAAAAAAAAAJvAAAAAAIQdm54AAAAAAALAAABm3baqAAAAAGbdtrS+P//////////AAAAAAAAAAAADFgAAAAMb3Zlbi0wQHsidGVtcGVyYXR1cmUiOjIwLCJodW1pZGl0eSI6NTB9AF4A0A8CDG92ZW4tMUR7' +
    'InRlbXBlcmF0dXJlIjoyMC4xLCJodW1pZGl0eSI6NDl9AF4AoB8EDG92ZW4tMkR7InRlbXBlcmF0dXJlIjoyMC4yLCJodW1pZGl0eSI6NDh9AF4A8C4GDG92ZW4tMER7InRlbXBlcmF0dXJlIjoyMC4zLCJodW1p' +
    'ZGl0eSI6NDd9AF4AwD4IDG92ZW4tMUR7InRlbXBlcmF0dXJlIjoyMC40LCJodW1pZGl0eSI6NDZ9AF4AkE4KDG92ZW4tMkR7InRlbXBlcmF0dXJlIjoyMC41LCJodW1pZGl0eSI6NDV9AF4A4F0MDG92ZW4tMER7' +
    'InRlbXBlcmF0dXJlIjoyMC42LCJodW1pZGl0eSI6NDR9AF4AsG0ODG92ZW4tMUR7InRlbXBlcmF0dXJlIjoyMC43LCJodW1pZGl0eSI6NDN9AF4AgH0QDG92ZW4tMkR7InRlbXBlcmF0dXJlIjoyMC44LCJodW1p' +
    'ZGl0eSI6NDJ9AGAA0IwBEgxvdmVuLTBEeyJ0ZW1wZXJhdHVyZSI6MjAuOSwiaHVtaWRpdHkiOjQxfQBcAKCcARQMb3Zlbi0xQHsidGVtcGVyYXR1cmUiOjIxLCJodW1pZGl0eSI6NDB9AGAA8KsBFgxvdmVuLTJE' +
    'eyJ0ZW1wZXJhdHVyZSI6MjEuMSwiaHVtaWRpdHkiOjM5fQA=',
  gzip: 'AAAAAAAAAAAAAAEJAAAAAAJ+upBZAAEAAAALAAABm3baqAAAAAGbdtrS+P//////////AAAAAAAAAAAADB+LCAAAAAAAAP+LYGBg4MkvS83TNXCoVipJzS1ILUosKS1KVbIyMtBRyijNzUzJLKlUsjI1qGWIY7jA' +
    'zwRRbeiCoVrPEFm9iSVI/QJ5Foh6IyzqjVDUW4DUf9Bjg7oGi3pjFPXmIPUH7Dhwu8cERb0ZSP0EPy7c7jFFUW8KUv8glge3e8xQ1JuA1G/I5cPtHnMU9cYg9Q21ArjdY4Gi3qiWIYHhQg+jEG4HWaJoMKxliGFY' +
    'MIdRBOoijPhFjS8DkPkfVjOK4XKQIWoEGwMjGAA9SN83PgIAAA==',
  snappy: 'AAAAAAAAAAAAAAFNAAAAAALYeTmwAAIAAAALAAABm3baqAAAAAGbdtrS+P//////////AAAAAAAAAAAADIJTTkFQUFkAAAAAAQAAAAEAAAEIvgTIWAAAAAxvdmVuLTBAeyJ0ZW1wZXJhdHVyZSI6MjAsImh1bWlk' +
    'aXR5Ijo1MH0AXgDQDwIMBS4EMURCLgAELjEuMAAENDkBMAigHwQJXgAySjAAADIyMAAAOAEwCPAuBgkwADBKMAAAMzIwAAA3ATAIwD4ICTBOkAAANDIwAAA2ATAIkE4KCTBOkAAANTIwAAA1ATAI4F0MCTBOkAAA' +
    'NjIwAAA0ATAIsG0OCTBOkAAANzIwAAAzATAIgH0QCTBOkAAAODIwACAyfQBgANCMARIJMU6RAAA5MjEAIDF9AFwAoJwBFAkxADFC4AE2sAEAMAFgDPCrARYJL0aRAAQxLjIxAAwzOX0A',
  lz4: 'AAAAAAAAAAAAAAFAAAAAAALfIVPoAAMAAAALAAABm3baqAAAAAGbdtrS+P//////////AAAAAAAAAAAADAQiTRhgQIIAAQAA8iNYAAAADG92ZW4tMEB7InRlbXBlcmF0dXJlIjoyMCwiaHVtaWRpdHkiOjUwfQBe' +
    'ANAPAi4ALTFELgAoLjEwACA0OTAAMqAfBDAAHzIwAAAZMjAAEDgwADLwLgYwAB8wMAAAGTMwABA3MAAywD4IMAAPkAABGTQwABA2MAAykE4KMAAPkAABGTUwABA1MAAy4F0MMAAPkAABGTYwABA0MAAysG0OMAAP' +
    'kAABGTcwABAzMAAygH0QMAAPkAABGTgwAJIyfQBgANCMARIxAA+RAAEZOTEAkjF9AFwAoJwBFDEAHTHgAQqwARAwYABC8KsBFi8ADpEAGTHhAVA6Mzl9AAAAAAA=',
  zstd: 'AAAAAAAAAAAAAAEEAAAAAALlAcVrAAQAAAALAAABm3baqAAAAAGbdtrS+P//////////AAAAAAAAAAAADCi1L/0AWDwGAEQIWAAAAAxvdmVuLTBAeyJ0ZW1wZXJhdHVyZSI6MjAsImh1bWlkaXR5Ijo1MH0AXgDQ' +
    'DwIxRC4xNDmgHwQyMjjwLgYwMzfAPggxNDaQTgoyNTXgXQwwNjSwbQ4xNzOAfRAyODJ9AGAA0IwBEjkxfQBcAKCcARQxQDB9AGAA8KsBFjEzOX0AJiCwM4wN5CkLigRvVgaDMB2Oj0uxz3GJjRPIcYkdF8hxiRkX' +
    'yHETGxeI4xIbF4jjEhs3kOMSMw5Bm1zD2SRiZA8BAAA=',
};
const HEAD_BYTES = 61;
const CODECS = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
type Codec = keyof typeof CODECS;
const names = Object.keys(CODECS) as Codec[];
const MOST = 1 << 20;

const packed = (codec: string): Buffer => Buffer.from(LOGS[codec], 'base64').subarray(HEAD_BYTES);
const RECORDS = packed('uncompressed');

/** Literals, or a copy of what came before, from which both byte-wise codecs are made. */
interface Element { literals: Buffer; distance: number; length: number }
const elements = fc.array(fc.record({ literals: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)), distance: fc.nat(), length: fc.integer({ min: 4, max: 300 }) }), { minLength: 1, maxLength: 12 });

function written(parts: readonly Element[]): { bytes: Buffer; parts: Element[] } {
  const bytes: number[] = [];
  const made = parts.map(({ literals, distance, length }) => {
    bytes.push(...literals);
    const back = 1 + (distance % bytes.length);
    for (let i = 0; i < length; i++) bytes.push(bytes[bytes.length - back]);
    return { literals, distance: back, length };
  });
  return { bytes: Buffer.from(bytes), parts: made };
}

const uint = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, bytes);
  return buffer;
};

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** A bare block, its copies in one of the three forms. */
function snappyOf({ bytes, parts }: ReturnType<typeof written>, form: number): Buffer {
  const pieces = parts.flatMap(({ literals, distance, length }) => {
    const size = literals.length - 1;
    const head = size < 60 ? Buffer.from([size << 2]) : size < 256 ? Buffer.from([60 << 2, size]) : Buffer.concat([Buffer.from([61 << 2]), uint(size, 2)]);
    const copies: Buffer[] = [];
    for (let left = length; left > 0;) {
      const short = form === 1 && distance < 2048 && left >= 4;
      const part = Math.min(left, short ? 11 : 64);
      copies.push(short ? Buffer.from([1 | ((part - 4) << 2) | ((distance >> 8) << 5), distance & 255]) : form === 3 ? Buffer.concat([Buffer.from([3 | ((part - 1) << 2)]), uint(distance, 4)]) : Buffer.concat([Buffer.from([2 | ((part - 1) << 2)]), uint(distance, 2)]));
      left -= part;
    }
    return [head, literals, ...copies];
  });
  return Buffer.concat([varint(bytes.length), ...pieces]);
}

const lengthBytes = (length: number): Buffer => (length < 15 ? Buffer.alloc(0) : Buffer.from([...Array<number>(Math.floor((length - 15) / 255)).fill(255), (length - 15) % 255]));
const LZ4_MAGIC = uint(0x184d2204, 4);

/** A frame, with or without what is optional in it, and one block that is not packed at the end. */
function lz4Of({ parts }: ReturnType<typeof written>, tail: Buffer, optional: boolean): Buffer {
  const block = Buffer.concat(parts.flatMap(({ literals, distance, length }) => [
    Buffer.from([(Math.min(15, literals.length) << 4) | Math.min(15, length - 4)]), lengthBytes(literals.length), literals, uint(distance, 2), lengthBytes(length - 4),
  ]));
  const sum = optional ? [Buffer.alloc(4)] : [];
  return Buffer.concat([
    LZ4_MAGIC, Buffer.from([optional ? 0x40 | 0x10 | 0x08 | 0x04 : 0x60, 0x40]), ...(optional ? [Buffer.alloc(8)] : []), Buffer.from([0]),
    uint(block.length, 4), block, ...sum, uint((tail.length | 0x80000000) >>> 0, 4), tail, ...sum, uint(0, 4), ...sum,
  ]);
}

describe('Packed records', () => {
  it.each(names)('of a real broker are read: %s', async (codec) => {
    expect(packed(codec).length).toBeLessThan(RECORDS.length);
    expect((await unpackRecords(CODECS[codec], packed(codec))).equals(RECORDS)).toBe(true);
  });

  it('are read by both decoders of zstd', async () => {
    expect((await unpackZstd(packed('zstd'), MOST, false)).equals(RECORDS)).toBe(true);
    if ('zstdDecompress' in zlib) expect((await unpackZstd(packed('zstd'), MOST, true)).equals(RECORDS)).toBe(true);
    // A frame that says how much it has, and one behind it; then one that is skipped.
    const once = Buffer.from('28b52ffd2005290000616263640a', 'hex');
    expect((await unpackZstd(Buffer.concat([once, once, Buffer.from('502a4d180200000000ff', 'hex')]), MOST, false)).toString()).toBe('abcd\nabcd\n');
  });

  it('are read whatever copies snappy makes, in a bare block and in the frames of Java', () => {
    fc.assert(fc.property(elements, fc.integer({ min: 1, max: 3 }), (parts, form) => {
      const made = written(parts);
      const block = snappyOf(made, form);
      expect(unpackSnappy(block, MOST).equals(made.bytes)).toBe(true);
      const head = Buffer.from('82534e41505059000000000100000001', 'hex');
      const size = Buffer.alloc(4);
      size.writeUInt32BE(block.length);
      expect(unpackSnappy(Buffer.concat([head, size, block, size, block, head, size, block]), MOST).equals(Buffer.concat([made.bytes, made.bytes, made.bytes]))).toBe(true);
    }));
  });

  it('are read whatever copies LZ4 makes, with and without the optional parts of its frame', () => {
    fc.assert(fc.property(elements, fc.boolean(), (parts, optional) => {
      const made = written(parts);
      const tail = Buffer.from('as it is');
      expect(unpackLz4(Buffer.concat([Buffer.from('502a4d180200000000ff', 'hex'), lz4Of(made, tail, optional)]), MOST).equals(Buffer.concat([made.bytes, tail]))).toBe(true);
    }));
  });

  it('are never more than they may be', async () => {
    const many = Array.from({ length: 1000 }, (): Element => ({ literals: Buffer.from('a'), distance: 1, length: 60_000 }));
    const made = { bytes: Buffer.alloc(0), parts: many };
    const copies = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([2 | (63 << 2), 1, 0])));
    const zstdFrame = Buffer.from('28b52ffd0058', 'hex');
    const repeated = (last: number): Buffer => Buffer.concat([uint(last | (1 << 1) | (128 * 1024 << 3), 3), Buffer.from('a')]);
    const bombs: [Codec, Buffer][] = [
      ['gzip', gzipSync(Buffer.alloc(8 * MOST))],
      ['snappy', Buffer.concat([varint(2 ** 31 - 1), Buffer.from([0, 97])])],
      ['snappy', Buffer.concat([varint(9), Buffer.from([0, 97]), copies])],
      ['lz4', lz4Of(made, Buffer.alloc(1), false)],
      ['zstd', Buffer.concat([zstdFrame, ...Array.from({ length: 100 }, (_, i) => repeated(i === 99 ? 1 : 0))])],
    ];
    for (const [codec, bomb] of bombs) await expect(unpackRecords(CODECS[codec], bomb, MOST), codec).rejects.toMatchObject({ code: 'KAFKA_BATCH_UNREADABLE', message: expect.stringContaining('more than 1048576 bytes') as string });
    // What lies of its size in the head of the frame.
    await expect(unpackZstd(Buffer.concat([Buffer.from('28b52ffda000000080', 'hex'), uint(1 | (1 << 1) | (5 << 3), 3), Buffer.from('a')]), MOST, false)).rejects.toMatchObject({ code: 'KAFKA_BATCH_UNREADABLE' });
  });

  it.each(names)('that are damaged give an error or other bytes, and nothing else: %s', async (codec) => {
    const good = packed(codec);
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }), fc.nat(good.length), async (changes, cut) => {
      const bad = Buffer.from(good.subarray(0, good.length - (changes.length > 0 ? 0 : cut)));
      for (const [at, value] of changes) bad[at] = value;
      try {
        expect((await unpackRecords(CODECS[codec], bad, MOST)).length).toBeLessThanOrEqual(MOST);
      } catch (error) {
        expect(error).toMatchObject({ code: 'KAFKA_BATCH_UNREADABLE' });
      }
    }), { numRuns: 1000 });
  });
});

import fc from 'fast-check';
import type { KafkaMessage } from 'kafkajs';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FETCH, FETCH_VERSION, offsetsAsked, replaceRecords } from './fetch-frame.js';
import { FetchTap } from './fetch-tap.js';
import { blockOfMessages, blocksOf, headersOf, keyOf, valueOf, varInt, type RecordBlock, type RecordSet } from './records.js';

const inside = createRequire(import.meta.resolve('kafkajs'));
interface Partition { partition: number; highWatermark: string; messages: (KafkaMessage & { isControlRecord: boolean })[]; abortedTransactions: unknown[] }
const kafkajs = {
  fetch: {
    request: inside('./src/protocol/requests/fetch/v11/request') as (options: object) => { encode: () => Promise<{ buffer: Buffer }> },
    response: inside('./src/protocol/requests/fetch/v11/response') as { decode: (raw: Buffer) => Promise<{ responses: { topicName: string; partitions: Partition[] }[] }> },
  },
  createRequest: inside('./src/protocol/request') as (options: object) => Promise<{ buffer: Buffer }>,
};
const TOPIC = 'readings';

interface Batch {
  producer: number;
  kind: 'plain' | 'transactional' | 'commit' | 'abort';
  gzip: boolean;
  appendTime: boolean;
  records: { gap: number; deltaMs: number; key: string | null; value: string | null; headers: [string, string][] }[];
}

const text = fc.string({ maxLength: 12 });
/** Where kafkajs keeps headers, those of the names that every object has are lost or joined by what it has. */
const headerName = text.filter((name) => !(name in {}));
const batchOf: fc.Arbitrary<Batch> = fc.record({
  producer: fc.integer({ min: 1, max: 3 }), kind: fc.constantFrom('plain', 'plain', 'transactional', 'transactional', 'commit', 'abort'), gzip: fc.boolean(), appendTime: fc.boolean(),
  records: fc.array(fc.record({
    gap: fc.integer({ min: 0, max: 3 }), deltaMs: fc.integer({ min: -5_000_000_000, max: 5_000_000_000 }), key: fc.option(text), value: fc.option(fc.string({ maxLength: 300 })),
    headers: fc.array(fc.tuple(headerName, text), { maxLength: 3 }),
  }), { minLength: 1, maxLength: 6 }),
});

function varLong(value: number): Buffer {
  const bytes: number[] = [];
  let left = value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

const sized = (value: string | Buffer | null): Buffer => (value === null ? varInt(-1) : Buffer.concat([varInt(Buffer.byteLength(value)), Buffer.from(value as string)]));

/** A log as a broker keeps it: batches one behind the other, which transactions were aborted, and the offsets of their records. A mark ends what its producer has open. */
function logOf(batches: readonly Batch[]): { bytes: Buffer; offsets: number[]; aborted: { producerId: bigint; firstOffset: number }[]; dropped: Set<number> } {
  const open = new Map<number, number>();
  const aborted: { producerId: bigint; firstOffset: number }[] = [];
  const offsets: number[] = [];
  const dropped = new Set<number>();
  const inTransaction = new Map<number, number[]>();
  let next = 100;
  const pieces = batches.flatMap(({ producer, kind, gzip, appendTime, records }) => {
    const mark = kind === 'commit' || kind === 'abort';
    if (mark && !open.has(producer)) return [];
    const base = next;
    const bodies = (mark ? [{ gap: 0, deltaMs: 0, key: kind === 'abort' ? '\0\0\0\0' : '\0\0\0\x01', value: '\0\0\0\0\0\0', headers: [] }] : records).map(({ gap, deltaMs, key, value, headers }) => {
      const offset = next + gap;
      next = offset + 1;
      offsets.push(offset);
      if (kind === 'transactional') inTransaction.set(producer, [...inTransaction.get(producer) ?? [], offset]);
      const body = Buffer.concat([Buffer.from([0]), varLong(deltaMs), varInt(offset - base), sized(key), sized(value), varInt(headers.length), ...headers.flatMap(([name, header]) => [sized(name), sized(header)])]);
      return Buffer.concat([varInt(body.length), body]);
    });
    if (kind === 'transactional' && !open.has(producer)) open.set(producer, base);
    if (kind === 'abort') aborted.push({ producerId: BigInt(producer), firstOffset: open.get(producer)! });
    if (kind === 'abort') for (const offset of inTransaction.get(producer)!) dropped.add(offset);
    if (mark) {
      open.delete(producer);
      inTransaction.delete(producer);
    }
    const packed = gzip && !mark ? gzipSync(Buffer.concat(bodies)) : Buffer.concat(bodies);
    const head = Buffer.alloc(61);
    head.writeBigInt64BE(BigInt(base), 0);
    head.writeInt32BE(49 + packed.length, 8);
    head[16] = 2;
    head.writeInt16BE((gzip && !mark ? 1 : 0) | (appendTime ? 0x08 : 0) | (kind === 'plain' ? 0 : 0x10) | (mark ? 0x20 : 0), 21);
    head.writeInt32BE(next - 1 - base, 23);
    head.writeBigInt64BE(1_767_225_600_000n, 27);
    head.writeBigInt64BE(1_767_225_699_999n, 35);
    head.writeBigInt64BE(BigInt(producer), 43);
    head.writeInt32BE(bodies.length, 57);
    return [head, packed];
  });
  return { bytes: Buffer.concat(pieces), offsets, aborted: aborted.sort((a, b) => a.firstOffset - b.firstOffset), dropped };
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const int64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
};

/** The frame of an answer to a fetch, with its size and correlation id. */
function answerOf(correlation: number, sets: { partition: number; bytes: Buffer; aborted: { producerId: bigint; firstOffset: number }[] }[]): Buffer {
  const body = Buffer.concat([
    int32(correlation), int32(0), Buffer.from([0, 0]), int32(0), int32(1), Buffer.from([0, TOPIC.length]), Buffer.from(TOPIC), int32(sets.length),
    ...sets.flatMap(({ partition, bytes, aborted }) => [
      int32(partition), Buffer.from([0, 0]), int64(99_999), int64(99_999), int64(0), int32(aborted.length), ...aborted.flatMap(({ producerId, firstOffset }) => [int64(producerId), int64(firstOffset)]),
      int32(-1), int32(bytes.length), bytes,
    ]),
  ]);
  return Buffer.concat([int32(body.length), body]);
}

async function allOf(set: RecordSet): Promise<RecordBlock[]> {
  const blocks: RecordBlock[] = [];
  for await (const block of blocksOf(set)) blocks.push(block);
  return blocks;
}

function messagesOf(blocks: readonly RecordBlock[]): object[] {
  return blocks.flatMap((block) => Array.from({ length: block.n }, (_, i) => ({
    offset: String(block.offsets[i]), timestamp: String(block.timesMs[i]), key: keyOf(block, i)?.toString(), value: valueOf(block, i)?.toString(), headers: plain(headersOf(block, i)),
  })));
}

const plain = (headers: KafkaMessage['headers']): object => Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]));

const asKafkajs = (messages: readonly KafkaMessage[]): object[] =>
  messages.map(({ offset, timestamp, key, value, headers }) => ({ offset, timestamp, key: key?.toString(), value: value?.toString(), headers: plain(headers) }));

describe('Records past kafkajs', () => {
  it('are those that kafkajs reads: packed or not, with gaps, in transactions, from any offset, with an end that was cut off', async () => {
    await fc.assert(fc.asyncProperty(fc.array(batchOf, { minLength: 1, maxLength: 8 }), fc.nat(40), fc.nat(300), async (batches, skip, cut) => {
      const { bytes: all, offsets, aborted, dropped } = logOf(batches);
      const bytes = all.subarray(0, Math.max(Math.min(61, all.length), all.length - cut));
      const from = offsets[Math.min(skip, offsets.length - 1)] ?? 0;
      const answer = answerOf(7, [{ partition: 3, bytes, aborted }]);
      const [{ partitions: [read] }] = (await kafkajs.fetch.response.decode(answer.subarray(8))).responses;
      // Not by kafkajs' own filter: it takes up one aborted transaction a message, and lets some of another through that begins in the same place.
      const expected = read.messages.filter(({ offset, isControlRecord }) => !isControlRecord && Number(offset) >= from && !dropped.has(Number(offset)));
      let set: RecordSet | undefined;
      const replaced = replaceRecords(answer, 8, new Map([[`${TOPIC}/3`, from]]), (topic, partition, found) => {
        expect([topic, partition]).toEqual([TOPIC, 3]);
        set = found;
        return { key: Buffer.from('key'), value: Buffer.from('value') };
      });
      if (set === undefined) {
        // Not one batch was whole.
        expect(replaced).toBe(answer);
        expect(read.messages).toEqual([]);
        return;
      }
      expect(messagesOf(await allOf(set))).toEqual(asKafkajs(expected));
      expect(replaced.readInt32BE(0)).toBe(replaced.length - 4);
      const [{ partitions: [left] }] = (await kafkajs.fetch.response.decode(replaced.subarray(8))).responses;
      expect(left).toMatchObject({ partition: 3, highWatermark: '99999', abortedTransactions: [] });
      expect(asKafkajs(left.messages)).toMatchObject([{ key: 'key', value: 'value', offset: read.messages.at(-1)!.offset }]);
    }), { numRuns: 100 });
  });

  it('are the same where kafkajs has read them', () => {
    fc.assert(fc.property(fc.array(batchOf, { maxLength: 4 }), (batches) => {
      const messages = batches.flatMap(({ records }) => records.map(({ key, value, headers }, i): KafkaMessage => ({
        key: key === null ? null : Buffer.from(key), value: value === null ? null : Buffer.from(value), timestamp: '5', offset: String(i), attributes: 0,
        headers: Object.fromEntries(headers.map(([name, header]) => [name, Buffer.from(header)])),
      })));
      expect(messagesOf([blockOfMessages(messages)])).toEqual(asKafkajs(messages));
    }), { numRuns: 100 });
  });

  it('stay where they are in an unknown codec, in an old form and in bytes that are none', async () => {
    const { bytes } = logOf([{ producer: 1, kind: 'plain', gzip: false, appendTime: false, records: [{ gap: 0, deltaMs: 0, key: 'k', value: 'v', headers: [] }] }]);
    const never = (): never => { throw new Error('kept'); };
    const change = (at: number, value: number): Buffer => {
      const changed = Buffer.from(bytes);
      changed[at] = value;
      return changed;
    };
    for (const odd of [change(22, 5), change(22, 7), change(16, 1), bytes.subarray(0, 60)]) {
      const answer = answerOf(1, [{ partition: 0, bytes: odd, aborted: [] }]);
      expect(replaceRecords(answer, 8, new Map([[`${TOPIC}/0`, 0]]), never)).toBe(answer);
    }
    const answer = answerOf(1, [{ partition: 0, bytes, aborted: [] }]);
    expect(replaceRecords(answer, 8, new Map(), never)).toBe(answer);
    for (let to = 8; to < answer.length - bytes.length; to++) expect(replaceRecords(answer.subarray(0, to), 8, new Map([[`${TOPIC}/0`, 0]]), never)).toHaveLength(to);
    // A count, or a length, of more than there is.
    await expect(allOf({ from: 0, bytes: change(60, 99), aborted: [] })).rejects.toThrow('malformed');
    await expect(allOf({ from: 0, bytes: change(61, 99), aborted: [] })).rejects.toThrow('malformed');
  });

  it('are told by the offset that kafkajs asked for', async () => {
    const request = kafkajs.fetch.request({
      replicaId: -1, maxWaitTime: 5, minBytes: 1, maxBytes: 9, rackId: '',
      topics: [{ topic: TOPIC, partitions: [{ partition: 0, fetchOffset: '5', maxBytes: 1 }, { partition: 7, fetchOffset: '123456789012', maxBytes: 1 }] }, { topic: 'b', partitions: [{ partition: 1, fetchOffset: '0', maxBytes: 1 }] }],
    });
    const { buffer } = await kafkajs.createRequest({ correlationId: 9, clientId: 'gruard', request: { ...request, apiKey: FETCH, apiVersion: FETCH_VERSION } });
    expect([buffer.readInt16BE(4), buffer.readInt16BE(6), buffer.readInt32BE(8)]).toEqual([FETCH, FETCH_VERSION, 9]);
    expect([...offsetsAsked(buffer.subarray(12))]).toEqual([[`${TOPIC}/0`, 5], [`${TOPIC}/7`, 123_456_789_012], ['b/1', 0]]);
    expect(offsetsAsked(buffer.subarray(12, 40)).size).toBe(0);
  });
});

describe('The tap', () => {
  it('passes on every other answer as it came, however the network cut it, and takes the records out of fetches', async () => {
    const { bytes } = logOf([{ producer: 1, kind: 'plain', gzip: false, appendTime: false, records: [{ gap: 0, deltaMs: 0, key: 'k', value: 'v', headers: [] }] }]);
    const other = (correlation: number, length: number): Buffer => Buffer.concat([int32(4 + length), int32(correlation), Buffer.alloc(length, correlation)]);
    await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('fetch', 'other', 'empty', 'tiny', 'large'), { minLength: 1, maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }), async (kinds, cuts) => {
      const frames = kinds.map((kind, i) => (kind === 'fetch' ? answerOf(i, [{ partition: 0, bytes, aborted: [] }]) : kind === 'other' ? other(i, 30) : kind === 'large' ? other(i, 3000) : kind === 'empty' ? int32(0) : Buffer.concat([int32(2), Buffer.from('ab')])));
      const all = Buffer.concat(frames);
      const server = createServer({ noDelay: true }, (socket) => {
        socket.once('data', () => {
          let at = 0;
          for (let i = 0; at < all.length; i++) {
            const to = at + cuts[i % cuts.length] * (i > 60 ? 100 : 1);
            socket.write(all.subarray(at, to));
            at = to;
          }
          socket.end();
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const tap = new FetchTap();
      const socket = tap.socketFactory({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ssl: null as never, onConnect: () => undefined });
      const request = kafkajs.fetch.request({ replicaId: -1, maxWaitTime: 5, minBytes: 1, maxBytes: 9, topics: [{ topic: TOPIC, partitions: [{ partition: 0, fetchOffset: '0', maxBytes: 1 }] }] });
      for (let i = 0; i < kinds.length; i++) {
        if (kinds[i] === 'fetch') socket.write((await kafkajs.createRequest({ correlationId: i, clientId: 'g', request: { ...request, apiKey: FETCH, apiVersion: FETCH_VERSION } })).buffer);
      }
      socket.write(Buffer.from('anything'));
      const pieces: Buffer[] = [];
      socket.on('data', (piece: Buffer) => pieces.push(piece));
      await once(socket, 'end');
      const got = Buffer.concat(pieces);
      let at = 0;
      for (let i = 0; i < frames.length; i++) {
        const frame = got.subarray(at, at + 4 + got.readInt32BE(at));
        at += frame.length;
        if (kinds[i] !== 'fetch') {
          expect(frame.equals(frames[i])).toBe(true);
          continue;
        }
        const [{ partitions: [{ messages }] }] = (await kafkajs.fetch.response.decode(frame.subarray(8))).responses;
        expect(messages).toHaveLength(1);
        const set = tap.take(TOPIC, 0, messages);
        // Of a partition the newest is kept.
        if (i < kinds.lastIndexOf('fetch')) expect(set).toBe('gone');
        else expect((set as RecordSet).bytes.equals(bytes)).toBe(true);
        expect(tap.take(TOPIC, 0, messages)).toBe('gone');
      }
      expect(at).toBe(got.length);
      expect(tap.take(TOPIC, 0, [{ key: Buffer.from('machine'), value: null, timestamp: '0', offset: '0', attributes: 0, headers: {} }])).toBeUndefined();
      server.close();
    }), { numRuns: 15 });
  });
});

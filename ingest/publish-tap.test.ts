import fc from 'fast-check';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { PublishTap } from './publish-tap.js';

/** The network's end: what a test feeds comes out of it, what is written to it is kept. */
class Wire extends Duplex {
  written: Buffer[] = [];
  override _read(): void {
    // Fed by the test.
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    done();
  }
}

interface Publish {
  topic: string;
  payload: string;
  packetId: number;
  retain: boolean;
}

function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  do {
    const rest = length >> 7;
    bytes.push((length & 0x7f) | (rest > 0 ? 0x80 : 0));
    length = rest;
  } while (length > 0);
  return bytes;
}

function packet(first: number, ...parts: (Buffer | number[] | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)));
  return Buffer.concat([Buffer.from([first, ...lengthBytes(body.length)]), body]);
}

function publish({ topic, payload, packetId, retain }: Publish, properties?: Buffer): Buffer {
  const name = Buffer.from(topic);
  return packet(0x30 | (packetId < 0 ? 0 : 2) | (retain ? 1 : 0), [name.length >> 8, name.length & 0xff], name, packetId < 0 ? [] : [packetId >> 8, packetId & 0xff],
    properties ? Buffer.concat([Buffer.from(lengthBytes(properties.length)), properties]) : [], payload);
}

const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

/** Feeds the chunks; after `patience` messages the receiver says stop, until it is resumed. */
async function tapped(chunks: Buffer[], { mqtt5 = false, patience = Infinity, maxPayloadBytes = 1000 } = {}): Promise<{ published: Publish[]; passed: Buffer; error: Error | undefined }> {
  const wire = new Wire();
  const published: Publish[] = [];
  const passed: Buffer[] = [];
  let error: Error | undefined;
  const tap = new PublishTap(wire, {
    mqtt5, maxPayloadBytes,
    onPublish: (topic, payload, packetId, retain) => {
      published.push({ topic, payload: payload.toString(), packetId, retain });
      return published.length % patience !== 0;
    },
  });
  tap.on('data', (bytes: Buffer) => passed.push(bytes));
  tap.on('error', (e) => { error = e; });
  for (const chunk of chunks) wire.push(chunk);
  for (let quiet = 0, before = 0; quiet < 5; quiet++) {
    if (published.length > before) quiet = 0;
    before = published.length;
    await settled();
    tap.resumeMessages();
  }
  return { published, passed: Buffer.concat(passed), error };
}

const messages = fc.array(fc.record({
  topic: fc.oneof(fc.constantFrom('plant/oven3', 'plant/oven4', 'é/温'), fc.string({ minLength: 1, maxLength: 300 })),
  payload: fc.oneof(fc.string({ maxLength: 30 }), fc.string({ minLength: 100, maxLength: 400 })),
  packetId: fc.oneof(fc.constant(-1), fc.integer({ min: 1, max: 65_535 })),
  retain: fc.boolean(),
}), { maxLength: 20 });
const others = [packet(0x20, [0, 0]), packet(0xd0), packet(0x90, [0, 1, 1]), packet(0x40, Buffer.alloc(200, 7))];

describe('the tap', () => {
  it('takes out the PUBLISH packets and passes on all others, however the stream is cut', async () => {
    await fc.assert(fc.asyncProperty(messages, fc.infiniteStream(fc.integer({ min: 1, max: 200 })), fc.integer({ min: 1, max: 5 }), fc.boolean(), async (given, sizes, patience, mqtt5) => {
      const properties = mqtt5 ? Buffer.from([1, 1]) : undefined;
      const stream = Buffer.concat(given.flatMap((message, i) => [publish(message, properties), others[i % others.length]]));
      const chunks: Buffer[] = [];
      for (let at = 0; at < stream.length;) {
        const size = sizes.next().value as number;
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      const { published, passed, error } = await tapped(chunks, { mqtt5, patience });
      expect(error).toBeUndefined();
      expect(published).toEqual(given.map((message) => ({ ...message, topic: Buffer.from(message.topic).toString(), payload: Buffer.from(message.payload).toString() })));
      expect(passed).toEqual(Buffer.concat(given.map((_, i) => others[i % others.length])));
    }), { numRuns: 60 });
  });

  it('keeps only the beginning of a payload that is too large, and goes on behind it', async () => {
    const large = publish({ topic: 'a', payload: 'x'.repeat(3_000_000), packetId: 7, retain: false });
    const chunks = Array.from({ length: Math.ceil(large.length / 65_536) }, (_, i) => large.subarray(i * 65_536, (i + 1) * 65_536));
    const { published, error } = await tapped([...chunks, publish({ topic: 'b', payload: '1', packetId: 8, retain: false })]);
    expect(error).toBeUndefined();
    expect(published.map(({ topic, packetId, payload }) => [topic, packetId, payload.length])).toEqual([['a', 7, 1001], ['b', 8, 1]]);
  });

  it.each<[string, Buffer]>([
    ['a length of five bytes', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])],
    ['a topic longer than its packet', packet(0x30, [0, 200], 'abc')],
    ['no topic', packet(0x30, [0])],
    ['a packet id of 0', publish({ topic: 'a', payload: 'x', packetId: 0, retain: false })],
    ['no packet id', packet(0x32, [0, 1], 'a')],
    ['QoS 2', packet(0x34, [0, 1], 'a', [0, 1])],
  ])('ends a connection that brings %s', async (_what, bytes) => {
    const { published, error } = await tapped([bytes]);
    expect(error).toMatchObject({ code: 'MALFORMED_PACKET' });
    expect(published).toEqual([]);
  });

  it('survives any bytes', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), fc.boolean(), async (chunks, mqtt5) => {
      await tapped(chunks.filter((chunk) => chunk.length > 0).map((chunk) => Buffer.from(chunk)), { mqtt5 });
    }), { numRuns: 150 });
  });

  it('writes, ends and breaks as the stream inside', async () => {
    const wire = new Wire();
    const tap = new PublishTap(wire, { mqtt5: false, maxPayloadBytes: 10, onPublish: () => true });
    tap.cork();
    tap.write('a');
    tap.write('b');
    tap.uncork();
    tap.write('c');
    await settled();
    expect(Buffer.concat(wire.written).toString()).toBe('abc');
    const closed = new Promise((resolve) => tap.once('close', resolve));
    tap.on('error', () => undefined);
    wire.destroy(new Error('reset'));
    await closed;
    expect(tap.destroyed).toBe(true);
  });
});

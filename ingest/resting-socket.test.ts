import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { restingSocket } from './resting-socket.js';

const closing: (() => void)[] = [];
afterEach(() => { for (const close of closing.splice(0).reverse()) close(); });

/** A connection and the far end of it. */
async function pair(): Promise<{ socket: Socket; far: Socket }> {
  const server: Server = createServer();
  const accepted = new Promise<Socket>((resolve) => { server.once('connection', resolve); });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const socket = restingSocket({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  const far = await accepted;
  closing.push(() => { socket.destroy(); far.destroy(); server.close(); });
  return { socket, far };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

describe('a socket that rests', () => {
  it('hands on every byte, in order, in pieces that stay as they are', async () => {
    const { socket, far } = await pair();
    const sent = Buffer.alloc(3_000_000);
    for (let i = 0; i < sent.length; i++) sent[i] = (i * 31 + (i >> 8)) & 0xff;
    const pieces: Buffer[] = [];
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    const ended = new Promise((resolve) => { socket.once('end', resolve); });
    for (let at = 0; at < 20_000; at += 100) far.write(sent.subarray(at, at + 100));
    await pause(20);
    far.end(sent.subarray(20_000));
    await ended;
    // Compared at the end: a piece that were written to again would show.
    expect(createHash('sha1').update(Buffer.concat(pieces)).digest('hex')).toBe(createHash('sha1').update(sent).digest('hex'));
  });

  it('is read in larger pieces than it was written in', async () => {
    const { socket, far } = await pair();
    let pieces = 0;
    let bytes = 0;
    socket.on('data', (piece: Buffer) => {
      pieces++;
      bytes += piece.length;
    });
    far.setNoDelay(true);
    for (let i = 0; i < 300; i++) {
      far.write('x'.repeat(50));
      await new Promise((resolve) => { setImmediate(resolve); });
    }
    await expect.poll(() => bytes).toBe(15_000);
    expect(pieces).toBeLessThan(150);
  });

  it('hands on nothing while it is paused, and goes on where it was', async () => {
    const { socket, far } = await pair();
    let text = '';
    socket.on('data', (piece: Buffer) => { text += piece.toString(); });
    far.write('one');
    await expect.poll(() => text).toBe('one');
    socket.pause();
    far.write('two');
    await pause(30);
    expect(text).toBe('one');
    socket.resume();
    await expect.poll(() => text).toBe('onetwo');
  });
});

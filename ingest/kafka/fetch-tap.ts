import { randomBytes } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactory, KafkaMessage } from 'kafkajs';
import { StreamLayer } from '../stream-layer.js';
import { FETCH, FETCH_VERSION, offsetsAsked, replaceRecords } from './fetch-frame.js';
import type { RecordSet } from './records.js';

const KEEP_ALIVE_MS = 60_000;
/** What a read of a socket takes at most; one buffer for all its reads, which Node would otherwise make anew for each. */
const READ_BYTES = 256 * 1024;
const SIZE_BYTES = 4;
const CORRELATION_BYTES = 4;
const REQUEST_HEAD_BYTES = 12;
/** kafkajs asks for 10 MiB a fetch; what is larger than this is no answer to it. */
const MOST_FRAME_BYTES = 256 * 1024 * 1024;

/**
 * Takes the records out of the answers to a consumer's fetches before kafkajs reads them, and leaves it one small record that stands for them: kafkajs keeps the
 * connections, the group, the offsets and the errors, and builds no object for a message. Nothing of kafkajs' inside is touched: it is given a socket (`socketFactory`),
 * and what goes over it is the public protocol. What the tap does not know (another version of the fetch, another codec, an old form of messages) goes on as it is, and
 * kafkajs decodes it.
 */
export class FetchTap {
  /** What stands for records has this as its key, which no producer can know. */
  readonly #mark = randomBytes(16);
  /** By TOPIC/PARTITION: kafkajs has one fetch of a partition in hand at a time. */
  readonly #sets = new Map<string, { number: number; set: RecordSet }>();
  #number = 0;

  /** For the consumer's client. */
  readonly socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    // As kafkajs does it (src/network/socketFactory.js); `ssl` is null without TLS.
    const keep: Keep = (topic, partition, set) => this.#keep(topic, partition, set);
    if (ssl as typeof ssl | null) {
      const socket = connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect);
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      return new TappedSocket(socket, keep) as unknown as Socket;
    }
    const onread = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback: (n: number, buffer: Uint8Array): boolean => tapped.takeRead(buffer as Buffer, n) };
    const socket: Socket = connectTcp({ host, port, onread }, onConnect);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const tapped: TappedSocket = new TappedSocket(socket, keep);
    return tapped as unknown as Socket;
  };

  /** The records that the messages of an `eachBatch` stand for; `gone` where they are to be fetched again; undefined where the messages are what was sent. */
  take(topic: string, partition: number, messages: readonly KafkaMessage[]): RecordSet | 'gone' | undefined {
    const [{ key, value }] = messages;
    if (messages.length !== 1 || key === null || !key.equals(this.#mark)) return undefined;
    const name = `${topic}/${partition}`;
    const found = this.#sets.get(name);
    if (found?.number !== value!.readUInt32BE(0)) return 'gone';
    this.#sets.delete(name);
    return found.set;
  }

  #keep(topic: string, partition: number, set: RecordSet): { key: Buffer; value: Buffer } {
    this.#number = (this.#number + 1) >>> 0;
    this.#sets.set(`${topic}/${partition}`, { number: this.#number, set });
    const value = Buffer.alloc(4);
    value.writeUInt32BE(this.#number);
    return { key: this.#mark, value };
  }
}

type Keep = (topic: string, partition: number, set: RecordSet) => { key: Buffer; value: Buffer };

/** Between a broker's socket and kafkajs. Frames are a size (INT32) and so many bytes, both ways; an answer begins with the correlation id of its request. */
class TappedSocket extends StreamLayer {
  readonly #keep: Keep;
  /** Correlation id of each fetch that is under way, with the offset that it asked for by TOPIC/PARTITION. */
  readonly #fetches = new Map<number, Map<string, number>>();
  /** The beginning of a frame, until its size and correlation id are there. */
  #head: Buffer = Buffer.alloc(0);
  /** Bytes of the frame in hand that are still to come. */
  #left = 0;
  /** The frame in hand, where it answers a fetch, and how much of it is there. */
  #frame: Buffer | undefined;
  #filled = 0;

  constructor(inner: Duplex, keep: Keep) {
    super(inner, true);
    this.#keep = keep;
  }

  /** The first n bytes of a buffer that is used again when this returns. */
  takeRead(buffer: Buffer, n: number): boolean {
    this.pass(buffer.subarray(0, n));
    return true;
  }

  unref(): this {
    (this.inner as Socket).unref();
    return this;
  }

  /** kafkajs writes a request at once. */
  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#asked(chunk);
    super._write(chunk, encoding, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    for (const { chunk } of chunks) this.#asked(chunk);
    super._writev(chunks, done);
  }

  #asked(request: Buffer): void {
    if (request.length < REQUEST_HEAD_BYTES || request.readInt32BE(0) !== request.length - SIZE_BYTES || request.readInt16BE(4) !== FETCH || request.readInt16BE(6) !== FETCH_VERSION) return;
    this.#fetches.set(request.readInt32BE(8), offsetsAsked(request.subarray(REQUEST_HEAD_BYTES)));
  }

  protected override pass(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0 && (at = this.#begin(chunk, at)) === chunk.length && this.#left === 0) return;
      const to = Math.min(chunk.length, at + this.#left);
      this.#left -= to - at;
      if (this.#frame === undefined) {
        if (to > at) this.push(Buffer.from(chunk.subarray(at, to)));
      } else {
        this.#filled += chunk.copy(this.#frame, this.#filled, at, to);
        if (this.#left === 0) this.#answer();
      }
      at = to;
    }
  }

  /** Reads size and correlation id; returns where the rest of the frame begins. */
  #begin(chunk: Buffer, at: number): number {
    const wanted = SIZE_BYTES + CORRELATION_BYTES;
    const taken = Math.min(wanted - this.#head.length, chunk.length - at);
    this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + taken)]);
    if (this.#head.length < SIZE_BYTES) return at + taken;
    const size = this.#head.readInt32BE(0);
    if (size >= CORRELATION_BYTES && this.#head.length < wanted) return at + taken;
    // A frame without a correlation id (SASL's own) may end within these bytes.
    const own = Math.min(this.#head.length, SIZE_BYTES + Math.max(0, size));
    const head = this.#head.subarray(0, own);
    const next = at + taken - (this.#head.length - own);
    this.#head = Buffer.alloc(0);
    this.#left = Math.max(0, SIZE_BYTES + size - own);
    if (size >= CORRELATION_BYTES && size <= MOST_FRAME_BYTES && this.#fetches.has(head.readInt32BE(4))) {
      this.#frame = Buffer.allocUnsafeSlow(SIZE_BYTES + size);
      this.#filled = head.copy(this.#frame);
      if (this.#left === 0) this.#answer();
    } else {
      this.push(head);
    }
    return next;
  }

  #answer(): void {
    const frame = this.#frame!;
    this.#frame = undefined;
    const id = frame.readInt32BE(SIZE_BYTES);
    const asked = this.#fetches.get(id)!;
    this.#fetches.delete(id);
    this.push(replaceRecords(frame, SIZE_BYTES + CORRELATION_BYTES, asked, this.#keep));
  }
}

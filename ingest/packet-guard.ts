import type { Duplex } from 'node:stream';
import { StreamLayer } from './stream-layer.js';

const MOST_LENGTH_BYTES = 4;
/** What a client may leave unread: beyond it the client is cut off, since the broker would keep all of it in memory. */
const MOST_UNREAD_BYTES = 16 * 1024 * 1024;

type Written = (error: Error | null | undefined) => void;

/**
 * Stands between a client's socket and the broker, and ends the connection where a packet says that it is larger than any may be: MQTT 3.1.1 has no
 * other way to refuse one, and the broker's parser would keep all of it in memory first. Looks at lengths only (MQTT 3.1.1, 2.2.3).
 */
export class PacketGuard extends StreamLayer {
  readonly #bytes: { first: number; other: number };
  /** Of the packet in hand: the first is smaller, since nobody knows yet who sends it. */
  #mostBytes: number;
  readonly #onTooLarge: () => void;
  /** Bytes of the packet in hand that are still to come. */
  #rest = 0;
  /** Bytes of its length that were seen, or -1 before its first byte. */
  #lengthBytes = -1;
  #length = 0;

  constructor(inner: Duplex, bytes: { first: number; other: number }, onTooLarge: () => void) {
    super(inner, false);
    this.#bytes = bytes;
    this.#mostBytes = bytes.first;
    this.#onTooLarge = onTooLarge;
  }

  override write(chunk: unknown, encodingOrDone?: BufferEncoding | Written, done?: Written): boolean {
    if (this.writableLength + this.inner.writableLength > MOST_UNREAD_BYTES) {
      this.destroy();
      return false;
    }
    return typeof encodingOrDone === 'string' ? super.write(chunk, encodingOrDone, done) : super.write(chunk, encodingOrDone);
  }

  protected override pass(chunk: Buffer): void {
    if (!this.#allows(chunk)) {
      this.#onTooLarge();
      this.destroy();
    } else if (!this.push(chunk)) this.inner.pause();
  }

  #allows(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#rest > 0) {
        const n = Math.min(this.#rest, chunk.length - at);
        this.#rest -= n;
        at += n;
      } else if (this.#lengthBytes < 0) {
        this.#lengthBytes = 0;
        this.#length = 0;
        at++;
      } else {
        const byte = chunk[at++];
        this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++;
        if (byte < 0x80) {
          if (this.#length > this.#mostBytes) return false;
          this.#mostBytes = this.#bytes.other;
          this.#rest = this.#length;
          this.#lengthBytes = -1;
        } else if (this.#lengthBytes >= MOST_LENGTH_BYTES) return false;
      }
    }
    return true;
  }
}

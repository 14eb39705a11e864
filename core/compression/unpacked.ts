import { GruardError } from '../errors.js';

/** Of a batch of records, unpacked: brokers take 1 MiB packed unless told otherwise, and a few bytes can stand for gigabytes. */
export const MOST_UNPACKED_BYTES = 64 * 1024 * 1024;

const FIRST_GROWTH = 4;
/** A native copy costs more than a loop below this. */
const LOOPED_BYTES = 32;

export function malformed(codec: string): GruardError {
  return new GruardError('KAFKA_BATCH_UNREADABLE', `a record batch that is packed with ${codec} is malformed`);
}

export function tooLarge(codec: string, most: number): GruardError {
  return new GruardError('KAFKA_BATCH_UNREADABLE', `a record batch that is packed with ${codec} has more than ${most} bytes when unpacked`);
}

/** What the byte-wise codecs write: literals, and copies of what is already there. Never more than `most` bytes. */
export class Unpacked {
  #bytes: Buffer;
  n = 0;

  constructor(private readonly codec: string, packedBytes: number, private readonly most: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(most, packedBytes * FIRST_GROWTH + LOOPED_BYTES));
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.n);
  }

  /** Bytes [from, to) of `source`. */
  literals(source: Uint8Array, from: number, to: number): void {
    if (to > source.length) throw malformed(this.codec);
    this.#reserve(to - from);
    const bytes = this.#bytes;
    let n = this.n;
    if (to - from > LOOPED_BYTES) bytes.set(source.subarray(from, to), n);
    else for (let i = from; i < to; i++) bytes[n++] = source[i];
    this.n += to - from;
  }

  /** `length` bytes from `distance` back; what they write may be part of what they read. */
  copy(distance: number, length: number): void {
    if (!(distance > 0 && distance <= this.n)) throw malformed(this.codec);
    this.#reserve(length);
    const bytes = this.#bytes;
    let to = this.n;
    const end = to + length;
    if (length > LOOPED_BYTES && distance >= length) bytes.copyWithin(to, to - distance, end - distance);
    else for (let from = to - distance; to < end;) bytes[to++] = bytes[from++];
    this.n = end;
  }

  #reserve(more: number): void {
    const wanted = this.n + more;
    if (wanted <= this.#bytes.length) return;
    if (wanted > this.most) throw tooLarge(this.codec, this.most);
    const grown = Buffer.allocUnsafeSlow(Math.min(this.most, Math.max(wanted, 2 * this.#bytes.length)));
    grown.set(this.bytes);
    this.#bytes = grown;
  }
}

import type { IHeaders, KafkaMessage } from 'kafkajs';
import { CODEC_MASK, isKnownCodec, unpackRecords } from '../../core/compression/index.js';

/** What a broker sent of one partition: record batches as they stand in its log (Kafka protocol, "Record Batch", magic 2), the last of them perhaps cut off. */
export interface RecordSet {
  /** The offset that was asked for; batches may begin before it. */
  from: number;
  bytes: Buffer;
  /** Transactions that were aborted, whose records are in the log all the same; in order of `firstOffset`. */
  aborted: { producerId: bigint; firstOffset: number }[];
}

/** Records of one partition in order, in columns over the bytes they came in: nothing is built for a record. */
export interface RecordBlock {
  bytes: Buffer;
  n: number;
  /** [n]; they may have gaps (compaction, transactions). */
  offsets: Float64Array;
  /** [n] epoch ms; -1 where the message has none. */
  timesMs: Float64Array;
  /** [n * PLACES] for each record where key, value and headers are in `bytes`, at KEY, KEY_END, ...; a key or value that is null is at -1. */
  places: Int32Array;
}

export const PLACES = 5;
export const KEY = 0;
export const KEY_END = 1;
export const VALUE = 2;
export const VALUE_END = 3;
/** Where the headers' count is. */
export const HEADERS = 4;

const BASE_OFFSET = 0;
const LENGTH = 8;
const MAGIC = 16;
const ATTRIBUTES = 21;
const LAST_OFFSET_DELTA = 23;
const FIRST_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const PRODUCER_ID = 43;
const COUNT = 57;
const HEADER_BYTES = 61;
/** Bytes of a batch before those that its length counts. */
const OUTSIDE_BYTES = 12;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** Length, attributes, time, offset, key, value, headers: a byte each. */
const LEAST_RECORD_BYTES = 7;

/** The last offset of the batches that are whole; undefined where there is none, or one in an older form or an unknown codec, which are left to kafkajs. */
export function lastOffsetOf(bytes: Buffer): number | undefined {
  let last: number | undefined;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + OUTSIDE_BYTES + bytes.readInt32BE(at + LENGTH);
    if (bytes[at + MAGIC] !== 2 || !isKnownCodec(bytes.readInt16BE(at + ATTRIBUTES) & CODEC_MASK) || end < at + HEADER_BYTES) return undefined;
    if (end > bytes.length) break;
    last = int64(bytes, at + BASE_OFFSET) + bytes.readInt32BE(at + LAST_OFFSET_DELTA);
    at = end;
  }
  return last;
}

/** Records of the batches that are whole, at the most: what their headers say. */
function recordsIn(bytes: Buffer): number {
  let records = 0;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = OUTSIDE_BYTES + bytes.readInt32BE(at + LENGTH);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    records += Math.max(0, Math.min(bytes.readInt32BE(at + COUNT), Math.floor(length / LEAST_RECORD_BYTES)));
    at += length;
  }
  return records;
}

/** What a `read_committed` reader is given of a record set; a packed batch is unpacked when it is its turn. Throws where a record is malformed, or a batch cannot be unpacked. */
export async function* blocksOf({ from, bytes, aborted }: RecordSet): AsyncGenerator<RecordBlock> {
  const writer = new BlockWriter(from, recordsIn(bytes));
  const begun = new Set<bigint>();
  let next = 0;
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + OUTSIDE_BYTES + bytes.readInt32BE(at + LENGTH);
    if (end > bytes.length) break;
    const attributes = bytes.readInt16BE(at + ATTRIBUTES);
    const lastOffset = int64(bytes, at + BASE_OFFSET) + bytes.readInt32BE(at + LAST_OFFSET_DELTA);
    const producerId = bytes.readBigInt64BE(at + PRODUCER_ID);
    while (next < aborted.length && aborted[next].firstOffset <= lastOffset) begun.add(aborted[next++].producerId);
    if (attributes & CONTROL) {
      // The mark at the end of a transaction: what the producer writes from here on belongs to another one.
      begun.delete(producerId);
    } else if (lastOffset >= from && !(attributes & TRANSACTIONAL && begun.has(producerId))) {
      const codec = attributes & CODEC_MASK;
      if (codec !== 0) {
        if (writer.n > 0) yield writer.end(bytes);
        const unpacked = await unpackRecords(codec, bytes.subarray(at + HEADER_BYTES, end));
        writer.add(bytes, at, unpacked, 0, unpacked.length);
        if (writer.n > 0) yield writer.end(unpacked);
      } else {
        writer.add(bytes, at, bytes, at + HEADER_BYTES, end);
      }
    }
    at = end;
  }
  if (writer.n > 0) yield writer.end(bytes);
}

/** The same from messages that kafkajs has read. */
export function blockOfMessages(messages: readonly KafkaMessage[]): RecordBlock {
  const n = messages.length;
  const block: RecordBlock = { bytes: Buffer.alloc(0), n, offsets: new Float64Array(n), timesMs: new Float64Array(n), places: new Int32Array(n * PLACES) };
  const pieces: Buffer[] = [];
  let at = 0;
  const put = (piece: Buffer): number => {
    pieces.push(piece);
    at += piece.length;
    return at;
  };
  messages.forEach(({ key, value, headers, offset, timestamp }, i) => {
    block.offsets[i] = Number(offset);
    block.timesMs[i] = Number(timestamp);
    const to = i * PLACES;
    block.places[to + KEY] = key === null ? -1 : at;
    block.places[to + KEY_END] = key === null ? -1 : put(key);
    block.places[to + VALUE] = value === null ? -1 : at;
    block.places[to + VALUE_END] = value === null ? -1 : put(value);
    block.places[to + HEADERS] = at;
    put(headerBytes(headers ?? {}));
  });
  block.bytes = Buffer.concat(pieces);
  return block;
}

/** A name that comes more than once has a list of values, as kafkajs gives it. */
export function headersOf({ bytes, places }: RecordBlock, i: number): IHeaders {
  const reader = new VarInts(bytes, places[i * PLACES + HEADERS], bytes.length);
  const headers = new Map<string, Buffer | Buffer[]>();
  for (let left = reader.int(); left > 0; left--) {
    const name = reader.bytes()!.toString();
    const value = reader.bytes() ?? Buffer.alloc(0);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]);
  }
  return Object.fromEntries(headers);
}

export function hasHeaders({ bytes, places }: RecordBlock, i: number): boolean {
  return bytes[places[i * PLACES + HEADERS]] !== 0;
}

export function keyOf({ bytes, places }: RecordBlock, i: number): Buffer | null {
  const at = i * PLACES;
  return places[at + KEY] < 0 ? null : bytes.subarray(places[at + KEY], places[at + KEY_END]);
}

export function valueOf({ bytes, places }: RecordBlock, i: number): Buffer | null {
  const at = i * PLACES;
  return places[at + VALUE] < 0 ? null : bytes.subarray(places[at + VALUE], places[at + VALUE_END]);
}

/** Fills the columns of one block after another. */
class BlockWriter {
  #capacity = 0;
  #offsets = new Float64Array(0);
  #timesMs = new Float64Array(0);
  #places = new Int32Array(0);
  n = 0;

  /** `expected` records are made room for at once. */
  constructor(private readonly from: number, private readonly expected: number) {}

  /** Takes the records [at, end) of `bytes`, of the batch whose header is at `head` of `heads`. */
  add(heads: Buffer, head: number, bytes: Buffer, start: number, end: number): void {
    const count = heads.readInt32BE(head + COUNT);
    if (count < 0 || count * LEAST_RECORD_BYTES > end - start) throw malformed();
    this.#reserve(this.n + count);
    const baseOffset = int64(heads, head + BASE_OFFSET);
    const appendedMs = heads.readInt16BE(head + ATTRIBUTES) & LOG_APPEND_TIME ? int64(heads, head + MAX_TIMESTAMP) : undefined;
    const firstMs = int64(heads, head + FIRST_TIMESTAMP);
    const reader = new VarInts(bytes, start, end);
    for (let i = 0; i < count; i++) {
      const length = reader.int();
      const next = reader.at + length;
      if (!(length >= LEAST_RECORD_BYTES - 1 && next <= end)) throw malformed();
      reader.at++;
      const delta = reader.long();
      const offset = baseOffset + reader.int();
      const n = this.n;
      const to = n * PLACES;
      const places = this.#places;
      const keyLength = reader.int();
      places[to + KEY] = keyLength < 0 ? -1 : reader.at;
      if (keyLength > 0) reader.at += keyLength;
      places[to + KEY_END] = keyLength < 0 ? -1 : reader.at;
      const valueLength = reader.int();
      places[to + VALUE] = valueLength < 0 ? -1 : reader.at;
      if (valueLength > 0) reader.at += valueLength;
      places[to + VALUE_END] = valueLength < 0 ? -1 : reader.at;
      places[to + HEADERS] = reader.at;
      if (reader.at >= next) throw malformed();
      reader.at = next;
      // Batches are sent whole, whatever offset in them was asked for.
      if (offset < this.from) continue;
      this.#offsets[n] = offset;
      this.#timesMs[n] = appendedMs ?? firstMs + delta;
      this.n = n + 1;
    }
  }

  end(bytes: Buffer): RecordBlock {
    const n = this.n;
    const block = { bytes, n, offsets: this.#offsets.subarray(0, n), timesMs: this.#timesMs.subarray(0, n), places: this.#places };
    this.n = 0;
    this.#capacity = 0;
    return block;
  }

  #reserve(rows: number): void {
    if (rows <= this.#capacity) return;
    const capacity = Math.max(rows, 2 * this.#capacity, this.expected);
    const [offsets, timesMs, places] = [new Float64Array(capacity), new Float64Array(capacity), new Int32Array(capacity * PLACES)];
    if (this.n > 0) {
      offsets.set(this.#offsets.subarray(0, this.n));
      timesMs.set(this.#timesMs.subarray(0, this.n));
      places.set(this.#places.subarray(0, this.n * PLACES));
    }
    this.#capacity = capacity;
    this.#offsets = offsets;
    this.#timesMs = timesMs;
    this.#places = places;
  }
}

/** Zigzag numbers of seven bits a byte, the lowest first. */
class VarInts {
  constructor(private readonly p: Buffer, public at: number, private readonly end: number) {}

  int(): number {
    const p = this.p;
    let byte = p[this.at++];
    let value = byte & 0x7f;
    for (let shift = 7; byte >= 0x80; shift += 7) {
      if (shift > 28 || this.at >= this.end) throw malformed();
      byte = p[this.at++];
      value |= (byte & 0x7f) << shift;
    }
    return (value >>> 1) ^ -(value & 1);
  }

  /** Of 64 bits; exact up to 2^53. */
  long(): number {
    const p = this.p;
    let byte = p[this.at++];
    let value = byte & 0x7f;
    for (let scale = 128; byte >= 0x80; scale *= 128) {
      if (scale > 2 ** 63 || this.at >= this.end) throw malformed();
      byte = p[this.at++];
      value += (byte & 0x7f) * scale;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bytes(): Buffer | null {
    const length = this.int();
    if (length < 0) return null;
    const from = this.at;
    this.at += length;
    if (this.at > this.end) throw malformed();
    return this.p.subarray(from, this.at);
  }
}

function malformed(): Error {
  return new Error('a record batch from the broker is malformed');
}

/** Offsets and times are below 2^53. */
function int64(p: Buffer, at: number): number {
  return p.readInt32BE(at) * 2 ** 32 + p.readUInt32BE(at + 4);
}

function headerBytes(headers: IHeaders): Buffer {
  const pairs = Object.entries(headers).flatMap(([name, value]) => (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((one) => [Buffer.from(name), Buffer.from(one)]));
  return Buffer.concat([varInt(pairs.length), ...pairs.flatMap(([name, value]) => [varInt(name.length), name, varInt(value.length), value])]);
}

export function varInt(value: number): Buffer {
  const bytes: number[] = [];
  let left = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

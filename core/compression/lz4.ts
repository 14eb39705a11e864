import { malformed, Unpacked } from './unpacked.js';

/** LZ4 ("LZ4 Frame Format Description", "LZ4 Block Format Description"). Checksums are not looked at: a record batch has its own. */
const NAME = 'LZ4';
const MAGIC = 0x184d2204;
const MAGIC_BYTES = 4;
/** Skipped, with a size behind it. */
const SKIPPED_MAGIC = 0x184d2a50;
const SKIPPED_MASK = 0xfffffff0;
const SIZE_BYTES = 4;
const HEAD_CHECKSUM_BYTES = 1;
const CHECKSUM_BYTES = 4;
const BLOCK_CHECKSUM = 0x10;
const CONTENT_SIZE = 0x08;
const CONTENT_CHECKSUM = 0x04;
const DICTIONARY = 0x01;
const AS_IT_IS = 0x80000000;
const LEAST_MATCH = 4;
const DISTANCE_BYTES = 2;

/** Throws KAFKA_BATCH_UNREADABLE. */
export function unpackLz4(packed: Buffer, most: number): Buffer {
  const unpacked = new Unpacked(NAME, packed.length, most);
  for (let at = 0; at < packed.length;) {
    const magic = uint32(packed, at);
    at += MAGIC_BYTES;
    if (((magic & SKIPPED_MASK) >>> 0) === SKIPPED_MAGIC) at += SIZE_BYTES + uint32(packed, at);
    else if (magic === MAGIC) at = frame(packed, at, unpacked);
    else throw malformed(NAME);
  }
  return unpacked.bytes;
}

/** Returns where it ends. */
function frame(packed: Buffer, start: number, unpacked: Unpacked): number {
  const flags = packed[start];
  if (flags >>> 6 !== 1 || flags & DICTIONARY) throw malformed(NAME);
  // Flags and block size.
  let at = start + 2 + (flags & CONTENT_SIZE ? 8 : 0) + HEAD_CHECKSUM_BYTES;
  for (;;) {
    const size = uint32(packed, at);
    at += SIZE_BYTES;
    if (size === 0) return at + (flags & CONTENT_CHECKSUM ? CHECKSUM_BYTES : 0);
    const end = at + (size & ~AS_IT_IS);
    if (end > packed.length) throw malformed(NAME);
    if (size & AS_IT_IS) unpacked.literals(packed, at, end);
    else block(packed, at, end, unpacked);
    at = end + (flags & BLOCK_CHECKSUM ? CHECKSUM_BYTES : 0);
  }
}

/** Literals and a copy, again and again; literals alone at the end. */
function block(packed: Buffer, start: number, end: number, unpacked: Unpacked): void {
  let at = start;
  while (at < end) {
    const token = packed[at++];
    let length = token >>> 4;
    if (length === 15) {
      for (let byte = 255; byte === 255; length += byte) {
        if (at >= end) throw malformed(NAME);
        byte = packed[at++];
      }
    }
    if (at + length > end) throw malformed(NAME);
    unpacked.literals(packed, at, at + length);
    at += length;
    if (at === end) return;
    if (at + DISTANCE_BYTES > end) throw malformed(NAME);
    const distance = packed[at] | (packed[at + 1] << 8);
    at += DISTANCE_BYTES;
    length = (token & 15) + LEAST_MATCH;
    if (length === 15 + LEAST_MATCH) {
      for (let byte = 255; byte === 255; length += byte) {
        if (at >= end) throw malformed(NAME);
        byte = packed[at++];
      }
    }
    unpacked.copy(distance, length);
  }
}

function uint32(packed: Buffer, at: number): number {
  if (at + SIZE_BYTES > packed.length) throw malformed(NAME);
  return packed.readUInt32LE(at);
}

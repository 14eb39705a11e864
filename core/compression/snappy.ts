import { malformed, tooLarge, Unpacked } from './unpacked.js';

/**
 * Snappy (its "format description"), as Kafka's clients send it: those of Java in the frame of snappy-java, which is a head and then blocks with their size (INT32, high byte first) in front;
 * librdkafka's as one bare block.
 */
const NAME = 'snappy';
const FRAME = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
/** With its two version numbers. */
const FRAME_HEAD_BYTES = FRAME.length + 8;
const SIZE_BYTES = 4;

/** Throws KAFKA_BATCH_UNREADABLE. */
export function unpackSnappy(packed: Buffer, most: number): Buffer {
  const unpacked = new Unpacked(NAME, packed.length, most);
  if (!isHead(packed, 0)) {
    block(packed, 0, packed.length, unpacked, most);
    return unpacked.bytes;
  }
  for (let at = FRAME_HEAD_BYTES; at < packed.length;) {
    // Streams that were put one behind the other.
    if (isHead(packed, at)) {
      at += FRAME_HEAD_BYTES;
      continue;
    }
    if (at + SIZE_BYTES > packed.length) throw malformed(NAME);
    const end = at + SIZE_BYTES + packed.readUInt32BE(at);
    if (end > packed.length) throw malformed(NAME);
    block(packed, at + SIZE_BYTES, end, unpacked, most);
    at = end;
  }
  return unpacked.bytes;
}

function isHead(packed: Buffer, at: number): boolean {
  return packed.length - at >= FRAME_HEAD_BYTES && packed.compare(FRAME, 0, FRAME.length, at, at + FRAME.length) === 0;
}

/** The size of what comes out, as seven bits a byte, and then elements: their kind is in the low two bits of the first byte. */
function block(packed: Buffer, start: number, end: number, unpacked: Unpacked, most: number): void {
  let at = start;
  let size = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = packed[at++];
    if (at > end || scale > 2 ** 28) throw malformed(NAME);
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  const from = unpacked.n;
  if (from + size > most) throw tooLarge(NAME, most);
  while (at < end) {
    const tag = packed[at++];
    const high = tag >>> 2;
    let distance: number;
    let length = high + 1;
    switch (tag & 3) {
      case 0: {
        if (high >= 60) {
          const bytes = high - 59;
          if (at + bytes > end) throw malformed(NAME);
          length = packed.readUIntLE(at, bytes) + 1;
          at += bytes;
        }
        if (at + length > end) throw malformed(NAME);
        unpacked.literals(packed, at, at + length);
        at += length;
        continue;
      }
      case 1:
        length = (high & 7) + 4;
        distance = ((tag & 0xe0) << 3) | packed[at];
        at += 1;
        break;
      case 2:
        distance = packed[at] | (packed[at + 1] << 8);
        at += 2;
        break;
      default:
        distance = (packed[at] | (packed[at + 1] << 8) | (packed[at + 2] << 16) | (packed[at + 3] << 24)) >>> 0;
        at += 4;
    }
    // A block looks back into itself only.
    if (at > end || distance > unpacked.n - from) throw malformed(NAME);
    unpacked.copy(distance, length);
  }
  if (unpacked.n - from !== size) throw malformed(NAME);
}

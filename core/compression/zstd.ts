import * as zlib from 'node:zlib';
import { ZSTDDecoder } from 'zstddec';
import { malformed, tooLarge } from './unpacked.js';

/** Zstandard (RFC 8878): by Node's own zlib where it has it (22.15 and later), else by the reference decoder as WebAssembly. */
const NAME = 'zstd';
const MAGIC = 0xfd2fb528;
const MAGIC_BYTES = 4;
const SKIPPED_MAGIC = 0x184d2a50;
const SKIPPED_MASK = 0xfffffff0;
const SIZE_BYTES = 4;
const BLOCK_HEAD_BYTES = 3;
const CHECKSUM_BYTES = 4;
const LARGEST_BLOCK_BYTES = 128 * 1024;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const CONTENT_BYTES = [0, 2, 4, 8];
const AS_IT_IS = 0;
const REPEATED = 1;
const RESERVED = 3;

type Native = (packed: Buffer, options: { maxOutputLength: number }, done: (error: NodeJS.ErrnoException | null, bytes: Buffer) => void) => void;
/** Not in the types of the oldest Node that is supported. */
const native = (zlib as unknown as { zstdDecompress?: Native }).zstdDecompress;

let decoder: Promise<ZSTDDecoder> | undefined;

/** Rejects with KAFKA_BATCH_UNREADABLE. */
export async function unpackZstd(packed: Buffer, most: number, isNative = native !== undefined): Promise<Buffer> {
  if (isNative) return unpackNatively(packed, most);
  const bound = mostOf(packed);
  if (bound > most) throw tooLarge(NAME, most);
  if (bound === 0) return Buffer.alloc(0);
  decoder ??= openDecoder();
  const bytes = (await decoder).decode(packed, bound);
  // The decoder says no more of an error; no producer packs nothing into a block.
  if (bytes.length === 0) throw malformed(NAME);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

async function openDecoder(): Promise<ZSTDDecoder> {
  const opened = new ZSTDDecoder();
  await opened.init();
  return opened;
}

function unpackNatively(packed: Buffer, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    native!(packed, { maxOutputLength: most }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error.code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(NAME, most) : malformed(NAME));
    });
  });
}

/** So much comes out at the most: from the heads of the blocks, since a head of the frame may be silent on that, or lie. */
function mostOf(packed: Buffer): number {
  let most = 0;
  for (let at = 0; at < packed.length;) {
    need(packed, at, MAGIC_BYTES + SIZE_BYTES);
    const magic = packed.readUInt32LE(at);
    at += MAGIC_BYTES;
    if (((magic & SKIPPED_MASK) >>> 0) === SKIPPED_MAGIC) {
      at += SIZE_BYTES + packed.readUInt32LE(at);
      continue;
    }
    if (magic !== MAGIC) throw malformed(NAME);
    const flags = packed[at];
    const single = (flags >>> 5) & 1;
    at += 1 + (1 - single) + DICTIONARY_BYTES[flags & 3] + (flags >>> 6 === 0 ? single : CONTENT_BYTES[flags >>> 6]);
    for (let last = false; !last;) {
      need(packed, at, BLOCK_HEAD_BYTES);
      const head = packed.readUIntLE(at, BLOCK_HEAD_BYTES);
      const kind = (head >>> 1) & 3;
      const size = head >>> 3;
      if (kind === RESERVED) throw malformed(NAME);
      last = (head & 1) === 1;
      most += kind === AS_IT_IS || kind === REPEATED ? size : LARGEST_BLOCK_BYTES;
      at += BLOCK_HEAD_BYTES + (kind === REPEATED ? 1 : size);
    }
    if (flags & 4) at += CHECKSUM_BYTES;
    if (at > packed.length) throw malformed(NAME);
  }
  return most;
}

function need(packed: Buffer, at: number, bytes: number): void {
  if (at + bytes > packed.length) throw malformed(NAME);
}

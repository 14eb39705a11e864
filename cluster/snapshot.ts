import { promisify } from 'node:util';
import { crc32, gunzip, gzip } from 'node:zlib';
import type { Cell, CellDocument } from './cell.js';
import { openFile, type ShardHead } from '../store/shard.js';

/**
 * A snapshot of a cell as bytes: gzip over
 *
 *   0  u32 bytes of the document   4  u32 bytes of the recent readings   8  document (JSON), recent readings, shard (store/shard.ts)
 */
const pack = promisify(gzip);
const unpack = promisify(gunzip);
const HEAD_BYTES = 8;

/** The bytes of `Cell.save`, made smaller off the main thread. */
export async function packSnapshot({ head, recent, shard }: ReturnType<Cell['save']>): Promise<Buffer> {
  const document = Buffer.from(JSON.stringify(head));
  const front = Buffer.alloc(HEAD_BYTES);
  front.writeUInt32LE(document.length, 0);
  front.writeUInt32LE(recent.length, 4);
  return pack(Buffer.concat([front, document, recent, ...shard]), { level: 1 });
}

/** Puts a snapshot into a cell that has seen nothing. Returns the parts that begin afresh; undefined where the bytes are not those that were written. */
export async function unpackSnapshot(bytes: Buffer, sum: number, into: Cell): Promise<string[] | undefined> {
  if (crc32(bytes) !== sum) return undefined;
  const whole: Buffer = await unpack(bytes);
  const documentEnd = HEAD_BYTES + whole.readUInt32LE(0);
  const recentEnd = documentEnd + whole.readUInt32LE(4);
  // A copy: its parts are read as doubles, which have to be aligned.
  const shard = openFile('snapshot', new Uint8Array(whole.subarray(recentEnd)));
  if (!shard?.body) return undefined;
  const head = JSON.parse(whole.toString('utf8', HEAD_BYTES, documentEnd)) as CellDocument;
  return into.restore(head, whole.subarray(documentEnd, recentEnd), shard.head as ShardHead, shard.body);
}

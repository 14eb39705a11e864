import kafkajs from 'kafkajs';
import { gunzip, gzip } from 'node:zlib';
import { promisify } from 'node:util';
import { unpackLz4 } from './lz4.js';
import { unpackSnappy } from './snappy.js';
import { malformed, MOST_UNPACKED_BYTES, tooLarge } from './unpacked.js';
import { unpackZstd } from './zstd.js';

/** How the records of a batch are packed: the lowest three bits of its attributes (Kafka protocol, "Record Batch"). */
export const CODEC_MASK = 0x07;
const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;
const CODECS = [GZIP, SNAPPY, LZ4, ZSTD] as const;

/** Whether `unpackRecords` knows it, or there is nothing to unpack. */
export function isKnownCodec(codec: number): boolean {
  return codec <= ZSTD;
}

/** The records of a batch. Rejects with KAFKA_BATCH_UNREADABLE where they are malformed or would be more than `most` bytes. */
export async function unpackRecords(codec: number, packed: Buffer, most = MOST_UNPACKED_BYTES): Promise<Buffer> {
  switch (codec) {
    case GZIP: return unpackGzip(packed, most);
    case SNAPPY: return unpackSnappy(packed, most);
    case LZ4: return unpackLz4(packed, most);
    case ZSTD: return unpackZstd(packed, most);
    default: throw malformed(`codec ${codec}`);
  }
}

async function unpackGzip(packed: Buffer, most: number): Promise<Buffer> {
  try {
    return await promisify(gunzip)(packed, { maxOutputLength: most });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge('gzip', most) : malformed('gzip');
  }
}

/** kafkajs brings gzip only, and without a bound. What we write is packed with gzip or not at all. */
export function teachKafkajs(): void {
  const packGzip = promisify(gzip);
  for (const codec of CODECS) {
    kafkajs.CompressionCodecs[codec] = () => ({
      compress: ({ buffer }: { buffer: Buffer }): Promise<Buffer> => (codec === GZIP ? packGzip(buffer) : Promise.reject(new Error('records are packed with gzip only'))),
      decompress: (packed: Buffer): Promise<Buffer> => unpackRecords(codec, packed),
    });
  }
}

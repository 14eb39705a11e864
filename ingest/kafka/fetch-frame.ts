import { lastOffsetOf, varInt, type RecordSet } from './records.js';

/** API key and version of the fetches that are read here: what kafkajs sends to every broker since Kafka 2.3. Layouts: the Kafka protocol guide, "Fetch API". */
export const FETCH = 1;
export const FETCH_VERSION = 11;

const RECORDS_MARK_BYTES = 4;
const MAGIC = 2;

/** The offset that is asked for, by TOPIC/PARTITION. `request` begins behind the correlation id. Empty where it cannot be read. */
export function offsetsAsked(request: Buffer): Map<string, number> {
  const asked = new Map<string, number>();
  try {
    const r = new Reader(request);
    r.string(); // client id
    r.at += 4 + 4 + 4 + 4 + 1 + 4 + 4; // replica, max wait, min bytes, max bytes, isolation, session id, session epoch
    for (let topics = r.int32(); topics > 0; topics--) {
      const topic = r.string();
      for (let partitions = r.int32(); partitions > 0; partitions--) {
        const partition = r.int32();
        r.at += 4; // leader epoch
        asked.set(`${topic}/${partition}`, r.int64());
        r.at += 8 + 4; // log start, max bytes
      }
    }
  } catch {
    asked.clear();
  }
  return asked;
}

/**
 * The same answer with one record for each partition's records, which `keep` is given and names. `start` is where the answer begins in its frame. What cannot be read stays
 * as it is.
 */
export function replaceRecords(frame: Buffer, start: number, asked: ReadonlyMap<string, number>, keep: (topic: string, partition: number, set: RecordSet) => { key: Buffer; value: Buffer }): Buffer {
  const pieces: Buffer[] = [];
  let copied = 0;
  try {
    const r = new Reader(frame, start);
    r.at += 4 + 2 + 4; // throttle time, error, session id
    for (let topics = r.int32(); topics > 0; topics--) {
      const topic = r.string();
      for (let partitions = r.int32(); partitions > 0; partitions--) {
        const partition = r.int32();
        r.at += 2 + 8 + 8 + 8; // error, high watermark, last stable offset, log start
        const abortedFrom = r.at;
        const aborted: RecordSet['aborted'] = [];
        for (let left = r.int32(); left > 0; left--) aborted.push({ producerId: r.bigint64(), firstOffset: r.int64() });
        const abortedTo = r.at;
        r.at += 4; // preferred read replica
        const size = r.int32();
        if (size <= 0) continue;
        const bytes = r.bytes(size);
        const from = asked.get(`${topic}/${partition}`);
        const last = from === undefined ? undefined : lastOffsetOf(bytes);
        if (last === undefined) continue;
        aborted.sort((a, b) => a.firstOffset - b.firstOffset);
        const one = oneRecord(last, keep(topic, partition, { from: from!, bytes, aborted }));
        // No transaction is left for kafkajs to look for.
        pieces.push(frame.subarray(copied, abortedFrom), int32(0), frame.subarray(abortedTo, abortedTo + 4), int32(one.length), one);
        copied = r.at;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return frame;
  }
  if (copied === 0) return frame;
  pieces.push(frame.subarray(copied));
  const replaced = Buffer.concat(pieces);
  replaced.writeInt32BE(replaced.length - RECORDS_MARK_BYTES, 0);
  return replaced;
}

/** A record batch with one record at this offset. */
function oneRecord(offset: number, { key, value }: { key: Buffer; value: Buffer }): Buffer {
  const body = Buffer.concat([Buffer.from([0]), varInt(0), varInt(0), varInt(key.length), key, varInt(value.length), value, varInt(0)]);
  const record = Buffer.concat([varInt(body.length), body]);
  const head = Buffer.alloc(61);
  head.writeBigInt64BE(BigInt(offset), 0);
  head.writeInt32BE(head.length - 12 + record.length, 8);
  head[16] = MAGIC;
  head.writeBigInt64BE(-1n, 43); // no producer
  head.writeInt16BE(-1, 51);
  head.writeInt32BE(-1, 53);
  head.writeInt32BE(1, 57);
  return Buffer.concat([head, record]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Throws RangeError past the end. */
class Reader {
  constructor(private readonly p: Buffer, public at = 0) {}

  int32(): number {
    this.at += 4;
    return this.p.readInt32BE(this.at - 4);
  }

  bigint64(): bigint {
    this.at += 8;
    return this.p.readBigInt64BE(this.at - 8);
  }

  int64(): number {
    return Number(this.bigint64());
  }

  /** '' for null. */
  string(): string {
    const length = this.p.readInt16BE(this.at);
    this.at += 2;
    return length <= 0 ? '' : this.bytes(length).toString();
  }

  bytes(length: number): Buffer {
    if (this.at + length > this.p.length) throw new RangeError('past the end of the frame');
    this.at += length;
    return this.p.subarray(this.at - length, this.at);
  }
}

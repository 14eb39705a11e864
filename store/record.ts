import { crc32 } from 'node:zlib';
import { Batch, type Control, type Declaration, type SourcePosition } from '../core/batch.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { AnomalyEvent, HealthVerdict } from '../core/event.js';

/**
 * A record of the journal: one batch. Little-endian; every column starts at a multiple of 8, so that encoding and decoding copy whole columns.
 *
 *   frame    0  u32  MAGIC, with the format version in its last byte
 *            4  u32  bytes of the payload (a multiple of 8)
 *            8  u32  CRC-32 of frame (with this field 0) and payload
 *           12  u32  how many records of the same commit come before this one
 *           16  f64  sequence
 *   payload 24  u32  rows n
 *           28  u32  bytes of the JSON at the end, 0 where there is none
 *           32  f64  nowMs
 *           40  f64[n] timestampMs, value, yhat, yhatLower, yhatUpper, anomalyScore
 *               u32[n] seriesId; u8[n] flags; JSON (declarations, controls, events, verdicts, positions); each padded to 8
 *
 * The slot is not stored: it means nothing in another process. The CRC is zlib's, which Node runs in SIMD (three times as fast as CRC-32C in JavaScript).
 */
export const FORMAT_VERSION = 1;
export const FRAME_BYTES = 24;
const MAGIC = 0x00_4a_52_47 + FORMAT_VERSION * 0x1_00_00_00;
const MAGIC_NAME = 0x4a_52_47;
const PAYLOAD_HEAD_BYTES = 16;
const ROW_COLUMNS_F64 = 6;
/** No record may be larger; what claims to be is damaged. */
export const MAX_RECORD_BYTES = 256 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const padded = (bytes: number): number => (bytes + 7) & ~7;
const columnBytes = (rows: number): number => rows * 8 * ROW_COLUMNS_F64 + padded(rows * 4) + padded(rows);

/** The rare parts of a batch, as JSON. */
interface RareParts {
  declarations?: Declaration[];
  controls?: Control[];
  events?: AnomalyEvent[];
  verdicts?: HealthVerdict[];
  positions?: SourcePosition[];
}

function rareParts(batch: Batch): Uint8Array | undefined {
  const rare: RareParts = {};
  if (batch.declarations.length > 0) rare.declarations = batch.declarations;
  if (batch.controls.length > 0) rare.controls = batch.controls;
  if (batch.events.length > 0) rare.events = batch.events;
  if (batch.verdicts.length > 0) rare.verdicts = batch.verdicts;
  if (batch.positions.length > 0) rare.positions = batch.positions;
  return Object.keys(rare).length > 0 ? encoder.encode(JSON.stringify(rare)) : undefined;
}

/** The batch as a record whose frame is still to be sealed (`sealFrame`). The batch may be used again at once. */
export function encodeRecord(batch: Batch): Uint8Array {
  const n = batch.n;
  const rare = rareParts(batch);
  const rareBytes = rare?.length ?? 0;
  const bytes = new Uint8Array(FRAME_BYTES + PAYLOAD_HEAD_BYTES + columnBytes(n) + padded(rareBytes));
  const view = new DataView(bytes.buffer);
  view.setUint32(24, n, true);
  view.setUint32(28, rareBytes, true);
  view.setFloat64(32, batch.nowMs, true);
  let at = FRAME_BYTES + PAYLOAD_HEAD_BYTES;
  for (const column of [batch.timestampMs, batch.value, batch.yhat, batch.yhatLower, batch.yhatUpper, batch.anomalyScore]) {
    new Float64Array(bytes.buffer, at, n).set(column.subarray(0, n));
    at += n * 8;
  }
  new Uint32Array(bytes.buffer, at, n).set(batch.seriesId.subarray(0, n));
  at += padded(n * 4);
  bytes.set(batch.flags.subarray(0, n), at);
  at += padded(n);
  if (rare) bytes.set(rare, at);
  return bytes;
}

/** Writes the frame. `before` is how many records of the same commit come first. */
export function sealFrame(record: Uint8Array, sequence: number, before: number): void {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, record.length - FRAME_BYTES, true);
  view.setUint32(8, 0, true);
  view.setUint32(12, before, true);
  view.setFloat64(16, sequence, true);
  view.setUint32(8, crc32(record), true);
}

/** A whole record found in bytes; `record` is a view. */
export interface Frame {
  sequence: number;
  /** The sequence of the first record of the commit that this one belongs to. */
  commitFirst: number;
  record: Uint8Array;
}

/** Every version keeps the first 24 bytes as they are. What stands at an offset: a record; `short` where more bytes are needed to tell (`needs` in all, counted from the offset); or nothing valid. */
export type FrameRead = { kind: 'frame'; frame: Frame } | { kind: 'short'; needs: number } | { kind: 'invalid' } | { kind: 'version'; version: number };

/** Reads the frame at `at`, a multiple of 8. The CRC is checked. */
export function readFrame(bytes: Uint8Array, at: number): FrameRead {
  if (bytes.length - at < FRAME_BYTES) return { kind: 'short', needs: FRAME_BYTES };
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
  const magic = view.getUint32(0, true);
  if ((magic & 0xff_ff_ff) !== MAGIC_NAME) return { kind: 'invalid' };
  const payloadBytes = view.getUint32(4, true);
  const sequence = view.getFloat64(16, true);
  const before = view.getUint32(12, true);
  if (payloadBytes % 8 !== 0 || payloadBytes < PAYLOAD_HEAD_BYTES || payloadBytes > MAX_RECORD_BYTES) return { kind: 'invalid' };
  if (!Number.isSafeInteger(sequence) || sequence < before) return { kind: 'invalid' };
  if (bytes.length - at < FRAME_BYTES + payloadBytes) return { kind: 'short', needs: FRAME_BYTES + payloadBytes };
  const record = bytes.subarray(at, at + FRAME_BYTES + payloadBytes);
  let crc = crc32(record.subarray(0, 8));
  crc = crc32(ZERO_FIELD, crc);
  crc = crc32(record.subarray(12), crc);
  if (crc !== view.getUint32(8, true)) return { kind: 'invalid' };
  // Only now: a flipped bit in the version byte is damage, not another version.
  if (magic !== MAGIC) return { kind: 'version', version: magic >>> 24 };
  return { kind: 'frame', frame: { sequence, commitFirst: sequence - before, record } };
}

const ZERO_FIELD = new Uint8Array(4);

/** The first offset from `at` on, a multiple of 8, at which a frame could begin; the length of `bytes` where there is none. */
export function nextMagic(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = at; i + 4 <= bytes.length; i += 8) {
    if (view.getUint32(i, true) === MAGIC) return i;
  }
  return bytes.length;
}

/** Rows of a sealed record, without decoding it. */
export function rowsOf(record: Uint8Array): number {
  return new DataView(record.buffer, record.byteOffset).getUint32(24, true);
}

/**
 * Appends what a record holds to a batch: rows after those that are there, the rare parts after theirs; nowMs is the record's. Slots are left 0.
 * The batch must have room (`rowsOf`). Throws JOURNAL_DAMAGED where the record does not hold together.
 */
export function decodeRecord(record: Uint8Array, batch: Batch): void {
  const source = (record.byteOffset % 8 === 0) ? record : record.slice();
  const view = new DataView(source.buffer, source.byteOffset, source.length);
  const n = view.getUint32(24, true);
  const rareBytes = view.getUint32(28, true);
  if (source.length !== FRAME_BYTES + PAYLOAD_HEAD_BYTES + columnBytes(n) + padded(rareBytes)) {
    throw new GruardError('JOURNAL_DAMAGED', 'a record of the journal has columns of the wrong length');
  }
  let at = source.byteOffset + FRAME_BYTES + PAYLOAD_HEAD_BYTES;
  const first = batch.n;
  for (const column of [batch.timestampMs, batch.value, batch.yhat, batch.yhatLower, batch.yhatUpper, batch.anomalyScore]) {
    column.set(new Float64Array(source.buffer, at, n), first);
    at += n * 8;
  }
  batch.seriesId.set(new Uint32Array(source.buffer, at, n), first);
  at += padded(n * 4);
  batch.flags.set(new Uint8Array(source.buffer, at, n), first);
  at += padded(n);
  batch.slot.fill(0, first, first + n);
  batch.n = first + n;
  batch.nowMs = view.getFloat64(32, true);
  if (rareBytes > 0) addRareParts(new Uint8Array(source.buffer, at, rareBytes), batch);
}

function addRareParts(json: Uint8Array, batch: Batch): void {
  let rare: RareParts;
  try {
    rare = JSON.parse(decoder.decode(json)) as RareParts;
  } catch (cause) {
    throw new GruardError('JOURNAL_DAMAGED', `a record of the journal cannot be read: ${messageOf(cause)}`, { cause });
  }
  batch.declarations.push(...rare.declarations ?? []);
  batch.controls.push(...rare.controls ?? []);
  batch.events.push(...rare.events ?? []);
  batch.verdicts.push(...rare.verdicts ?? []);
  batch.positions.push(...rare.positions ?? []);
}

import { crc32 } from 'node:zlib';
import { GruardError } from '../core/errors.js';
import type { Device, Fleet, RetiredSeries } from '../core/fleet.js';
import type { DocumentPart, StatePart } from '../core/state.js';

/**
 * A snapshot file: the devices whose ids fall into one range, with their series and everything that the parts keep of them.
 *
 *   0  u32 MAGIC with the format version in its last byte     8  u32 CRC-32 of the JSON     16  f64 bytes of the body
 *   4  u32 bytes of the JSON                                 12  u32 CRC-32 of the body     24  JSON (ShardHead), padded to 8; then the body:
 *      for each device of the JSON, in order: its bytes of each device part; then, for each of its series, the bytes of each series part
 *
 * Two sums, so that damaged state costs the state (the series warm up again) and not the names.
 */
export const SHARD_FORMAT_VERSION = 1;
const MAGIC_NAME = 0x53_52_47;
const HEAD_BYTES = 24;

export interface ShardHead {
  /** The journal sequence up to which the state has seen everything. */
  sequence: number;
  nextIds: { device: number; series: number };
  parts: { name: string; version: number; per: 'series' | 'device'; bytesPerSlot: number }[];
  documents: { name: string; version: number }[];
  devices: ShardDevice[];
  retired: RetiredSeries[];
}

interface ShardDevice {
  id: number;
  name: string;
  tags: Readonly<Record<string, string>>;
  firstSeenMs: number;
  lastSeenMs: number;
  metrics: string[];
  seriesIds: number[];
  /** By document name. */
  documents: Record<string, unknown>;
}

/** Everything that a snapshot is made of. */
export interface StateParts {
  fleet: Fleet;
  parts: readonly StatePart[];
  documents: readonly DocumentPart[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const padded = (bytes: number): number => (bytes + 7) & ~7;

/** JSON and body with their sums in front. */
export function sealFile(head: unknown, body: Uint8Array): Uint8Array[] {
  const json = encoder.encode(JSON.stringify(head));
  const front = new Uint8Array(HEAD_BYTES + padded(json.length));
  front.set(json, HEAD_BYTES);
  const view = new DataView(front.buffer);
  view.setUint32(0, MAGIC_NAME + SHARD_FORMAT_VERSION * 0x1_00_00_00, true);
  view.setUint32(4, json.length, true);
  view.setUint32(8, crc32(json), true);
  view.setUint32(12, crc32(body), true);
  view.setFloat64(16, body.length, true);
  return [front, body];
}

/** The JSON of a file and its body, which is undefined where it is damaged; undefined where the JSON is damaged. Throws FORMAT_VERSION. */
export function openFile(name: string, bytes: Uint8Array): { head: unknown; body: Uint8Array | undefined } | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.getUint32(0, true);
  const jsonBytes = view.getUint32(4, true);
  // Zeros are the right sum of nothing: a hole in the file must not pass for JSON.
  if ((magic & 0xff_ff_ff) !== MAGIC_NAME || jsonBytes === 0 || HEAD_BYTES + jsonBytes > bytes.length) return undefined;
  const json = bytes.subarray(HEAD_BYTES, HEAD_BYTES + jsonBytes);
  if (crc32(json) !== view.getUint32(8, true)) return undefined;
  const version = magic >>> 24;
  if (version !== SHARD_FORMAT_VERSION) {
    throw new GruardError('FORMAT_VERSION', `${name} has format version ${version}; this gruard reads version ${SHARD_FORMAT_VERSION}`);
  }
  const body = bytes.subarray(HEAD_BYTES + padded(jsonBytes));
  const whole = body.length === view.getFloat64(16, true) && crc32(body) === view.getUint32(12, true);
  return { head: JSON.parse(decoder.decode(json)) as unknown, body: whole ? body : undefined };
}

/** Copies what the parts hold of these devices. Synchronous: the copy is of one moment. */
export function encodeShard(state: StateParts, devices: readonly Device[], retired: RetiredSeries[], sequence: number): Uint8Array[] {
  const perDevice = state.parts.filter(({ per }) => per === 'device');
  const perSeries = state.parts.filter(({ per }) => per === 'series');
  const size = (parts: readonly StatePart[]): number => parts.reduce((sum, { bytesPerSlot }) => sum + bytesPerSlot, 0);
  const series = devices.reduce((sum, { slots }) => sum + slots.length, 0);
  const body = new Uint8Array(devices.length * size(perDevice) + series * size(perSeries));
  let at = 0;
  const write = (parts: readonly StatePart[], slot: number): void => {
    for (const part of parts) {
      part.write(slot, body, at);
      at += part.bytesPerSlot;
    }
  };
  for (const device of devices) {
    write(perDevice, device.slot);
    for (const slot of device.slots) write(perSeries, slot);
  }
  const head: ShardHead = {
    sequence, nextIds: state.fleet.nextIds, retired,
    parts: state.parts.map(({ name, version, per, bytesPerSlot }) => ({ name, version, per, bytesPerSlot })),
    documents: state.documents.map(({ name, version }) => ({ name, version })),
    devices: devices.map((device) => ({
      id: device.id, name: device.name, tags: device.tags, firstSeenMs: device.firstSeenMs, lastSeenMs: device.lastSeenMs,
      metrics: device.metrics, seriesIds: device.seriesIds, documents: documentsOf(device.id, state.documents),
    })),
  };
  return sealFile(head, body);
}

function documentsOf(deviceId: number, parts: readonly DocumentPart[]): Record<string, unknown> {
  const documents: Record<string, unknown> = {};
  for (const part of parts) {
    const document = part.writeDevice(deviceId);
    if (document !== null && document !== undefined) documents[part.name] = document;
  }
  return documents;
}

/** Declares the devices and puts their state in place. Returns the names of parts that begin afresh, since their stored form is another one. */
export function restoreShard(state: StateParts, head: ShardHead, body: Uint8Array | undefined): string[] {
  const { fleet } = state;
  for (const stored of head.devices) {
    fleet.apply({ kind: 'device', deviceId: stored.id, name: stored.name, tags: stored.tags, atMs: stored.firstSeenMs });
    stored.seriesIds.forEach((seriesId, i) => fleet.apply({ kind: 'series', seriesId, deviceId: stored.id, metric: stored.metrics[i] }));
  }
  for (const series of head.retired) fleet.addRetired(series);
  fleet.raiseIds(head.nextIds);
  for (const part of state.parts) part.reserve(part.per === 'series' ? fleet.seriesTop : fleet.deviceTop);

  const known = new Map(state.parts.map((part) => [`${part.per}/${part.name}/${part.version}/${part.bytesPerSlot}`, part]));
  const stored = head.parts.map((part) => ({ ...part, part: known.get(`${part.per}/${part.name}/${part.version}/${part.bytesPerSlot}`) }));
  const found = new Set(stored.map(({ part }) => part));
  const afresh = state.parts.filter((part) => !body || !found.has(part));
  const documents = new Map(head.documents.map(({ name, version }) => [name, version]));
  let at = 0;
  const place = (per: 'series' | 'device', slot: number): void => {
    for (const part of afresh) if (part.per === per) part.clear(slot);
    if (!body) return;
    for (const { part, bytesPerSlot } of stored.filter((other) => other.per === per)) {
      part?.read(slot, body, at);
      at += bytesPerSlot;
    }
  };
  for (const entry of head.devices) {
    const device = fleet.getById(entry.id);
    if (!device) continue;
    device.lastSeenMs = entry.lastSeenMs;
    place('device', device.slot);
    for (const slot of device.slots) place('series', slot);
    for (const part of state.documents) {
      const document = documents.get(part.name) === part.version ? entry.documents[part.name] : undefined;
      if (document === undefined) part.clearDevice(device.id);
      else part.readDevice(device.id, document);
    }
  }
  const changed = state.documents.filter((part) => documents.get(part.name) !== part.version);
  return [...afresh, ...changed].map(({ name }) => name);
}

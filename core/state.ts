/**
 * A part of the detector that keeps a fixed number of bytes for each slot of an arena: series slots, or device slots.
 * Snapshots are made of parts, so a new part is stored and restored without a line elsewhere.
 */
export interface StatePart {
  /** Stable name, e.g. `normaliser`; with `version` it says whether stored bytes can be read. */
  readonly name: string;
  readonly version: number;
  readonly per: 'series' | 'device';
  readonly bytesPerSlot: number;
  /** Makes room for slots 0 .. capacity-1; never shrinks, never moves what others hold. */
  reserve(capacity: number): void;
  /** Puts a slot back to that of a series never seen. */
  clear(slot: number): void;
  /** Writes `bytesPerSlot` bytes at `at`. */
  write(slot: number, out: Uint8Array, at: number): void;
  /** Reads `bytesPerSlot` bytes from `at`. */
  read(slot: number, from: Uint8Array, at: number): void;
}

/** A part whose size varies (open events, learned names): one JSON value for a device, or null where there is nothing to keep. */
export interface DocumentPart {
  readonly name: string;
  readonly version: number;
  writeDevice(deviceId: number): unknown;
  readDevice(deviceId: number, document: unknown): void;
  clearDevice(deviceId: number): void;
}

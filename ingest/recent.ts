const WAYS = 4;

/**
 * The readings seen most recently, fleet-wide: tells a reading that a broker sends again from one that is only late. After a reconnect tens of thousands
 * come again, most of them older than their series' last. A cache: 4-way buckets, the oldest of a bucket goes first. What has dropped out of it
 * counts as late, is stored a second time with the same values, and is scored by nobody, so forgetting is never wrong, only less exact.
 */
export class RecentReadings {
  readonly #mask: number;
  /** [buckets * WAYS * 3]: series id, timestamp, value of each entry together, so that one is one line of the cache; series id 0 means empty. */
  readonly #entries: Float64Array;
  /** [buckets] the entry of each bucket that is written next. */
  readonly #next: Uint8Array;

  /** `buckets` is a power of two. */
  constructor(buckets = 32_768) {
    this.#mask = buckets - 1;
    this.#entries = new Float64Array(buckets * WAYS * 3);
    this.#next = new Uint8Array(buckets);
  }

  /** All that is remembered, as bytes of this machine's order; what `restore` takes. */
  save(): Uint8Array {
    const entries = new Uint8Array(this.#entries.buffer);
    const bytes = new Uint8Array(entries.length + this.#next.length);
    bytes.set(entries);
    bytes.set(this.#next, entries.length);
    return bytes;
  }

  /** Of as many buckets; bytes of another size are not taken. */
  restore(bytes: Uint8Array): void {
    const size = this.#entries.byteLength;
    if (bytes.length !== size + this.#next.length) return;
    new Uint8Array(this.#entries.buffer).set(bytes.subarray(0, size));
    this.#next.set(bytes.subarray(size));
  }

  add(seriesId: number, timestampMs: number, value: number): void {
    const bucket = this.#bucket(seriesId, timestampMs);
    const way = this.#next[bucket];
    this.#next[bucket] = (way + 1) & (WAYS - 1);
    const at = (bucket * WAYS + way) * 3;
    this.#entries[at] = seriesId;
    this.#entries[at + 1] = timestampMs;
    this.#entries[at + 2] = value;
  }

  /** The value that was seen at this time, or undefined. */
  find(seriesId: number, timestampMs: number): number | undefined {
    const from = this.#bucket(seriesId, timestampMs) * WAYS * 3;
    for (let at = from; at < from + WAYS * 3; at += 3) {
      if (this.#entries[at] === seriesId && this.#entries[at + 1] === timestampMs) return this.#entries[at + 2];
    }
    return undefined;
  }

  #bucket(seriesId: number, timestampMs: number): number {
    const low = timestampMs | 0;
    const high = (timestampMs / 4294967296) | 0;
    let h = Math.imul(seriesId, 0x9e3779b1) ^ Math.imul(low, 0x85ebca6b) ^ high;
    h ^= h >>> 15;
    h = Math.imul(h, 0xc2b2ae35);
    h ^= h >>> 13;
    return h & this.#mask;
  }
}

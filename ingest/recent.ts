const WAYS = 4;

/**
 * The readings seen most recently, fleet-wide: tells a reading that a broker sends again from one that is only late. After a reconnect tens of thousands
 * come again, most of them older than their series' last. A cache: 4-way buckets, the oldest of a bucket goes first. What has dropped out of it
 * counts as late, is stored a second time with the same values, and is scored by nobody, so forgetting is never wrong, only less exact.
 */
export class RecentReadings {
  readonly #mask: number;
  /** [buckets * WAYS], newest first within a bucket; series id 0 is never given out and means empty. */
  readonly #seriesId: Uint32Array;
  readonly #timestampMs: Float64Array;
  readonly #value: Float64Array;

  /** `buckets` is a power of two. */
  constructor(buckets = 32_768) {
    this.#mask = buckets - 1;
    this.#seriesId = new Uint32Array(buckets * WAYS);
    this.#timestampMs = new Float64Array(buckets * WAYS);
    this.#value = new Float64Array(buckets * WAYS);
  }

  add(seriesId: number, timestampMs: number, value: number): void {
    const at = this.#bucket(seriesId, timestampMs);
    for (let i = at + WAYS - 1; i > at; i--) {
      this.#seriesId[i] = this.#seriesId[i - 1];
      this.#timestampMs[i] = this.#timestampMs[i - 1];
      this.#value[i] = this.#value[i - 1];
    }
    this.#seriesId[at] = seriesId;
    this.#timestampMs[at] = timestampMs;
    this.#value[at] = value;
  }

  /** The value that was seen at this time, or undefined. */
  find(seriesId: number, timestampMs: number): number | undefined {
    const at = this.#bucket(seriesId, timestampMs);
    for (let i = at; i < at + WAYS; i++) {
      if (this.#seriesId[i] === seriesId && this.#timestampMs[i] === timestampMs) return this.#value[i];
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
    return (h & this.#mask) * WAYS;
  }
}

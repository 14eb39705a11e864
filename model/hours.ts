import type { Layout } from './layout.js';

const HOURS = 24;
const HOUR_MS = 3_600_000;
/** A bin forgets in about this time: ten readings at one in five minutes. */
const MEMORY_MS = 3_000_000;

/** The running mean of each hour of the day (UTC). */
export class Hours {
  readonly #seen: number; // int: a bit an hour
  readonly #means: number; // [24]

  constructor(layout: Layout) {
    this.#seen = layout.take(1);
    this.#means = layout.take(HOURS);
  }

  /** `v` less the mean of its hour; NaN where that hour is new. Learns it at once there, otherwise where `learning`. */
  step(s: Float32Array, ints: Int32Array, at: number, v: number, timestampMs: number, periodMs: number, learning: boolean): number {
    const hour = Math.floor(timestampMs / HOUR_MS) % HOURS;
    const bin = at + this.#means + hour;
    if ((ints[at + this.#seen] & (1 << hour)) === 0) {
      ints[at + this.#seen] |= 1 << hour;
      s[bin] = v;
      return NaN;
    }
    const off = v - s[bin];
    if (learning) {
      const share = periodMs / MEMORY_MS;
      s[bin] += (share > 0.3 ? 0.3 : share) * off;
    }
    return off;
  }
}

export const CACHE_SIZE = 65_536;
const LONGEST_CACHED = 96;

/** Names come again and again: the same bytes give the very same string, whose hash V8 already knows. One place for each hash, the newest wins. */
export class TextCache {
  /** [CACHE_SIZE * LONGEST_CACHED] the bytes of each text. */
  readonly #bytes = new Uint8Array(CACHE_SIZE * LONGEST_CACHED);
  /** [CACHE_SIZE] how many of them there are; 0 for none. */
  readonly #lengths = new Uint8Array(CACHE_SIZE);
  readonly #texts: string[] = new Array<string>(CACHE_SIZE).fill('');

  /** The bytes [start, end) as UTF-8. */
  text(p: Buffer, start: number, end: number): string {
    const place = this.place(p, start, end);
    return place < 0 ? p.toString('utf8', start, end) : this.#texts[place];
  }

  /** A cached text. */
  at(place: number): string {
    return this.#texts[place];
  }

  /** The place [0, CACHE_SIZE) where the bytes [start, end) are now as text; -1 for those that are not cached: none, or many. */
  place(p: Buffer, start: number, end: number): number {
    const n = end - start;
    if (n > LONGEST_CACHED || n === 0) return -1;
    let h = 0x811c9dc5;
    for (let i = start; i < end; i++) h = Math.imul(h ^ p[i], 0x01000193);
    const place = (h ^ (h >>> 16)) & (CACHE_SIZE - 1);
    const at = place * LONGEST_CACHED;
    const bytes = this.#bytes;
    if (this.#lengths[place] === n) {
      let i = 0;
      while (i < n && bytes[at + i] === p[start + i]) i++;
      if (i === n) return place;
    }
    bytes.set(p.subarray(start, end), at);
    this.#lengths[place] = n;
    this.#texts[place] = p.toString('utf8', start, end);
    return place;
  }
}

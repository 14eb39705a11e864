const CACHED_TEXTS = 65_536;
const LONGEST_CACHED = 96;
const FIRST_TEXTS = 256;
const FIRST_BYTES = 4096;
/** Names that were made to share a hash cost no more than this: they are not cached. */
const MOST_PROBES = 16;

/**
 * Names come again and again: the same bytes give the very same string, whose hash V8 already knows. What a few thousand names need lies close together, so that it stays in
 * the processor's cache; when it is full it is emptied.
 */
export class TextCache {
  /** The texts, one after the other. */
  #bytes: Uint8Array = new Uint8Array(FIRST_BYTES);
  #used = 0;
  /** [n, 2] of each text, where its bytes begin and how many they are. */
  #places = new Uint32Array(2 * FIRST_TEXTS);
  readonly #texts: string[] = [];
  /** By hash, linear probing, at most half full: the number of a text plus one; 0 for none. */
  #table = new Uint32Array(2 * FIRST_TEXTS);

  /** The bytes [start, end) as UTF-8. */
  text(p: Buffer, start: number, end: number): string {
    const number = this.number(p, start, end);
    return number < 0 ? p.toString('utf8', start, end) : this.#texts[number];
  }

  /** A cached text. */
  at(number: number): string {
    return this.#texts[number];
  }

  /** The number [0, CACHED_TEXTS) that the bytes [start, end) have now as text; -1 for those that are not cached: none, or many. */
  number(p: Buffer, start: number, end: number): number {
    const n = end - start;
    if (n > LONGEST_CACHED || n === 0) return -1;
    let h = 0x811c9dc5;
    for (let i = start; i < end; i++) h = Math.imul(h ^ p[i], 0x01000193);
    h ^= h >>> 16;
    const table = this.#table;
    const mask = table.length - 1;
    for (let probe = 0; probe < MOST_PROBES; probe++) {
      const number = table[(h + probe) & mask] - 1;
      if (number < 0) return this.#add(p, start, end, h);
      if (this.#places[2 * number + 1] === n && this.#is(this.#places[2 * number], p, start, end)) return number;
    }
    return -1;
  }

  #is(at: number, p: Buffer, start: number, end: number): boolean {
    const bytes = this.#bytes;
    for (let i = start; i < end; i++) if (bytes[at + i - start] !== p[i]) return false;
    return true;
  }

  #add(p: Buffer, start: number, end: number, h: number): number {
    if (this.#texts.length === CACHED_TEXTS) this.#empty();
    else if (2 * (this.#texts.length + 1) > this.#table.length) this.#grow();
    const number = this.#texts.length;
    const n = end - start;
    if (this.#used + n > this.#bytes.length) {
      const more = new Uint8Array(2 * this.#bytes.length);
      more.set(this.#bytes);
      this.#bytes = more;
    }
    this.#bytes.set(p.subarray(start, end), this.#used);
    this.#places[2 * number] = this.#used;
    this.#places[2 * number + 1] = n;
    this.#used += n;
    this.#texts.push(p.toString('utf8', start, end));
    this.#put(h, number);
    return number;
  }

  #put(h: number, number: number): void {
    const mask = this.#table.length - 1;
    for (let probe = 0; probe < MOST_PROBES; probe++) {
      const home = (h + probe) & mask;
      if (this.#table[home] !== 0) continue;
      this.#table[home] = number + 1;
      return;
    }
  }

  #empty(): void {
    this.#table.fill(0);
    this.#texts.length = 0;
    this.#used = 0;
  }

  #grow(): void {
    const places = new Uint32Array(2 * this.#places.length);
    places.set(this.#places);
    this.#places = places;
    this.#table = new Uint32Array(2 * this.#table.length);
    for (let number = 0; number < this.#texts.length; number++) {
      let h = 0x811c9dc5;
      const at = places[2 * number];
      for (let i = at; i < at + places[2 * number + 1]; i++) h = Math.imul(h ^ this.#bytes[i], 0x01000193);
      this.#put(h ^ (h >>> 16), number);
    }
  }
}

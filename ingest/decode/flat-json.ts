import type { Intake } from '../intake.js';
import { keyRole, plausibleEpoch, type KeyRole } from './keys.js';
import type { Output } from './output.js';
import { epochToMs, parseTimestamp } from './timestamp.js';

interface Key {
  /** With the quotation mark that ends it. */
  bytes: Uint8Array;
  text: string;
  role: KeyRole;
  /** The message in which it was seen last: a key that comes twice is left to JSON.parse. */
  seenIn: number;
}

const TABLE_SIZE = 8192;
const MOST_KEYS = 4096;
/** Keys that were made to share a hash cost no more than this. */
const MOST_PROBES = 16;
const LONGEST_KEY_BYTES = 64;
const MOST_FIELDS = 64;
const MOST_EXPECTED = 16;
/** 10^0 .. 10^22 are exact doubles, so one multiplication or division by them is rounded only once (W. D. Clinger, 1990). */
const POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/**
 * Reads `{"name":number|true|false|null,...}` with at most a device (text or number) and a time, which is what nearly every device sends, without building
 * anything: ten times as fast as JSON.parse. Whatever is unusual (nesting, escapes, bytes beyond ASCII, texts, a key twice, many digits) is left to JSON.parse; a
 * property test holds the two equal.
 */
export class FlatJson {
  /** Keys by the hash of their bytes, open addressing; emptied when full, so that strangers cannot fill it for good. */
  #table: (Key | undefined)[] = new Array<Key | undefined>(TABLE_SIZE).fill(undefined);
  #keys = 0;
  #message = 0;
  /** The keys of the message before, which those of the next are looked for in first: a fleet repeats their order. */
  readonly #expected: (Key | undefined)[] = new Array<Key | undefined>(MOST_EXPECTED).fill(undefined);

  // The message in hand: what was found, and where the reader is.
  readonly #names: string[] = new Array<string>(MOST_FIELDS).fill('');
  readonly #values = new Float64Array(MOST_FIELDS);
  #fields = 0;
  #device: string | undefined;
  #timestampMs = NaN;
  #deviceRank = Infinity;
  #timeRank = Infinity;
  #at = 0;
  #end = 0;
  /** [1] the numeral read last. */
  readonly #number = new Float64Array(1);

  /** Reads the bytes [start, end). False where the message is not of this simple kind; then nothing was written. */
  decode(p: Uint8Array, start: number, end: number, output: Output, intake: Intake): boolean {
    this.#fields = 0;
    this.#device = undefined;
    this.#timestampMs = NaN;
    this.#deviceRank = Infinity;
    this.#timeRank = Infinity;
    this.#message = (this.#message + 1) & 0x3fffffff;
    if (!this.#read(p, start, end)) return false;
    if (this.#fields === 0) {
      intake.refuse('no_metrics', 'no number, boolean or on/off in the message');
      return true;
    }
    if (!output.begin(this.#device, this.#timestampMs, undefined)) return true;
    for (let i = 0; i < this.#fields; i++) output.add(this.#names[i], this.#values[i]);
    output.end();
    return true;
  }

  /** What is behind `end` may be read, but never taken: all from `start` on must be one object that ends there. */
  #read(p: Uint8Array, start: number, end: number): boolean {
    this.#end = end;
    let i = skipSpace(p, start);
    if (p[i] !== 0x7b) return false;
    let n = 0;
    do {
      i = skipSpace(p, i + 1);
      if (p[i] !== 0x22) return false;
      const from = i + 1;
      const key = this.#expectedKey(p, from, n++) ?? this.#anyKey(p, from, n - 1);
      if (key === undefined || key.seenIn === this.#message) return false;
      key.seenIn = this.#message;
      i = skipSpace(p, from + key.bytes.length);
      if (p[i] !== 0x3a) return false;
      this.#at = skipSpace(p, i + 1);
      if (!this.#field(p, key)) return false;
      i = skipSpace(p, this.#at);
    } while (p[i] === 0x2c);
    if (p[i] !== 0x7d) return false;
    i++;
    return i === end || (i < end && skipSpace(p, i) === end);
  }

  /** The key that stood at place n of the message before, if it is this one. */
  #expectedKey(p: Uint8Array, from: number, n: number): Key | undefined {
    const key = n < MOST_EXPECTED ? this.#expected[n] : undefined;
    if (key === undefined) return undefined;
    const { bytes } = key;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== p[from + i]) return undefined;
    return key;
  }

  /** The key from `from` to the quotation mark, which is part of its bytes. */
  #anyKey(p: Uint8Array, from: number, n: number): Key | undefined {
    let i = from;
    let hash = 0;
    let c = p[i];
    while (c !== 0x22) {
      if (c === 0x5c || !(c >= 0x20 && c < 0x80) || i >= this.#end) return undefined;
      hash = (Math.imul(hash, 31) + c) | 0;
      c = p[++i];
    }
    const key = this.#key(p, from, i + 1, hash);
    if (key !== undefined && n < MOST_EXPECTED) this.#expected[n] = key;
    return key;
  }

  /** Reads the value at #at and leaves #at behind it. */
  #field(p: Uint8Array, key: Key): boolean {
    const role = key.role;
    const c = p[this.#at];
    if (c === 0x22) return role.kind === 'device' || role.kind === 'time' ? this.#textField(p, role) : false;
    if (c === 0x6e) return this.#word(p, 'null'); // no value: as though the key were not there
    let value: number;
    if (c === 0x74) {
      if (!this.#word(p, 'true')) return false;
      value = 1;
    } else if (c === 0x66) {
      if (!this.#word(p, 'false')) return false;
      value = 0;
    } else {
      if (!this.#numeral(p)) return false;
      value = this.#number[0];
      if (role.kind === 'device') return this.#takeDevice(String(value), role.rank);
      if (role.kind === 'time' && (role.strict || plausibleEpoch(value))) return this.#takeTime(epochToMs(value), role.rank);
    }
    if (role.kind === 'metric_name' || this.#fields === MOST_FIELDS) return false;
    this.#names[this.#fields] = key.text;
    this.#values[this.#fields++] = value;
    return true;
  }

  #textField(p: Uint8Array, role: KeyRole): boolean {
    const start = this.#at + 1;
    let i = start;
    let c = p[i];
    while (c !== 0x22) {
      if (c === 0x5c || !(c >= 0x20 && c < 0x80) || i >= this.#end) return false;
      c = p[++i];
    }
    const text = ascii(p, start, i);
    this.#at = i + 1;
    if (role.kind === 'device') return this.#takeDevice(text, role.rank);
    const timestampMs = parseTimestamp(text);
    // An unreadable time is refused (or is a measurement after all) with the right words by the full parser.
    return role.kind === 'time' && timestampMs === timestampMs && this.#takeTime(timestampMs, role.rank);
  }

  #takeDevice(name: string, rank: number): true {
    if (rank < this.#deviceRank) {
      this.#device = name;
      this.#deviceRank = rank;
    }
    return true;
  }

  #takeTime(timestampMs: number, rank: number): true {
    if (rank < this.#timeRank) {
      this.#timestampMs = timestampMs;
      this.#timeRank = rank;
    }
    return true;
  }

  #word(p: Uint8Array, word: string): boolean {
    for (let i = 0; i < word.length; i++) {
      if (p[this.#at + i] !== word.charCodeAt(i)) return false;
    }
    this.#at += word.length;
    return true;
  }

  /** A JSON number of up to 15 significant digits, exactly as JSON.parse reads it: nine of them and the six behind in integers, which together are an exact double. */
  #numeral(p: Uint8Array): boolean {
    let i = this.#at;
    const negative = p[i] === 0x2d;
    if (negative) i++;
    let d = p[i] - 0x30;
    if (!(d >= 0 && d <= 9)) return false;
    let high = 0;
    let low = 0;
    let digits = 0;
    if (d === 0) {
      d = p[++i] - 0x30;
      if (d >= 0 && d <= 9) return false;
    } else {
      do {
        if (digits < 9) high = (Math.imul(high, 10) + d) | 0;
        else low = (Math.imul(low, 10) + d) | 0;
        digits++;
        d = p[++i] - 0x30;
      } while (d >= 0 && d <= 9);
    }
    let decimals = 0;
    if (p[i] === 0x2e) {
      const from = ++i;
      d = p[i] - 0x30;
      while (d >= 0 && d <= 9) {
        if (digits < 9) high = (Math.imul(high, 10) + d) | 0;
        else low = (Math.imul(low, 10) + d) | 0;
        if (digits > 0 || d > 0) digits++;
        d = p[++i] - 0x30;
      }
      if (i === from) return false;
      decimals = i - from;
    }
    if (p[i] === 0x65 || p[i] === 0x45) return false; // an exponent is rare
    if (digits > 15 || decimals > 22) return false;
    const mantissa = digits > 9 ? high * POWERS[digits - 9] + low : high;
    const value = decimals > 0 ? mantissa / POWERS[decimals] : mantissa;
    this.#number[0] = negative ? -value : value;
    this.#at = i;
    return true;
  }

  #key(p: Uint8Array, start: number, end: number, hash: number): Key | undefined {
    const home = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) >>> 13;
    for (let probe = 0; probe < MOST_PROBES; probe++) {
      const at = (home + probe) & (TABLE_SIZE - 1);
      const key = this.#table[at];
      if (key === undefined) return this.#addKey(p, start, end, at);
      if (sameBytes(key.bytes, p, start, end)) return key;
    }
    return undefined;
  }

  #addKey(p: Uint8Array, start: number, end: number, at: number): Key | undefined {
    if (end - start > LONGEST_KEY_BYTES + 1) return undefined;
    const first = p[start];
    // JSON.parse puts keys that look like array indices first; __proto__ needs no fast path either.
    if ((first >= 0x30 && first <= 0x39) || first === 0x5f) return undefined;
    if (this.#keys >= MOST_KEYS) {
      this.#table.fill(undefined);
      this.#keys = 0;
      return undefined;
    }
    const text = ascii(p, start, end - 1);
    const role = keyRole(text);
    const key = { bytes: Uint8Array.from(p.subarray(start, end)), text, role, seenIn: 0 };
    this.#table[at] = key;
    this.#keys++;
    return key;
  }
}

function skipSpace(p: Uint8Array, i: number): number {
  let c = p[i];
  while (c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09) c = p[++i];
  return i;
}

function sameBytes(bytes: Uint8Array, p: Uint8Array, start: number, end: number): boolean {
  const n = end - start;
  if (bytes.length !== n) return false;
  for (let i = 0; i < n; i++) if (bytes[i] !== p[start + i]) return false;
  return true;
}

function ascii(p: Uint8Array, start: number, end: number): string {
  return Buffer.from(p.buffer, p.byteOffset + start, end - start).toString('latin1');
}

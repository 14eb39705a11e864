import type { Limits } from '../../core/limits.js';
import type { Intake } from '../intake.js';
import { printable } from '../names.js';
import type { Dialect } from './dialect.js';
import type { Message } from './message.js';
import { FlatJson } from './flat-json.js';
import { keyRole, plausibleEpoch } from './keys.js';
import type { Output } from './output.js';
import { epochToMs, parseTimestamp } from './timestamp.js';
import { textValue } from './values.js';

type Json = null | boolean | number | string | Json[] | JsonObject;
interface JsonObject {
  [key: string]: Json;
}

/** What a message inside a message takes over from the outer one. */
interface Outer {
  device: string | undefined;
  /** Epoch ms, or NaN. */
  timestampMs: number;
  tags: Record<string, string> | undefined;
}

const NOTHING: Outer = { device: undefined, timestampMs: NaN, tags: undefined };

/**
 * JSON objects, arrays of them, and bare numbers and booleans. Nested objects become `a.b`, arrays `a.0`; numbers, booleans, numbers written as text
 * and on/off are readings, other texts are counted and passed over. Flat messages take the hand parser of flat-json.ts; this is the full one, and what
 * that one must agree with.
 */
export class JsonDialect implements Dialect {
  readonly name = 'json';
  readonly #intake: Intake;
  readonly #limits: Limits;
  readonly #flat = new FlatJson();
  readonly #text = new TextDecoder('utf-8', { fatal: true });
  /** The readings of the message in hand. */
  readonly #names: string[] = [];
  readonly #values: number[] = [];

  constructor(intake: Intake, limits: Limits) {
    this.#intake = intake;
    this.#limits = limits;
  }

  matches(_payload: Uint8Array, first: number): boolean {
    return first === 0x7b || first === 0x5b; // { [
  }

  decode(message: Message, output: Output): void {
    const { payload } = message;
    if (!this.decodeFlat(payload, 0, payload.length, output)) this.decodeTree(message, output);
  }

  /** Takes the bytes [start, end) where they are a flat message; false where they are not, and nothing was taken. */
  decodeFlat(bytes: Uint8Array, start: number, end: number, output: Output): boolean {
    return this.#flat.decode(bytes, start, end, output, this.#intake);
  }

  /** The same by way of JSON.parse, for any message. */
  decodeTree(message: Message, output: Output): void {
    const { payload } = message;
    if (deeperThan(payload, this.#limits.nesting)) {
      this.#intake.refuse('nested_too_deep', `more than ${this.#limits.nesting} levels`);
      return;
    }
    const root = this.#parse(payload);
    if (root === undefined) return;
    this.#messages(root, NOTHING, output);
  }

  #parse(payload: Uint8Array): Json | undefined {
    let text: string;
    try {
      text = this.#text.decode(payload);
    } catch {
      this.#intake.refuse('unparseable', 'the payload is not UTF-8');
      return undefined;
    }
    try {
      return JSON.parse(text) as Json;
    } catch (error) {
      return this.#parseLoose(text, (error as Error).message);
    }
  }

  /** NaN and Infinity, which Python and others write into JSON, are read as texts (and then refused reading by reading, not with all the rest of the message). */
  #parseLoose(text: string, problem: string): Json | undefined {
    const loose = quoteNonFinite(text);
    if (loose !== undefined) {
      try {
        return JSON.parse(loose) as Json;
      } catch {
        // The first error is the one to tell.
      }
    }
    this.#intake.refuse('unparseable', problem.slice(0, 200));
    return undefined;
  }

  #messages(node: Json, outer: Outer, output: Output): void {
    if (Array.isArray(node)) {
      for (const item of node) {
        if (Array.isArray(item)) this.#intake.refuse('wrong_type', 'an array where a message should be');
        else this.#messages(item, outer, output);
      }
      if (node.length === 0) this.#intake.refuse('no_metrics', 'an empty array');
    } else if (typeof node === 'object' && node !== null) this.#message(node, outer, output);
    else this.#intake.refuse('wrong_type', `${printable(String(node))} where a message should be`);
  }

  #message(node: JsonObject, outer: Outer, output: Output): void {
    const keys = Object.keys(node);
    const own = this.#envelope(node, keys, outer);
    if (own === undefined) return;
    const names = this.#names;
    const values = this.#values;
    names.length = 0;
    values.length = 0;
    const batches: Json[][] = [];
    const named = typeof node.metric === 'string' && Object.hasOwn(node, 'value') ? node.metric : undefined;
    for (const key of keys) {
      const value = node[key];
      const role = keyRole(key);
      if (role.kind === 'readings' && typeof value === 'object' && value !== null) {
        if (!Array.isArray(value)) this.#fields('', value);
        else if (value.some((item) => typeof item === 'object' && item !== null)) batches.push(value);
        else this.#field(key, value);
      } else if (role.kind === 'tags' && isObject(value)) continue;
      else if (role.kind === 'metric_name' && named !== undefined) continue;
      else if (role.kind === 'device' && (typeof value === 'string' || typeof value === 'number')) continue;
      else if (role.kind === 'time' && isTime(value, role.strict)) continue;
      else this.#field(named !== undefined && key === 'value' ? named : key, value);
    }
    this.#emit(own, output, batches.length > 0);
    for (const batch of batches) this.#messages(batch, own, output);
  }

  /** Device, time and tags of a message; undefined where it is refused. */
  #envelope(node: JsonObject, keys: string[], outer: Outer): Outer | undefined {
    let { device, timestampMs, tags } = outer;
    let deviceRank = Infinity;
    let timeRank = Infinity;
    for (const key of keys) {
      const role = keyRole(key);
      const value = node[key];
      if (role.kind === 'device' && role.rank < deviceRank && (typeof value === 'string' || typeof value === 'number')) {
        device = String(value);
        deviceRank = role.rank;
      } else if (role.kind === 'time' && role.rank < timeRank && isTime(value, role.strict)) {
        timestampMs = timeOf(value);
        timeRank = role.rank;
        if (timestampMs !== timestampMs) {
          this.#intake.refuse('timestamp_invalid', `${printable(key)} is ${printable(typeof value === 'string' ? value : JSON.stringify(value))}`);
          return undefined;
        }
      } else if (role.kind === 'tags' && isObject(value)) tags = tagsOf(value, tags);
    }
    return { device, timestampMs, tags };
  }

  #fields(prefix: string, node: JsonObject): void {
    for (const key of Object.keys(node)) this.#field(prefix + key, node[key]);
  }

  /** As deep as limits.nesting allows, no deeper: that was counted before. */
  #field(name: string, value: Json): void {
    if (typeof value === 'number') this.#take(name, value);
    else if (typeof value === 'boolean') this.#take(name, value ? 1 : 0);
    else if (typeof value === 'string') {
      const number = textValue(value);
      if (number !== undefined) this.#take(name, number);
      else this.#intake.note('wrong_type', `${printable(name)} is a text`);
    } else if (Array.isArray(value)) value.forEach((item, i) => this.#field(`${name}.${i}`, item));
    else if (value !== null) this.#fields(`${name}.`, value);
  }

  #take(name: string, value: number): void {
    this.#names.push(name);
    this.#values.push(value);
  }

  #emit(own: Outer, output: Output, hasBatches: boolean): void {
    const names = this.#names;
    if (names.length === 0) {
      if (!hasBatches) this.#intake.refuse('no_metrics', 'no number, boolean or on/off in the message');
      return;
    }
    if (!output.begin(own.device, own.timestampMs, own.tags)) return;
    for (let i = 0; i < names.length; i++) output.add(names[i], this.#values[i]);
    output.end();
  }
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value under a time key is meant as the time. Under a strict key every number and text is; null is no time at all. */
function isTime(value: Json, strict: boolean): boolean {
  if (typeof value === 'number') return strict || plausibleEpoch(value);
  return typeof value === 'string' && (strict || parseTimestamp(value) === parseTimestamp(value));
}

function timeOf(value: Json): number {
  return typeof value === 'number' ? epochToMs(value) : parseTimestamp(value as string);
}

function tagsOf(node: JsonObject, outer: Record<string, string> | undefined): Record<string, string> {
  const tags = new Map<string, string>(Object.entries(outer ?? {}));
  for (const key of Object.keys(node)) {
    const value = node[key];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') tags.set(key, String(value));
  }
  return Object.fromEntries(tags);
}

/** Counts brackets outside of texts, so that nothing is built for a payload that is only nested. */
function deeperThan(payload: Uint8Array, nesting: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < payload.length; i++) {
    const c = payload[i];
    if (quoted) {
      if (c === 0x5c) i++;
      else if (c === 0x22) quoted = false;
    } else if (c === 0x22) quoted = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > nesting) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}

/** Puts NaN, Infinity and -Infinity outside of texts between quotation marks; undefined where there are none. */
function quoteNonFinite(text: string): string | undefined {
  if (!text.includes('NaN') && !text.includes('Infinity')) return undefined;
  let out = '';
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
      continue;
    }
    if (c === '"') quoted = true;
    const word = c === 'N' && text.startsWith('NaN', i) ? 'NaN' : c === 'I' && text.startsWith('Infinity', i) ? 'Infinity' : c === '-' && text.startsWith('-Infinity', i) ? '-Infinity' : '';
    if (word === '') continue;
    out += `${text.slice(from, i)}"${word}"`;
    i += word.length - 1;
    from = i + 1;
  }
  return out + text.slice(from);
}

import type { Intake } from '../intake.js';
import { printable } from '../names.js';
import type { Dialect } from './dialect.js';
import type { Message } from './message.js';
import { keyRole } from './keys.js';
import type { Output } from './output.js';
import { epochToMs } from './timestamp.js';
import { textValue } from './values.js';

/**
 * InfluxDB line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`, a reading or several a line.
 * The device is the tag `device` (or another of the usual names, or `host`), else the topic's, else the measurement. A field is a metric under its own name;
 * one called `value` is named by the measurement. The other tags are the device's tags. The time may be in s, ms, us or ns.
 */
export class LineDialect implements Dialect {
  readonly name = 'line';
  readonly #intake: Intake;
  readonly #text = new TextDecoder('utf-8', { fatal: true });
  readonly #fieldNames: string[] = [];
  readonly #fieldValues: number[] = [];

  constructor(intake: Intake) {
    this.#intake = intake;
  }

  /** Any text with an `=` before its first line ends. */
  matches(payload: Uint8Array): boolean {
    for (let i = 0; i < payload.length && payload[i] !== 0x0a; i++) if (payload[i] === 0x3d) return true;
    return payload[0] === 0x23; // a comment: # ...
  }

  decode(message: Message, output: Output): void {
    let text: string;
    try {
      text = this.#text.decode(message.payload);
    } catch {
      this.#intake.refuse('unparseable', 'the payload is not UTF-8');
      return;
    }
    let from = 0;
    let lines = 0;
    for (let number = 1; from < text.length; number++) {
      const end = text.indexOf('\n', from);
      const to = end < 0 ? text.length : end;
      const line = text.slice(from, to).trim();
      if (line !== '' && !line.startsWith('#')) {
        this.#line(line, number, message, output);
        lines++;
      }
      from = to + 1;
    }
    if (lines === 0) this.#intake.refuse('no_metrics', 'only comments');
  }

  #line(line: string, number: number, message: Message, output: Output): void {
    const key = endOf(line, 0, ' ');
    const fields = endOfFields(line, key + 1);
    if (key >= line.length || !this.#fields(line.slice(key + 1, fields), number)) {
      if (key >= line.length) this.#intake.refuse('unparseable', `line ${number}: no fields`);
      return;
    }
    const time = line.slice(fields + 1).trim();
    const timestampMs = time === '' ? NaN : /^-?\d{1,19}$/.test(time) ? epochToMs(Number(time)) : Infinity;
    if (timestampMs === Infinity) {
      this.#intake.refuse('timestamp_invalid', `line ${number}: ${printable(time)}`);
      return;
    }
    const { measurement, device, tags } = seriesKey(line.slice(0, key));
    if (this.#fieldNames.length === 0) {
      this.#intake.refuse('no_metrics', `line ${number}: no number or boolean`);
      return;
    }
    const named = device ?? message.route.device;
    if (!output.begin(named ?? measurement, timestampMs, tags)) return;
    for (let i = 0; i < this.#fieldNames.length; i++) {
      const name = this.#fieldNames[i];
      output.add(name === 'value' && named !== undefined ? measurement : name, this.#fieldValues[i]);
    }
    output.end();
  }

  /** Reads `a=1,b=2i,c="text",d=t` into the columns; false where the line is refused. */
  #fields(text: string, number: number): boolean {
    this.#fieldNames.length = 0;
    this.#fieldValues.length = 0;
    let at = 0;
    while (at < text.length) {
      const equals = endOf(text, at, '=');
      if (equals >= text.length || equals === at) {
        this.#intake.refuse('unparseable', `line ${number}: a field without name or value`);
        return false;
      }
      const name = unescape(text.slice(at, equals));
      const quoted = text[equals + 1] === '"';
      const end = quoted ? endOfQuoted(text, equals + 1) : endOf(text, equals + 1, ',');
      const raw = text.slice(equals + 1, end);
      const value = quoted ? textValue(raw.slice(1, -1)) : fieldValue(raw);
      if (value !== undefined) {
        this.#fieldNames.push(name);
        this.#fieldValues.push(value);
      } else if (quoted) this.#intake.note('wrong_type', `${printable(name)} is a text`);
      else {
        this.#intake.refuse('unparseable', `line ${number}: ${printable(name)} is ${printable(raw)}`);
        return false;
      }
      at = end + 1;
    }
    return true;
  }
}

/** Float, integer `1i`, unsigned `1u`, or boolean. */
function fieldValue(raw: string): number | undefined {
  if (raw === 't' || raw === 'T') return 1;
  if (raw === 'f' || raw === 'F') return 0;
  return textValue(/^-?\d{1,20}[iu]$/.test(raw) ? raw.slice(0, -1) : raw);
}

function seriesKey(text: string): { measurement: string; device: string | undefined; tags: Record<string, string> | undefined } {
  const comma = endOf(text, 0, ',');
  const measurement = unescape(text.slice(0, comma));
  let device: string | undefined;
  let rank = Infinity;
  let tags: Map<string, string> | undefined;
  let at = comma + 1;
  while (at < text.length) {
    const end = endOf(text, at, ',');
    const equals = endOf(text, at, '=');
    const key = unescape(text.slice(at, Math.min(equals, end)));
    const value = equals < end ? unescape(text.slice(equals + 1, end)) : '';
    const role = keyRole(key);
    const own = role.kind === 'device' ? role.rank : key === 'host' ? 1000 : Infinity;
    if (own < rank) {
      device = value;
      rank = own;
    } else if (own === Infinity) (tags ??= new Map()).set(key, value);
    at = end + 1;
  }
  return { measurement, device, tags: tags && Object.fromEntries(tags) };
}

/** The place of the next `stop` that no backslash stands before, or the end. */
function endOf(text: string, from: number, stop: string): number {
  let i = from;
  while (i < text.length && text[i] !== stop) i += text[i] === '\\' ? 2 : 1;
  return Math.min(i, text.length);
}

/** Fields end at a space outside of quotation marks. */
function endOfFields(text: string, from: number): number {
  let i = from;
  while (i < text.length && text[i] !== ' ') {
    if (text[i] === '"') i = endOfQuoted(text, i);
    else i += text[i] === '\\' ? 2 : 1;
  }
  return Math.min(i, text.length);
}

/** `at` is on the opening quotation mark; returns the place behind the closing one, or the end. */
function endOfQuoted(text: string, at: number): number {
  let i = at + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return Math.min(i + 1, text.length);
}

function unescape(text: string): string {
  return text.includes('\\') ? text.replace(/\\([,= \\"])/g, '$1') : text;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS, type Limits } from '../../core/limits.js';
import { ReasonCounters } from '../../core/reasons.js';
import type { ReadingSink } from '../../core/source.js';
import { DEFAULT_DECODER_SETTINGS, Decoder, type DecoderSettings } from '../../ingest/decode/index.js';
import { Intake } from '../../ingest/intake.js';

export interface Written {
  device: string;
  /** Epoch ms, or NaN. */
  timestampMs: number;
  tags: Record<string, string> | undefined;
  metrics: [string, number][];
}

/** A sink that takes everything and remembers it. */
export class Recording implements ReadingSink {
  readonly full = false;
  readonly messages: Written[] = [];

  begin(device: string, timestampMs: number, _receivedMs: number, tags?: Record<string, string>): boolean {
    this.messages.push({ device, timestampMs, tags, metrics: [] });
    return true;
  }

  add(metric: string, value: number): boolean {
    this.messages.at(-1)!.metrics.push([metric, value]);
    return true;
  }

  end(): void {
    // Nothing to close.
  }
}

export interface Decoded {
  messages: Written[];
  /** By reason, without zeros. */
  reasons: Record<string, number>;
  deadLetters: string[];
}

interface Options {
  settings?: Partial<DecoderSettings>;
  limits?: Partial<Limits>;
  retained?: boolean;
}

class Rig {
  readonly counters = new ReasonCounters();
  deadLetters: string[] = [];
  readonly intake = new Intake(this.counters, (_source, _origin, reason) => this.deadLetters.push(reason));
  readonly decoder: Decoder;

  constructor(options: Options) {
    this.decoder = new Decoder(this.intake, { ...DEFAULT_LIMITS, ...options.limits }, { ...DEFAULT_DECODER_SETTINGS, ...options.settings });
  }

  decode(topic: string, bytes: Uint8Array, retained: boolean): Decoded {
    const before = new Map(this.counters.entries());
    this.deadLetters = [];
    const sink = new Recording();
    this.intake.open('test', topic, bytes);
    this.decoder.decode(topic, bytes, 1_700_000_000_000, sink, retained);
    this.intake.close();
    const reasons = this.counters.entries().map(([reason, n]): [string, number] => [reason, n - before.get(reason)!]).filter(([, n]) => n > 0);
    return { messages: sink.messages, reasons: Object.fromEntries(reasons), deadLetters: this.deadLetters };
  }
}

const ordinary = new Rig({});

/** Decodes one payload and says what came of it. */
export function decode(topic: string, payload: string | Uint8Array, options?: Options): Decoded {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  return (options ? new Rig(options) : ordinary).decode(topic, bytes, options?.retained ?? false);
}

export interface Reading {
  device: string;
  timestampMs: number;
  metrics: Map<string, number>;
}

/** How a dialect writes readings down, to be read again by the decoder. */
export interface DialectUnderTest {
  name: string;
  encode: (readings: Reading[]) => string | Uint8Array;
  /** Names that the dialect can carry. */
  names: fc.Arbitrary<string>;
  /** Payloads that look like this dialect's and are broken somewhere. */
  samples: string[];
}

const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((v) => (Object.is(v, -0) ? 0 : v));
const RUNS = 200;

/** What every dialect must do: what goes in comes out and nothing else does; no bytes whatever make it throw, hang or go silent. */
export function dialectConformance(dialect: DialectUnderTest): void {
  describe(`dialect: ${dialect.name}`, () => {
    const readings = fc.array(fc.record({
      device: dialect.names,
      timestampMs: fc.integer({ min: 1_000_000_000_000, max: 4_000_000_000_000 }),
      metrics: fc.uniqueArray(fc.tuple(dialect.names, finite), { minLength: 1, maxLength: 8, selector: ([name]) => name }).map((pairs) => new Map(pairs)),
    }), { minLength: 1, maxLength: 5 });

    it('reads back what it was given', () => {
      fc.assert(fc.property(readings, (given) => {
        const { messages, reasons } = decode('', dialect.encode(given));
        expect(reasons).toEqual({});
        expect(messages.map(({ device, timestampMs, metrics }) => ({ device, timestampMs, metrics: new Map(metrics) }))).toEqual(given);
      }), { numRuns: RUNS });
    });

    it('turns every payload into readings or into a reason, whatever its bytes', () => {
      const samples = dialect.samples.map((sample) => new TextEncoder().encode(sample));
      const mutated = fc.tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'delete', 'cut')), { minLength: 1, maxLength: 6 }))
        .map(([bytes, edits]) => edits.reduce(edit, bytes));
      fc.assert(fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const { messages, reasons } = decode('site/machine/temperature', bytes);
        const readings = messages.reduce((n, message) => n + message.metrics.length, 0);
        expect(readings + Object.keys(reasons).length).toBeGreaterThan(0);
        expect(({} as Record<string, unknown>).polluted).toBeUndefined();
      }), { numRuns: RUNS * 5 });
    });

    it('does not write to the bytes that it is lent', () => {
      for (const sample of dialect.samples) {
        const bytes = new TextEncoder().encode(sample);
        const before = bytes.slice();
        decode('a/b/c', bytes);
        expect(bytes).toEqual(before);
      }
    });
  });
}

function edit(bytes: Uint8Array, [at, byte, kind]: [number, number, string]): Uint8Array {
  const i = bytes.length === 0 ? 0 : at % bytes.length;
  switch (kind) {
    case 'set':
      return Uint8Array.from([...bytes.slice(0, i), byte, ...bytes.slice(i + 1)]);
    case 'insert':
      return Uint8Array.from([...bytes.slice(0, i), byte, ...bytes.slice(i)]);
    case 'delete':
      return Uint8Array.from([...bytes.slice(0, i), ...bytes.slice(i + 1)]);
    default:
      return bytes.slice(0, i);
  }
}

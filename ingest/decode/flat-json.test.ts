import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../../core/limits.js';
import { ReasonCounters } from '../../core/reasons.js';
import { Intake } from '../intake.js';
import { FlatJson } from './flat-json.js';
import { JsonDialect } from './json.js';
import { Output } from './output.js';
import { Topics } from './topics.js';
import { Recording } from '../../test/conformance/dialects.js';

const topics = new Topics({ rules: [], include: [], exclude: [] });
const counters = new ReasonCounters();
const intake = new Intake(counters, () => undefined);
const dialect = new JsonDialect(intake, DEFAULT_LIMITS);

function both(text: string): { fast: unknown; full: unknown } {
  const message = { route: topics.route('a/b/c'), payload: new TextEncoder().encode(text), receivedMs: 1, retained: false };
  const run = (decode: (output: Output) => void): unknown => {
    const sink = new Recording();
    const output = new Output(intake, { excludeDevices: [], excludeMetrics: [] });
    output.open(message, sink);
    intake.open('test', '', message.payload);
    decode(output);
    return { messages: sink.messages, tally: new Map(intake.tally) };
  };
  return { fast: run((output) => dialect.decode(message, output)), full: run((output) => dialect.decodeTree(message, output)) };
}

/** The text lies among other bytes, which would go on with it. */
function read(flat: FlatJson, text: string, output: Output): boolean {
  const bytes = new TextEncoder().encode(text);
  return flat.decode(new TextEncoder().encode(`{"a":1,${text}1}"a":2}`), 7, 7 + bytes.length, output, intake);
}

const key = fc.oneof(
  fc.constantFrom('temperature', 'humidity', 'device', 'id', 'Device', 'ts', 'timestamp', 'time', 't', 'tags', 'metrics', 'data', 'metric', 'value', '__proto__', '0', '12', 'a.b'),
  fc.string({ maxLength: 12 }),
);
const number = fc.oneof(
  fc.double().filter(Number.isFinite).map((v) => JSON.stringify(v)),
  fc.integer().map(String),
  fc.tuple(fc.integer({ min: -99999, max: 99999 }), fc.stringMatching(/^[0-9]{1,18}$/)).map(([a, b]) => `${a}.${b}`),
  fc.constantFrom('0', '-0', '0.0', '1e3', '1E-400', '1e400', '01', '-', '1.', '.5', '+1', '123456789012345678', '0.0000000000000000000000001', '1700000000', '1700000000000000000', '5e-324'),
);
const value = fc.oneof(
  { weight: 5, arbitrary: number },
  { weight: 1, arbitrary: fc.constantFrom('true', 'false', 'null', 'nul', 'NaN', '"on"', '"21.5"', '"2024-01-02T03:04:05Z"', '"oven3"', '""', '{}', '[]', '{"x":1}', '[1,2]', '"\\u0041"', '"é"') },
);
const space = fc.constantFrom('', '', '', ' ', '\n', '\t ', '\u00a0');
const object = fc.tuple(space, fc.array(fc.tuple(key, space, value, space), { maxLength: 8 }), space)
  .map(([before, fields, after]) => `${before}{${fields.map(([k, s1, v, s2]) => `${s1}${JSON.stringify(k)}${s2}:${s1}${v}${s2}`).join(',')}}${after}`);

it('reads what JSON.parse reads', () => {
  fc.assert(fc.property(object, (text) => {
    const { fast, full } = both(text);
    expect(fast).toEqual(full);
  }), { numRuns: 3000 });
});

it('reads every short number as JSON.parse does, to the last bit', () => {
  fc.assert(fc.property(fc.integer({ min: -999_999_999, max: 999_999_999 }), fc.nat(12), (mantissa, decimals) => {
    const text = (mantissa / 10 ** decimals).toFixed(decimals);
    const sink = new Recording();
    const output = new Output(intake, { excludeDevices: [], excludeMetrics: [] });
    output.open({ route: topics.route('a/b'), payload: new Uint8Array(0), receivedMs: 1, retained: false }, sink);
    const simple = read(new FlatJson(), `{"x":${text}}`, output);
    if (simple) expect(sink.messages[0].metrics).toEqual([['x', JSON.parse(text)]]);
  }), { numRuns: 300 });
});

it('takes the fast way for what devices usually send, and leaves the rest', () => {
  const simple = (text: string): boolean => {
    const output = new Output(intake, { excludeDevices: [], excludeMetrics: [] });
    output.open({ route: topics.route('a/b'), payload: new Uint8Array(0), receivedMs: 1, retained: false }, new Recording());
    return read(new FlatJson(), text, output);
  };
  expect(simple('{"temperature":21.4,"humidity":40,"ok":true,"none":null}')).toBe(true);
  expect(simple('{ "device" : "oven3" , "ts" : 1700000000000 , "temperature" : -21.4 }')).toBe(true);
  expect(simple('{"id":17,"time":"2024-01-02T03:04:05Z","x":0.5}')).toBe(true);
  for (const text of ['{}', '[{"a":1}]', '{"a":{"b":1}}', '{"a":1,"a":2}', '{"a":"1"}', '{"a":1e3}', '{"a":1}x', '{"a":1', '{"é":1}', '{"a":01}']) expect(simple(text), text).toBe(false);
});

it('goes on when strangers fill its table of keys', () => {
  const flat = new FlatJson();
  const sink = new Recording();
  const output = new Output(intake, { excludeDevices: [], excludeMetrics: [] });
  output.open({ route: topics.route('a/b'), payload: new Uint8Array(0), receivedMs: 1, retained: false }, sink);
  let left = 0;
  for (let i = 0; i < 20_000; i++) if (!read(flat, `{"k${i}":${i}}`, output)) left++;
  expect(left).toBeLessThan(100);
  expect(sink.messages.length).toBe(20_000 - left);
  expect(sink.messages.at(-1)!.metrics).toEqual([['k19999', 19_999]]);
});

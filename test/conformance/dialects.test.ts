import fc from 'fast-check';
import { keyRole } from '../../ingest/decode/keys.js';
import { dialectConformance, type Reading } from './dialects.js';

const anyName = fc.oneof(fc.string({ minLength: 1, maxLength: 20 }), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }), fc.constantFrom('__proto__', 'constructor', 'a.b', 'value', '0', 'toString', 'temperature'))
  .filter((name) => !/\p{Surrogate}/u.test(name));
const plainName = anyName.filter((name) => keyRole(name).kind === 'metric');

const BROKEN_JSON = [
  '{"temperature":21.4,"humidity":40}', '{"device":"oven3","timestamp":1700000000000,"metrics":{"temperature":21.4},"tags":{"line":"1"}}',
  '[{"device":"a","v":1},{"device":"b","v":2}]', '{"a":{"b":{"c":[1,2,{"d":true}]}},"state":"ON"}', '{"temperature":NaN,"x":-Infinity}',
  '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}', '{"ts":"2024-01-02T03:04:05Z","readings":[{"t":1},{"t":2}]}', '21.4', 'true', '-0', '1e999',
  '{"a":1,"a":2}', '{"\\u0061":1}', '{"a":"\\ud800"}',
];

dialectConformance({
  name: 'json with an envelope',
  encode: (readings) => JSON.stringify(readings.map(({ device, timestampMs, metrics }) => ({ device, timestamp: timestampMs, metrics: Object.fromEntries(metrics) }))),
  names: anyName,
  samples: BROKEN_JSON,
});

dialectConformance({
  name: 'flat json',
  encode: (readings) => {
    const flat = readings.map(({ device, timestampMs, metrics }) => ({ ...Object.fromEntries(metrics), device, ts: timestampMs }));
    return JSON.stringify(flat.length === 1 ? flat[0] : flat);
  },
  names: plainName,
  samples: BROKEN_JSON,
});

const escapeKey = (text: string): string => text.replace(/[,= \\]/g, '\\$&');

dialectConformance({
  name: 'line protocol',
  encode: (readings: Reading[]) => readings.map(({ device, timestampMs, metrics }) => {
    const fields = [...metrics].map(([name, value]) => `${escapeKey(name)}=${value}`);
    return `m,device=${escapeKey(device)} ${fields.join(',')} ${BigInt(timestampMs) * 1_000_000n}`;
  }).join('\n'),
  // Line protocol cannot carry a line end; InfluxDB does not take a name that ends in a backslash; a field called `value` is named by its measurement.
  names: anyName.filter((name) => !/[\n\r"\\]/.test(name) && name.trim() === name && name !== 'value'),
  samples: [
    'weather,device=oven3,site=a temperature=21.4,humidity=40i 1700000000000000000', 'm,device=a x=1\nm,device=b x=2 1700000000\n# comment\n\nbad line',
    'm,device=d\\ e\\,f on=true,off=F,text="a \\" b",u=3u 1700000000000', 'm value=1', 'm,host=h a=1,,b=2', 'm x=', '=1 =2', 'm a="unclosed',
  ],
});

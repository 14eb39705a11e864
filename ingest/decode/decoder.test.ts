import { describe, expect, it } from 'vitest';
import { decode } from '../../test/conformance/dialects.js';

const readings = (topic: string, payload: string, options?: Parameters<typeof decode>[2]): unknown[] =>
  decode(topic, payload, options).messages.flatMap(({ device, metrics }) => metrics.map(([metric, value]) => [device, metric, value]));

describe('device and metric', () => {
  it('takes the last topic level for the device, unless the payload names one', () => {
    expect(readings('plant/line1/oven3', '{"temperature":21.4,"humidity":40}')).toEqual([['oven3', 'temperature', 21.4], ['oven3', 'humidity', 40]]);
    expect(readings('plant/line1', '{"deviceId":"oven3","temperature":21.4}')).toEqual([['oven3', 'temperature', 21.4]]);
    expect(readings('plant/line1', '{"id":17,"temperature":21.4}')).toEqual([['17', 'temperature', 21.4]]);
    expect(readings('plant/line1', '{"id":17,"device":"oven3","temperature":21.4}')).toEqual([['oven3', 'temperature', 21.4]]);
  });

  it('takes the last two levels for device and metric of a bare value', () => {
    expect(readings('plant/oven3/temperature', '21.4')).toEqual([['oven3', 'temperature', 21.4]]);
    expect(readings('plant/oven3/door', 'true')).toEqual([['oven3', 'door', 1]]);
    expect(readings('plant/oven3/power', ' OFF\n')).toEqual([['oven3', 'power', 0]]);
    expect(decode('temperature', '21.4').reasons).toEqual({ no_device: 1 });
  });

  it('flattens what is nested, and reads numbers that are written as text', () => {
    expect(readings('x/d', '{"a":{"b":1,"c":{"d":2}},"list":[3,4],"n":"5.5","state":"on","text":"hello","nothing":null}')).toEqual([
      ['d', 'a.b', 1], ['d', 'a.c.d', 2], ['d', 'list.0', 3], ['d', 'list.1', 4], ['d', 'n', 5.5], ['d', 'state', 1],
    ]);
    expect(decode('x/d', '{"n":1,"text":"hello"}').reasons).toEqual({ wrong_type: 1 });
    expect(decode('x/d', '{"n":1,"text":"hello"}').deadLetters).toEqual([]);
  });

  it('reads the message form of the API, and arrays of messages, and batches in an envelope', () => {
    const one = decode('', '{"device":"oven3","timestamp":1700000000000,"metrics":{"temperature":21.4},"tags":{"line":1,"site":"x"}}');
    expect(one.messages).toEqual([{ device: 'oven3', timestampMs: 1_700_000_000_000, tags: { line: '1', site: 'x' }, metrics: [['temperature', 21.4]] }]);
    expect(readings('', '[{"device":"a","x":1},{"device":"b","x":2}]')).toEqual([['a', 'x', 1], ['b', 'x', 2]]);
    const batch = decode('x/oven3', '{"tags":{"line":"1"},"readings":[{"ts":1700000000,"t":20},{"ts":1700000060,"t":21}]}');
    expect(batch.messages).toEqual([
      { device: 'oven3', timestampMs: 1_700_000_000_000, tags: { line: '1' }, metrics: [['t', 20]] },
      { device: 'oven3', timestampMs: 1_700_000_060_000, tags: { line: '1' }, metrics: [['t', 21]] },
    ]);
    expect(readings('x/oven3', '{"metric":"temperature","value":21.4}')).toEqual([['oven3', 'temperature', 21.4]]);
  });

  it('knows the topics of Tasmota, Zigbee2MQTT and Shelly', () => {
    expect(readings('tele/kitchen/SENSOR', '{"Time":"2024-01-02T03:04:05","BME280":{"Temperature":21.4},"TempUnit":"C"}')).toEqual([['kitchen', 'BME280.Temperature', 21.4]]);
    expect(readings('stat/kitchen/POWER', 'ON')).toEqual([['kitchen', 'POWER', 1]]);
    expect(readings('zigbee2mqtt/fridge', '{"temperature":4.2,"linkquality":97,"last_seen":"2024-01-02"}')).toEqual([['fridge', 'temperature', 4.2], ['fridge', 'linkquality', 97]]);
    expect(readings('shellies/plug-1/relay/0/power', '12.5')).toEqual([['plug-1', 'relay.0.power', 12.5]]);
  });
});

describe('rules', () => {
  const rules = (...list: { topic: string; device?: string; tags?: Record<string, string> }[]): Parameters<typeof decode>[2] => ({ settings: { rules: list } });

  it('names device, metric and tags by the levels of a topic', () => {
    const options = rules({ topic: 'factory/{line}/{device}/data/{metric}' });
    const { messages } = decode('factory/7/oven3/data/temperature', '21.4', options);
    expect(messages).toEqual([{ device: 'oven3', timestampMs: NaN, tags: { line: '7' }, metrics: [['temperature', 21.4]] }]);
    expect(readings('factory/7/oven3/data/temperature', '{"value":21.4,"min":20}', options)).toEqual([['oven3', 'temperature', 21.4], ['oven3', 'temperature.min', 20]]);
  });

  it('wins over what the payload calls its device, and the first rule wins over the next', () => {
    expect(readings('a/b/c', '{"device":"other","x":1}', rules({ topic: 'a/{device}/+' }, { topic: '#', device: 'rest' }))).toEqual([['b', 'x', 1]]);
    expect(readings('z', '{"x":1}', rules({ topic: 'a/{device}/+' }, { topic: '#', device: 'rest' }))).toEqual([['rest', 'x', 1]]);
    expect(readings('s/7/m/9', '{"x":1}', rules({ topic: 's/{device}/m/{device}' }))).toEqual([['7/9', 'x', 1]]);
  });

  it('refuses a rule that cannot be one', () => {
    for (const topic of ['a/#/b', 'a/b+', 'a/{x}y']) expect(() => decode('a', '1', rules({ topic })), topic).toThrow(/topic filter/);
  });

  it('leaves out what is excluded, and counts it', () => {
    const settings = { include: ['plant/#'], exclude: ['plant/test/#'], excludeDevices: ['spare-*'], excludeMetrics: ['*_raw'] };
    expect(decode('plant/oven3', '{"x":1,"x_raw":2}', { settings })).toMatchObject({ messages: [{ metrics: [['x', 1]] }], reasons: { excluded: 1 }, deadLetters: [] });
    for (const topic of ['other/oven3', 'plant/test/oven3', 'plant/test', 'plant/spare-1']) {
      expect(decode(topic, '{"x":1}', { settings }), topic).toMatchObject({ messages: [], reasons: { excluded: 1 } });
    }
  });
});

describe('time', () => {
  const timeOf = (payload: string): number => decode('x/d', payload).messages[0]?.timestampMs;

  it.each([
    ['{"ts":1700000000,"x":1}', 1_700_000_000_000], ['{"ts":1700000000.25,"x":1}', 1_700_000_000_250], ['{"timestamp":1700000000123,"x":1}', 1_700_000_000_123],
    ['{"time":1700000000123456,"x":1}', 1_700_000_000_123], ['{"ts":1700000000123456789,"x":1}', 1_700_000_000_123], ['{"date":"2023-11-14T22:13:20Z","x":1}', 1_700_000_000_000],
    ['{"ts":"2023-11-14 22:13:20","x":1}', 1_700_000_000_000], ['{"ts":"2023-11-14T23:13:20.5+01:00","x":1}', 1_700_000_000_500], ['{"ts":"1700000000","x":1}', 1_700_000_000_000],
    ['{"x":1,"ts":null}', NaN], ['{"x":1}', NaN], ['{"t":1700000000,"x":1}', 1_700_000_000_000],
  ])('%s', (payload, expected) => {
    expect(timeOf(payload)).toBe(expected);
  });

  it('takes a small number under a short name for a measurement', () => {
    expect(decode('x/d', '{"t":21.5,"h":40}').messages).toEqual([{ device: 'd', timestampMs: NaN, tags: undefined, metrics: [['t', 21.5], ['h', 40]] }]);
  });

  it('refuses a message whose time cannot be read', () => {
    for (const bad of ['"yesterday"', '"2023-02-30T00:00:00Z"', '"2023-11-14T25:00:00Z"', '"2023-13-01"']) {
      expect(decode('x/d', `{"timestamp":${bad},"x":1}`), bad).toMatchObject({ messages: [], reasons: { timestamp_invalid: 1 }, deadLetters: ['timestamp_invalid'] });
    }
  });

  it('does not invent a time for a retained message', () => {
    expect(decode('x/d', '{"x":1}', { retained: true })).toMatchObject({ messages: [], reasons: { retained: 1 } });
    expect(decode('x/d', '{"x":1,"ts":1700000000}', { retained: true }).messages).toHaveLength(1);
  });
});

describe('limits and hostile payloads', () => {
  it.each<[string, string, Record<string, number>]>([
    ['not JSON', '{"x":', { unparseable: 1 }],
    ['words', 'hello world', { unparseable: 1 }],
    ['nothing', '', { no_metrics: 1 }],
    ['an empty object', '{}', { no_metrics: 1 }],
    ['an empty array', '[]', { no_metrics: 1 }],
    ['an array of numbers', '[1,2]', { wrong_type: 2 }],
    ['no number', '{"state":"idle"}', { wrong_type: 1, no_metrics: 1 }],
    ['deep nesting', '['.repeat(100_000), { nested_too_deep: 1 }],
    ['deep objects', '{"a":'.repeat(40) + '1' + '}'.repeat(40), { nested_too_deep: 1 }],
  ])('%s', (_name, payload, reasons) => {
    expect(decode('x/d', payload)).toMatchObject({ messages: [], reasons });
  });

  it('counts brackets in texts as text', () => {
    expect(decode('x/d', `{"text":"${'['.repeat(50)}\\"${'{'.repeat(50)}","x":1}`).messages).toHaveLength(1);
  });

  it('refuses payloads and topics that are too large', () => {
    expect(decode('x/d', `{"x":1${' '.repeat(200)}}`, { limits: { payloadBytes: 100 } })).toMatchObject({ messages: [], reasons: { payload_too_large: 1 } });
    expect(decode('a/b/c/d', '1', { limits: { topicLevels: 3 } })).toMatchObject({ messages: [], reasons: { too_many_topic_levels: 1 } });
  });

  it('hands NaN and Infinity of loose encoders on, to be refused one by one, and keeps the rest', () => {
    expect(readings('x/d', '{"a":NaN,"b":1,"c":-Infinity,"text":"NaN, Infinity"}')).toEqual([['d', 'a', NaN], ['d', 'b', 1], ['d', 'c', -Infinity]]);
    expect(readings('x/d', '{"a":1e999,"b":1}')).toEqual([['d', 'a', Infinity], ['d', 'b', 1]]);
  });

  it('takes names of object machinery for names', () => {
    expect(readings('x/d', '{"__proto__":1,"constructor":{"prototype":2},"toString":3}')).toEqual([['d', '__proto__', 1], ['d', 'constructor.prototype', 2], ['d', 'toString', 3]]);
    const { messages } = decode('', '{"device":"d","x":1,"tags":{"__proto__":"p","a":"b"}}');
    expect(Object.getPrototypeOf(messages[0].tags)).toBe(Object.prototype);
    expect(Object.keys(messages[0].tags!)).toEqual(['__proto__', 'a']);
  });

  it('passes over a byte order mark', () => {
    expect(readings('x/d', '\ufeff{"x":1}')).toEqual([['d', 'x', 1]]);
    expect(readings('x/d', '\ufeff{"x":[1]}')).toEqual([['d', 'x.0', 1]]);
  });

  it('reads the last of two equal keys, as JSON.parse does', () => {
    expect(readings('x/d', '{"x":1,"x":2}')).toEqual([['d', 'x', 2]]);
  });
});

describe('line protocol', () => {
  it('reads tags, fields of every type, escapes, and times in any unit', () => {
    const { messages } = decode('', 'weather,device=oven\\ 3,site=a\\,b temperature=21.4,count=3i,on=t,text="a \\"b\\", c",value=7 1700000000000000000\nweather,device=x y=1 1700000000');
    expect(messages).toEqual([
      { device: 'oven 3', timestampMs: 1_700_000_000_000, tags: { site: 'a,b' }, metrics: [['temperature', 21.4], ['count', 3], ['on', 1], ['weather', 7]] },
      { device: 'x', timestampMs: 1_700_000_000_000, tags: undefined, metrics: [['y', 1]] },
    ]);
  });

  it('takes the measurement for the device where nothing else names one', () => {
    expect(readings('', 'oven3 temperature=21.4')).toEqual([['oven3', 'temperature', 21.4]]);
    expect(readings('plant/oven3', 'weather temperature=21.4')).toEqual([['oven3', 'temperature', 21.4]]);
  });

  it('refuses a bad line and takes the others', () => {
    const { messages, reasons } = decode('', 'a x=1\nb x=\nc x=1 yesterday\nd\n\n# comment\ne x=2');
    expect(messages.map(({ device }) => device)).toEqual(['a', 'e']);
    expect(reasons).toEqual({ unparseable: 2, timestamp_invalid: 1 });
  });
});

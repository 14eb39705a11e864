import { connect, type Socket } from 'node:net';
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import type { Aedes } from 'aedes';
import fc from 'fast-check';
import { connectAsync, connect as connectMqtt, type IClientOptions, type MqttClient } from 'mqtt';
import { generate, type Packet } from 'mqtt-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench } from '../test/conformance/sources.js';
import { admits, hashPassword } from './acl.js';
import { BrokerSource } from './broker.js';
import { FilterTree, RetainedMessages } from './broker-retained.js';
import { BrokerSessions } from './broker-sessions.js';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const BOUNDS = { subscriptions: 10, subscriptionBytes: 20_000, sessions: 3, halfDone: 20 };

async function open(over: object = {}): Promise<{ broker: BrokerSource; bench: Bench }> {
  const bench = new Bench();
  const broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 50, connectionsPerDevice: 3, ...over }, undefined, undefined, new BrokerSessions(BOUNDS));
  closing.push(() => broker.close());
  await broker.open(() => setImmediate(() => broker.settle(bench.drain(broker))));
  return { broker, bench };
}

async function users(...names: string[]): Promise<string> {
  const path = join(mkdtempSync(join(tmpdir(), 'gruard-users-')), 'users.json');
  const list = await Promise.all(names.map(async (name) => ({ name, password: await hashPassword(name, 'generated'), publish: ['plant/%u/#'], subscribe: ['plant/%u/#'] })));
  writeFileSync(path, JSON.stringify({ users: list }));
  return path;
}

async function client(broker: BrokerSource, options: IClientOptions = {}): Promise<MqttClient> {
  const mqtt = await connectAsync(broker.url, { reconnectPeriod: 0, connectTimeout: 3000, ...options }, false);
  closing.push(() => mqtt.endAsync(true));
  return mqtt;
}

/** A client without manners. */
function raw(broker: BrokerSource, clientId: string, more: object = {}): { socket: Socket; send: (packet: object) => void; got: () => Buffer; gone: Promise<unknown> } {
  const socket = connect(broker.port, '127.0.0.1');
  closing.push(() => void socket.destroy());
  let got = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => { got = Buffer.concat([got, data]); }).on('error', () => undefined);
  const send = (packet: object): void => void socket.write(generate(packet as Packet));
  send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId, keepalive: 0, ...more });
  return { socket, send, got: () => got, gone: new Promise((resolve) => { socket.once('close', resolve); }) };
}

describe('what the embedded broker remembers of its clients', () => {
  it('are the subscriptions that were admitted, and none that came in the same packet', async () => {
    const { broker } = await open({ usersFile: await users('oven', 'thief') });
    const thief = { username: 'thief', password: 'thief', clientId: 't', clean: false };
    const before = await client(broker, thief);
    const granted = await before.subscribeAsync(['plant/thief/x', '#', 'plant/+/secret'], { qos: 1 }).catch(() => undefined);
    expect(granted).toBeUndefined();
    await before.endAsync();
    const oven = await client(broker, { username: 'oven', password: 'oven' });
    await oven.publishAsync('plant/oven/secret', '{"t":1}', { qos: 1 });
    const heard: string[] = [];
    const back = connectMqtt(broker.url, { reconnectPeriod: 0, ...thief });
    closing.push(() => back.endAsync(true));
    back.on('message', (topic) => heard.push(topic));
    await new Promise((resolve) => back.once('connect', resolve));
    await back.publishAsync('plant/thief/x', '{"t":1}', { qos: 1 });
    await expect.poll(() => heard).toContain('plant/thief/x');
    await pause(100);
    expect(heard).toEqual(['plant/thief/x']);
  });

  it('is not what the users file no longer allows, though it waits in a session', async () => {
    const path = await users('oven');
    const { broker } = await open({ usersFile: path });
    const options = { username: 'oven', password: 'oven', clean: false, clientId: 'o' };
    const oven = await client(broker, options);
    await oven.subscribeAsync('plant/oven/#', { qos: 1 });
    const heard: string[] = [];
    oven.on('message', (topic) => heard.push(topic));
    await oven.publishAsync('plant/oven/a', '{"t":1}', { qos: 1 });
    await expect.poll(() => heard.length).toBe(1);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"subscribe":["plant/%u/#"]', '"subscribe":["plant/%u/set"]'));
    await pause(1500);
    await oven.publishAsync('plant/oven/b', '{"t":2}', { qos: 1 });
    await oven.publishAsync('plant/oven/set', '{"t":3}', { qos: 1 });
    await expect.poll(() => heard).toEqual(['plant/oven/a', 'plant/oven/set']);
    // A password that was replaced ends what it let in.
    const cut = new Promise<void>((resolve) => { oven.once('close', () => resolve()); });
    renameSync(await users('oven'), path);
    await cut;
  });

  it('is a bounded number of subscriptions, whose places are free again; a packet of many costs no more than its length', async () => {
    const { broker } = await open();
    const mqtt = await client(broker, { clientId: 'a', clean: false });
    const topics = (n: number, name = 't'): string[] => Array.from({ length: n }, (_, i) => `plant/${name}${i}`);
    await mqtt.subscribeAsync(topics(10), { qos: 1 });
    await mqtt.subscribeAsync(topics(10), { qos: 0 });
    await expect(mqtt.subscribeAsync('plant/more', { qos: 1 })).rejects.toThrow();
    await mqtt.unsubscribeAsync('plant/t3');
    await mqtt.subscribeAsync('plant/more', { qos: 1 });
    await mqtt.endAsync();
    const again = await client(broker, { clientId: 'a', clean: false });
    await expect(again.subscribeAsync('plant/more2', { qos: 1 })).rejects.toThrow();
    await again.endAsync();
    const afresh = await client(broker, { clientId: 'a', clean: true });
    await afresh.subscribeAsync(topics(10, 'other'), { qos: 1 });
    // As many as a packet of 1 MiB may hold: aedes alone would do this number squared.
    const many = raw(broker, 'many', { clean: false });
    many.send({ cmd: 'subscribe', messageId: 7, subscriptions: topics(60_000).map((topic) => ({ topic, qos: 1 })) });
    await expect.poll(() => many.got().length, { timeout: 10_000 }).toBeGreaterThan(60_000);
    expect(many.got().filter((byte) => byte === 0x80).length).toBeGreaterThanOrEqual(59_990);
    expect(broker.status().detail).toContain('too many');
  });

  it('is a bounded number of bytes of topics, over all clients', async () => {
    const { broker } = await open();
    const long = (i: number): string => `plant/${i}/${'x'.repeat(6000)}`;
    const first = await client(broker, { clientId: 'a' });
    await first.subscribeAsync([long(1), long(2), long(3)]);
    const second = await client(broker, { clientId: 'b' });
    await expect(second.subscribeAsync(long(1))).rejects.toThrow();
    await first.endAsync();
    await expect.poll(async () => second.subscribeAsync(long(1)).then(() => true, () => false)).toBe(true);
  });

  it('is a bounded number of sessions that outlive a connection; one more ends with its connection', async () => {
    const { broker } = await open();
    for (const id of ['a', 'b', 'c', 'd']) {
      const mqtt = await client(broker, { clientId: id, clean: false });
      await mqtt.subscribeAsync('plant/#', { qos: 1 });
      await mqtt.endAsync();
    }
    const present = async (id: string): Promise<boolean> => {
      const socket = raw(broker, id, { clean: false });
      await expect.poll(() => socket.got().length).toBeGreaterThanOrEqual(4);
      return socket.got()[2] === 1;
    };
    expect([await present('a'), await present('c'), await present('d')]).toEqual([true, true, false]);
  });

  it('is the number, and not the message, of a QoS 2 whose sender does not go on; beyond a bound the sender is cut off', async () => {
    const { broker, bench } = await open();
    const sender = raw(broker, 'half', { clean: false });
    for (let id = 1; id <= 20; id++) sender.send({ cmd: 'publish', topic: 'plant/oven', payload: `{"t":${id},"timestamp":${Date.now() - 1000 + id}}`, qos: 2, messageId: id });
    // Again: known, and not taken twice.
    sender.send({ cmd: 'publish', topic: 'plant/oven', payload: '{"t":1}', qos: 2, messageId: 1, dup: true });
    await expect.poll(() => sender.got().length).toBe(4 + 21 * 4);
    sender.send({ cmd: 'pubrel', messageId: 5 });
    sender.send({ cmd: 'publish', topic: 'plant/oven', payload: '{"t":1}', qos: 2, messageId: 21 });
    await expect.poll(() => sender.got().length).toBe(4 + 23 * 4);
    sender.send({ cmd: 'publish', topic: 'plant/oven', payload: '{"t":1}', qos: 2, messageId: 22 });
    await sender.gone;
    const clean = raw(broker, 'half', { clean: true });
    for (let id = 1; id <= 20; id++) clean.send({ cmd: 'publish', topic: 'plant/oven', payload: '{"t":1}', qos: 2, messageId: id });
    await expect.poll(() => clean.got().length).toBe(4 + 20 * 4);
    expect(bench.fleet.deviceCount).toBe(1);
  });

  it('are so many connections of a device, and its own place for one that comes back', async () => {
    const { broker } = await open({ usersFile: await users('oven') });
    const login = { username: 'oven', password: 'oven' };
    for (const clientId of ['a', 'b', 'c', 'a']) await client(broker, { ...login, clientId });
    await expect(client(broker, { ...login, clientId: 'd' })).rejects.toThrow();
    expect(broker.status().detail).toContain('1 refused');
  });

  it('is no long client id and no large will, and a stranger\'s first packet is small', async () => {
    const { broker } = await open();
    await expect(client(broker, { clientId: 'i'.repeat(600) })).rejects.toThrow();
    await expect(client(broker, { will: { topic: 'plant/oven', payload: Buffer.alloc(20_000), qos: 0, retain: false } })).rejects.toThrow();
    const large = raw(broker, 'x', { username: 'u'.repeat(60_000), password: 'p'.repeat(60_000) });
    await large.gone;
    expect(broker.status().detail).toContain('1 cut off');
    await (await client(broker, { will: { topic: 'plant/oven', payload: Buffer.alloc(10_000), qos: 0, retain: false } })).publishAsync('plant/oven', Buffer.alloc(200_000), { qos: 1 });
  });

  it('is found again where it was retained', async () => {
    const { broker } = await open();
    const keeper = await client(broker);
    for (const topic of ['plant/r7', 'plant/r8', 'plant/r9', 'plant/r10']) await keeper.publishAsync(topic, '1', { qos: 1, retain: true });
    await keeper.publishAsync('plant/r10', '', { qos: 1, retain: true });
    const heard: string[] = [];
    const reader = await client(broker);
    reader.on('message', (topic, _payload, { retain }) => heard.push(`${topic} ${retain}`));
    await reader.subscribeAsync(['plant/r7', 'plant/+/x', 'plant/none', '+/r8', 'plant/r9/#', '+/r10']);
    await expect.poll(() => heard.sort()).toEqual(['plant/r7 true', 'plant/r8 true', 'plant/r9 true']);
  });
});

it('looks through many retained messages in turns', async () => {
  const persistence = {} as { storeRetained: (packet: object) => Promise<void>; createRetainedStreamCombi: (filters: string[]) => Readable };
  new RetainedMessages().guard({ persistence } as unknown as Aedes);
  for (let i = 0; i < 10_500; i++) await persistence.storeRetained({ topic: `plant/r${i}`, payload: '1' });
  let turns = 0;
  let going = true;
  const others = (): void => {
    turns++;
    if (going) setImmediate(others);
  };
  setImmediate(others);
  const found: string[] = [];
  const filters = Array.from({ length: 1000 }, (_, i) => `plant/x${i}/#`);
  for await (const { topic } of persistence.createRetainedStreamCombi([...filters, '+/r10499', 'plant/r3']) as AsyncIterable<{ topic: string }>) found.push(topic);
  going = false;
  expect(found).toEqual(['plant/r3', 'plant/r10499']);
  expect(turns).toBeGreaterThanOrEqual(10);
});

it('a tree of filters matches what each of them does', () => {
  const level = fc.constantFrom('a', 'b', '', 'c');
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
  const filter = fc.tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean()).map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'));
  fc.assert(fc.property(fc.array(filter, { maxLength: 6 }), topic, (filters, asked) => {
    const tree = new FilterTree();
    for (const each of filters) tree.add(each);
    expect(tree.matches(asked)).toBe(filters.some((each) => admits(each, asked, { user: '', client: '' })));
  }));
});

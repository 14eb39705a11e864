import { connect } from 'node:net';
import { connectAsync, type MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench, pause } from '../test/conformance/sources.js';
import { BrokerMemory } from './broker-memory.js';
import { BrokerSource } from './broker.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const BOUNDS = { retainedTopics: 5, retainedBytes: 2000, sessionMessages: 10, queuedBytes: 100_000 };

async function open(): Promise<BrokerSource> {
  const bench = new Bench();
  const broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 10 }, undefined, new BrokerMemory(BOUNDS));
  closing.push(() => broker.close());
  await broker.open(() => setImmediate(() => broker.settle(bench.drain(broker))));
  return broker;
}

async function client(broker: BrokerSource, clientId: string, clean = true): Promise<{ mqtt: MqttClient; heard: string[] }> {
  const heard: string[] = [];
  const mqtt = await connectAsync(broker.url, { reconnectPeriod: 0, clientId, clean }, false);
  mqtt.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
  closing.push(() => mqtt.endAsync(true));
  return { mqtt, heard };
}

it('a session whose client is away keeps a bounded number of messages, and its place again once they are taken', async () => {
  const broker = await open();
  const { mqtt: sender } = await client(broker, 'sender');
  for (let round = 0; round < 2; round++) {
    const { mqtt: listener } = await client(broker, 'listener', false);
    await listener.subscribeAsync('plant/#', { qos: 1 });
    await listener.endAsync();
    for (let i = 0; i < 25; i++) await sender.publishAsync('plant/oven3', String(i), { qos: 1 });
    const back = await backAgain(broker);
    await expect.poll(() => back.heard.length).toBe(10);
    await pause(50);
    expect(back.heard).toEqual(Array.from({ length: 10 }, (_, i) => `plant/oven3 ${i}`));
    await back.mqtt.endAsync();
  }
  expect(broker.status().detail).toContain('30 not kept');
});

/** Listens before it connects: what waited comes with the CONNACK. */
async function backAgain(broker: BrokerSource): Promise<{ mqtt: MqttClient; heard: string[] }> {
  const { connect: open } = await import('mqtt');
  const heard: string[] = [];
  const mqtt = open(broker.url, { reconnectPeriod: 0, clientId: 'listener', clean: false });
  mqtt.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
  closing.push(() => mqtt.endAsync(true));
  await new Promise((resolve) => mqtt.once('connect', resolve));
  return { mqtt, heard };
}

it('keeps a bounded number of retained messages, in topics and bytes, and frees the place of one that is cleared', async () => {
  const broker = await open();
  const { mqtt: sender } = await client(broker, 'sender');
  const retain = (topic: string, payload: string): Promise<unknown> => sender.publishAsync(topic, payload, { qos: 1, retain: true });
  const kept = async (): Promise<string[]> => {
    const { mqtt, heard } = await client(broker, `reader${Math.random()}`);
    await mqtt.subscribeAsync('#');
    await pause(100);
    await mqtt.endAsync();
    return heard.map((line) => line.split(' ')[0]).sort();
  };
  for (let i = 0; i < 8; i++) await retain(`plant/t${i}`, '1');
  expect(await kept()).toEqual(['plant/t0', 'plant/t1', 'plant/t2', 'plant/t3', 'plant/t4']);
  await retain('plant/t0', '');
  await retain('plant/t7', '1');
  await retain('plant/t1', 'x'.repeat(5000));
  expect(await kept()).toEqual(['plant/t1', 'plant/t2', 'plant/t3', 'plant/t4', 'plant/t7']);
});

it('cuts off a subscriber that does not read', async () => {
  const broker = await open();
  const deaf = connect(broker.port, '127.0.0.1');
  closing.push(async () => { deaf.destroy(); });
  deaf.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'deaf', keepalive: 0 }));
  deaf.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] }));
  deaf.pause();
  const gone = new Promise((resolve) => deaf.once('close', resolve));
  deaf.on('error', () => undefined);
  const { mqtt: sender } = await client(broker, 'sender');
  for (let i = 0; i < 80 && broker.status().detail!.startsWith('2 clients'); i++) await sender.publishAsync('plant/big', Buffer.alloc(1_000_000, 'x'), { qos: 1 });
  await expect.poll(() => broker.status().detail).toContain('1 clients');
  deaf.resume();
  await gone;
});

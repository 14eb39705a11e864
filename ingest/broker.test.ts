import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench, pause } from '../test/conformance/sources.js';
import { BrokerSource, type BrokerSettings } from './broker.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const settings: BrokerSettings = { host: '127.0.0.1', port: 0, clients: 10 };

async function open(over: Partial<BrokerSettings> = {}): Promise<{ bench: Bench; broker: BrokerSource }> {
  const bench = new Bench();
  const broker = new BrokerSource(bench.stages, systemClock, { ...settings, ...over });
  closing.push(() => broker.close());
  await broker.open(bench.wake);
  return { bench, broker };
}

async function client(broker: BrokerSource, options: IClientOptions = {}): Promise<MqttClient> {
  const mqtt = await connectAsync(broker.url, { reconnectPeriod: 0, ...options }, false);
  closing.push(() => mqtt.endAsync(true));
  return mqtt;
}

describe('the embedded broker', () => {
  it('names the setting when its port is taken', async () => {
    const { broker } = await open();
    await expect(open({ port: broker.port })).rejects.toMatchObject({ code: 'PORT_TAKEN', message: expect.stringContaining('broker.port') as string });
  });

  it('listens beyond loopback only with a user and a password', async () => {
    await expect(open({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'BROKER_CREDENTIALS_REQUIRED' });
    await expect(open({ host: '0.0.0.0', username: 'u' })).rejects.toMatchObject({ code: 'BROKER_CREDENTIALS_REQUIRED' });
    await open({ host: '0.0.0.0', username: 'u', password: 'a-secret' });
  });

  it('listens beyond loopback only with a password that has some length', async () => {
    await expect(open({ host: '0.0.0.0', username: 'u', password: 'secret7' })).rejects.toMatchObject({ code: 'BROKER_PASSWORD_GUESSABLE', message: expect.not.stringContaining('secret7') as string });
    await open({ username: 'u', password: 'secret7' });
  });

  it('lets in who knows user and password', async () => {
    const { broker } = await open({ username: 'fleet', password: 'secret' });
    await client(broker, { username: 'fleet', password: 'secret' });
    for (const wrong of [{}, { username: 'fleet' }, { username: 'fleet', password: 'Secret' }, { username: 'x', password: 'secret' }]) {
      await expect(client(broker, wrong)).rejects.toThrow();
    }
    expect(broker.status().detail).toContain('4 refused');
    expect(JSON.stringify(broker.status())).not.toContain('secret');
  });

  it('takes no more clients than it may', async () => {
    const { broker } = await open({ clients: 2 });
    await client(broker);
    await client(broker);
    await expect(client(broker)).rejects.toThrow();
  });

  it('is a broker: what is durable goes to its subscribers', async () => {
    const { bench, broker } = await open();
    const subscriber = await client(broker);
    const heard: string[] = [];
    subscriber.on('message', (topic, payload) => heard.push(`${topic} ${payload.toString()}`));
    await subscriber.subscribeAsync('plant/#', { qos: 1 });
    const publisher = await client(broker);
    const sent = publisher.publishAsync('plant/oven3', '{"temperature":21.4}', { qos: 1, retain: true });
    await expect.poll(() => broker.waiting).toBe(1);
    await pause(30);
    expect(heard).toEqual([]);
    broker.settle(bench.drain(broker));
    await sent;
    await expect.poll(() => heard).toEqual(['plant/oven3 {"temperature":21.4}']);
    expect(bench.rows).toMatchObject([{ device: 'oven3', metric: 'temperature', value: 21.4 }]);
  });

  it('takes a last will for the message that it is', async () => {
    const { bench, broker } = await open();
    const mqtt = await client(broker, { will: { topic: 'plant/oven3/online', payload: Buffer.from('false'), qos: 1, retain: false } });
    mqtt.stream.destroy();
    await bench.until(broker, () => bench.rows.length === 1);
    expect(bench.rows).toMatchObject([{ device: 'oven3', metric: 'online', value: 0 }]);
  });

  it('keeps its own topics to itself', async () => {
    const { broker } = await open();
    const mqtt = await client(broker);
    const closed = new Promise((resolve) => mqtt.once('close', () => resolve(undefined)));
    mqtt.publish('$SYS/x', '1', { qos: 0 });
    await closed;
    expect(broker.status().received).toBe(0);
  });

  it('survives strangers: garbage, half-open connections, packets without end', async () => {
    const { bench, broker } = await open();
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\x10\xff\xff\xff\x7f', '', '\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x30']) {
      const socket = connect(broker.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(Buffer.from(bytes, 'latin1'));
      closing.push(async () => { socket.destroy(); });
    }
    const publisher = await client(broker);
    const sent = publisher.publishAsync('plant/oven3', '{"x":1}', { qos: 1 });
    await bench.until(broker, () => bench.rows.length === 1);
    await sent;
  });

  it('cuts off a client whose packet is larger than a message may be', async () => {
    const { broker } = await open();
    const mqtt = await client(broker);
    const closed = new Promise((resolve) => mqtt.once('close', () => resolve(undefined)));
    mqtt.publish('plant/oven3', Buffer.alloc(3_000_000), { qos: 1 }, () => undefined);
    await closed;
    expect(broker.status().received).toBe(0);
    expect(broker.status().detail).toContain('too large');
  });
});

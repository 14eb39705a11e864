import { connectAsync } from 'mqtt';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench, pause } from '../test/conformance/sources.js';
import { Mosquitto, mosquittoPath } from '../test/servers/mosquitto.js';
import { MqttSource, withoutPassword, type MqttSettings } from './mqtt.js';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function source(bench: Bench, over: Partial<MqttSettings>): MqttSource {
  const mqtt = new MqttSource(bench.stages, systemClock, { url: '', topics: ['plant/#'], version: '3.1.1', qos: 1, clientId: 'gruard', ...over });
  closing.push(() => mqtt.close());
  return mqtt;
}

const state = (mqtt: MqttSource): string => mqtt.status().state;

/** A broker of a few lines: grants every subscription, then sends what the test wants. */
async function fakeBroker(onSubscribed: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      if (bytes[0] === 0x10) socket.write(Buffer.from([0x20, 2, 0, 0]));
      if (bytes[0] === 0x82) {
        socket.write(Buffer.from([0x90, 3, bytes[2], bytes[3], 1]));
        onSubscribed(socket);
      }
    });
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `mqtt://127.0.0.1:${(server.address() as { port: number }).port}`;
}

describe('the MQTT source', () => {
  it('never tells the password', async () => {
    expect(withoutPassword('mqtts://user:hunter2@broker.example:8883/x')).toBe('mqtts://broker.example:8883/x');
    const mqtt = source(new Bench(), { url: 'mqtt://u:hunter2@127.0.0.1:1', username: 'u', password: 'hunter2' });
    await mqtt.open(() => undefined);
    await expect.poll(() => mqtt.status().detail).not.toBeNull();
    expect(JSON.stringify(mqtt.status())).not.toContain('hunter2');
    expect(state(mqtt)).toBe('disconnected');
  });

  it('refuses an address of no protocol that it knows', async () => {
    for (const url of ['gopher://x', 'http://x', '127.0.0.1:1883', 'mqtt://', 'broker']) {
      await expect(source(new Bench(), { url }).open(() => undefined), url).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    }
  });

  it('ends a connection that brings garbage, says why, and comes back', async () => {
    let times = 0;
    const url = await fakeBroker((socket) => {
      times++;
      if (times === 1) socket.write(Buffer.from([0x30, 3, 0, 9, 1]));
      else socket.write(Buffer.from([0x30, 6, 0, 3, 0x61, 0x2f, 0x62, 0x31]));
    });
    const bench = new Bench();
    const mqtt = source(bench, { url });
    await mqtt.open(bench.wake);
    await bench.until(mqtt, () => bench.rows.length === 1);
    expect(times).toBe(2);
    expect(bench.rows).toMatchObject([{ device: 'a', metric: 'b', value: 1 }]);
  });

  it('drops the acknowledgements of a connection that is gone', async () => {
    const written: Buffer[] = [];
    const sockets: Socket[] = [];
    const url = await fakeBroker((socket) => {
      sockets.push(socket);
      socket.on('data', (bytes: Buffer) => { if (bytes[0] === 0x40) written.push(bytes); });
      socket.write(Buffer.from([0x32, 8, 0, 3, 0x61, 0x2f, 0x62, 0, sockets.length, 0x31]));
    });
    const bench = new Bench();
    const mqtt = source(bench, { url });
    await mqtt.open(bench.wake);
    await bench.until(mqtt, () => bench.rows.length === 1, false);
    sockets[0].destroy();
    await expect.poll(() => mqtt.status().received, { timeout: 5000 }).toBe(2);
    mqtt.settle(1);
    await pause(50);
    expect(written).toEqual([]);
    const ticket = bench.drain(mqtt);
    mqtt.settle(ticket);
    await expect.poll(() => Buffer.concat(written)).toEqual(Buffer.from([0x40, 2, 0, 2]));
  });

  it.skipIf(mosquittoPath === undefined)('holds back what is over its bound in the broker, and loses and repeats nothing', async () => {
    const mosquitto = await Mosquitto.start();
    closing.push(() => mosquitto.remove());
    const bench = new Bench();
    const mqtt = source(bench, { url: mosquitto.url, unacknowledgedMessages: 10 });
    await mqtt.open(bench.wake);
    await expect.poll(() => state(mqtt)).toBe('connected');
    const publisher = await connectAsync(mosquitto.url);
    closing.push(() => publisher.endAsync(true));
    await pause(100);
    for (let i = 0; i < 500; i++) await publisher.publishAsync('plant/d', `{"x":${i},"ts":${1_700_000_000 + i}}`, { qos: 1 });
    expect(mqtt.waiting).toBe(10);
    await bench.until(mqtt, () => bench.rows.length === 500);
    expect(bench.rows.map(({ value }) => value)).toEqual(Array.from({ length: 500 }, (_, i) => i));
    expect(bench.counters.get('duplicate')).toBe(0);
  });

  it.skipIf(mosquittoPath === undefined)('keeps the connection alive while it reads nothing', async () => {
    const mosquitto = await Mosquitto.start();
    closing.push(() => mosquitto.remove());
    const bench = new Bench();
    const mqtt = source(bench, { url: mosquitto.url, unacknowledgedMessages: 5, keepaliveS: 1 });
    await mqtt.open(bench.wake);
    await expect.poll(() => state(mqtt)).toBe('connected');
    const publisher = await connectAsync(mosquitto.url);
    closing.push(() => publisher.endAsync(true));
    await pause(100);
    for (let i = 0; i < 30; i++) await publisher.publishAsync('plant/d', `{"x":${i},"ts":${1_700_000_000 + i}}`, { qos: 1 });
    // Both ends would hang up after one and a half seconds of silence.
    await pause(3500);
    expect(state(mqtt)).toBe('connected');
    await bench.until(mqtt, () => bench.rows.length === 30);
    expect(mqtt.status().received).toBe(30);
  });

  it.skipIf(mosquittoPath === undefined)('finds what came while it was away, and after the broker was killed', async () => {
    const mosquitto = await Mosquitto.start();
    closing.push(() => mosquitto.remove());
    const first = new Bench();
    const before = source(first, { url: mosquitto.url });
    await before.open(first.wake);
    await expect.poll(() => state(before)).toBe('connected');
    await pause(100);
    await before.close();
    const publisher = await connectAsync(mosquitto.url);
    for (let i = 0; i < 50; i++) await publisher.publishAsync('plant/d', `{"x":${i},"ts":${1_700_000_000 + i}}`, { qos: 1 });
    await publisher.endAsync();
    const bench = new Bench();
    const after = source(bench, { url: mosquitto.url });
    await after.open(bench.wake);
    await bench.until(after, () => bench.rows.length === 50, false);
    await mosquitto.stop('SIGTERM');
    await expect.poll(() => state(after)).toBe('disconnected');
    const again = await Mosquitto.start({ dir: mosquitto.dir, port: mosquitto.port });
    closing.push(() => again.stop());
    await bench.until(after, () => bench.counters.get('duplicate') === 50);
    expect(bench.rows).toHaveLength(50);
  });
});

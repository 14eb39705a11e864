import { connectAsync, type MqttClient } from 'mqtt';
import { createServer, connect as connectTcp, type Socket } from 'node:net';
import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../core/clock.js';
import { BrokerSource } from '../../ingest/broker.js';
import { HttpSource } from '../../ingest/http.js';
import { MqttSource } from '../../ingest/mqtt.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { sourceConformance, type Bench, type SourceUnderTest } from './sources.js';

/** Publishes at QoS 1; counts what the broker has acknowledged. */
class Publisher {
  acknowledged = 0;
  private constructor(private readonly client: MqttClient) {}

  static async connect(url: string): Promise<Publisher> {
    return new Publisher(await connectAsync(url, { reconnectPeriod: 0 }));
  }

  publish(topic: string, payloads: string[]): Promise<void>[] {
    return payloads.map((payload) => this.client.publishAsync(topic, payload, { qos: 1 }).then(() => { this.acknowledged++; }));
  }

  end(): Promise<void> {
    return this.client.endAsync(true);
  }
}

/** A wire between gruard and the broker that a test can cut, and that counts the PUBACKs on it. */
class Wire {
  pubacks = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((inside) => {
    const outside = connectTcp(this.target, '127.0.0.1');
    for (const socket of [inside, outside]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => { inside.destroy(); outside.destroy(); });
    }
    outside.pipe(inside);
    inside.on('data', (bytes: Buffer) => {
      for (let i = 0; i < bytes.length; i += 2 + bytes[i + 1]) if (bytes[i] === 0x40) this.pubacks++;
      outside.write(bytes);
    });
  });

  constructor(private readonly target: number) {}

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    return `mqtt://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

for (const version of ['3.1.1', '5'] as const) {
  describe.skipIf(mosquittoPath === undefined)(`mosquitto, MQTT ${version}`, () => {
    let mosquitto: Mosquitto;
    let session = 0;
    beforeAll(async () => { mosquitto = await Mosquitto.start(); });
    afterAll(() => mosquitto.remove());

    sourceConformance('mqtt', async (bench: Bench, limits): Promise<SourceUnderTest> => {
      const wire = new Wire(mosquitto.port);
      const url = await wire.listen();
      const source = new MqttSource(bench.stages, systemClock, {
        url, topics: ['plant/#'], version, qos: 1, clientId: `gruard-${session++}`, unacknowledgedMessages: limits.items, unacknowledgedBytes: limits.bytes,
      });
      await source.open(bench.wake);
      while (source.status().state !== 'connected') await new Promise((resolve) => { setTimeout(resolve, 10); });
      const publisher = await Publisher.connect(mosquitto.url);
      return {
        source,
        send: async (topic, payloads) => { await Promise.all(publisher.publish(topic, payloads)); },
        acknowledged: async () => wire.pubacks,
        cut: async () => { wire.pubacks = 0; wire.cut(); },
        end: async () => {
          await publisher.end();
          wire.close();
        },
      };
    });
  });
}

sourceConformance('broker', async (bench, limits) => {
  const source = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 100 }, limits);
  await source.open(bench.wake);
  const publisher = await Publisher.connect(source.url);
  return {
    source,
    send: async (topic, payloads) => { publisher.publish(topic, payloads).forEach((sent) => { sent.catch(() => undefined); }); },
    acknowledged: async () => publisher.acknowledged,
    end: () => publisher.end(),
  };
});

sourceConformance('http', async (bench, limits) => {
  const source = new HttpSource(bench.stages, systemClock, limits);
  await source.open(bench.wake);
  let acknowledged = 0;
  return {
    source,
    send: async (_topic, payloads) => {
      for (const payload of payloads) {
        for (let busy = true; busy;) {
          busy = await new Promise<boolean>((resolve) => {
            source.submit(Buffer.from(payload)).then(() => { acknowledged++; }, (error: { code: string }) => resolve(error.code === 'BUSY'));
            setImmediate(resolve, false);
          });
          if (busy) await new Promise((resolve) => { setTimeout(resolve, 1); });
        }
      }
    },
    acknowledged: async () => acknowledged,
    end: async () => undefined,
  };
});

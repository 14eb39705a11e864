import { afterAll, beforeAll, describe } from 'vitest';
import { systemClock } from '../../core/clock.js';
import { KafkaSource } from '../../ingest/kafka.js';
import { KafkaServer, kafkaMissing } from '../servers/kafka.js';
import { sourceConformance } from './sources.js';

describe.skipIf(kafkaMissing !== undefined)('a real Kafka broker', () => {
  let server: KafkaServer;
  let topics = 0;

  beforeAll(async () => {
    server = await KafkaServer.start();
  }, 180_000);
  afterAll(() => server.remove());

  sourceConformance('kafka', async (bench, limits) => {
    const topic = `readings-${topics++}`;
    await server.createTopic(topic);
    const client = server.client();
    const producer = client.producer();
    const admin = client.admin();
    await Promise.all([producer.connect(), admin.connect()]);
    const source = new KafkaSource(bench.stages, systemClock, {
      connection: { brokers: [server.broker], clientId: 'gruard', tls: false }, topics: [topic], groupId: topic, from: 'earliest', device: 'payload', tagHeaders: [], eventTime: true,
      commitIntervalMs: 20, limits,
    });
    await source.open(bench.wake);
    while (source.status().state !== 'connected') await new Promise((resolve) => { setTimeout(resolve, 10); });
    return {
      source,
      send: async (_topic, payloads) => { await producer.send({ topic, messages: payloads.map((value) => ({ key: 'oven3', value })) }); },
      acknowledged: async () => Math.max(0, Number((await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0].partitions[0].offset)),
      end: async () => { await Promise.all([producer.disconnect(), admin.disconnect()]); },
    };
  });
});

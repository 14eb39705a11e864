import { readFileSync } from 'node:fs';
import { CompressionTypes, type Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.js';
import type { KafkaConnection } from '../../core/kafka.js';
import { KafkaSource, type KafkaSettings } from '../../ingest/kafka.js';
import { KafkaServer, kafkaMissing } from '../servers/kafka.js';
import { readTopic } from '../servers/kafka-topic.js';
import { Bench, pause, sourceConformance } from './sources.js';

describe.skipIf(kafkaMissing !== undefined)('a real Kafka broker', () => {
  let server: KafkaServer;
  let topics = 0;

  beforeAll(async () => {
    server = await KafkaServer.start({ secure: true });
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

  const settingsFor = (topic: string, over: Partial<KafkaSettings> = {}): KafkaSettings => ({
    connection: { brokers: [server.broker], clientId: 'gruard', tls: false }, topics: [topic], groupId: topic, from: 'earliest', device: 'payload', tagHeaders: [], eventTime: true,
    commitIntervalMs: 20, ...over,
  });
  const send = async (topic: string, messages: Message[]): Promise<void> => {
    const producer = server.client().producer();
    await producer.connect();
    await producer.send({ topic, messages });
    await producer.disconnect();
  };
  const readings = (from: number, to: number): Message[] =>
    Array.from({ length: to - from }, (_, i) => ({ key: 'oven3', value: JSON.stringify({ timestamp: 1_700_000_000_000 + (from + i) * 1000, t: from + i }) }));
  const values = (bench: Bench): number[] => bench.rows.map(({ value }) => value);

  describe('the Kafka source', () => {
    it('goes on where the journal stands, whatever the group was told', async () => {
      await server.createTopic('resumed');
      await send('resumed', readings(0, 20));
      const first = new Bench();
      const before = new KafkaSource(first.stages, systemClock, settingsFor('resumed'));
      await before.open(first.wake);
      await first.until(before, () => first.rows.length === 20);
      expect(before.positions()).toEqual([{ partition: 'resumed/0', position: '20' }]);
      expect(before.positions()).toEqual([]);
      await before.close();
      // The journal of an older backup: the group is ahead of it.
      const second = new Bench();
      const after = new KafkaSource(second.stages, systemClock, settingsFor('resumed'), new Map([['resumed/0', '5']]));
      await after.open(second.wake);
      await second.until(after, () => second.rows.length === 15);
      expect(values(second)[0]).toBe(5);
      await after.close();
    });

    it('begins anew with a topic that was made anew', async () => {
      await server.createTopic('anew');
      await send('anew', readings(0, 20));
      const bench = new Bench();
      const source = new KafkaSource(bench.stages, systemClock, settingsFor('anew'));
      await source.open(bench.wake);
      await bench.until(source, () => bench.rows.length === 20);
      const admin = server.client().admin();
      await admin.connect();
      await admin.deleteTopics({ topics: ['anew'] });
      await admin.disconnect();
      await pause(500);
      await server.createTopic('anew');
      await send('anew', readings(20, 25));
      await bench.until(source, () => bench.rows.length === 25);
      expect(values(bench).slice(20)).toEqual([20, 21, 22, 23, 24]);
      await source.close();
    }, 40_000);

    it('takes device, tags and time from key, headers and message where it is told to', async () => {
      await server.createTopic('named.values');
      await send('named.values', [
        { key: 'plant/oven3', value: '{"device":"x","t":1}', timestamp: '1700000000000', headers: { line: '7', other: 'no' } },
        { key: 'plant/oven3', value: '21.5', timestamp: '1700000001000' },
        { key: null, value: '{"t":1}' },
        { key: 'oven4', value: null },
      ]);
      const bench = new Bench();
      const source = new KafkaSource(bench.stages, systemClock, settingsFor('named.values', { device: 'key', tagHeaders: ['line'] }));
      await source.open(bench.wake);
      await bench.until(source, () => bench.deadLetters.length === 2);
      expect(bench.rows).toEqual([
        { device: 'plant/oven3', metric: 't', timestampMs: 1_700_000_000_000, value: 1, flags: 0 },
        { device: 'plant/oven3', metric: 'named.values', timestampMs: 1_700_000_001_000, value: 21.5, flags: 0 },
      ]);
      expect(bench.fleet.get('plant/oven3')?.tags).toEqual({ line: '7' });
      expect(bench.deadLetters.map(({ reason }) => reason)).toEqual(['no_device', 'no_metrics']);
      await source.close();
    });

    it.each(['gzip', 'snappy', 'lz4', 'zstd'])('reads what is packed with %s, by itself and where kafkajs reads', async (codec) => {
      const topic = `packed-${codec}`;
      await server.createTopic(topic, 1, { 'compression.type': codec });
      await send(topic, readings(0, 5000));
      const bench = new Bench();
      const source = new KafkaSource(bench.stages, systemClock, settingsFor(topic));
      await source.open(bench.wake);
      await bench.until(source, () => bench.rows.length === 5000);
      expect(values(bench)).toEqual(Array.from({ length: 5000 }, (_, i) => i));
      await source.close();
      expect((await readTopic(server, topic)).map(({ value }) => (JSON.parse(value) as { t: number }).t)).toEqual(values(bench));
    }, 30_000);

    it('does not unpack a bomb, and says where it is', async () => {
      await server.createTopic('bomb');
      await send('bomb', readings(0, 3));
      const producer = server.client().producer();
      await producer.connect();
      await producer.send({ topic: 'bomb', compression: CompressionTypes.GZIP, messages: [{ key: 'oven3', value: Buffer.alloc(65 * 1024 * 1024, ' ') }] });
      await producer.disconnect();
      const bench = new Bench();
      const source = new KafkaSource(bench.stages, systemClock, settingsFor('bomb'));
      await source.open(bench.wake);
      await bench.until(source, () => bench.rows.length === 3);
      await bench.until(source, () => source.status().detail?.includes('67108864') === true);
      expect(source.status()).toMatchObject({ state: 'disconnected', detail: 'bomb/0 from offset 3: a record batch that is packed with gzip has more than 67108864 bytes when unpacked' });
      await source.close();
    }, 60_000);

    it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('speaks TLS with a client certificate and SASL %s, and says what is wrong with a password', async (mechanism) => {
      const topic = `secure-${mechanism}`;
      await server.createTopic(topic);
      await send(topic, readings(0, 3));
      const { broker, ca, cert, key } = server.secure!;
      const connection = (password: string): KafkaConnection => ({
        brokers: [broker], clientId: 'gruard', tls: true, ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key), sasl: { mechanism, username: 'gruard', password },
      });
      const bench = new Bench();
      const wrong = new KafkaSource(bench.stages, systemClock, settingsFor(topic, { connection: connection('wrong-pass') }));
      await wrong.open(bench.wake);
      await expect.poll(() => wrong.status().detail, { timeout: 10_000 }).toMatch(/authentication|credentials/i);
      expect(JSON.stringify(wrong.status())).not.toContain('wrong-pass');
      await wrong.close();
      const right = new KafkaSource(bench.stages, systemClock, settingsFor(topic, { connection: connection('s3cret') }));
      await right.open(bench.wake);
      await bench.until(right, () => bench.rows.length === 3);
      await right.close();
    }, 30_000);

    it('stays in the group while it holds back for longer than the session', async () => {
      await server.createTopic('slow');
      await send('slow', readings(0, 300));
      const bench = new Bench();
      const source = new KafkaSource(bench.stages, systemClock, settingsFor('slow', { sessionTimeoutMs: 1500, limits: { items: 100, bytes: 1e6 } }));
      await source.open(bench.wake);
      await expect.poll(() => source.waiting, { timeout: 10_000 }).toBe(100);
      await pause(3000);
      expect(source.waiting).toBe(100);
      await bench.until(source, () => bench.rows.length === 300);
      expect(values(bench)).toEqual(Array.from({ length: 300 }, (_, i) => i));
      expect(bench.counters.get('duplicate')).toBe(0);
      await source.close();
    }, 30_000);
  });
});

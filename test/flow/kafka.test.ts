import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectAsync } from 'mqtt';
import { systemClock } from '../../core/clock.js';
import { packageRoot } from '../../core/paths.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { Bridge } from '../../ingest/kafka/bridge.js';
import { MqttSource } from '../../ingest/mqtt.js';
import { Bench } from '../conformance/sources.js';
import { KafkaServer, kafkaMissing } from '../servers/kafka.js';
import { readTopic } from '../servers/kafka-topic.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { backtested, servedEqualsBacktest } from './backtested.js';
import { all, startGruard, until } from './gruard.js';

const PARTITIONS = 4;
const DEVICES = ['oven-1', 'oven-2', 'oven-3', 'oven-4', 'oven-5', 'oven-6'];
const READINGS = 600;
const dir = mkdtempSync(join(tmpdir(), 'gruard-kafka-flow-'));

interface Result {
  device: string;
  metric: string;
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  anomaly_score: number | null;
}

/** A file for `backtest` and the same readings as messages, by device. */
function fleet(): { paths: string[]; messages: Message[] } {
  const messages: Message[] = [];
  const files = DEVICES.map((device, d) => {
    const random = seededRandom(d + 1);
    const path = join(dir, `${device}.csv`);
    const rows = Array.from({ length: READINGS }, (_, i) => {
      const fault = d === 0 && i > 500 && i < 540 ? 12 : 0;
      return { time: Date.UTC(2026, 0, 1) + i * 300_000, temperature: Number((20 + 3 * Math.sin((2 * Math.PI * i) / 96) + 0.2 * gaussian(random) + fault).toFixed(3)), humidity: Number((50 + gaussian(random)).toFixed(2)) };
    });
    writeFileSync(path, `timestamp,temperature,humidity\n${rows.map(({ time, temperature, humidity }) => `${new Date(time).toISOString()},${temperature},${humidity}`).join('\n')}\n`);
    return { path, rows };
  });
  for (let i = 0; i < READINGS; i++) {
    DEVICES.forEach((device, d) => {
      const { time, temperature, humidity } = files[d].rows[i];
      // Every other device leaves the time to Kafka.
      const own = d % 2 === 0 ? { timestamp: time } : {};
      messages.push({ key: device, timestamp: String(time), value: JSON.stringify({ ...own, temperature, humidity }) });
    });
  }
  return { paths: files.map(({ path }) => path), messages };
}

/** Runs a command to its end; what it printed. Rejects where it fails. */
async function gruard(...words: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, ['--import', 'tsx', join(packageRoot, 'cli/main.ts'), ...words])).stdout;
}

describe.skipIf(kafkaMissing !== undefined)('Kafka in and out, on a real broker', () => {
  let server: KafkaServer;

  beforeAll(async () => {
    server = await KafkaServer.start();
  }, 180_000);
  afterAll(() => server.remove());

  const sink = (): object => ({ kind: 'kafka', brokers: [server.broker], max_per_minute: 0 });
  const settingsFile = (settings: { kafka: object } & Record<string, unknown>): string => {
    const file = join(dir, 'gruard.yaml');
    writeFileSync(file, JSON.stringify({ ...settings, kafka: { brokers: [server.broker], ...settings.kafka } }));
    return file;
  };

  it('loses and doubles nothing over a kill -9 of gruard, a kill -9 of the broker, a restart and poison in every partition', async () => {
    const setup = await gruard('kafka', 'setup', '-c', settingsFile({ kafka: { topics: ['readings'], dead_letter_topic: 'readings.dead', output: { enabled: true } }, alerts: { sinks: [sink()] } }), '--partitions', String(PARTITIONS), '--json');
    expect((JSON.parse(setup) as { topics: { topic: string; outcome: string }[] }).topics.map(({ topic, outcome }) => `${topic} ${outcome}`))
      .toEqual(['readings created', 'gruard.results created', 'gruard.events created', 'readings.dead created', 'gruard.alerts created']);
    const settings = {
      'kafka.brokers': [server.broker], 'kafka.topic_pattern': 'read.*gs', 'kafka.dead_letter_topic': 'readings.dead', 'kafka.output.enabled': true, time: 'event',
      'journal.snapshot_interval_ms': 1000,
    };
    const { paths, messages } = fleet();
    const client = server.client();
    const producer = client.producer();
    const admin = client.admin();
    await Promise.all([producer.connect(), admin.connect()]);
    const produce = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 60) await producer.send({ topic: 'readings', messages: messages.slice(at, Math.min(to, at + 60)) });
    };
    const written = async (): Promise<number> => (await admin.fetchTopicOffsets('gruard.results')).reduce((sum, { high }) => sum + Number(high), 0);

    const dataDir = join(dir, 'data');
    const config = settingsFile({
      data_dir: dataDir, time: 'event', api: { port: 0 }, model: { backend: 'wasm' }, log: { level: 'error' },
      kafka: { topic_pattern: 'read.*gs', dead_letter_topic: 'readings.dead', output: { enabled: true } },
    });
    const child = spawn(process.execPath, ['--import', 'tsx', join(packageRoot, 'cli/main.ts'), 'start', '-c', config], { stdio: 'inherit' });
    const gone = new Promise((resolve) => { child.once('exit', resolve); });
    try {
      await produce(0, 600);
      await until(async () => await written() > 0, 'results of the first process', 60_000);
      const rest = produce(600, 1800);
      await until(async () => await written() > 1900, 'more results', 30_000);
      child.kill('SIGKILL');
      await rest;
    } finally {
      child.kill('SIGKILL');
      await gone;
    }

    const second = await startGruard({ ...settings, 'alerts.sinks': [sink()], data_dir: dataDir });
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await producer.send({ topic: 'readings', messages: [{ partition, key: 'oven-1', value: '{"temperature":', headers: { origin: 'test' } }] });
    }
    await produce(1800, 2400);
    await until(async () => (await second.get<{ sources: { name: string; state: string }[] }>('/v1/health')).sources.some(({ name, state }) => name === 'kafka' && state === 'connected'), 'connected', 30_000);
    await server.stop('SIGKILL');
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    await server.resume();
    await produce(2400, 3000);
    await until(async () => (await second.get<{ series: { readings: number }[] }>('/v1/devices/oven-6')).series[0].readings >= 450, 'readings after the broker came back', 60_000);
    await second.close();

    const third = await startGruard({ ...settings, 'alerts.sinks': [sink()], data_dir: dataDir });
    try {
      await produce(3000, messages.length);
      for (const path of paths) expect(await servedEqualsBacktest(third, path, ['temperature', 'humidity', '*'])).toBe(3 * READINGS);
      await until(async () => (await third.get<{ checks: { name: string; detail: string }[] }>('/v1/health')).checks.some(({ name, detail }) => name === 'kafka' && detail === '0 records behind'), 'all results written');

      const letters = await readTopic(server, 'readings.dead');
      expect(new Set(letters.map(({ headers }) => headers.gruard_partition))).toEqual(new Set(['0', '1', '2', '3']));
      expect(letters[0]).toMatchObject({ key: 'oven-1', value: '{"temperature":', headers: { origin: 'test', gruard_reason: 'unparseable', gruard_topic: 'readings' } });

      const results = new Map<string, Result>();
      let repeated = 0;
      for (const { key, value } of await readTopic(server, 'gruard.results')) {
        const result = JSON.parse(value) as Result;
        expect(result.device).toBe(key);
        const id = `${result.device} ${result.metric} ${result.timestamp}`;
        if (results.has(id)) {
          // At least once: only what was under way at the kill, and then the same again.
          expect(result).toEqual(results.get(id));
          repeated++;
        }
        results.set(id, result);
      }
      expect(results.size).toBe(DEVICES.length * 3 * READINGS);
      expect(repeated).toBeLessThan(results.size / 2);
      const expected = await backtested(paths[0]);
      for (const { device, metric, timestamp, yhat, actual } of results.values()) {
        if (device === 'oven-1') expect([actual, yhat].map((value) => (value === null ? '' : String(value)))).toEqual(expected.get(`${metric} ${Date.parse(timestamp)}`)!.slice(2, 4));
      }

      const newest = new Map((await readTopic(server, 'gruard.events')).map(({ value }) => JSON.parse(value) as { id: string; type: string; state: string; peak_score: number }).map((event) => [event.id, event]));
      const served = await all<{ id: string; state: string; peak_score: number }>(third.get, '/v1/anomalies?device=oven-1');
      expect(served.length).toBeGreaterThan(0);
      for (const { id, state, peak_score } of served) expect(newest.get(id)).toMatchObject({ type: 'anomaly', state, peak_score });

      await until(async () => (await third.get<{ checks: { name: string; detail: string }[] }>('/v1/health')).checks.some(({ name, detail }) => name === 'alerts kafka' && detail.startsWith('0 ')), 'alerts sent');
      const told = (await readTopic(server, 'gruard.alerts')).map(({ key, value, headers }) => ({ key, idempotency: headers['idempotency-key'], body: JSON.parse(value) as { key: string; event_id: string } }));
      expect(told.every(({ idempotency, body }) => idempotency === body.key)).toBe(true);
      expect(told.filter(({ key, body }) => key === 'oven-1' && served.some(({ id }) => id === body.event_id)).length).toBeGreaterThan(0);
      expect(new Set(told.map(({ idempotency }) => idempotency)).size).toBe(told.length);

      const metrics = await (await fetch(new URL('metrics', third.addresses.page))).text();
      for (let partition = 0; partition < PARTITIONS; partition++) expect(metrics).toContain(`gruard_source_lag_messages{source="kafka",partition="readings/${partition}"} 0`);
    } finally {
      await third.close();
      await Promise.all([producer.disconnect(), admin.disconnect()]);
    }
  }, 240_000);

  it('says what another number of partitions would cost, and changes it only when told', async () => {
    await server.createTopic('grown', 2);
    const file = settingsFile({ kafka: { topics: ['grown'] } });
    const refused = await gruard('kafka', 'setup', '-c', file, '--partitions', '4').catch((error: { code: number; stdout: string }) => error) as { code: number; stdout: string };
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/refused\s+grown \(input\): it has 2 partitions and 4 are wanted: a device then goes on in another partition/);
    expect(await gruard('kafka', 'setup', '-c', file, '--partitions', '4', '--grow')).toMatch(/grown\s+grown \(input\): from 2 to 4/);
    expect(await gruard('doctor', '-c', file).catch((error: { stdout: string }) => error.stdout)).toMatch(/Kafka: kafka 127\.0\.0\.1/);
  }, 60_000);

  it.skipIf(mosquittoPath === undefined)('bridges MQTT into Kafka keyed by device, and acknowledges after Kafka did', async () => {
    await server.createTopic('bridged', PARTITIONS);
    const mosquitto = await Mosquitto.start();
    const bench = new Bench();
    const source = new MqttSource(bench.stages, systemClock, { url: mosquitto.url, topics: ['plant/#'], version: '3.1.1', qos: 1, clientId: 'bridge' });
    const bridge = new Bridge(source, { connection: { brokers: [server.broker], clientId: 'bridge', tls: false }, topic: 'bridged' }, () => undefined);
    await bridge.start();
    const client = await connectAsync(mosquitto.url);
    try {
      await until(() => source.status().state === 'connected', 'MQTT connected');
      await client.publishAsync('plant/oven-1/temperature', '21.5', { qos: 1 });
      await client.publishAsync('plant/oven-1', '{"humidity":50,"time":3,"timestamp":1767225600000}', { qos: 1 });
      await client.publishAsync('plant/gateway', '[{"device":"a","t":1},{"device":"b","t":2}]', { qos: 1 });
      await client.publishAsync('plant/oven-1', 'nonsense', { qos: 1 });
      await until(() => bridge.carried === 4, 'carried');
    } finally {
      await Promise.all([bridge.stop(), client.endAsync()]);
      await mosquitto.remove();
    }
    const messages = (await readTopic(server, 'bridged')).map(({ key, partition, value }) => ({ key, partition, ...JSON.parse(value) as Record<string, unknown> }));
    const ofOven = messages.filter(({ key }) => key === 'oven-1');
    expect(ofOven).toMatchObject([{ device: 'oven-1', temperature: 21.5 }, { device: 'oven-1', timestamp: 1767225600000, metrics: { humidity: 50, time: 3 } }]);
    expect(new Set(ofOven.map(({ partition }) => partition)).size).toBe(1);
    expect(messages.filter(({ key }) => key !== 'oven-1')).toMatchObject([{ key: 'a' }, { key: 'b' }].sort((x, y) => messages.findIndex(({ key }) => key === x.key) - messages.findIndex(({ key }) => key === y.key)));
    expect(bench.deadLetters.map(({ reason }) => reason)).toEqual(['unparseable']);
  }, 60_000);

  it.skipIf(mosquittoPath === undefined)('`gruard bridge` loses nothing over a kill -9, a restart of Kafka and its own', async () => {
    await server.createTopic('carried', PARTITIONS);
    const mosquitto = await Mosquitto.start();
    const file = settingsFile({ mqtt: { url: mosquitto.url, topics: ['plant/#'], client_id: 'plant' }, kafka: {}, data_dir: join(dir, 'bridge'), log: { level: 'info', format: 'json' } });
    const running = new Set<{ child: ChildProcess; gone: Promise<unknown> }>();
    const bridge = async (): Promise<{ child: ChildProcess; gone: Promise<unknown> }> => {
      const child = spawn(process.execPath, ['--import', 'tsx', join(packageRoot, 'cli/main.ts'), 'bridge', '-c', file, '--to', 'carried'], { stdio: ['ignore', 'ignore', 'pipe'] });
      const one = { child, gone: new Promise((resolve) => { child.once('exit', resolve); }) };
      running.add(one);
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
      await until(() => said.includes('"bridging"'), 'the bridge is up', 30_000);
      return one;
    };
    const client = await connectAsync(mosquitto.url);
    const publish = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) await client.publishAsync(`plant/oven-${i % 5}`, `{"value":${i}}`, { qos: 1 });
    };
    const carried = async (): Promise<Set<number>> => new Set((await readTopic(server, 'carried')).map(({ value }) => (JSON.parse(value) as { value: number }).value));
    try {
      const first = await bridge();
      await until(async () => {
        await publish(0, 1);
        return (await carried()).size > 0;
      }, 'it is subscribed', 30_000);
      const rest = publish(1, 1500);
      await until(async () => (await carried()).size > 300, 'some are carried', 30_000);
      first.child.kill('SIGKILL');
      await first.gone;
      await rest;
      const second = await bridge();
      await server.stop('SIGKILL');
      await publish(1500, 1800);
      await server.resume();
      await until(async () => (await carried()).size === 1800, 'all are carried', 60_000);
      second.child.kill('SIGTERM');
      expect(await second.gone).toBe(0);
      // A device's own stay in order, apart from what came twice.
      const seen = new Map<string, number[]>();
      for (const { key, value } of await readTopic(server, 'carried')) seen.set(key, [...seen.get(key) ?? [], (JSON.parse(value) as { value: number }).value]);
      for (const values of seen.values()) {
        const firsts = [...new Set(values)];
        expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
      }
    } finally {
      for (const { child, gone } of running) {
        child.kill('SIGKILL');
        await gone;
      }
      await client.endAsync();
      await mosquitto.remove();
    }
  }, 180_000);
});

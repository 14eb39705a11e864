import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCluster } from '../../cluster/cluster.js';
import { loadConfig } from '../../config/load.js';
import type { Config } from '../../config/schema.js';
import { silentLog, type Log } from '../../core/log.js';
import { gaussian, seededRandom } from '../../core/random.js';
import type { Gruard } from '../../gruard.js';
import { clusterObstacle, clusterTrial } from '../cluster/trial.js';
import { startInfluxd, type Influxd } from '../servers/influxd.js';
import { KafkaServer } from '../servers/kafka.js';
import { readTopic } from '../servers/kafka-topic.js';
import { all, until } from './gruard.js';

const PARTITIONS = 4;
const DEVICES = ['oven-1', 'oven-2', 'oven-3', 'oven-4', 'oven-5', 'oven-6'];
const START_MS = Date.UTC(2026, 0, 1);

describe.skipIf(clusterObstacle !== undefined)('A cluster, on a real broker and InfluxDB', () => {
  it('scores every reading once and as a single run does, while workers are killed and a snapshot is lost', async () => {
    const report = await clusterTrial({
      readings: 16_000, devices: 50, workers: 2, partitions: PARTITIONS, killEveryMs: 3000, kills: 2, brokerGoneMs: 0, loseSnapshot: true, sessionTimeoutMs: 1500, snapshotMessages: 1000, seed: 5, messagesPerS: 800,
    });
    expect(report).toMatchObject({ missing: 0, surplus: 0, events_different: 0, influx_missing: 0, influx_scores_missing: 0, dead_letters: PARTITIONS, dead_letters_missing: 0, lost_rebuilt: true });
    expect(report.events).toBeGreaterThan(0);
    expect(report.scored).toBeGreaterThan(16_000);
  }, 240_000);

  describe('its API', () => {
    let server: KafkaServer;
    let influxd: Influxd;
    const running: Gruard[] = [];
    const logged: { message: string; fields: Record<string, unknown> | undefined }[] = [];
    const note = (message: string, fields?: Record<string, unknown>): void => { logged.push({ message, fields }); };
    const log: Log = { ...silentLog, debug: note, info: note, warn: note };

    const configOf = (overrides: Record<string, unknown> = {}): Config => loadConfig({
      environment: {},
      overrides: {
        mode: 'cluster', time: 'event', 'api.port': 0, data_dir: mkdtempSync(join(tmpdir(), 'gruard-worker-')), 'store.kind': 'influxdb', 'store.influxdb.url': influxd.url, 'store.retention_days': 0,
        'kafka.brokers': [server.broker], 'kafka.topics': ['readings'], 'cluster.session_timeout_ms': 2000, ...overrides,
      },
    });
    const start = async (): Promise<Gruard> => {
      const gruard = await openCluster(configOf(), log);
      running.push(gruard);
      return gruard;
    };
    const get = (gruard: Gruard) => async <T>(path: string): Promise<T> => {
      const response = await fetch(new URL(path, gruard.addresses.page));
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return await response.json() as T;
    };
    const post = (gruard: Gruard, path: string, body: unknown, method = 'POST'): Promise<Response> => fetch(new URL(path, gruard.addresses.page), {
      method, ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });

    beforeAll(async () => {
      [server, influxd] = await Promise.all([KafkaServer.start({ lines: ['log.retention.ms=-1'] }), startInfluxd()]);
    }, 180_000);
    afterAll(async () => {
      for (const gruard of running) await gruard.close({ keep: false });
      await influxd.stop();
      await server.remove();
    }, 60_000);

    const produce = async (from: number, to: number, fault: (turn: number) => number): Promise<void> => {
      const messages: Message[] = [];
      DEVICES.forEach((device, d) => {
        const random = seededRandom(d * 1000 + from);
        for (let turn = from; turn < to; turn++) {
          const atMs = START_MS + turn * 60_000;
          const temperature = (20 + Math.sin(turn / 8) + 0.1 * gaussian(random) + (d === 0 ? fault(turn) : 0)).toFixed(3);
          messages.push({ key: device, timestamp: String(atMs), value: `{"timestamp":${atMs},"temperature":${temperature},"humidity":${(50 + gaussian(random)).toFixed(1)}}` });
        }
      });
      const producer = server.client().producer();
      await producer.connect();
      await producer.send({ topic: 'readings', messages });
      await producer.disconnect();
    };

    it('says what it needs, before it takes anything', async () => {
      await expect(openCluster(configOf({ 'store.kind': 'embedded' }), log)).rejects.toMatchObject({ code: 'CLUSTER_NEEDS_INFLUXDB' });
      await expect(openCluster(configOf({ 'kafka.topics': [] }), log)).rejects.toMatchObject({ code: 'CLUSTER_NEEDS_KAFKA' });
      await expect(openCluster(configOf(), log)).rejects.toMatchObject({ code: 'CLUSTER_TOPIC_MISSING' });
    }, 60_000);

    it('answers on any worker for all of them, and what a person says reaches the owner', async () => {
      for (const [topic, partitions] of [['readings', PARTITIONS], ['gruard.results', PARTITIONS], ['gruard.events', PARTITIONS], ['gruard.snapshots', 2]] as const) await server.createTopic(topic, partitions);
      await produce(0, 300, (turn) => (turn > 260 ? 12 : 0));
      const [a, b] = await Promise.all([start(), start()]);
      for (const gruard of [a, b]) {
        await until(async () => (await all<{ id: string }>(get(gruard), '/v1/devices')).length === DEVICES.length, 'all devices on every worker', 60_000);
        await until(async () => (await get(gruard)<{ items: unknown[] }>('/v1/anomalies?device=oven-1&state=open')).items.length > 0, 'the fault', 60_000);
      }
      const owned = await Promise.all([a, b].map(async (gruard) => (await (await fetch(new URL('metrics', gruard.addresses.page))).text()).match(/^gruard_cluster_partitions (\d+)$/m)![1]));
      expect(owned).toEqual(['2', '2']);
      const { items: [event] } = await get(a)<{ items: { id: string; device: string }[] }>('/v1/anomalies?device=oven-1&state=open');
      for (const gruard of [a, b]) {
        await until(async () => (await get(gruard)<{ status: string }>('/v1/devices/oven-1')).status === 'anomalous', 'the device is anomalous');
      }

      // One of the two does not own it.
      for (const gruard of [a, b]) {
        const answer = await post(gruard, `/v1/anomalies/${event.id}/feedback`, { verdict: 'confirm' });
        expect(answer.status).toBeLessThan(300);
        expect(await answer.json()).toMatchObject({ id: event.id, feedback: { verdict: 'confirm' } });
      }
      await until(async () => (await get(b)<{ feedback: unknown }>(`/v1/anomalies/${event.id}`)).feedback !== null, 'feedback in the store');

      const sent = await post(b, '/v1/readings', { device: 'oven-7', timestamp: START_MS + 300 * 60_000, temperature: 21 });
      expect(await sent.json()).toMatchObject({ accepted: 1 });
      await until(async () => (await get(a)<{ id: string }>('/v1/devices/oven-7')).id === 'oven-7', 'what came by HTTP');

      expect((await post(a, '/v1/devices/oven-2', undefined, 'DELETE')).status).toBeLessThan(300);
      await until(async () => (await fetch(new URL('/v1/devices/oven-2', b.addresses.page))).status === 404, 'forgotten everywhere');
    }, 180_000);

    it('hands its state over when it stops, so that the next owner replays nothing', async () => {
      for (const gruard of running.splice(0)) await gruard.close();
      logged.length = 0;
      await produce(301, 310, () => 0);
      const next = await start();
      await until(() => logged.filter(({ message }) => message === 'partition taken').length === PARTITIONS, 'all taken', 60_000);
      const taken = logged.filter(({ message }) => message === 'partition taken').map(({ fields }) => fields as { replayed: number; offset: number; snapshot?: number });
      expect(taken.filter(({ offset }) => offset > 0).every(({ replayed, offset, snapshot }) => replayed === 0 && snapshot === offset)).toBe(true);
      await until(async () => (await get(next)<{ items: unknown[] }>(`/v1/devices/oven-3/series/temperature?start=${new Date(START_MS + 301 * 60_000).toISOString()}`)).items.length === 9, 'the new readings in the store');
      const results = (await readTopic(server, 'gruard.results')).map(({ value }) => JSON.parse(value) as { device: string; metric: string; timestamp: string });
      const ids = results.map(({ device, metric, timestamp }) => `${device} ${metric} ${timestamp}`);
      expect(new Set(ids).size).toBe(ids.length);
    }, 120_000);
  });
});


import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { backtest } from '../../backtest.js';
import { systemClock } from '../../core/clock.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { deviceOf, replayCsv } from '../../ingest/replay.js';
import { openDetector } from '../../model/detector.js';
import { packageRoot } from '../../core/paths.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { all, startGruard, until } from './gruard.js';

interface Point {
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  yhat_lower: number | null;
  yhat_upper: number | null;
  anomaly_score: number | null;
  in_event: boolean;
}

type Gruard = Awaited<ReturnType<typeof startGruard>>;

const dir = mkdtempSync(join(tmpdir(), 'gruard-replay-'));
const NAB = join(packageRoot, '..', 'shared', 'data', 'nab', 'realAWSCloudwatch');
const running: (Gruard | Mosquitto)[] = [];

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await ('close' in one ? one.close() : one.stop());
});

/** A day-shaped series with a fault, a repeated timestamp and a late one. */
function generatedCsv(): string {
  const random = seededRandom(7);
  const rows = Array.from({ length: 1500 }, (_, i) => {
    const time = new Date(Date.UTC(2026, 0, 1) + i * 300_000).toISOString();
    const fault = i > 1200 && i < 1230 ? 9 : 0;
    return `${time},${(20 + 3 * Math.sin((2 * Math.PI * i) / 288) + 0.2 * gaussian(random) + fault).toFixed(3)},${(50 + gaussian(random)).toFixed(2)}`;
  });
  rows.splice(700, 0, rows[699], rows[650]);
  const path = join(dir, 'oven-3.csv');
  writeFileSync(path, `timestamp,temperature,humidity\n${rows.join('\n')}\n`);
  return path;
}

/** By metric and timestamp (epoch ms), from the file that `gruard backtest` writes; the first row of a timestamp counts. */
async function backtested(path: string): Promise<Map<string, string[]>> {
  const out = join(dir, `${deviceOf(path)}.scores.csv`);
  await backtest(path, out, { device: deviceOf(path), openDetector: (fleet) => openDetector(fleet, { backend: 'wasm' }) });
  const rows = new Map<string, string[]>();
  for (const line of readFileSync(out, 'utf8').trim().split('\n').slice(1)) {
    const cells = line.split(',');
    const ms = /Z$/.test(cells[0]) ? Date.parse(cells[0]) : Date.parse(`${cells[0].replace(' ', 'T')}Z`);
    const key = `${cells[1]} ${ms}`;
    if (!rows.has(key)) rows.set(key, cells);
  }
  return rows;
}

async function servedEqualsBacktest(gruard: Gruard, path: string, metrics: string[]): Promise<number> {
  const expected = await backtested(path);
  const served: Point[][] = [];
  for (const metric of metrics) {
    await until(async () => {
      const points = await all<Point>(gruard.get, `/v1/devices/${deviceOf(path)}/series/${encodeURIComponent(metric)}?start=0`);
      const wanted = [...expected.keys()].filter((key) => key.startsWith(`${metric} `)).length;
      if (points.length === wanted) served.push(points);
      return points.length === wanted;
    }, `every timestamp of ${metric} over REST`);
  }
  served.forEach((points, i) => {
    for (const point of points) {
      const [, , actual, yhat, lower, upper, score, inEvent] = expected.get(`${metrics[i]} ${Date.parse(point.timestamp)}`)!;
      const given = [point.actual, point.yhat, point.yhat_lower, point.yhat_upper].map((value) => (value === null ? '' : String(value)));
      expect([...given, point.in_event ? '1' : '0'], point.timestamp).toEqual([actual, yhat, lower, upper, inEvent]);
      expect(point.anomaly_score ?? 0).toBeCloseTo(Number(score), 5);
    }
  });
  return served.reduce((sum, points) => sum + points.length, 0);
}

describe.skipIf(mosquittoPath === undefined)('a file replayed through mosquitto into a running gruard', () => {
  it('gives the scores that backtest gives, with a restart in the middle', async () => {
    const path = generatedCsv();
    const mosquitto = await Mosquitto.start();
    running.push(mosquitto);
    const settings = { 'mqtt.url': mosquitto.url, 'mqtt.topics': ['replay/#'], time: 'event' };
    const first = await startGruard(settings);
    await until(async () => (await first.get<{ status: string }>('/v1/health')).status === 'ok', 'subscribed');
    const stop = new AbortController();
    await replayCsv(path, { broker: { url: mosquitto.url }, clock: systemClock, speed: Infinity, signal: stop.signal, onProgress: ({ rows }) => { if (rows === 900) stop.abort(); } });
    await first.close();
    const second = await startGruard({ ...settings, data_dir: first.dataDir });
    running.push(second);
    const device = await second.get<{ series: { readings: number }[] }>(`/v1/devices/${deviceOf(path)}`);
    expect(device.series[0].readings).toBeGreaterThan(100);
    // From the start again: what is there already is a duplicate.
    await replayCsv(path, { broker: { url: mosquitto.url }, clock: systemClock, speed: Infinity });
    expect(await servedEqualsBacktest(second, path, ['temperature', 'humidity', '*'])).toBeGreaterThan(4000);
    const anomalies = await all<{ device: string; opened_at: string }>(second.get, '/v1/anomalies?device=oven-3');
    expect(anomalies.some(({ opened_at }) => opened_at >= '2026-01-05T03:55' && opened_at <= '2026-01-05T06:40')).toBe(true);
  }, 60_000);

  it.skipIf(!existsSync(NAB))('holds for real series that repeat timestamps', async () => {
    const path = join(NAB, 'rds_cpu_utilization_e47b3b.csv');
    const mosquitto = await Mosquitto.start();
    running.push(mosquitto);
    const gruard = await startGruard({ 'mqtt.url': mosquitto.url, time: 'event' });
    running.push(gruard);
    await until(async () => (await gruard.get<{ status: string }>('/v1/health')).status === 'ok', 'subscribed');
    await replayCsv(path, { broker: { url: mosquitto.url }, clock: systemClock, speed: Infinity });
    expect(await servedEqualsBacktest(gruard, path, ['value'])).toBeGreaterThan(4000);
  }, 60_000);
});

import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { deviceOf, replayCsv } from '../../ingest/replay.js';
import { packageRoot } from '../../core/paths.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { servedEqualsBacktest } from './backtested.js';
import { all, startGruard, until } from './gruard.js';

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

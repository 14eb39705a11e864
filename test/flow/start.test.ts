import { afterEach, describe, expect, it } from 'vitest';
import { all, startGruard, until } from './gruard.js';

type Gruard = Awaited<ReturnType<typeof startGruard>>;

const running: Gruard[] = [];

async function start(overrides: Record<string, unknown> = {}): Promise<Gruard> {
  const gruard = await startGruard(overrides);
  running.push(gruard);
  return gruard;
}

async function stop(gruard: Gruard): Promise<void> {
  running.splice(running.indexOf(gruard), 1);
  await gruard.close();
}

function post(gruard: Gruard, body: unknown): Promise<Response> {
  return fetch(new URL('v1/readings', gruard.addresses.page), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

afterEach(async () => {
  for (const gruard of [...running]) await stop(gruard);
});

describe('a running gruard', () => {
  it('takes readings over HTTP, shows them, and keeps them over a restart', async () => {
    const first = await start();
    const times = [1, 2, 3].map((i) => new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString());
    const answer = await post(first, times.map((timestamp, i) => ({ device: 'oven/3', timestamp, metrics: { temperature: 20 + i }, tags: { line: '1' } })));
    expect(answer.status).toBe(202);
    expect(await answer.json()).toMatchObject({ accepted: 3, refused: 0 });
    const path = '/v1/devices/oven%2F3/series/temperature';
    await until(async () => (await all(first.get, path)).length === 3, 'acknowledged readings are visible', 2000);
    await stop(first);
    const second = await start({ data_dir: first.dataDir });
    expect((await all<{ timestamp: string }>(second.get, path)).map(({ timestamp }) => timestamp)).toEqual(times);
    const again = await post(second, { device: 'oven/3', timestamp: times[2], metrics: { temperature: 22 } });
    expect(await again.json()).toMatchObject({ accepted: 1, reasons: [{ reason: 'duplicate', count: 1 }] });
    expect(await second.get('/v1/devices/oven%2F3')).toMatchObject({ tags: { line: '1' }, series: [{ id: 'temperature', readings: 3, last: { actual: 22 } }] });
  });

  it('says why something was refused, counts it, and keeps it as a dead letter', async () => {
    const gruard = await start({ 'limits.devices': 1 });
    expect(await (await post(gruard, [{ device: 'a', metrics: { t: 1 } }, { device: 'b', metrics: { t: 1 } }])).json())
      .toMatchObject({ accepted: 1, refused: 1, reasons: [{ reason: 'too_many_devices', count: 1 }] });
    const letters = async (): Promise<string[]> => (await gruard.get<{ items: { reason: string }[] }>('/v1/deadletters')).items.map(({ reason }) => reason);
    await until(async () => (await letters()).includes('too_many_devices'), 'a dead letter');
    const metrics = await (await fetch(new URL('metrics', gruard.addresses.page))).text();
    expect(metrics).toMatch(/gruard_refused_total\{reason="too_many_devices"\} 1/);
  });

  it('retires a device: gone from the fleet, its place free, its name new when it comes back', async () => {
    const gruard = await start();
    await post(gruard, { device: 'a', metrics: { t: 1 } });
    const retired = await fetch(new URL('v1/devices/a', gruard.addresses.page), { method: 'DELETE' });
    expect(retired.status).toBe(204);
    expect(await gruard.get('/v1/devices')).toMatchObject({ items: [] });
    await post(gruard, { device: 'a', metrics: { t: 2 } });
    expect(await gruard.get('/v1/devices/a')).toMatchObject({ series: [{ readings: 1 }] });
    const dataDir = gruard.dataDir;
    await stop(gruard);
    expect(await (await start({ data_dir: dataDir })).get('/v1/devices/a')).toMatchObject({ series: [{ readings: 1, last: { actual: 2 } }] });
  });

  it('is the only one on its data directory and its ports, and says which setting to change', async () => {
    const gruard = await start();
    await expect(startGruard({ data_dir: gruard.dataDir })).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    const port = Number(new URL(gruard.addresses.page).port);
    await expect(startGruard({ 'api.port': port })).rejects.toThrow(/api\.port \(GRUARD_API_PORT\)/);
    const brokerPort = Number(new URL(gruard.addresses.mqtt!).port);
    await expect(startGruard({ 'broker.port': brokerPort })).rejects.toThrow(/broker\.port, GRUARD_BROKER_PORT/);
  });

  it('refuses to be reachable by others without a token', async () => {
    await expect(startGruard({ 'api.host': '0.0.0.0' })).rejects.toMatchObject({ code: 'TOKEN_REQUIRED' });
    await expect(startGruard({ 'broker.host': '0.0.0.0' })).rejects.toMatchObject({ code: 'BROKER_CREDENTIALS_REQUIRED' });
  });
});

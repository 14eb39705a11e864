import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../../core/random.js';
import { HOSTILE_NAMES } from '../conformance/results.js';
import { findInfluxd, startInfluxd, type Influxd } from '../servers/influxd.js';
import { startGruard, until } from './gruard.js';

/** Two gruards that are sent the same, one with each result store: whoever asks over REST cannot tell which. */
type Gruard = Awaited<ReturnType<typeof startGruard>>;

const FROM_MS = Date.UTC(2026, 2, 28, 20);
const STEP_MS = 300_000;
const STEPS = 900;
const MESSAGE_STEPS = 15;
/** Names that a device may have and a URL parameter can carry. */
const NAMES = HOSTILE_NAMES.filter((name) => name.trim() === name && name !== '' && !/[\0\r\n\t]/.test(name));

function readingsOf(from: number, random: () => number): object[] {
  const rows: object[] = [];
  for (let step = from; step < from + MESSAGE_STEPS; step++) {
    const timestamp = FROM_MS + step * STEP_MS;
    for (const [d, device] of ['oven-1', "o'ven 2"].entries()) {
      const fault = (step > 700 && step < 730) || (d === 1 && step > 860) ? 9 : 0;
      const day = Math.sin((2 * Math.PI * step) / 288 + d);
      rows.push({ device, timestamp, tags: { line: `l ${d}` }, metrics: { temperature: 20 + 3 * day + 0.2 * gaussian(random) + fault, 'p/bar %5C': 4 + 0.3 * day + 0.05 * gaussian(random) + fault / 5 } });
    }
    if (step % 100 === 0) for (const device of NAMES) rows.push({ device, timestamp, metrics: { '*a,b=c': step } });
  }
  return rows;
}

async function fill(gruard: Gruard): Promise<void> {
  const random = seededRandom(3);
  const post = async (rows: object[]): Promise<void> => {
    const answer = await fetch(new URL('v1/readings', gruard.addresses.page), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(rows) });
    expect(answer.status, await answer.text()).toBe(202);
  };
  for (let from = 0; from < STEPS; from += MESSAGE_STEPS) await post(readingsOf(from, random));
  await post([{ device: 'oven-1', timestamp: FROM_MS + 10 * STEP_MS + 1, metrics: { temperature: 1.25 } }]);
  const behind = async (): Promise<boolean> => {
    const text = await (await fetch(new URL('metrics', gruard.addresses.page))).text();
    return /^gruard_follower_lag_records\{follower="(embedded|influxdb)"\} 0$/m.test(text);
  };
  await until(behind, 'everything is stored', 60_000);
}

describe.skipIf(!findInfluxd())('REST answers with the embedded store and with InfluxDB', () => {
  let influxd: Influxd;
  let embedded: Gruard;
  let influx: Gruard;

  beforeAll(async () => {
    influxd = await startInfluxd({ index: 'tsi1' });
    const settings = { time: 'event', 'store.retention_days': 0 };
    [embedded, influx] = await Promise.all([startGruard(settings), startGruard({ ...settings, 'store.kind': 'influxdb', 'store.influxdb.url': influxd.url })]);
    await Promise.all([fill(embedded), fill(influx)]);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([embedded, influx].map((one) => one?.close()));
    await influxd.stop();
    for (const one of [embedded, influx]) rmSync(one.dataDir, { recursive: true, force: true });
  });

  const asked = async (gruard: Gruard, path: string): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(new URL(path, gruard.addresses.page));
    return { status: response.status, body: await response.json() };
  };
  /** Both answers, which are the same. */
  async function same(path: string): Promise<{ status: number; body: { items: Record<string, unknown>[]; next_cursor: string | null } }> {
    const [a, b] = await Promise.all([asked(embedded, path), asked(influx, path)]);
    expect(b, path).toEqual(a);
    return a as Awaited<ReturnType<typeof same>>;
  }
  /** All pages, each the same on both. */
  async function pages(path: string): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = [];
    for (let cursor: string | null = null; ;) {
      const { status, body } = await same(cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`);
      expect(status).toBe(200);
      items.push(...body.items);
      cursor = body.next_cursor;
      if (cursor === null) return items;
    }
  }
  const series = (device: string, metric: string): string => `/v1/devices/-/series/-?${new URLSearchParams({ name: device, metric }).toString()}`;

  it('a series page by page, from either end, with a late reading', async () => {
    const forth = await pages(`${series('oven-1', 'temperature')}&start=0&limit=97`);
    expect(forth).toHaveLength(STEPS + 1);
    expect(forth.filter(({ scored }) => !scored)).toEqual([expect.objectContaining({ actual: 1.25, yhat: null, timestamp: new Date(FROM_MS + 10 * STEP_MS + 1).toISOString() })]);
    expect(await pages(`${series("o'ven 2", 'p/bar %5C')}&start=0&limit=131`)).toHaveLength(STEPS);
    expect(await pages(`${series('oven-1', '*')}&start=0&limit=500`)).toHaveLength(STEPS);
    expect((await pages(`${series('oven-1', 'temperature')}&limit=400`)).length).toBeGreaterThan(400);
  });

  it('times in any zone, over a change of the clocks', async () => {
    const hours = [['2026-03-29T00:30:00%2B01:00', '2026-03-29T04:30:00%2B02:00'], ['2026-03-28T19:30:00-04:00', '2026-03-28T22:30:00-04:00'], ['2026-03-29T05:15:00%2B05:45', '2026-03-29T08:15:00%2B05:45']];
    for (const [start, end] of hours) {
      const { status, body } = await same(`${series('oven-1', 'temperature')}&start=${start}&end=${end}&limit=1000`);
      expect([status, body.items.length]).toEqual([200, 36]);
    }
    const [instant] = (await same(`${series('oven-1', 'temperature')}&start=2026-03-29T00:00:00Z&limit=1`)).body.items;
    expect(instant.timestamp).toBe('2026-03-29T00:00:00.000Z');
  });

  it('every name, however hostile', async () => {
    for (const name of NAMES) {
      const items = await pages(`${series(name, '*a,b=c')}&start=0&limit=4`);
      expect(items.map(({ actual }) => actual), name).toEqual(Array.from({ length: STEPS / 100 }, (_, i) => i * 100));
      await same(`/v1/anomalies?${new URLSearchParams({ device: name }).toString()}`);
      await same(`/v1/anomalies?${new URLSearchParams({ metric: name }).toString()}`);
    }
  });

  it('events, filtered and page by page, and one alone', async () => {
    const events = await pages('/v1/anomalies?limit=2');
    expect(events.length).toBeGreaterThan(1);
    for (const query of ['state=open', 'state=resolved', 'severity=critical', `device=${encodeURIComponent("o'ven 2")}`, `start=${FROM_MS + 700 * STEP_MS}&end=${FROM_MS + 740 * STEP_MS}`, 'severity=info&state=open']) await pages(`/v1/anomalies?limit=3&${query}`);
    for (const { id } of events.slice(0, 3)) expect((await same(`/v1/anomalies/${encodeURIComponent(String(id))}`)).status).toBe(200);
  });

  it('what is empty, unknown or wrong', async () => {
    for (const [path, status] of [
      [`${series('oven-1', 'temperature')}&start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z`, 200], [series('nobody', 'temperature'), 404], [series('oven-1', 'nothing'), 404],
      ['/v1/anomalies/nothing', 404], [`${series('oven-1', 'temperature')}&cursor=x`, 400], ['/v1/anomalies?cursor=%27', 400], [`${series('oven-1', 'temperature')}&limit=0`, 400], [`${series('oven-1', 'temperature')}&start=yesterday`, 400],
      [`/v1/anomalies?device=${encodeURIComponent("x' OR 1 = 1; DROP DATABASE gruard; --")}`, 200],
    ] as const) expect((await same(path)).status, path).toBe(status);
  });
});

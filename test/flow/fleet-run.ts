import { rmSync } from 'node:fs';
import { gaussian, seededRandom } from '../../core/random.js';
import { startInfluxd, type Influxd } from '../servers/influxd.js';
import { startGruard, until } from './gruard.js';

/** A gruard that has its results in a real InfluxDB, and has seen a fleet with faults: for dashboards. */
export interface FleetRun {
  gruard: Awaited<ReturnType<typeof startGruard>>;
  influxd: Influxd;
  fromMs: number;
  toMs: number;
  /** InfluxQL; rows of all series as objects, tags among them. Throws what the server says. */
  query(text: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

const FROM_MS = Date.UTC(2026, 0, 1);
const STEP_MS = 300_000;
const STEPS = 1500;
/** Time steps in a message; many at once would look like clocks that are behind. */
const MESSAGE_STEPS = 10;
/** Has what is dangerous in a regular expression, a string and an identifier. */
export const HOSTILE = 'o\'ven/"3" (.*) $device \\';

/** oven-1 had a fault, press-2 has one, pump-3 fell silent, and one has a name that must not become part of a query. */
const DEVICES = ['oven-1', 'press-2', 'pump-3', HOSTILE];

function valuesOf(device: number, step: number, random: () => number): { temperature: number; pressure: number } {
  const fault = (device === 0 && step > 1200 && step < 1230) || (device === 1 && step > 1470) ? 9 : 0;
  const day = Math.sin((2 * Math.PI * step) / 288 + device);
  return { temperature: 20 + 3 * day + 0.2 * gaussian(random) + fault, pressure: 4 + 0.3 * day + 0.05 * gaussian(random) + fault / 5 };
}

export async function runFleet(): Promise<FleetRun> {
  const influxd = await startInfluxd({ index: 'tsi1' });
  let gruard: FleetRun['gruard'] | undefined;
  const close = async (): Promise<void> => {
    await gruard?.close();
    await influxd.stop();
    if (gruard) rmSync(gruard.dataDir, { recursive: true, force: true });
  };
  try {
    gruard = await startGruard({ 'alerts.sinks': [{ kind: 'log', name: 'control-room' }], time: 'event', 'store.kind': 'influxdb', 'store.retention_days': 0, 'store.influxdb.url': influxd.url });
    await fill(gruard, influxd);
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { gruard, influxd, fromMs: FROM_MS, toMs: FROM_MS + STEPS * STEP_MS, query: (text) => query(influxd.url, text), close };
}

/** Publishes everything and waits until InfluxDB has it, and the silent device was noticed. */
async function fill(gruard: FleetRun['gruard'], influxd: Influxd): Promise<void> {
  const random = seededRandom(11);
  for (let from = 0; from < STEPS; from += MESSAGE_STEPS) {
    const body = Array.from({ length: MESSAGE_STEPS }, (_, i) => from + i).flatMap((step) => DEVICES.flatMap((device, d) => {
      const metrics = valuesOf(d, step, random);
      return d === 2 && step > 1300 ? [] : [{ device, timestamp: FROM_MS + step * STEP_MS, metrics }];
    }));
    const answer = await fetch(new URL('v1/readings', gruard.addresses.page), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
  }
  const metrics = async (): Promise<string> => (await fetch(new URL('metrics', gruard.addresses.page))).text();
  await until(async () => / 0$/m.test(/^gruard_follower_lag_records\{follower="influxdb"\}.*$/m.exec(await metrics())?.[0] ?? ''), 'everything is in InfluxDB', 60_000);
  await until(async () => (await query(influxd.url, 'SELECT "id" FROM "gruard_health" WHERE "open" = true')).length > 0, 'the silent device was noticed', 30_000);
}

interface Answer {
  error?: string;
  results?: { error?: string; series?: { columns: string[]; tags?: Record<string, string>; values: unknown[][] }[] }[];
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const response = await fetch(`${url}/query`, { method: 'POST', body: new URLSearchParams({ db: 'gruard', epoch: 'ms', q: text }) });
  const { error, results = [] } = await response.json() as Answer;
  const failed = error ?? results.find((result) => result.error !== undefined)?.error;
  if (failed !== undefined) throw new Error(`${failed}: ${text}`);
  return results.flatMap(({ series = [] }) => series.flatMap(({ columns, tags, values }) => values.map((row) => ({ ...tags, ...Object.fromEntries(columns.map((column, i) => [column, row[i]])) }))));
}

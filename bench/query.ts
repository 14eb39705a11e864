import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Batch } from '../core/batch.js';
import { Fleet } from '../core/fleet.js';
import { seededRandom } from '../core/random.js';
import { EmbeddedStore } from '../store/results/embedded.js';
import { jsonLine, table } from './table.js';

/**
 * How long the embedded store takes for what the page and the API ask of it, with a large fleet's days in it and its default memory: a series' newest day, one from the middle, the newest
 * readings, the open events.
 *
 *   npm run bench:query -- [--series 100000] [--days 3] [--readings-a-day 24] [--queries 50] [--json]
 */
const { values } = parseArgs({
  options: {
    series: { type: 'string', default: '100000' }, days: { type: 'string', default: '3' }, 'readings-a-day': { type: 'string', default: '24' }, queries: { type: 'string', default: '50' }, json: { type: 'boolean', default: false },
  },
});
const series = Number(values.series);
const days = Number(values.days);
const aDay = Number(values['readings-a-day']);
const DAY_MS = 86_400_000;
const FROM_MS = Date.UTC(2026, 0, 1);
const BATCH_ROWS = 16_384;

const dir = mkdtempSync(join(tmpdir(), 'gruard-query-'));
const path = join(dir, 'results.duckdb');
const store = new EmbeddedStore({ path });
const fleet = new Fleet();
const ids = Array.from({ length: series }, (_, i) => {
  const { device } = fleet.addDevice(`device-${i}`, { line: String(i % 9) }, FROM_MS);
  fleet.addSeries(device, 'temperature');
  return device.seriesIds[0];
});
const random = seededRandom(5);

/** All series in turn, as a fleet sends. */
async function fill(): Promise<number> {
  const rows = series * days * aDay;
  const batch = new Batch(BATCH_ROWS);
  const began = performance.now();
  for (let n = 0, position = 0; n < rows; position++) {
    batch.reset();
    for (; n < rows && batch.n < BATCH_ROWS; n++) {
      const at = batch.push(ids[n % series], 0, FROM_MS + Math.floor((n * DAY_MS) / (series * aDay)), 20 + random(), 0);
      batch.yhat[at] = 20 + random();
      batch.yhatLower[at] = batch.yhat[at] - 1;
      batch.yhatUpper[at] = batch.yhat[at] + 1;
      batch.anomalyScore[at] = random();
    }
    await store.write(batch, fleet, position);
  }
  return rows / ((performance.now() - began) / 1000);
}

async function timed(query: (device: string) => Promise<{ items: unknown[] }>): Promise<{ p50: number; p99: number; rows: number }> {
  const times: number[] = [];
  let rows = 0;
  for (let i = 0; i < Number(values.queries); i++) {
    const device = `device-${Math.floor(random() * series)}`;
    const began = performance.now();
    rows = (await query(device)).items.length;
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  return { p50: times[Math.floor(times.length / 2)], p99: times[Math.floor(times.length * 0.99)], rows };
}

try {
  await store.open();
  const written = await fill();
  const day = (from: number) => (device: string) => store.querySeries({ device, metric: 'temperature', startMs: FROM_MS + from * DAY_MS, endMs: FROM_MS + (from + 1) * DAY_MS, limit: 1000 });
  const asked: [string, Awaited<ReturnType<typeof timed>>][] = [
    ['newest_day', await timed(day(days - 1))],
    ['middle_day', await timed(day(Math.floor((days - 1) / 2)))],
    ['newest_10', await timed((device) => store.querySeries({ device, metric: 'temperature', limit: 10 }))],
    ['open_events', await timed((device) => store.queryEvents({ device, state: 'open', limit: 100 }))],
  ];
  const mib = Math.round(statSync(path).size / 1048576);
  process.stdout.write(`${series * days * aDay} readings of ${series} series, ${mib} MiB, written at ${Math.round(written)} a second\n`);
  process.stdout.write(`${table([['', 'readings', 'p50 ms', 'p99 ms'], ...asked.map(([name, { p50, p99, rows }]) => [name.replaceAll('_', ' '), rows, p50, p99] as [string, number, number, number])])}\n`);
  const figures = Object.fromEntries(asked.flatMap(([name, { p50, p99 }]) => [[`${name}_p50_ms`, Math.round(p50 * 10) / 10], [`${name}_p99_ms`, Math.round(p99 * 10) / 10]]));
  if (values.json) process.stdout.write(`${jsonLine({ readings: series * days * aDay, series, store_mib: mib, rows_per_s: Math.round(written), ...figures })}\n`);
} finally {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
}

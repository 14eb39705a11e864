import { FieldType, InfluxDB } from 'influx';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Batch } from '../core/batch.js';
import { Fleet } from '../core/fleet.js';
import { gaussian, seededRandom } from '../core/random.js';
import { InfluxStore } from '../store/results/influx.js';
import { ReadingLines } from '../store/results/line.js';
import { table } from './table.js';
import { findInfluxd, startInfluxd } from '../test/servers/influxd.js';

/**
 * How fast results get into InfluxDB: gruard's store, against lines that were built beforehand and are posted in parallel (the most that a
 * client could do), and against the plain `influx` client. Every way writes the same points; each run into a database of its own.
 *
 *   npm run bench:influx -- [--rows 200000] [--series 2000] [--batch 10000] [--runs 5] [--json]
 */
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '200000' }, series: { type: 'string', default: '2000' }, batch: { type: 'string', default: '10000' },
    runs: { type: 'string', default: '5' }, json: { type: 'boolean', default: false },
  },
});
const rows = Number(options.rows);
const seriesCount = Number(options.series);
const batchRows = Number(options.batch);

/** Batches as the detector makes them: series in turn, a reading every 10 s. */
function makeBatches(fleet: Fleet, fromMs: number): Batch[] {
  const random = seededRandom(7);
  const ids: number[] = [];
  for (let d = 0; d < seriesCount / 4; d++) {
    const { device } = fleet.addDevice(`pump-${d}`, { line: String(d % 9) }, fromMs);
    for (const metric of ['temperature', 'pressure', 'flow', 'vibration']) fleet.addSeries(device, metric);
    ids.push(...device.seriesIds);
  }
  const batches: Batch[] = [];
  for (let at = 0; at < rows; at += batchRows) {
    const batch = new Batch(batchRows);
    for (let i = at; i < Math.min(rows, at + batchRows); i++) {
      const value = 20 + gaussian(random);
      const row = batch.push(ids[i % ids.length], 0, fromMs + Math.floor(i / ids.length) * 10_000, value, 0);
      batch.yhat[row] = value + 0.1 * gaussian(random);
      batch.yhatLower[row] = batch.yhat[row] - 1;
      batch.yhatUpper[row] = batch.yhat[row] + 1;
      batch.anomalyScore[row] = random();
    }
    batches.push(batch);
  }
  return batches;
}

if (!findInfluxd()) {
  console.error('influxd is not installed: there is nothing to measure against');
  process.exit(1);
}
const server = await startInfluxd();
const dir = mkdtempSync(join(tmpdir(), 'gruard-bench-'));
const fleet = new Fleet();
const batches = makeBatches(fleet, Date.UTC(2026, 0, 1));
const client = new InfluxDB(`${server.url}/x`);

const post = async (database: string, body: string): Promise<void> => {
  const response = await fetch(`${server.url}/write?db=${database}&precision=ms`, { method: 'POST', body });
  if (!response.ok) throw new Error(await response.text());
};
const lines = new ReadingLines();
const bodies = batches.flatMap((batch) => {
  lines.begin(batch, fleet);
  const all = Array.from({ length: batch.n }, (_, row) => lines.lineOf(batch, row));
  return [all.slice(0, all.length / 2).join(''), all.slice(all.length / 2).join('')];
});

const ways: Record<string, (database: string) => Promise<void>> = {
  async prebuilt(database) {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < bodies.length) await post(database, bodies[next++]);
    };
    await Promise.all([lane(), lane()]);
  },
  async gruard(database) {
    const store = new InfluxStore({ url: server.url, database, cursorPath: join(dir, database) });
    await store.open();
    for (const [position, batch] of batches.entries()) await store.write(batch, fleet, position);
    await store.close();
  },
  async client(database) {
    const influx = new InfluxDB({
      host: '127.0.0.1', port: server.port, database,
      schema: [{ measurement: 'gruard_readings', tags: ['device', 'metric', 'line'], fields: Object.fromEntries(['actual', 'yhat', 'yhat_lower', 'yhat_upper', 'anomaly_score'].map((field) => [field, FieldType.FLOAT])) }],
    });
    for (const batch of batches) {
      const points = Array.from({ length: batch.n }, (_, row) => {
        const name = fleet.nameOf(batch.seriesId[row])!;
        return {
          measurement: 'gruard_readings', tags: { device: name.device, metric: name.metric, ...name.tags }, timestamp: batch.timestampMs[row],
          fields: { actual: batch.value[row], yhat: batch.yhat[row], yhat_lower: batch.yhatLower[row], yhat_upper: batch.yhatUpper[row], anomaly_score: batch.anomalyScore[row] },
        };
      });
      await influx.writePoints(points, { precision: 'ms' });
    }
  },
};

const rates: Record<string, number[]> = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
/** CPU time of this process alone, microseconds a point: what the client side costs, whatever the server and its neighbours do. */
const costs: Record<string, number[]> = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
/** CPU time of the server, microseconds a point: with what the client side costs, what bounds the rate where both share the cores. */
const serverCosts: Record<string, number[]> = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
for (let run = -1; run < Number(options.runs); run++) {
  for (const [way, write] of Object.entries(ways)) {
    const database = `${way}_${run + 1}`;
    await client.createDatabase(database);
    const started = performance.now();
    const cpuBefore = process.cpuUsage();
    const serverBeforeMs = server.cpuMs();
    await write(database);
    const cpu = process.cpuUsage(cpuBefore);
    // The first round warms up.
    if (run >= 0) {
      rates[way].push(rows / ((performance.now() - started) / 1000));
      costs[way].push((cpu.user + cpu.system) / rows);
      serverCosts[way].push(((server.cpuMs() - serverBeforeMs) * 1000) / rows);
    }
    const count = await client.query<{ count: number }>('SELECT count(actual) FROM gruard_readings', { database });
    if (count[0].count !== rows) throw new Error(`${way}: ${count[0].count} of ${rows} points arrived`);
    await client.dropDatabase(database);
  }
}
await server.stop();
rmSync(dir, { recursive: true });

const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const result = {
  rows, series: seriesCount, batch: batchRows, runs: Number(options.runs),
  prebuilt_points_per_s: Math.round(median(rates.prebuilt)), gruard_points_per_s: Math.round(median(rates.gruard)), client_points_per_s: Math.round(median(rates.client)),
  prebuilt_cpu_us: Number(median(costs.prebuilt).toFixed(2)), gruard_cpu_us: Number(median(costs.gruard).toFixed(2)), client_cpu_us: Number(median(costs.client).toFixed(2)),
  prebuilt_server_cpu_us: Number(median(serverCosts.prebuilt).toFixed(2)), gruard_server_cpu_us: Number(median(serverCosts.gruard).toFixed(2)), client_server_cpu_us: Number(median(serverCosts.client).toFixed(2)),
  ratio_to_prebuilt: Number((median(rates.gruard) / median(rates.prebuilt)).toFixed(3)), ratio_to_client: Number((median(rates.gruard) / median(rates.client)).toFixed(3)),
};
console.log(`${rows} points of ${seriesCount} series in batches of ${batchRows}, median of ${result.runs} interleaved runs`);
console.log(table([
  ['', 'points/s', 'client CPU us/point', 'server CPU us/point', 'gruard against it', 'wanted'],
  ['lines built beforehand, 2 in parallel', result.prebuilt_points_per_s, result.prebuilt_cpu_us, result.prebuilt_server_cpu_us, result.ratio_to_prebuilt, '>= 0.5'],
  ['the influx client', result.client_points_per_s, result.client_cpu_us, result.client_server_cpu_us, result.ratio_to_client, '>= 1.5'],
  [`gruard's InfluxDB store`, result.gruard_points_per_s, result.gruard_cpu_us, result.gruard_server_cpu_us, '', ''],
]));
if (options.json) console.log(JSON.stringify(result));

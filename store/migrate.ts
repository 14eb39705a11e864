import type { DuckDBConnection } from '@duckdb/node-api';
import { Batch, FLAG } from '../core/batch.js';
import type { Page, SeriesNames } from '../core/results.js';
import type { EmbeddedStore } from './results/embedded.js';
import type { InfluxStore } from './results/influx.js';
import type { FleetMinute } from './results/line.js';

export interface MigrationProgress {
  readings: number;
  readingsTotal: number;
  events: number;
  verdicts: number;
}

export interface MigrateOptions {
  onProgress?: (progress: MigrationProgress) => void;
  /** Readings that are written at once. */
  batchRows?: number;
}

const PAGE = 1_000;

/**
 * Copies everything from the embedded store to InfluxDB. Points are upserts, so a migration that was broken off is simply begun again. At its end InfluxDB's position is
 * that of the embedded store, so that a gruard that is then started with `store.kind: influxdb` goes on where the embedded store was; a position that InfluxDB
 * has already, and is further, stays.
 */
export async function migrate(from: EmbeddedStore, to: InfluxStore, options: MigrateOptions = {}): Promise<MigrationProgress> {
  const connection = await from.connect();
  try {
    const names = await namesOf(connection);
    const position = await from.position();
    const progress: MigrationProgress = { readings: 0, readingsTotal: await count(connection), events: 0, verdicts: 0 };
    const report = (): void => options.onProgress?.({ ...progress });
    report();
    for await (const batch of readingsOf(connection, options.batchRows ?? 20_000)) {
      await to.load(batch, names);
      progress.readings += batch.n;
      report();
    }
    for await (const minutes of minutesOf(connection)) await to.load(new Batch(0), names, minutes);
    for await (const events of pages((cursor) => from.queryEvents({ limit: PAGE, cursor }))) {
      const batch = new Batch(0);
      batch.events = events;
      await to.load(batch, names);
      progress.events += events.length;
      report();
    }
    for await (const verdicts of pages((cursor) => from.queryVerdicts({ limit: PAGE, cursor }))) {
      const batch = new Batch(0);
      batch.verdicts = verdicts;
      await to.load(batch, names);
      progress.verdicts += verdicts.length;
      report();
    }
    if (position > await to.position()) await to.write(new Batch(0), names, position);
    return progress;
  } finally {
    connection.closeSync();
  }
}

async function count(connection: DuckDBConnection): Promise<number> {
  const rows = await connection.runAndReadAll('SELECT count(*)::DOUBLE FROM readings');
  return rows.getRows()[0][0] as number;
}

async function namesOf(connection: DuckDBConnection): Promise<SeriesNames> {
  const rows = await connection.runAndReadAll('SELECT id::DOUBLE, device, metric, tags FROM series');
  const names = new Map((rows.getRows() as [number, string, string, string][]).map(([id, device, metric, tags]) => [id, { device, metric, tags: JSON.parse(tags) as Record<string, string> }]));
  return { nameOf: (id) => names.get(id) };
}

/** The readings in the order in which they lie in the file, as batches whose series ids are those of the file. A batch is good until the next is asked for. */
async function* readingsOf(connection: DuckDBConnection, batchRows: number): AsyncIterable<Batch> {
  const result = await connection.stream(
    'SELECT series_id, timestamp_ms::DOUBLE, actual, yhat, yhat_lower, yhat_upper, anomaly_score, flags FROM readings');
  const batch = new Batch(batchRows);
  for (;;) {
    const chunk = await result.fetchChunk();
    if (!chunk || chunk.rowCount === 0) break;
    for (const row of chunk.getRows() as [number, number, ...(number | null)[]][]) {
      const [seriesId, timestampMs, actual, yhat, yhatLower, yhatUpper, anomalyScore, flags] = row;
      const at = batch.push(seriesId, 0, timestampMs, actual ?? NaN, flags!);
      batch.yhat[at] = yhat ?? NaN;
      batch.yhatLower[at] = yhatLower ?? NaN;
      batch.yhatUpper[at] = yhatUpper ?? NaN;
      batch.anomalyScore[at] = anomalyScore ?? NaN;
      if (batch.n < batchRows) continue;
      yield batch;
      batch.reset();
    }
  }
  if (batch.n > 0) yield batch;
}

/** The fleet's minutes, counted as the InfluxDB store counts them while it runs (influx-fleet.ts). */
async function* minutesOf(connection: DuckDBConnection): AsyncIterable<FleetMinute[]> {
  const result = await connection.stream(`
    SELECT floor(timestamp_ms / 60000) * 60000, count(*)::DOUBLE, count(*) FILTER (flags & ${FLAG.LATE} <> 0)::DOUBLE, count(*) FILTER (anomaly_score > 1)::DOUBLE,
      coalesce(max(anomaly_score), 0)
    FROM readings WHERE flags & ${FLAG.DEVICE} = 0 GROUP BY 1`);
  for (;;) {
    const chunk = await result.fetchChunk();
    if (!chunk || chunk.rowCount === 0) return;
    yield (chunk.getRows() as number[][]).map(([minuteMs, readings, late, anomalous, scoreMax]) => ({ minuteMs, readings, late, anomalous, scoreMax }));
  }
}

async function* pages<T>(query: (cursor: string | undefined) => Promise<Page<T>>): AsyncIterable<T[]> {
  for (let cursor: string | undefined; ;) {
    const { items, nextCursor } = await query(cursor);
    if (items.length > 0) yield items;
    if (nextCursor === null) return;
    cursor = nextCursor;
  }
}

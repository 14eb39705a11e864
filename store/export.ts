import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { DuckDBValue } from '@duckdb/node-api';
import type { ExportQuery } from '../core/service.js';
import { csvNameSql } from './csv.js';
import { csvOfInflux, gathered } from './export-influx.js';
import { writeWhole } from './place-file.js';
import { EmbeddedStore } from './results/embedded.js';
import type { InfluxStore } from './results/influx.js';

/** What DuckDB may take while a Parquet file is made from InfluxDB. */
const GATHERING_MB = 256;

export interface ExportOptions extends ExportQuery {
  path: string;
  /** Whether it may take the place of another file. */
  force?: boolean;
}

/**
 * Writes readings with their results to a file: `timestamp,device,metric,actual,yhat,yhat_lower,yhat_upper,anomaly_score,in_event,revised`, of one device by metric and time, of all as they lie in the store
 * (embedded: in the order of their arrival, since a fleet's history cannot be sorted in bounded memory and disk; InfluxDB: by series). Timestamps are RFC 3339 in UTC (in Parquet: TIMESTAMP), empty where there is no value; names that a spreadsheet would take for a formula begin with an apostrophe in CSV (csv.ts). The file appears whole or not at all. Returns its rows.
 * Throws FILE_EXISTS where the file is there and `force` is not given, FILE_UNREADABLE where it cannot be written, STORE_*.
 */
export async function exportReadings(store: EmbeddedStore | InfluxStore, options: ExportOptions): Promise<number> {
  return writeWhole(options.path, options.force ?? false, (temporary) => (
    store instanceof EmbeddedStore ? copyFromEmbedded(store, options, temporary) : copyFromInflux(store, options, temporary)
  ));
}

/** Returns the rows. What the signal breaks off leaves a part of the file behind. */
export async function copyFromEmbedded(store: EmbeddedStore, options: ExportQuery, path: string, signal?: AbortSignal): Promise<number> {
  const { device, metric, startMs: start, endMs: end } = options;
  const filters = ([['device = $device', { device }], ['metric = $metric', { metric }], ['timestamp_ms >= $start', { start }], ['timestamp_ms < $end', { end }]] as const)
    .filter(([, value]) => Object.values(value)[0] !== undefined);
  const values = Object.assign({}, ...filters.map(([, value]) => value)) as Record<string, DuckDBValue>;
  const csv = options.format === 'csv';
  // Once a series, and not once a reading.
  const shown = (column: string): string => (csv ? csvNameSql(column) : column);
  const connection = await store.connect();
  const interrupt = (): void => connection.interrupt();
  signal?.addEventListener('abort', interrupt);
  try {
    signal?.throwIfAborted();
    const copied = await connection.runAndReadAll(`
      COPY (
        SELECT ${csv ? `strftime(epoch_ms(timestamp_ms), '%Y-%m-%dT%H:%M:%S.%gZ')` : 'epoch_ms(timestamp_ms)'} AS "timestamp", device_shown AS device, metric_shown AS metric, actual, yhat, yhat_lower, yhat_upper,
          anomaly_score, ${csv ? '((flags & 4) <> 0)::INTEGER' : '(flags & 4) <> 0'} AS in_event, ${csv ? '((flags & 17) = 16)::INTEGER' : '(flags & 17) = 16'} AS revised
        FROM readings JOIN (SELECT *, ${shown('device')} AS device_shown, ${shown('metric')} AS metric_shown FROM series) series ON series.id = readings.series_id ${filters.length === 0 ? '' : `WHERE ${filters.map(([condition]) => condition).join(' AND ')}`}
        ${device === undefined ? '' : 'ORDER BY series.metric, timestamp_ms'}
      ) TO '${path.replaceAll(`'`, `''`)}' (FORMAT ${csv ? 'csv, HEADER' : 'parquet, COMPRESSION zstd'})`, values);
    return Number(copied.getRows()[0][0]);
  } finally {
    signal?.removeEventListener('abort', interrupt);
    connection.closeSync();
  }
}

async function copyFromInflux(store: InfluxStore, options: ExportOptions, path: string): Promise<number> {
  if (options.format === 'parquet') return await parquetFromInflux(store, options, path);
  let rows = 0;
  await pipeline(csvOfInflux(store, options, (points) => { rows += points; }), createWriteStream(path));
  return rows;
}

/** A Parquet file is written whole, by DuckDB: what InfluxDB has is gathered in a store beside the file first. `onBatch` may throw, to break it off. Returns the rows. */
export async function parquetFromInflux(store: InfluxStore, options: ExportQuery, path: string, signal?: AbortSignal, onBatch?: () => Promise<void>): Promise<number> {
  const between = new EmbeddedStore({ path: `${path}.duckdb`, memoryLimitMb: GATHERING_MB });
  try {
    await between.open();
    await gathered(store, options, between, async () => {
      signal?.throwIfAborted();
      await onBatch?.();
    });
    return await copyFromEmbedded(between, options, path, signal);
  } finally {
    await between.close();
    for (const left of [`${path}.duckdb`, `${path}.duckdb.wal`]) await rm(left, { force: true });
  }
}

import type { DuckDBConnection, DuckDBInstance, DuckDBPreparedStatement } from '@duckdb/node-api';
import { mkdirSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GruardError, messageOf } from '../../core/errors.js';
import { loadDuckDB, type DuckDB } from './duckdb.js';

/** Raised when a table changes in a way that an older gruard cannot read. */
export const SCHEMA_VERSION = 1;

/**
 * `readings` has no key and no index: rows arrive in time order, so that the minimum and maximum that DuckDB keeps for each 122,880 rows
 * are index enough, and an index would have to fit in memory. That (series_id, timestamp_ms) is unique is the writer's doing (readings.ts).
 */
const TABLES = `
  CREATE TABLE IF NOT EXISTS meta (schema_version BIGINT NOT NULL, position BIGINT NOT NULL);
  CREATE TABLE IF NOT EXISTS series (id UINTEGER NOT NULL, device VARCHAR NOT NULL, metric VARCHAR NOT NULL, tags VARCHAR NOT NULL);
  CREATE TABLE IF NOT EXISTS readings (
    series_id UINTEGER NOT NULL, timestamp_ms BIGINT NOT NULL, actual DOUBLE,
    yhat DOUBLE, yhat_lower DOUBLE, yhat_upper DOUBLE, anomaly_score DOUBLE, flags UTINYINT NOT NULL);
  CREATE TABLE IF NOT EXISTS events (
    id VARCHAR PRIMARY KEY, device VARCHAR NOT NULL, metric VARCHAR NOT NULL, kind VARCHAR NOT NULL, state VARCHAR NOT NULL, severity VARCHAR NOT NULL,
    opened_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL, resolved_ms BIGINT, readings BIGINT NOT NULL, peak_score DOUBLE, peak_ms BIGINT,
    actual DOUBLE, yhat DOUBLE, yhat_lower DOUBLE, yhat_upper DOUBLE, reason VARCHAR NOT NULL, metrics VARCHAR NOT NULL, incident VARCHAR, feedback VARCHAR);
  CREATE TABLE IF NOT EXISTS verdicts (
    id VARCHAR PRIMARY KEY, device VARCHAR NOT NULL, metric VARCHAR, kind VARCHAR NOT NULL, since_ms BIGINT NOT NULL, until_ms BIGINT, reason VARCHAR NOT NULL);
  CREATE OR REPLACE VIEW results AS
    SELECT epoch_ms(timestamp_ms) AS "timestamp", device, metric, actual, yhat, yhat_lower, yhat_upper, anomaly_score, (flags & 4) <> 0 AS in_event, (flags & 17) = 16 AS revised
    FROM readings JOIN series ON series.id = readings.series_id;
  CREATE TEMP TABLE IF NOT EXISTS staged (
    series_id UINTEGER NOT NULL, timestamp_ms BIGINT NOT NULL, actual DOUBLE,
    yhat DOUBLE, yhat_lower DOUBLE, yhat_upper DOUBLE, anomaly_score DOUBLE, flags UTINYINT NOT NULL);
`;

export interface EmbeddedOptions {
  /** The database file; `:memory:` keeps nothing. */
  path: string;
  /** What DuckDB may take for its buffers: blocks that it has read or written stay there until this is full. The system's file cache has them as well, so little is enough. */
  memoryLimitMb?: number;
  /** One is the cheapest for a stream of small transactions (half the CPU time of two, measured); queries over months gain from more. */
  threads?: number;
}

export interface Database {
  duckdb: DuckDB;
  instance: DuckDBInstance;
  /** The only one that writes. `staged` lives in it. */
  writer: DuckDBConnection;
  begin: DuckDBPreparedStatement;
  setPosition: DuckDBPreparedStatement;
  commit: DuckDBPreparedStatement;
  /** Queries: they see what is committed, and never wait for a write. */
  reader: DuckDBConnection;
}

/** Opens the file, creates what is missing. Throws STORE_BINDING_MISSING, STORE_DAMAGED, DATA_DIR_LOCKED, FORMAT_VERSION, DATA_DIR_UNUSABLE. */
export async function openDatabase(options: EmbeddedOptions): Promise<Database> {
  const duckdb = await loadDuckDB();
  let instance: DuckDBInstance | undefined;
  try {
    if (options.path !== ':memory:') mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
    instance = await duckdb.DuckDBInstance.create(options.path, {
      memory_limit: `${options.memoryLimitMb ?? 128}MB`,
      threads: String(options.threads ?? 1),
      // Nothing is fetched from the network, whatever a query names.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const writer = await instance.connect();
    // Letting go of the file after an error must not write to it: on a full disk each try would leave a checkpoint marker in the log, and with two it cannot be read.
    await writer.run('PRAGMA disable_checkpoint_on_shutdown');
    await writer.run(TABLES);
    await checkVersion(writer, options.path);
    return {
      duckdb, instance, writer, reader: await instance.connect(),
      begin: await writer.prepare('BEGIN'),
      setPosition: await writer.prepare('UPDATE meta SET position = $1'),
      commit: await writer.prepare('COMMIT'),
    };
  } catch (error) {
    instance?.closeSync();
    throw storeError(error, options.path);
  }
}

const ROOM_BYTES = 8 * 1024 * 1024;

/** Throws STORE_UNAVAILABLE where the disk has not the room that a transaction and a checkpoint of the log may take: DuckDB does not come through a full disk unharmed. */
export async function requireRoom(path: string): Promise<void> {
  if (path === ':memory:') return;
  const { bavail, bsize } = await statfs(dirname(path));
  const log = await stat(`${path}.wal`).then(({ size }) => size, () => 0);
  if (bavail * bsize < ROOM_BYTES + 2 * log) {
    throw new GruardError('STORE_UNAVAILABLE', `${path}: the disk is full (${bavail * bsize} bytes free): nothing is written to the store until there is room`);
  }
}

async function checkVersion(writer: DuckDBConnection, path: string): Promise<void> {
  await writer.run(`INSERT INTO meta SELECT ${SCHEMA_VERSION}, -1 WHERE NOT EXISTS (FROM meta)`);
  const rows = await writer.runAndReadAll('SELECT schema_version::DOUBLE FROM meta');
  const found = rows.getRows()[0][0] as number;
  if (found !== SCHEMA_VERSION) throw new GruardError('FORMAT_VERSION', `${path} has schema version ${found}, this gruard writes ${SCHEMA_VERSION}`);
}

/** Puts a code on what DuckDB throws. */
export function storeError(error: unknown, path: string): GruardError {
  if (error instanceof GruardError) return error;
  const message = messageOf(error);
  if (/could not set lock|conflicting lock|already attached|unique file handle/i.test(message)) {
    return new GruardError('DATA_DIR_LOCKED', `${path} is open in another process: ${firstLine(message)}`, { cause: error });
  }
  if (/corrupt|checksum|not a valid DuckDB|deserializ|Failure while replaying WAL|truncated/i.test(message)) {
    return new GruardError('STORE_DAMAGED', `${path} is damaged: ${firstLine(message)}`, { cause: error });
  }
  return new GruardError('STORE_UNAVAILABLE', `${path}: ${firstLine(message)}`, { cause: error });
}

/** After these DuckDB refuses every further statement until the file is opened again. */
export function isFatal(error: unknown): boolean {
  return /invalidated|FATAL|INTERNAL Error/i.test(messageOf(error));
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0].slice(0, 300);
}

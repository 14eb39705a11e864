import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.js';
import { GruardError } from '../core/errors.js';
import type { ExportQuery } from '../core/service.js';
import { exportReadings } from '../store/export.js';
import { lockDataDir } from '../store/lock.js';
import { migrate } from '../store/migrate.js';
import { writeWhole } from '../store/place-file.js';
import { embeddedStoreOf, influxStoreOf } from '../wiring.js';
import { download } from './client.js';
import { configOf, type CommonOptions } from './options.js';
import { Progress } from './progress.js';

export interface StoreOptions extends CommonOptions {
  json?: boolean;
}

export interface ExportOptions extends CommonOptions {
  out: string;
  force?: boolean;
  format: string;
  device?: string;
  metric?: string;
  start?: string;
  end?: string;
}

/** `gruard store migrate`: embedded to InfluxDB. A store can be copied only while no gruard writes to it. */
export async function migrateStore(options: StoreOptions): Promise<void> {
  const config = configOf(options);
  const lock = await lockDataDir(config.data_dir);
  const from = embeddedStoreOf(config);
  const to = influxStoreOf(config, join(config.data_dir, 'cursors', 'influxdb.json'));
  const progress = new Progress('copying');
  try {
    await from.open();
    await to.open();
    const done = await migrate(from, to, { onProgress: ({ readings, readingsTotal }) => progress.update(readings / Math.max(1, readingsTotal), `${readings} rows`) });
    progress.end();
    process.stdout.write(options.json
      ? `${JSON.stringify({ readings: done.readings, events: done.events, verdicts: done.verdicts })}\n`
      : `${done.readings} readings, ${done.events} events and ${done.verdicts} verdicts copied; set store.kind to influxdb and start gruard\n`);
  } finally {
    progress.end();
    await from.close();
    await to.close();
    await lock.release();
  }
}

/** `gruard export`. */
export async function exportStore(options: ExportOptions): Promise<void> {
  const config = configOf(options);
  if (options.format !== 'csv' && options.format !== 'parquet') throw new GruardError('USAGE', '--format: csv or parquet expected');
  const { format, out, force = false } = options;
  const query: ExportQuery = { format, device: options.device, metric: options.metric, startMs: timeOf(options.start, '--start'), endMs: timeOf(options.end, '--end') };
  const embedded = config.store.kind === 'embedded';
  const lock = embedded ? await lockDataDir(config.data_dir).catch(lockedByServer) : undefined;
  if (embedded && !lock) {
    const rows = await downloadReadings(config, out, force, query);
    process.stdout.write(`${rows} readings written to ${out}, from the running server\n`);
    return;
  }
  const store = embedded ? embeddedStoreOf(config) : influxStoreOf(config, join(config.data_dir, 'cursors', 'influxdb.json'));
  try {
    await store.open();
    const rows = await exportReadings(store, { path: out, force, ...query });
    process.stdout.write(`${rows} readings written to ${out}\n`);
  } finally {
    await store.close();
    await lock?.release();
  }
}

/** Only one process can open the embedded store: while a server has it, the server is asked. */
function lockedByServer(thrown: unknown): undefined {
  if (thrown instanceof GruardError && thrown.code === 'DATA_DIR_LOCKED') return undefined;
  throw thrown;
}

/** The file appears whole or not at all. */
async function downloadReadings(config: Config, path: string, force: boolean, { format, device, metric, startMs, endMs }: ExportQuery): Promise<string> {
  const parameters = new URLSearchParams({ format });
  for (const [name, value] of Object.entries({ device, metric, start: startMs, end: endMs })) if (value !== undefined) parameters.set(name, String(value));
  return writeWhole(path, force, async (temporary) => {
    const file = await open(temporary, 'w');
    const headers = await download(config, `/v1/export?${parameters.toString()}`, file.createWriteStream()).finally(() => file.close().catch(() => undefined));
    return String(headers['gruard-rows'] ?? 'all');
  });
}

function timeOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new GruardError('USAGE', `${option}: an RFC 3339 time expected`);
  return ms;
}

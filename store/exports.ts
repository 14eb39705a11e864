import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { GruardError } from '../core/errors.js';
import type { ExportFile, ExportQuery } from '../core/service.js';
import { csvOfInflux } from './export-influx.js';
import { copyFromEmbedded, parquetFromInflux } from './export.js';
import { EmbeddedStore } from './results/embedded.js';
import type { InfluxStore } from './results/influx.js';

/** Of the size of the store (25 bytes a reading): a line of CSV has about 120 bytes, and compressing it would take eight times as long as writing it. */
const SPACE_FACTOR = { csv: 6, parquet: 2 };
const MIN_FREE_BYTES = 1024 ** 3;
/** Files that are being read by clients, at the most: each holds its disk space until its client has it all. */
const MOST_OPEN = 4;

/**
 * Readings of a running gruard as a file. DuckDB writes it beside the store, on a thread of its own and within its memory limit; it is then streamed and gone. One at a time: each
 * holds one of Node's four pool threads, which the journal needs as well. From InfluxDB CSV is streamed a page after the other, with no file in between; Parquet is gathered beside it first.
 */
export class Exports {
  #current: Promise<unknown> | undefined;
  readonly #closing = new AbortController();
  #open = 0;

  private constructor(private readonly store: EmbeddedStore | InfluxStore, private readonly dir: string) {}

  /** Removes what a killed process left behind. */
  static async open(store: EmbeddedStore | InfluxStore, dataDir: string): Promise<Exports> {
    const dir = join(dataDir, 'export');
    await rm(dir, { recursive: true, force: true });
    return new Exports(store, dir);
  }

  /** Throws BUSY while another one is under way, STORE_UNAVAILABLE where the disk has no room. */
  async start(query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    if (!(this.store instanceof EmbeddedStore) && query.format === 'csv') return { stream: Readable.from(csvOfInflux(this.store, query)), rows: null };
    if (this.#closing.signal.aborted) throw new GruardError('SHUTTING_DOWN', 'gruard is being stopped');
    if (this.#current) throw new GruardError('BUSY', 'another export is being made');
    if (this.#open >= MOST_OPEN) throw new GruardError('BUSY', `${MOST_OPEN} exports are being read`);
    const made = this.#make(query, AbortSignal.any([signal, this.#closing.signal]));
    this.#current = made.catch(() => undefined);
    try {
      return await made;
    } finally {
      this.#current = undefined;
    }
  }

  /** Breaks off what is under way. The store may be closed afterwards. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#current;
  }

  async #make(query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const path = join(this.dir, randomUUID());
    try {
      const rows = await this.#copy(query, path, signal);
      const file = await open(path, 'r');
      this.#open++;
      const stream = createReadStream('', { fd: file, autoClose: true }).once('close', () => { this.#open--; });
      return { stream, rows };
    } finally {
      // The open file stays readable until it is closed, and nothing is left behind, whatever happens.
      await rm(path, { force: true });
    }
  }

  async #copy(query: ExportQuery, path: string, signal: AbortSignal): Promise<number> {
    const { store } = this;
    // What InfluxDB has has no size beforehand: it is looked at as it grows.
    if (!(store instanceof EmbeddedStore)) return await parquetFromInflux(store, query, path, signal, () => this.#room(0));
    await this.#room(SPACE_FACTOR[query.format] * (await stat(store.options.path)).size);
    return await copyFromEmbedded(store, query, path, signal);
  }

  /** The journal shares this disk: an export must not be what fills it. */
  async #room(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.dir);
    const need = bytes + MIN_FREE_BYTES;
    if (bavail * bsize >= need) return;
    const mib = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
    throw new GruardError('STORE_UNAVAILABLE', `an export may need ${mib(need)} in ${this.dir}, and ${mib(bavail * bsize)} are free: take Parquet, or a part, or stop gruard and run \`gruard export\` with --out on another disk`);
  }
}

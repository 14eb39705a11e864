import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { GruardError } from '../core/errors.js';
import type { ExportFile, ExportQuery } from '../core/service.js';
import { copyFromEmbedded, csvOfInflux } from './export.js';
import { EmbeddedStore } from './results/embedded.js';
import type { InfluxStore } from './results/influx.js';

/** Of the size of the store (25 bytes a reading): a line of CSV has about 120 bytes, and compressing it would take eight times as long as writing it. */
const SPACE_FACTOR = { csv: 6, parquet: 2 };
const MIN_FREE_BYTES = 1024 ** 3;
/** Files that are being read by clients, at the most: each holds its disk space until its client has it all. */
const MOST_OPEN = 4;

/**
 * Readings of a running gruard as a file. DuckDB writes it beside the store, on a thread of its own and within its memory limit; it is then streamed and gone. One at a time: each
 * holds one of Node's four pool threads, which the journal needs as well. From InfluxDB a page after the other is streamed, with no file in between.
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

  /** Throws BUSY while another one is under way, STORE_UNAVAILABLE where the disk has no room, USAGE for Parquet from InfluxDB. */
  async start(query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    if (!(this.store instanceof EmbeddedStore)) {
      if (query.format !== 'csv') throw new GruardError('USAGE', 'Parquet is written from the embedded store alone: take csv');
      return { stream: Readable.from(csvOfInflux(this.store, query)), rows: null };
    }
    if (this.#closing.signal.aborted) throw new GruardError('SHUTTING_DOWN', 'gruard is being stopped');
    if (this.#current) throw new GruardError('BUSY', 'another export is being made');
    if (this.#open >= MOST_OPEN) throw new GruardError('BUSY', `${MOST_OPEN} exports are being read`);
    const made = this.#make(this.store, query, AbortSignal.any([signal, this.#closing.signal]));
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

  async #make(store: EmbeddedStore, query: ExportQuery, signal: AbortSignal): Promise<ExportFile> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    await this.#room(store.options.path, query.format);
    const path = join(this.dir, randomUUID());
    try {
      const rows = await copyFromEmbedded(store, query, path, signal);
      const file = await open(path, 'r');
      this.#open++;
      const stream = createReadStream('', { fd: file, autoClose: true }).once('close', () => { this.#open--; });
      return { stream, rows };
    } finally {
      // The open file stays readable until it is closed, and nothing is left behind, whatever happens.
      await rm(path, { force: true });
    }
  }

  /** The journal shares this disk: an export must not be what fills it. */
  async #room(path: string, format: ExportQuery['format']): Promise<void> {
    const { bavail, bsize } = await statfs(this.dir);
    const need = SPACE_FACTOR[format] * (await stat(path)).size + MIN_FREE_BYTES;
    if (bavail * bsize >= need) return;
    const mib = (bytes: number): string => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
    throw new GruardError('STORE_UNAVAILABLE', `an export may need ${mib(need)} in ${this.dir}, and ${mib(bavail * bsize)} are free: take Parquet, or a part, or stop gruard and run \`gruard export\` with --out on another disk`);
  }
}

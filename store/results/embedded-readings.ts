import type { DuckDBAppender, DuckDBConnection, DuckDBDataChunk, DuckDBType, DuckDBVector } from '@duckdb/node-api';
import type { Batch } from '../../core/batch.js';
import { FLAG } from '../../core/batch.js';
import type { SeriesNames } from '../../core/results.js';
import type { DuckDB } from './duckdb.js';

/** DuckDB's vector size: the most rows that a chunk takes. */
const CHUNK_ROWS = 2048;

/**
 * A late row with another value corrects the reading that is there, leaves the forecast as it was made, and marks it as revised; with the same value (a broker that
 * delivers again what was long forgotten) it changes nothing. Any other row replaces it whole.
 */
const MERGE = `
  MERGE INTO readings r USING staged s
  ON r.series_id = s.series_id AND r.timestamp_ms = s.timestamp_ms AND r.timestamp_ms BETWEEN $from AND $to
  WHEN MATCHED AND (s.flags & ${FLAG.LATE}) = 0 THEN UPDATE SET actual = s.actual, yhat = s.yhat, yhat_lower = s.yhat_lower,
    yhat_upper = s.yhat_upper, anomaly_score = s.anomaly_score, flags = s.flags | (CASE WHEN (r.flags & ${FLAG.REVISED}) <> 0 OR ((r.flags & ${FLAG.LATE}) <> 0 AND r.actual IS DISTINCT FROM s.actual) THEN ${FLAG.REVISED} ELSE 0 END)
  WHEN MATCHED AND r.actual IS DISTINCT FROM s.actual THEN UPDATE SET actual = s.actual, flags = r.flags | ${FLAG.REVISED}
  WHEN NOT MATCHED THEN INSERT BY NAME`;

/**
 * Writes the rows of batches into `readings`, inside the caller's transaction, as upserts by series and timestamp.
 *
 * A row that is newer than everything its series has in the store cannot collide, so it is appended without a look (all rows, nearly always).
 * The others (late ones, the whole batch when it is written a second time, a device that was retired and sends its history again) go through
 * `staged` and one MERGE. To know which is which it keeps each series' newest timestamp; for a series that was there before this process
 * began, the newest of the whole store stands in for it, which is never too low.
 */
export class ReadingsWriter {
  /** By the fleet's series id: the id in this file, 0 where it is not known yet. The file has ids of its own, so that it outlives the journal. */
  #idOf = new Uint32Array(1024);
  /** By the id in this file: the newest timestamp in the store, epoch ms. */
  #newestMs = new Float64Array(1024);
  #nextId = 1;
  #storeNewestMs = -Infinity;
  #names: SeriesNames | undefined;
  #appender: DuckDBAppender | undefined;
  /** Rows left out since nobody knows the name of their series: a device was retired, and gruard restarted, before its last readings got here. */
  nameless = 0;
  /** Rows of the batch that go each way: `count` of each are in use. */
  #appended = new Uint32Array(1024);
  #staged = new Uint32Array(1024);
  /** A full chunk without nulls, used again and again: making one costs more than filling it. */
  #full: DuckDBDataChunk | undefined;

  /** Makes empty chunks. */
  readonly #create: typeof DuckDBDataChunk.create;
  readonly #readingTypes: DuckDBType[];
  readonly #seriesTypes: DuckDBType[];

  constructor(readonly connection: DuckDBConnection, { BIGINT, DOUBLE, DuckDBDataChunk, UINTEGER, UTINYINT, VARCHAR }: DuckDB) {
    this.#create = (types, rows) => DuckDBDataChunk.create(types, rows);
    this.#readingTypes = [UINTEGER, BIGINT, DOUBLE, DOUBLE, DOUBLE, DOUBLE, DOUBLE, UTINYINT];
    this.#seriesTypes = [UINTEGER, VARCHAR, VARCHAR, VARCHAR];
  }

  /** Forgets what it believes of the store: at the start, after a rollback, and when series were removed. */
  async load(): Promise<void> {
    this.#appender = undefined;
    this.#names = undefined;
    this.#idOf.fill(0);
    const rows = await this.connection.runAndReadAll(
      'SELECT (SELECT coalesce(max(id), 0) + 1 FROM series)::DOUBLE, (SELECT max(timestamp_ms) FROM readings)::DOUBLE');
    const [nextId, newestMs] = rows.getRows()[0] as [number, number | null];
    this.#nextId = nextId;
    this.#storeNewestMs = newestMs ?? -Infinity;
    this.#newestMs = new Float64Array(Math.max(1024, nextId * 2)).fill(this.#storeNewestMs, 0, nextId);
  }

  async write(batch: Batch, names: SeriesNames): Promise<void> {
    if (names !== this.#names) this.#idOf.fill(0);
    this.#names = names;
    await this.#resolve(batch, names);
    if (this.#appended.length < batch.n) {
      this.#appended = new Uint32Array(batch.capacity);
      this.#staged = new Uint32Array(batch.capacity);
    }
    let appended = 0;
    let staged = 0;
    for (let row = 0; row < batch.n; row++) {
      const id = this.#idOf[batch.seriesId[row]];
      if (id === 0) {
        this.nameless++;
      } else if (batch.timestampMs[row] > this.#newestMs[id]) {
        this.#newestMs[id] = batch.timestampMs[row];
        this.#appended[appended++] = row;
      } else {
        this.#staged[staged++] = row;
      }
    }
    if (appended > 0) {
      this.#appender ??= await this.connection.createAppender('readings');
      this.#append(this.#appender, batch, this.#appended, appended);
    }
    if (staged > 0) {
      const rows = this.#staged.subarray(0, staged);
      await this.#merge(batch, lastOfEach(batch, this.#idOf, rows, false));
      await this.#merge(batch, lastOfEach(batch, this.#idOf, rows, true));
    }
  }

  /** Makes sure that every series of the batch has an id in this file. */
  async #resolve(batch: Batch, names: SeriesNames): Promise<void> {
    const unknown = new Set<number>();
    for (let row = 0; row < batch.n; row++) {
      const seriesId = batch.seriesId[row];
      if (seriesId >= this.#idOf.length) this.#idOf = grown(this.#idOf, seriesId);
      if (this.#idOf[seriesId] === 0) unknown.add(seriesId);
    }
    if (unknown.size === 0) return;
    const wanted = [...unknown].flatMap((seriesId) => {
      const name = names.nameOf(seriesId);
      return name ? [{ n: seriesId, device: name.device, metric: name.metric, tags: JSON.stringify(name.tags) }] : [];
    });
    if (wanted.length === 0) return;
    const found = await this.connection.runAndReadAll(`
      SELECT w.n::DOUBLE, series.id::DOUBLE, w.tags <> series.tags
      FROM (SELECT unnest(from_json($wanted, '[{"n":"UINTEGER","device":"VARCHAR","metric":"VARCHAR","tags":"VARCHAR"}]'), recursive := true)) w
      JOIN series ON series.device = w.device AND series.metric = w.metric`, { wanted: JSON.stringify(wanted) });
    const changedTags = new Set<number>();
    for (const [n, id, changed] of found.getRows() as [number, number, boolean][]) {
      this.#idOf[n] = id;
      unknown.delete(n);
      if (changed) changedTags.add(n);
    }
    for (const { n, tags } of wanted) {
      if (changedTags.has(n)) await this.connection.run('UPDATE series SET tags = $tags WHERE id = $id', { tags, id: this.#idOf[n] });
    }
    await this.#addSeries(wanted.filter(({ n }) => unknown.has(n)));
  }

  async #addSeries(wanted: { n: number; device: string; metric: string; tags: string }[]): Promise<void> {
    if (wanted.length === 0) return;
    const appender = await this.connection.createAppender('series');
    const idOfName = new Map<string, number>();
    for (let from = 0; from < wanted.length; from += CHUNK_ROWS) {
      const rows: [number, string, string, string][] = [];
      for (const { n, device, metric, tags } of wanted.slice(from, from + CHUNK_ROWS)) {
        const key = JSON.stringify([device, metric]);
        // Two ids of the fleet can have one name: a device that was retired and came back within one batch.
        const known = idOfName.get(key);
        this.#idOf[n] = known ?? this.#nextId;
        if (known !== undefined) continue;
        const id = this.#nextId++;
        idOfName.set(key, id);
        if (id >= this.#newestMs.length) this.#newestMs = grown(this.#newestMs, id);
        this.#newestMs[id] = -Infinity;
        rows.push([id, device, metric, tags]);
      }
      const chunk = this.#create(this.#seriesTypes, rows.length);
      chunk.setRows(rows);
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
  }

  /** `rows` have one row a (series, timestamp). */
  async #merge(batch: Batch, rows: Uint32Array): Promise<void> {
    if (rows.length === 0) return;
    const appender = await this.connection.createAppender('staged');
    this.#append(appender, batch, rows, rows.length);
    appender.closeSync();
    let fromMs = Infinity;
    let toMs = -Infinity;
    for (const row of rows) {
      fromMs = Math.min(fromMs, batch.timestampMs[row]);
      toMs = Math.max(toMs, batch.timestampMs[row]);
    }
    await this.connection.run(MERGE, { from: BigInt(fromMs), to: BigInt(toMs) });
    await this.connection.run('DELETE FROM staged');
  }

  /** A chunk of so many rows, of which each is going to be written. */
  #chunk(rows: number): DuckDBDataChunk {
    return rows < CHUNK_ROWS ? this.#create(this.#readingTypes, rows) : (this.#full ??= this.#create(this.#readingTypes, rows));
  }

  /** Appends the batch's rows `rows[0 .. count-1]`. */
  #append(appender: DuckDBAppender, batch: Batch, rows: Uint32Array, count: number): void {
    for (let from = 0; from < count; from += CHUNK_ROWS) {
      const chunk = this.#chunk(Math.min(CHUNK_ROWS, count - from));
      const part = rows.subarray(from, from + chunk.rowCount);
      const ids = itemsOf<Uint32Array>(chunk.getColumnVector(0));
      const times = itemsOf<BigInt64Array>(chunk.getColumnVector(1));
      // Two 32-bit words a time: a BigInt for each would be the dearest part of it.
      const words = new Int32Array(times.buffer, times.byteOffset, 2 * times.length);
      const flags = itemsOf<Uint8Array>(chunk.getColumnVector(7));
      for (let i = 0; i < part.length; i++) {
        const row = part[i];
        const timestampMs = batch.timestampMs[row];
        ids[i] = this.#idOf[batch.seriesId[row]];
        words[2 * i] = timestampMs;
        words[2 * i + 1] = Math.floor(timestampMs / 2 ** 32);
        flags[i] = batch.flags[row];
      }
      let nulls = fillFinite(chunk.getColumnVector(2), part, batch.value);
      nulls += fillFinite(chunk.getColumnVector(3), part, batch.yhat);
      nulls += fillFinite(chunk.getColumnVector(4), part, batch.yhatLower);
      nulls += fillFinite(chunk.getColumnVector(5), part, batch.yhatUpper);
      nulls += fillFinite(chunk.getColumnVector(6), part, batch.anomalyScore);
      for (let i = 0; i < part.length; i++) {
        if ((flags[i] & FLAG.LATE) === 0) continue;
        chunk.getColumnVector(6).setItem(i, null);
        nulls++;
      }
      // What is null stays so.
      if (nulls > 0) this.#full = undefined;
      for (const column of [0, 1, 2, 3, 4, 5, 6, 7]) chunk.getColumnVector(column).flush();
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
  }
}

/** The values of a vector, to be written and then flushed. Its own `setItem` makes a number or a BigInt of each; the member is not public, and the version is pinned. */
function itemsOf<T>(vector: DuckDBVector): T {
  return (vector as unknown as { items: T }).items;
}

/** Returns how many are null. */
function fillFinite(vector: DuckDBVector, rows: Uint32Array, column: Float64Array): number {
  let nulls = 0;
  const items = itemsOf<Float64Array>(vector);
  for (let i = 0; i < rows.length; i++) {
    const value = column[rows[i]];
    if (value - value === 0) items[i] = value;
    else {
      vector.setItem(i, null);
      nulls++;
    }
  }
  return nulls;
}

/** Of the staged rows that are (or are not) late, the last one of each (series, timestamp), as if they had been written one after another. */
function lastOfEach(batch: Batch, idOf: Uint32Array, staged: Uint32Array, late: boolean): Uint32Array {
  const last = new Map<string, number>();
  for (const row of staged) {
    if (((batch.flags[row] & FLAG.LATE) !== 0) === late) last.set(`${idOf[batch.seriesId[row]]}:${batch.timestampMs[row]}`, row);
  }
  return Uint32Array.from(last.values());
}

function grown<T extends Uint32Array | Float64Array>(array: T, index: number): T {
  const larger = new (array.constructor as new (length: number) => T)(Math.max(array.length * 2, index + 1));
  larger.set(array);
  return larger;
}

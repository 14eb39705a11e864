import type { DuckDBConnection } from '@duckdb/node-api';
import type { Batch } from '../../core/batch.js';
import { systemClock } from '../../core/clock.js';
import { GruardError } from '../../core/errors.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { EventQuery, Page, ResultStore, SeriesNames, SeriesPoint, SeriesQuery } from '../../core/results.js';
import { EmbeddedQueries } from './embedded-queries.js';
import { ReadingsWriter } from './embedded-readings.js';
import type { Database, EmbeddedOptions } from './embedded-schema.js';
import { isFatal, openDatabase, requireRoom, storeError } from './embedded-schema.js';

const UPSERT_EVENTS = `
  INSERT OR REPLACE INTO events SELECT unnest(from_json($rows, '[{"id":"VARCHAR","device":"VARCHAR","metric":"VARCHAR","kind":"VARCHAR",
    "state":"VARCHAR","severity":"VARCHAR","openedMs":"BIGINT","updatedMs":"BIGINT","resolvedMs":"BIGINT","readings":"BIGINT","peakScore":"DOUBLE",
    "peakMs":"BIGINT","actual":"DOUBLE","yhat":"DOUBLE","yhatLower":"DOUBLE","yhatUpper":"DOUBLE","reason":"VARCHAR","metrics":"VARCHAR",
    "incident":"VARCHAR","feedback":"VARCHAR"}]'), recursive := true)`;
const UPSERT_VERDICTS = `
  INSERT OR REPLACE INTO verdicts SELECT unnest(from_json($rows, '[{"id":"VARCHAR","device":"VARCHAR","metric":"VARCHAR","kind":"VARCHAR",
    "sinceMs":"BIGINT","untilMs":"BIGINT","reason":"VARCHAR"}]'), recursive := true)`;

const MEASURE_MS = 5000;

/**
 * The result store in one file, with no server: DuckDB. A batch and the journal position go in one transaction, so that a kill leaves the store
 * exactly after some batch; what is committed is seen by the next query.
 */
export class EmbeddedStore implements ResultStore {
  readonly name = 'embedded';
  #database: Database | undefined;
  #readings: ReadingsWriter | undefined;
  #queries: EmbeddedQueries | undefined;
  #closed = false;
  #memoryBytes = 0;
  #measuredMs = -Infinity;
  /** Writes, expiry and closing go one after another on the writing connection. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(readonly options: EmbeddedOptions) {}

  /** Rows that were left out since the name of their series is not known any more, since the start. */
  get nameless(): number {
    return this.#readings?.nameless ?? 0;
  }

  async open(): Promise<void> {
    this.#closed = false;
    const database = await openDatabase(this.options);
    this.#database = database;
    this.#queries = new EmbeddedQueries(database.reader);
    this.#readings = new ReadingsWriter(database.writer, database.duckdb);
    await this.#guarded(() => this.#readings!.load());
  }

  async position(): Promise<number> {
    const { writer } = await this.#ready();
    return this.#guarded(async () => {
      const rows = await writer.runAndReadAll('SELECT position::DOUBLE FROM meta');
      return rows.getRows()[0][0] as number;
    });
  }

  write(batch: Batch, names: SeriesNames, position: number): Promise<void> {
    return this.#inTurn(async (database) => {
      const { writer, begin, setPosition, commit } = database;
      await requireRoom(this.options.path);
      await begin.run();
      try {
        if (batch.n > 0) await this.#readings!.write(batch, names);
        if (batch.events.length > 0) await writer.run(UPSERT_EVENTS, { rows: JSON.stringify(lastById(batch.events).map(eventRow)) });
        if (batch.verdicts.length > 0) await writer.run(UPSERT_VERDICTS, { rows: JSON.stringify(lastById(batch.verdicts)) });
        setPosition.bind([position]);
        await setPosition.run();
        await commit.run();
        await this.#measure(writer);
      } catch (error) {
        await this.#undo(database, error);
        throw error;
      }
    });
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** Blocks of the file stay in memory up to `memoryLimitMb`, so this grows with what is written, and then stops. */
  async #measure(writer: DuckDBConnection): Promise<void> {
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#measuredMs < MEASURE_MS) return;
    this.#measuredMs = nowMs;
    const rows = await writer.runAndReadAll('SELECT sum(memory_usage_bytes)::DOUBLE FROM duckdb_memory()');
    this.#memoryBytes = rows.getRows()[0][0] as number;
  }

  expire(beforeMs: number): Promise<number> {
    return this.#inTurn(async ({ writer }) => {
      const before = { before: BigInt(Math.ceil(beforeMs)) };
      const removed = await writer.runAndReadAll('DELETE FROM readings WHERE timestamp_ms < $before', before);
      await writer.run('DELETE FROM events WHERE resolved_ms < $before', before);
      await writer.run('DELETE FROM verdicts WHERE until_ms < $before', before);
      const rows = Number(removed.getRows()[0][0]);
      if (rows > 0) {
        await writer.run('DELETE FROM series WHERE id NOT IN (SELECT DISTINCT series_id FROM readings)');
        await this.#readings!.load();
        // Rewrites what is left of the row groups and gives their blocks free for the rows to come.
        await writer.run('CHECKPOINT');
      }
      return rows;
    });
  }

  async querySeries(query: SeriesQuery): Promise<Page<SeriesPoint>> {
    await this.#ready();
    return this.#guarded(() => this.#queries!.querySeries(query));
  }

  async queryEvents(query: EventQuery): Promise<Page<AnomalyEvent>> {
    await this.#ready();
    return this.#guarded(() => this.#queries!.queryEvents(query));
  }

  async getEvent(id: string): Promise<AnomalyEvent | undefined> {
    await this.#ready();
    return this.#guarded(() => this.#queries!.getEvent(id));
  }

  async queryVerdicts(query: { device?: string; open?: boolean; limit: number; cursor?: string }): Promise<Page<HealthVerdict>> {
    await this.#ready();
    return this.#guarded(() => this.#queries!.queryVerdicts(query));
  }

  /** A connection of the caller's own, for long reads (export, migrate) that must not stand in the way of queries. The caller closes it. */
  async connect(): Promise<DuckDBConnection> {
    const { instance } = await this.#ready();
    return this.#guarded(() => instance.connect());
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn.catch(() => undefined);
    await this.#fold();
    this.#release();
  }

  #inTurn<T>(work: (database: Database) => Promise<T>): Promise<T> {
    const turn = this.#turn.catch(() => undefined).then(async () => {
      const database = await this.#ready();
      return this.#guarded(() => work(database));
    });
    this.#turn = turn;
    return turn;
  }

  /** The database, opened again where a fatal error had closed it. */
  async #ready(): Promise<Database> {
    if (this.#closed) throw new GruardError('STORE_UNAVAILABLE', `${this.options.path} is closed`);
    if (!this.#database) await this.open();
    return this.#database!;
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isFatal(error)) this.#release();
      throw storeError(error, this.options.path);
    }
  }

  async #undo(database: Database, error: unknown): Promise<void> {
    if (isFatal(error)) return;
    await database.writer.run('ROLLBACK').catch(() => this.#release());
    if (this.#database) await this.#readings!.load();
  }

  /** The log becomes part of the file, so that one file is all there is to back up; where there is no room for that, the next start reads the log. */
  async #fold(): Promise<void> {
    try {
      await requireRoom(this.options.path);
      await this.#database?.writer.run('CHECKPOINT');
    } catch {
      // Everything is in the log.
    }
  }

  #release(): void {
    this.#database?.writer.closeSync();
    this.#database?.reader.closeSync();
    this.#database?.instance.closeSync();
    this.#database = undefined;
  }
}

/** One statement cannot replace a row twice: the last of each id stands for all. */
function lastById<T extends { id: string }>(items: T[]): T[] {
  return [...new Map(items.map((item) => [item.id, item])).values()];
}

function eventRow(event: AnomalyEvent): Record<string, unknown> {
  return { ...event, metrics: JSON.stringify(event.metrics), feedback: event.feedback && JSON.stringify(event.feedback) };
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Batch } from '../../core/batch.js';
import { DEVICE_METRIC } from '../../core/batch.js';
import { GruardError } from '../../core/errors.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { EventQuery, Page, ResultStore, SeriesNames, SeriesPoint, SeriesQuery } from '../../core/results.js';
import { CursorFile } from '../cursor.js';
import type { InfluxOptions } from './influx-connection.js';
import { InfluxConnection } from './influx-connection.js';
import type { FleetMinutesDocument } from './influx-fleet.js';
import { FleetMinutes } from './influx-fleet.js';
import { InfluxQueries, tagIs, timeLiteral } from './influx-queries.js';
import type { Advice, Preparation } from './influx-schema.js';
import { prepareDatabase } from './influx-schema.js';
import type { FleetMinute } from './line.js';
import { decodeName, eventLine, fleetLine, MEASUREMENT, ReadingLines, verdictLine } from './line.js';

interface Cursor {
  version: 1;
  position: number;
  fleet: FleetMinutesDocument;
}

/**
 * Results in InfluxDB. Points are upserts, so a batch that was written and whose position was not is written again to the same end; the position
 * is in a cursor file beside the journal, since InfluxDB has no transactions.
 */
export class InfluxStore implements ResultStore {
  readonly name = 'influxdb';
  readonly #connection: InfluxConnection;
  readonly #queries: InfluxQueries;
  readonly #lines = new ReadingLines();
  readonly #cursor: CursorFile<Cursor>;
  #position = -1;
  #fleet = FleetMinutes.from();
  /** undefined until a server was there to be prepared. */
  #preparation: Preparation | undefined;
  readonly #told = new Set<string>();
  /** Writes and expiry go one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** Told as soon as the server was reached, each command once: what an administrator has to run, where gruard is not allowed to. */
  constructor(readonly options: InfluxOptions, readonly onAdvice: (advice: Advice) => void = () => undefined) {
    this.#connection = new InfluxConnection(options);
    this.#queries = new InfluxQueries(this.#connection);
    this.#cursor = CursorFile.at(options.cursorPath);
  }

  /** Points that the server refused since they are older than its retention, since the start. */
  get beyondRetention(): number {
    return this.#connection.beyondRetention;
  }

  /** Rows that were left out since the name of their series is not known any more, since the start. */
  get nameless(): number {
    return this.#lines.nameless;
  }

  /** Reads the cursor file. A server that is not there yet is no error: the first write says so. */
  async open(): Promise<void> {
    this.#closed = false;
    const cursor = await this.#cursor.read();
    if (cursor && cursor.version !== 1) throw new GruardError('FORMAT_VERSION', `${this.#cursor.path} has version ${String(cursor.version)}`);
    this.#position = cursor?.position ?? -1;
    this.#fleet = FleetMinutes.from(cursor?.fleet);
    await this.#prepared().catch(() => undefined);
  }

  async position(): Promise<number> {
    return this.#position;
  }

  write(batch: Batch, names: SeriesNames, position: number): Promise<void> {
    return this.#inTurn(async () => {
      await this.#prepared();
      const { next, changed } = this.#fleet.with(batch);
      try {
        await this.#writeReadings(batch, names);
        await this.#writeRest(batch, changed);
      } catch (error) {
        // Someone may have dropped the database: look again before the next try.
        this.#preparation = undefined;
        throw error;
      }
      await this.#cursor.write({ version: 1, position, fleet: next.document() });
      this.#fleet = next;
      this.#position = position;
    });
  }

  /** Writes results that do not come from the journal (migrate): counts no minutes and moves no position. */
  load(batch: Batch, names: SeriesNames, minutes: readonly FleetMinute[] = []): Promise<void> {
    return this.#inTurn(async () => {
      await this.#prepared();
      await this.#writeReadings(batch, names);
      await this.#writeRest(batch, minutes);
    });
  }

  /** Every series that has a reading. */
  async series(): Promise<{ device: string; metric: string }[]> {
    const found = new Map<string, { device: string; metric: string }>();
    // A late reading alone has no score, the row of a device has no value.
    for (const field of ['actual', 'anomaly_score']) {
      for (const row of await this.#open(() => this.#connection.query(`SELECT last(${field}) FROM ${MEASUREMENT.readings} GROUP BY device, metric`))) {
        found.set(JSON.stringify([row.device, row.metric]), { device: decodeName(row.device as string), metric: decodeName(row.metric as string) });
      }
    }
    return [...found.values()].sort((a, b) => (a.device === b.device ? (a.metric < b.metric ? -1 : 1) : a.device < b.device ? -1 : 1));
  }

  expire(beforeMs: number): Promise<number> {
    return this.#inTurn(async () => {
      const { serverExpires } = await this.#prepared();
      if (serverExpires) return 0;
      const before = timeLiteral(beforeMs);
      for (const measurement of [MEASUREMENT.readings, MEASUREMENT.fleet]) await this.#connection.query(`DELETE FROM ${measurement} WHERE time < ${before}`);
      await this.#expireEnded(MEASUREMENT.events, `resolved_ms >= 0 AND resolved_ms < ${Math.ceil(beforeMs)}`);
      await this.#expireEnded(MEASUREMENT.health, `until_ms >= 0 AND until_ms < ${Math.ceil(beforeMs)}`);
      // InfluxDB does not say how many.
      return 0;
    });
  }

  querySeries(query: SeriesQuery): Promise<Page<SeriesPoint>> {
    return this.#open(() => this.#queries.querySeries(query));
  }

  queryEvents(query: EventQuery): Promise<Page<AnomalyEvent>> {
    return this.#open(() => this.#queries.queryEvents(query));
  }

  getEvent(id: string): Promise<AnomalyEvent | undefined> {
    return this.#open(() => this.#queries.getEvent(id));
  }

  queryVerdicts(query: { device?: string; open?: boolean; limit: number; cursor?: string }): Promise<Page<HealthVerdict>> {
    return this.#open(() => this.#queries.queryVerdicts(query));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn.catch(() => undefined);
  }

  /** The rows of a series are all in one lane, and a lane is one request after another: the server sees them in order. */
  async #writeReadings(batch: Batch, names: SeriesNames): Promise<void> {
    // A small batch is one request: four tiny ones would cost more than they save.
    const lanes = Math.min(this.options.parallel ?? 4, Math.max(1, Math.ceil(batch.n / 1_000)));
    const linesPerRequest = this.options.linesPerRequest ?? 2_500;
    this.#lines.begin(batch, names);
    const writeLane = async (lane: number): Promise<void> => {
      let lines = '';
      let count = 0;
      for (let row = 0; row < batch.n; row++) {
        if (batch.seriesId[row] % lanes !== lane) continue;
        lines += this.#lines.lineOf(batch, row);
        if (++count < linesPerRequest) continue;
        await this.#connection.write(lines);
        lines = '';
        count = 0;
      }
      if (lines !== '') await this.#connection.write(lines);
    };
    const running: Promise<void>[] = [];
    for (let lane = 0; lane < lanes; lane++) {
      running.push(writeLane(lane));
      // The first lane's lines are on their way while those of the next are made: without this turn nothing leaves before all are.
      if (lane < lanes - 1) await nextTurn();
    }
    await Promise.all(running);
  }

  async #writeRest(batch: Batch, minutes: readonly FleetMinute[]): Promise<void> {
    const lines = [...batch.events.map(eventLine), ...batch.verdicts.map(verdictLine), ...minutes.map(fleetLine)];
    if (lines.length > 0) await this.#connection.write(lines.join(''));
  }

  /** DELETE knows tags and times but no fields, so the points are looked up first and removed one by one. */
  async #expireEnded(measurement: string, condition: string): Promise<void> {
    for (;;) {
      const rows = await this.#connection.query(`SELECT id, document FROM ${measurement} WHERE ${condition} LIMIT 1000`);
      for (const row of rows) {
        const { device, metric, kind } = JSON.parse(row.document as string) as AnomalyEvent | HealthVerdict;
        const tags = [tagIs('device', device), tagIs('metric', metric ?? DEVICE_METRIC), ...(measurement === MEASUREMENT.health ? [tagIs('kind', kind)] : [])];
        await this.#connection.query(`DELETE FROM ${measurement} WHERE time = ${timeLiteral(row.time as number)} AND ${tags.join(' AND ')}`);
      }
      if (rows.length < 1000) return;
    }
  }

  async #prepared(): Promise<Preparation> {
    if (this.#preparation) return this.#preparation;
    this.#preparation = await prepareDatabase(this.#connection);
    for (const advice of this.#preparation.advice) {
      if (this.#told.has(advice.command)) continue;
      this.#told.add(advice.command);
      this.onAdvice(advice);
    }
    return this.#preparation;
  }

  #open<T>(query: () => Promise<T>): Promise<T> {
    return this.#closed ? Promise.reject(new GruardError('STORE_UNAVAILABLE', 'the InfluxDB store is closed')) : query();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.catch(() => undefined).then(() => this.#open(work));
    this.#turn = turn;
    return turn;
  }
}

import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import { FLAG } from '../../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { EventQuery, Page, ResultReader, SeriesPoint, SeriesQuery } from '../../core/results.js';
import type { Order } from './paging.js';
import { checkedLimit, decodeListCursor, MAX_LIMIT, pageOfList, pageOfSeries, planSeries } from './paging.js';

type Row = Record<string, unknown>;

/** Numbers leave DuckDB as DOUBLE: a BIGINT would be a BigInt, and every time fits a double exactly. */
const EVENT_COLUMNS = `id, device, metric, kind, state, severity, opened_ms::DOUBLE AS opened_ms, updated_ms::DOUBLE AS updated_ms,
  resolved_ms::DOUBLE AS resolved_ms, readings::DOUBLE AS readings, peak_score, peak_ms::DOUBLE AS peak_ms, actual, yhat, yhat_lower, yhat_upper, reason,
  metrics, incident, feedback`;
const VERDICT_COLUMNS = 'id, device, metric, kind, since_ms::DOUBLE AS since_ms, until_ms::DOUBLE AS until_ms, reason';

interface Window {
  /** Inclusive; epoch ms. */
  fromMs: number;
  /** Exclusive; epoch ms. */
  toMs: number;
}

const FIRST_WINDOW_MS = 3_600_000;

/**
 * [fromMs, toMs) in parts that grow eightfold, from its start or (not `ascending`) from its end. A page is most often found in the first
 * parts, so that its cost follows what it shows and not what the store holds: rows lie in time order, and a part reads only its own.
 */
function* windows(fromMs: number, toMs: number, ascending: boolean): Iterable<Window> {
  for (let sizeMs = FIRST_WINDOW_MS; fromMs < toMs; sizeMs *= 8) {
    const size = Math.min(sizeMs, toMs - fromMs);
    yield ascending ? { fromMs, toMs: fromMs + size } : { fromMs: toMs - size, toMs };
    if (ascending) fromMs += size;
    else toMs -= size;
  }
}

/** The queries of the embedded store. Whatever comes from a user is a parameter; the text of a query is made of constants alone. */
export class EmbeddedQueries implements ResultReader {
  #last: Promise<unknown> = Promise.resolve();

  constructor(readonly connection: DuckDBConnection) {}

  async querySeries(query: SeriesQuery): Promise<Page<SeriesPoint>> {
    const plan = planSeries(query);
    const [found] = await this.#rows(`
      SELECT (SELECT min(id) FROM series WHERE device = $device AND metric = $metric)::DOUBLE AS id,
        (SELECT min(timestamp_ms) FROM readings)::DOUBLE AS oldest_ms, (SELECT max(timestamp_ms) FROM readings)::DOUBLE AS newest_ms`,
    { device: query.device, metric: query.metric });
    const rows: SeriesPoint[] = [];
    if (found.id !== null && found.oldest_ms !== null) {
      const fromMs = Math.max(plan.fromMs, found.oldest_ms as number);
      const toMs = Math.min(plan.toMs, (found.newest_ms as number) + 1);
      for (const window of windows(fromMs, toMs, plan.order === 'ascending')) {
        rows.push(...await this.#points(found.id as number, window, plan.order, plan.limit + 1 - rows.length));
        if (rows.length > plan.limit) break;
      }
    }
    return pageOfSeries(plan, rows);
  }

  async #points(seriesId: number, window: Window, order: Order, rows: number): Promise<SeriesPoint[]> {
    const found = await this.#rows(`
      SELECT timestamp_ms::DOUBLE AS timestamp_ms, actual, yhat, yhat_lower, yhat_upper, anomaly_score, flags FROM readings
      WHERE series_id = $id AND timestamp_ms >= $from AND timestamp_ms < $to
      ORDER BY timestamp_ms ${order === 'ascending' ? 'ASC' : 'DESC'} LIMIT ${rows}`,
    { id: seriesId, from: BigInt(window.fromMs), to: BigInt(window.toMs) });
    return found.map(pointOf);
  }

  async queryEvents(query: EventQuery): Promise<Page<AnomalyEvent>> {
    const limit = checkedLimit(query.limit, MAX_LIMIT);
    const where: string[] = [];
    const values: Record<string, DuckDBValue> = {};
    const add = (condition: string, bound: Record<string, DuckDBValue>): void => {
      where.push(condition);
      Object.assign(values, bound);
    };
    if (query.device !== undefined) add('device = $device', { device: query.device });
    if (query.metric !== undefined) add('metric = $metric', { metric: query.metric });
    if (query.severity !== undefined) add('severity = $severity', { severity: query.severity });
    if (query.state !== undefined) add('state = $state', { state: query.state });
    if (query.endMs !== undefined) add('opened_ms < $end', { end: query.endMs });
    if (query.startMs !== undefined) add('(resolved_ms IS NULL OR resolved_ms >= $start)', { start: query.startMs });
    addCursor(query.cursor, 'opened_ms', add);
    const rows = await this.#rows(`SELECT ${EVENT_COLUMNS} FROM events ${whereOf(where)} ORDER BY opened_ms DESC, id LIMIT ${limit + 1}`, values);
    return pageOfList(limit, rows.map(eventOf), (event) => ({ timeMs: event.openedMs, id: event.id }));
  }

  async getEvent(id: string): Promise<AnomalyEvent | undefined> {
    const rows = await this.#rows(`SELECT ${EVENT_COLUMNS} FROM events WHERE id = $id`, { id });
    return rows.map(eventOf)[0];
  }

  async queryVerdicts(query: { device?: string; open?: boolean; limit: number; cursor?: string }): Promise<Page<HealthVerdict>> {
    const limit = checkedLimit(query.limit, MAX_LIMIT);
    const where: string[] = [];
    const values: Record<string, DuckDBValue> = {};
    const add = (condition: string, bound: Record<string, DuckDBValue>): void => {
      where.push(condition);
      Object.assign(values, bound);
    };
    if (query.device !== undefined) add('device = $device', { device: query.device });
    if (query.open !== undefined) add(query.open ? 'until_ms IS NULL' : 'until_ms IS NOT NULL', {});
    addCursor(query.cursor, 'since_ms', add);
    const rows = await this.#rows(`SELECT ${VERDICT_COLUMNS} FROM verdicts ${whereOf(where)} ORDER BY since_ms DESC, id LIMIT ${limit + 1}`, values);
    return pageOfList(limit, rows.map(verdictOf), (verdict) => ({ timeMs: verdict.sinceMs, id: verdict.id }));
  }

  /**
   * One statement after another. A connection runs one at a time anyhow, and each that waits inside DuckDB would hold one of Node's four pool threads, which the
   * journal's writes need as well: a few slow queries would hold up acknowledgements.
   */
  #rows(sql: string, values: Record<string, DuckDBValue>): Promise<Row[]> {
    const rows = this.#last.then(async () => (await this.connection.runAndReadAll(sql, values)).getRowObjects());
    this.#last = rows.catch(() => undefined);
    return rows;
  }
}

function addCursor(cursor: string | undefined, column: string, add: (condition: string, bound: Record<string, DuckDBValue>) => void): void {
  if (cursor === undefined) return;
  const { timeMs, id } = decodeListCursor(cursor);
  add(`(${column} < $cursor_ms OR (${column} = $cursor_ms AND id > $cursor_id))`, { cursor_ms: timeMs, cursor_id: id });
}

function whereOf(conditions: string[]): string {
  return conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
}

function pointOf(row: Row): SeriesPoint {
  const flags = row.flags as number;
  return {
    timestampMs: row.timestamp_ms as number,
    actual: row.actual as number | null,
    yhat: row.yhat as number | null,
    yhatLower: row.yhat_lower as number | null,
    yhatUpper: row.yhat_upper as number | null,
    anomalyScore: row.anomaly_score as number | null,
    scored: (flags & FLAG.LATE) === 0,
    inEvent: (flags & FLAG.IN_EVENT) !== 0,
    revised: (flags & FLAG.REVISED) !== 0 && (flags & FLAG.LATE) === 0,
  };
}

function eventOf(row: Row): AnomalyEvent {
  return {
    id: row.id, device: row.device, metric: row.metric, kind: row.kind, state: row.state, severity: row.severity,
    openedMs: row.opened_ms, updatedMs: row.updated_ms, resolvedMs: row.resolved_ms,
    readings: row.readings, peakScore: row.peak_score, peakMs: row.peak_ms,
    actual: row.actual, yhat: row.yhat, yhatLower: row.yhat_lower, yhatUpper: row.yhat_upper, reason: row.reason,
    metrics: JSON.parse(row.metrics as string) as unknown, incident: row.incident, feedback: row.feedback === null ? null : JSON.parse(row.feedback as string) as unknown,
  } as AnomalyEvent;
}

function verdictOf(row: Row): HealthVerdict {
  return { id: row.id, device: row.device, metric: row.metric, kind: row.kind, sinceMs: row.since_ms, untilMs: row.until_ms, reason: row.reason } as HealthVerdict;
}

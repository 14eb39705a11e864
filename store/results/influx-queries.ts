import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import type { EventQuery, Page, ResultReader, SeriesPoint, SeriesQuery } from '../../core/results.js';
import type { InfluxConnection, InfluxRow } from './influx-connection.js';
import { encodeName, INFLUX_MAX_MS, MEASUREMENT, queryLiteral } from './line.js';
import type { ListCursor } from './paging.js';
import { checkedLimit, decodeListCursor, MAX_LIMIT, pageOfList, pageOfSeries, planSeries } from './paging.js';

const POINT_FIELDS = 'actual, yhat, yhat_lower, yhat_upper, anomaly_score, in_event, revised';

/** The queries of the InfluxDB store, with the answers of the embedded one. Text from a user goes in as a literal of line.ts alone. */
export class InfluxQueries implements ResultReader {
  constructor(readonly connection: InfluxConnection) {}

  async querySeries(query: SeriesQuery): Promise<Page<SeriesPoint>> {
    const plan = planSeries(query);
    const conditions = [tagIs('device', query.device), tagIs('metric', query.metric), `time >= ${timeLiteral(plan.fromMs)}`, `time < ${timeLiteral(plan.toMs)}`].join(' AND ');
    for (let limit = plan.limit + 1; ; limit *= 2) {
      const rows = await this.connection.query(
        `SELECT ${POINT_FIELDS} FROM ${MEASUREMENT.readings} WHERE ${conditions} ORDER BY time ${plan.order === 'ascending' ? 'ASC' : 'DESC'} LIMIT ${limit}`);
      const points = mergedByTime(rows.map(pointOf));
      if (points.length > plan.limit || rows.length < limit) return pageOfSeries(plan, points.slice(0, plan.limit + 1));
    }
  }

  async queryEvents(query: EventQuery): Promise<Page<AnomalyEvent>> {
    const limit = checkedLimit(query.limit, MAX_LIMIT);
    const conditions: string[] = [];
    if (query.device !== undefined) conditions.push(tagIs('device', query.device));
    if (query.metric !== undefined) conditions.push(tagIs('metric', query.metric));
    if (query.severity !== undefined) conditions.push(`severity = ${queryLiteral(query.severity)}`);
    if (query.state !== undefined) conditions.push(`state = ${queryLiteral(query.state)}`);
    if (query.endMs !== undefined) conditions.push(`time < ${timeLiteral(query.endMs)}`);
    if (query.startMs !== undefined) conditions.push(`(resolved_ms = -1 OR resolved_ms >= ${Math.ceil(query.startMs)})`);
    const events = await this.#newest<AnomalyEvent>(MEASUREMENT.events, conditions, limit + 1, query.cursor, (event) => ({ timeMs: event.openedMs, id: event.id }));
    return pageOfList(limit, events, (event) => ({ timeMs: event.openedMs, id: event.id }));
  }

  async getEvent(id: string): Promise<AnomalyEvent | undefined> {
    const rows = await this.connection.query(`SELECT document FROM ${MEASUREMENT.events} WHERE id = ${queryLiteral(encodeName(id))} LIMIT 1`);
    return rows.map((row) => JSON.parse(row.document as string) as AnomalyEvent)[0];
  }

  async queryVerdicts(query: { device?: string; open?: boolean; limit: number; cursor?: string }): Promise<Page<HealthVerdict>> {
    const limit = checkedLimit(query.limit, MAX_LIMIT);
    const conditions: string[] = [];
    if (query.device !== undefined) conditions.push(tagIs('device', query.device));
    if (query.open !== undefined) conditions.push(`open = ${query.open}`);
    const verdicts = await this.#newest<HealthVerdict>(MEASUREMENT.health, conditions, limit + 1, query.cursor, (verdict) => ({ timeMs: verdict.sinceMs, id: verdict.id }));
    return pageOfList(limit, verdicts, (verdict) => ({ timeMs: verdict.sinceMs, id: verdict.id }));
  }

  /** Up to `limit` documents behind the cursor in the order (time descending, id). InfluxDB sorts by time alone, so points of one time are taken all together. */
  async #newest<T>(measurement: string, conditions: string[], limit: number, cursor: string | undefined, keyOf: (item: T) => ListCursor): Promise<T[]> {
    const after = cursor === undefined ? undefined : decodeListCursor(cursor);
    const found: T[] = [];
    if (after) found.push(...(await this.#documents<T>(measurement, [...conditions, `time = ${timeLiteral(after.timeMs)}`])).filter((item) => keyOf(item).id > after.id));
    const older = after ? [...conditions, `time < ${timeLiteral(after.timeMs)}`] : conditions;
    const newest = await this.#documents<T>(measurement, older, limit);
    if (newest.length === limit) {
      const lastMs = keyOf(newest[limit - 1]).timeMs;
      found.push(...newest.filter((item) => keyOf(item).timeMs !== lastMs), ...await this.#documents<T>(measurement, [...conditions, `time = ${timeLiteral(lastMs)}`]));
    } else {
      found.push(...newest);
    }
    return found.sort((a, b) => compare(keyOf(a), keyOf(b))).slice(0, limit);
  }

  async #documents<T>(measurement: string, conditions: string[], limit?: number): Promise<T[]> {
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    const rows = await this.connection.query(`SELECT document FROM ${measurement}${where} ORDER BY time DESC${limit === undefined ? '' : ` LIMIT ${limit}`}`);
    return rows.map((row) => JSON.parse(row.document as string) as T);
  }
}

export function tagIs(key: 'device' | 'metric' | 'kind', value: string): string {
  return `"${key}" = ${queryLiteral(encodeName(value))}`;
}

/** A time in a query; one that InfluxDB cannot hold becomes its first or last. */
export function timeLiteral(ms: number): string {
  return `${Math.min(Math.max(Math.ceil(ms), -INFLUX_MAX_MS), INFLUX_MAX_MS)}ms`;
}

function compare(a: ListCursor, b: ListCursor): number {
  if (a.timeMs !== b.timeMs) return b.timeMs - a.timeMs;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function pointOf(row: InfluxRow): SeriesPoint {
  return {
    timestampMs: row.time as number,
    actual: row.actual as number | null,
    yhat: row.yhat as number | null,
    yhatLower: row.yhat_lower as number | null,
    yhatUpper: row.yhat_upper as number | null,
    anomalyScore: row.anomaly_score as number | null,
    scored: row.anomaly_score !== null,
    inEvent: row.in_event === true,
    // A late reading says so wherever it is written; it revises only what was scored.
    revised: row.revised === true && row.anomaly_score !== null,
  };
}

/** One point a time: a device whose tags changed has an InfluxDB series for each set of tags, and a reading sent again may stand in both. */
function mergedByTime(points: SeriesPoint[]): SeriesPoint[] {
  const merged: SeriesPoint[] = [];
  for (const point of points) {
    const last = merged[merged.length - 1];
    if (last?.timestampMs !== point.timestampMs) {
      merged.push(point);
      continue;
    }
    const [scored, other] = point.scored ? [point, last] : [last, point];
    merged[merged.length - 1] = { ...scored, actual: scored.actual ?? other.actual, revised: scored.revised || other.revised };
  }
  return merged;
}

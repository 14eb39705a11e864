import { GruardError } from '../../core/errors.js';
import type { EventQuery, Page, SeriesPoint, SeriesQuery } from '../../core/results.js';

/**
 * Cursors and limits, the same for every result store, so that the REST answers do not depend on which one is configured.
 * A cursor names the last item that was given, never an offset: rows written meanwhile neither repeat nor hide an item.
 */

/** The most items that one page can have. */
export const MAX_LIMIT = 1_000;

/** `export` and `migrate` read larger pages than the API does. */
export const MAX_SCAN_LIMIT = 100_000;

/** How a page of points is read: in time order, against it, or the newest ones (read backwards, given oldest first). */
export type Order = 'ascending' | 'descending' | 'newest';

export interface SeriesPlan {
  order: Order;
  /** Inclusive; epoch ms. */
  fromMs: number;
  /** Exclusive; epoch ms. */
  toMs: number;
  limit: number;
}

/** The span of a JavaScript Date: the widest that an API time can be. Epoch ms. */
export const MIN_MS = -8.64e15;
export const MAX_MS = 8.64e15;

const ORDER_OF: Record<string, Order> = { a: 'ascending', d: 'descending', n: 'newest' };

export function planSeries(query: SeriesQuery): SeriesPlan {
  let order: Order = query.descending ? 'descending' : 'ascending';
  if (!query.descending && query.startMs === undefined && query.endMs === undefined) order = 'newest';
  let fromMs = clampMs(query.startMs ?? MIN_MS);
  let toMs = clampMs(query.endMs ?? MAX_MS);
  if (query.cursor !== undefined) {
    const match = /^([adn])(-?\d{1,16})$/.exec(query.cursor);
    if (!match) throw badCursor();
    order = ORDER_OF[match[1]];
    const at = Number(match[2]);
    if (order === 'ascending') fromMs = Math.max(fromMs, at + 1);
    else toMs = Math.min(toMs, at);
  }
  return { order, fromMs, toMs, limit: checkedLimit(query.limit, MAX_SCAN_LIMIT) };
}

/** Makes the page of `rows`, which were read in the plan's order and hold one row more than the limit where there is more. */
export function pageOfSeries(plan: SeriesPlan, rows: SeriesPoint[]): Page<SeriesPoint> {
  const more = rows.length > plan.limit;
  const items = more ? rows.slice(0, plan.limit) : rows;
  const nextCursor = more ? plan.order[0] + String(items[items.length - 1].timestampMs) : null;
  if (plan.order === 'newest') items.reverse();
  return { items, nextCursor };
}

/** Where a list that is sorted by (time descending, id) goes on. */
export interface ListCursor {
  timeMs: number;
  id: string;
}

export function encodeListCursor(cursor: ListCursor): string {
  return Buffer.from(JSON.stringify([cursor.timeMs, cursor.id])).toString('base64url');
}

export function decodeListCursor(cursor: string): ListCursor {
  try {
    const [timeMs, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (Number.isSafeInteger(timeMs) && typeof id === 'string') return { timeMs: timeMs as number, id };
  } catch {
    // Not one of ours: told below.
  }
  throw badCursor();
}

export function pageOfList<T>(limit: number, rows: T[], cursorOf: (item: T) => ListCursor): Page<T> {
  const more = rows.length > limit;
  const items = more ? rows.slice(0, limit) : rows;
  return { items, nextCursor: more ? encodeListCursor(cursorOf(items[items.length - 1])) : null };
}

/** Limits come checked from the API; a program error here must not become an unbounded query. */
export function checkedLimit(limit: number, most: number): number {
  if (!Number.isInteger(limit) || limit < 1) throw new GruardError('REQUEST_INVALID', `limit must be a whole number of at least 1, got ${limit}`);
  return Math.min(limit, most);
}

/** True where [openedMs, resolvedMs] has an instant in [startMs, endMs); the rule both stores follow. */
export function overlaps(query: Pick<EventQuery, 'startMs' | 'endMs'>, openedMs: number, resolvedMs: number | null): boolean {
  if (query.endMs !== undefined && openedMs >= query.endMs) return false;
  return query.startMs === undefined || resolvedMs === null || resolvedMs >= query.startMs;
}

function clampMs(ms: number): number {
  if (Number.isNaN(ms)) throw new GruardError('REQUEST_INVALID', 'a time is not a number');
  return Math.ceil(Math.min(Math.max(ms, MIN_MS), MAX_MS));
}

function badCursor(): GruardError {
  return new GruardError('REQUEST_INVALID', 'cursor is not one that this API gave: use next_cursor of the page before, unchanged');
}

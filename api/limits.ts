import type { ErrorCode } from '../core/errors.js';
import { GruardError } from '../core/errors.js';
import type { Measure } from '../core/service.js';
import type { ResolvedOptions } from './options.js';
import { parseTime } from './time.js';

/** What the API did not do, by the code that it answered with: each limit has one. */
export class Refusals {
  readonly #counts = new Map<ErrorCode, number>();

  count(code: ErrorCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  measure(): Measure {
    return {
      name: 'gruard_api_refused_total', help: 'Requests that were answered with a problem, by its code.', type: 'counter',
      values: [...this.#counts].map(([code, value]) => ({ labels: { code: code.toLowerCase() }, value })),
    };
  }
}

const DAY_MS = 86_400_000;

/** The range of a query, epoch ms. An open end is now, an open start the end of what can be asked for. Throws REQUEST_INVALID, QUERY_TOO_WIDE. */
export function rangeOf(query: { start?: string; end?: string }, { querySpanDays, clock }: ResolvedOptions): { startMs: number | undefined; endMs: number | undefined } {
  const startMs = query.start === undefined ? undefined : parseTime(query.start, 'start');
  const endMs = query.end === undefined ? undefined : parseTime(query.end, 'end');
  if (startMs !== undefined && (endMs ?? clock.nowMs()) - startMs > querySpanDays * DAY_MS) {
    throw new GruardError('QUERY_TOO_WIDE', `from start to ${endMs === undefined ? 'now' : 'end'} there are more than ${querySpanDays} days`);
  }
  return { startMs, endMs };
}

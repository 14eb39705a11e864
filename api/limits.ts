import type { ErrorCode } from '../core/errors.js';
import { GruardError } from '../core/errors.js';
import type { Measure } from '../core/service.js';
import type { ResolvedOptions } from './options.js';
import { parseTime } from './time.js';

const LIMITS: ErrorCode[] = ['RATE_LIMITED', 'TOO_MANY_STREAMS', 'TOO_MANY_CONNECTIONS', 'CONNECTIONS_EXHAUSTED', 'QUERY_TOO_WIDE', 'PAYLOAD_TOO_LARGE', 'REQUEST_TIMEOUT', 'BUSY'];

/** What the API did not do, by the code that it answered with: each limit has one. */
export class Refusals {
  /** Those of limits exist from the start: a counter that does can be alerted on. */
  readonly #counts = new Map<ErrorCode, number>(LIMITS.map((code) => [code, 0]));

  count(code: ErrorCode): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  measure(): Measure {
    return {
      name: 'gruard_api_refused_total', help: 'Requests that were answered with a problem, and connections that were refused, by code.', type: 'counter',
      values: [...this.#counts].map(([code, value]) => ({ labels: { code: code.toLowerCase() }, value })),
    };
  }
}

const DAY_MS = 86_400_000;

/**
 * The range of a query, epoch ms. An open end is now; an open start before an end is as far back as may be asked for. Where both are open a page of the newest is what is asked for; an export
 * (`whole`) has no pages, and begins as far back as it may. Throws REQUEST_INVALID, QUERY_TOO_WIDE.
 */
export function rangeOf(query: { start?: string; end?: string }, { querySpanDays, clock }: ResolvedOptions, whole = false): { startMs: number | undefined; endMs: number | undefined } {
  const startMs = query.start === undefined ? undefined : parseTime(query.start, 'start');
  const endMs = query.end === undefined ? undefined : parseTime(query.end, 'end');
  if (startMs !== undefined && (endMs ?? clock.nowMs()) - startMs > querySpanDays * DAY_MS) {
    throw new GruardError('QUERY_TOO_WIDE', `from start to ${endMs === undefined ? 'now' : 'end'} there are more than ${querySpanDays} days`);
  }
  if (startMs === undefined && (whole || endMs !== undefined)) return { startMs: (endMs ?? clock.nowMs()) - querySpanDays * DAY_MS, endMs };
  return { startMs, endMs };
}

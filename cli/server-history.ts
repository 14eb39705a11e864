import type { Config } from '../config/schema.js';
import type { Page, ResultReader, SeriesPoint } from '../core/results.js';
import { storeHistory, type History } from '../model/train/history.js';
import { ask } from './client.js';

interface Listing<T> {
  items: T[];
  next_cursor: string | null;
}

const PAGE = 1000;

/** The series that a running server holds, from whichever store it has, in [startMs, endMs). */
export async function* serverHistory(config: Config, range: { startMs: number; endMs: number }): History {
  let cursor: string | null = null;
  do {
    const page: Listing<{ id: string; metrics: string[] }> = await ask(config, `/v1/devices?${query({ limit: PAGE, cursor })}`);
    for (const { id, metrics } of page.items) {
      yield* storeHistory(readerOf(config), metrics.filter((metric) => metric !== '*').map((metric) => ({ device: id, metric })), range);
    }
    cursor = page.next_cursor;
  } while (cursor !== null);
}

function readerOf(config: Config): Pick<ResultReader, 'querySeries'> {
  return {
    async querySeries({ device, metric, startMs, endMs, limit, cursor }): Promise<Page<SeriesPoint>> {
      // Names go as parameters: in a path `.` and `..` would be taken out.
      const where = query({ name: device, metric, start: startMs, end: endMs, limit, cursor });
      const page: Listing<{ timestamp: string; actual: number | null }> = await ask(config, `/v1/devices/-/series/-?${where}`);
      const items = page.items.map(({ timestamp, actual }) => ({
        timestampMs: Date.parse(timestamp), actual, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: null, scored: true, inEvent: false, revised: false,
      }));
      return { items, nextCursor: page.next_cursor };
    },
  };
}

function query(parameters: Record<string, string | number | null | undefined>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== null && value !== undefined) given.set(name, String(value));
  return given.toString();
}

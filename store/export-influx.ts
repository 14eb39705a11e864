import { Batch, DEVICE_METRIC, FLAG } from '../core/batch.js';
import type { SeriesNames, SeriesPoint } from '../core/results.js';
import type { ExportQuery } from '../core/service.js';
import { csvName } from './csv.js';
import type { EmbeddedStore } from './results/embedded.js';
import type { InfluxStore } from './results/influx.js';

/** Points that are read from InfluxDB at once. */
const PAGE_POINTS = 10_000;
/** Readings that are written at once. */
const BATCH_ROWS = 20_000;

interface SeriesPage {
  device: string;
  metric: string;
  points: SeriesPoint[];
}

/** What was asked for, series by series, in time order. */
async function* pagesOf(store: InfluxStore, options: ExportQuery): AsyncIterable<SeriesPage> {
  for (const { device, metric } of await store.series()) {
    if ((options.device ?? device) !== device || (options.metric ?? metric) !== metric) continue;
    for (let cursor: string | undefined; ;) {
      const page = await store.querySeries({ device, metric, startMs: options.startMs ?? Number.MIN_SAFE_INTEGER, endMs: options.endMs, limit: PAGE_POINTS, cursor });
      yield { device, metric, points: page.items };
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
  }
}

/** The CSV file in pieces, a page of a series each. */
export async function* csvOfInflux(store: InfluxStore, options: ExportQuery, onPoints: (points: number) => void = () => undefined): AsyncIterable<string> {
  yield 'timestamp,device,metric,actual,yhat,yhat_lower,yhat_upper,anomaly_score,in_event,revised\n';
  for await (const { device, metric, points } of pagesOf(store, options)) {
    const name = `${csvName(device)},${csvName(metric)}`;
    onPoints(points.length);
    yield points.map((point) => csvLine(name, point)).join('');
  }
}

function csvLine(name: string, point: SeriesPoint): string {
  const { timestampMs, actual, yhat, yhatLower, yhatUpper, anomalyScore, inEvent, revised } = point;
  return `${new Date(timestampMs).toISOString()},${name},${actual ?? ''},${yhat ?? ''},${yhatLower ?? ''},${yhatUpper ?? ''},${anomalyScore ?? ''},${inEvent ? 1 : 0},${revised ? 1 : 0}\n`;
}

/** Writes what was asked for into an empty embedded store. */
export async function gathered(store: InfluxStore, options: ExportQuery, into: EmbeddedStore, onBatch: () => Promise<void>): Promise<void> {
  const names = new Map<number, { device: string; metric: string; tags: Record<string, string> }>();
  const lookup: SeriesNames = { nameOf: (id) => names.get(id) };
  const batch = new Batch(BATCH_ROWS);
  let position = 0;
  const flush = async (): Promise<void> => {
    await onBatch();
    await into.write(batch, lookup, ++position);
    batch.reset();
  };
  let last: SeriesPage | undefined;
  for await (const page of pagesOf(store, options)) {
    if (page.device !== last?.device || page.metric !== last.metric) names.set(names.size + 1, { device: page.device, metric: page.metric, tags: {} });
    last = page;
    for (const point of page.points) {
      push(batch, names.size, page.metric, point);
      if (batch.n === batch.capacity) await flush();
    }
  }
  if (batch.n > 0) await flush();
}

function push(batch: Batch, seriesId: number, metric: string, point: SeriesPoint): void {
  const flags = (point.scored ? 0 : FLAG.LATE) | (point.inEvent ? FLAG.IN_EVENT : 0) | (point.revised ? FLAG.REVISED : 0) | (metric === DEVICE_METRIC ? FLAG.DEVICE : 0);
  const row = batch.push(seriesId, 0, point.timestampMs, point.actual ?? NaN, flags);
  batch.yhat[row] = point.yhat ?? NaN;
  batch.yhatLower[row] = point.yhatLower ?? NaN;
  batch.yhatUpper[row] = point.yhatUpper ?? NaN;
  batch.anomalyScore[row] = point.anomalyScore ?? NaN;
}

import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { parse } from 'csv-parse';
import { GruardError, messageOf } from '../../core/errors.js';
import type { ResultReader } from '../../core/results.js';
import type { TrainingSeries } from './examples.js';

/** Readings of one series that are kept, the newest; and series that are taken. */
const MAX_READINGS = 1_000_000;
const MAX_SERIES = 10_000;
/** A series shorter than this teaches nothing. */
export const MIN_READINGS = 200;

/** A user's series, from anywhere. */
export type History = AsyncIterable<TrainingSeries>;

/** The metrics of CSV files: a `timestamp` column (RFC 3339; `YYYY-MM-DD hh:mm:ss` is UTC; epoch s or ms) and metric columns. */
export async function* csvHistory(paths: readonly string[]): History {
  for (const path of paths) {
    const columns = await readCsv(path);
    for (const [metric, collector] of columns) yield collector.series(`${basename(path, '.csv')}/${metric}`);
  }
}

/** Series of a result store (the embedded one, InfluxDB), a page at a time. `startMs` inclusive, `endMs` exclusive. */
export async function* storeHistory(
  reader: Pick<ResultReader, 'querySeries'>, list: Iterable<{ device: string; metric: string }>, range: { startMs: number; endMs: number },
): History {
  for (const { device, metric } of list) {
    const collector = new Collector();
    let cursor: string | undefined;
    do {
      const page = await reader.querySeries({ device, metric, ...range, limit: 1000, cursor });
      for (const { timestampMs, actual } of page.items) if (actual !== null) collector.add(timestampMs, actual);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    yield collector.series(`${device}/${metric}`);
  }
}

/** Every series that is long enough to learn from. @throws GruardError CSV_INVALID when there is none. */
export async function collectHistory(history: History): Promise<TrainingSeries[]> {
  const all: TrainingSeries[] = [];
  for await (const series of history) {
    if (series.value.length >= MIN_READINGS) all.push(series);
    if (all.length === MAX_SERIES) break;
  }
  if (all.length === 0) throw new GruardError('CSV_INVALID', `no series has ${MIN_READINGS} readings or more`);
  return all;
}

/** Readings in time order; equal and older timestamps are left out, as the sequencer would. */
class Collector {
  private readonly times: number[] = [];
  private readonly values: number[] = [];

  add(timestampMs: number, value: number): void {
    if (!Number.isFinite(value) || !Number.isFinite(timestampMs)) return;
    if (this.times.length > 0 && timestampMs <= this.times[this.times.length - 1]) return;
    this.times.push(timestampMs);
    this.values.push(value);
  }

  series(name: string): TrainingSeries {
    return { name, timestampMs: Float64Array.from(this.times.slice(-MAX_READINGS)), value: Float64Array.from(this.values.slice(-MAX_READINGS)) };
  }
}

/** A line that never ends must not fill the memory. */
const MAX_LINE_BYTES = 1_048_576;

async function readCsv(path: string): Promise<Map<string, Collector>> {
  const columns = new Map<string, Collector>();
  let header: string[] | undefined;
  let timeColumn = -1;
  const input = createReadStream(path);
  const parser = parse({ bom: true, skip_empty_lines: true, max_record_size: MAX_LINE_BYTES });
  // A pipe does not carry errors: without this a file that cannot be read would never end.
  input.once('error', (error) => parser.destroy(error));
  try {
    for await (const record of input.pipe(parser) as AsyncIterable<string[]>) {
      if (header === undefined) {
        header = record;
        timeColumn = record.indexOf('timestamp');
        if (timeColumn < 0 || record.length < 2) throw new GruardError('CSV_INVALID', `${path}: no timestamp column, or no metric column`);
        record.forEach((metric, i) => i !== timeColumn && columns.set(metric, new Collector()));
        continue;
      }
      const timestampMs = parseTimeMs(record[timeColumn]);
      for (let i = 0; i < header.length; i++) if (i !== timeColumn && record[i] !== '') columns.get(header[i])?.add(timestampMs, Number(record[i]));
    }
  } catch (error) {
    if (error instanceof GruardError) throw error;
    throw new GruardError('FILE_UNREADABLE', `${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    input.destroy();
  }
  return columns;
}

/** NaN where the text is no time. */
function parseTimeMs(text: string): number {
  const trimmed = text.trim();
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) {
    const number = Number(trimmed);
    // Seconds until the year 5138; a count of ms that small would lie before March 1973.
    return Math.abs(number) < 1e11 ? number * 1000 : number;
  }
  const zoned = /(z|[+-]\d\d:?\d\d)$/i.test(trimmed) ? trimmed : `${trimmed}Z`;
  return Date.parse(zoned.replace(' ', 'T'));
}

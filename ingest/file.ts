import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { parse, CsvError, type Parser } from 'csv-parse';
import { GruardError, messageOf } from '../core/errors.js';
import { parseTimestamp } from './decode/timestamp.js';
import { metricProblem } from './names.js';

export interface CsvRow {
  /** As it stands in the file. */
  timestamp: string;
  /** Epoch ms. */
  timestampMs: number;
  /** [metrics] in header order; NaN where the cell is empty (or holds no finite number). */
  values: Float64Array;
}

export interface CsvLimits {
  lineBytes: number;
  nameBytes: number;
}

const DEFAULT_CSV_LIMITS: CsvLimits = { lineBytes: 1_048_576, nameBytes: 256 };
const ROWS_A_CHUNK = 1024;
const NO_VALUE = new Set(['', 'nan', 'na', 'n/a', 'null', 'none', '-']);

/**
 * A CSV file of readings: a column `timestamp` (RFC 3339; `YYYY-MM-DD hh:mm:ss` is UTC; epoch s or ms) and one or more metric columns. Read as a stream:
 * of the file, only the rows in hand are in memory.
 */
export class CsvFile {
  /** Cells that hold something other than a number; they are taken as empty. */
  textCells = 0;

  private constructor(
    readonly path: string,
    /** Header order. */
    readonly metrics: string[],
    readonly bytes: number,
    private readonly timestampColumn: number,
    private readonly columns: number[],
    private readonly stream: ReadStream,
    private readonly records: AsyncIterator<string[]>,
  ) {}

  /** Reads the header. Throws FILE_UNREADABLE, CSV_INVALID. */
  static async open(path: string, limits: CsvLimits = DEFAULT_CSV_LIMITS): Promise<CsvFile> {
    const bytes = await sizeOf(path);
    const stream = createReadStream(path);
    const parser: Parser = parse({ bom: true, trim: true, skip_empty_lines: true, relax_column_count: true, max_record_size: limits.lineBytes });
    stream.on('error', (error) => parser.destroy(error));
    stream.pipe(parser);
    const records = parser[Symbol.asyncIterator]() as AsyncIterator<string[]>;
    try {
      const header = await next(records, path);
      const { timestampColumn, columns } = readHeader(header, path, limits);
      return new CsvFile(path, columns.map((column) => header![column]), bytes, timestampColumn, columns, stream, records);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  get bytesRead(): number {
    return this.stream.bytesRead;
  }

  /** The rows in file order, in chunks. Throws CSV_INVALID with the number of the row. May be walked once. */
  async *chunks(): AsyncGenerator<CsvRow[]> {
    let chunk: CsvRow[] = [];
    let number = 1;
    try {
      for (;;) {
        const record = await next(this.records, this.path);
        if (record === undefined) break;
        number++;
        chunk.push(this.#row(record, number));
        if (chunk.length === ROWS_A_CHUNK) {
          yield chunk;
          chunk = [];
        }
      }
      if (chunk.length > 0) yield chunk;
    } finally {
      this.stream.destroy();
    }
  }

  #row(record: string[], number: number): CsvRow {
    const timestamp = record[this.timestampColumn] ?? '';
    const timestampMs = parseTimestamp(timestamp);
    if (timestampMs !== timestampMs) throw new GruardError('CSV_INVALID', `${this.path}: record ${number}: ${JSON.stringify(timestamp.slice(0, 60))} is no timestamp (RFC 3339, YYYY-MM-DD hh:mm:ss in UTC, or epoch seconds or milliseconds)`);
    const values = new Float64Array(this.columns.length);
    this.columns.forEach((column, i) => { values[i] = this.#cell(record[column] ?? ''); });
    return { timestamp, timestampMs, values };
  }

  #cell(text: string): number {
    const lower = text.toLowerCase();
    if (NO_VALUE.has(lower)) return NaN;
    if (lower === 'true') return 1;
    if (lower === 'false') return 0;
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    this.textCells++;
    return NaN;
  }
}

function readHeader(header: string[] | undefined, path: string, limits: CsvLimits): { timestampColumn: number; columns: number[] } {
  const timestampColumn = header?.findIndex((name) => name.toLowerCase() === 'timestamp') ?? -1;
  if (header === undefined) throw new GruardError('CSV_INVALID', `${path}: no column is called timestamp: the file is empty`);
  if (timestampColumn < 0) throw new GruardError('CSV_INVALID', `${path}: no column is called timestamp: ${headerAsFound(header)}`);
  const columns = header.map((_, i) => i).filter((i) => i !== timestampColumn);
  if (columns.length === 0) throw new GruardError('CSV_INVALID', `${path}: there is no metric column`);
  const seen = new Set<string>();
  for (const i of columns) {
    const problem = metricProblem(header[i], limits.nameBytes);
    if (problem || seen.has(header[i])) throw new GruardError('CSV_INVALID', `${path}: column ${i + 1} cannot be called ${JSON.stringify(header[i].slice(0, 60))} (${problem ?? 'there is another one of that name'})`);
    seen.add(header[i]);
  }
  return { timestampColumn, columns };
}

/** What stands there in place of the header that was looked for; a file of one column is most often one with another separator. */
function headerAsFound(header: string[]): string {
  const shown = JSON.stringify(header.join(',').slice(0, 100));
  const other = header.length === 1 && [[';', 'semicolons'], ['\t', 'tabs']].find(([separator]) => header[0].includes(separator));
  return other ? `its first line is ${shown}, separated by ${other[1]} where commas are expected` : `its first line is ${shown}`;
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error('not a file');
    return found.size;
  } catch (error) {
    throw new GruardError('FILE_UNREADABLE', `${path}: ${messageOf(error)}`, { cause: error });
  }
}

async function next(records: AsyncIterator<string[]>, path: string): Promise<string[] | undefined> {
  try {
    const result = await records.next();
    return result.done ? undefined : result.value;
  } catch (error) {
    throw new GruardError(error instanceof CsvError ? 'CSV_INVALID' : 'FILE_UNREADABLE', `${path}: ${messageOf(error)}`, { cause: error });
  }
}

import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';

/** A CSV file by column. */
export interface Columns {
  rows: number;
  /** The cells of a column; throws where the file has none of this name. */
  text(column: string): string[];
  /** [rows]; NaN where the cell is empty. */
  numbers(column: string): Float64Array;
  names: string[];
}

export function readColumns(path: string): Columns {
  const [header, ...records]: string[][] = parse(readFileSync(path), { bom: true, skip_empty_lines: true });
  const at = (column: string): number => {
    const index = (header ?? []).indexOf(column);
    if (index < 0) throw new Error(`${path} has no column ${column}`);
    return index;
  };
  return {
    rows: records.length,
    names: header ?? [],
    text: (column) => records.map((record) => record[at(column)]),
    numbers: (column) => {
      const index = at(column);
      return Float64Array.from(records, (record) => (record[index] === '' ? NaN : Number(record[index])));
    },
  };
}

/** RFC 3339, or `YYYY-MM-DD hh:mm:ss` in UTC, as epoch ms. */
export function parseTimeMs(text: string): number {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`;
  const ms = Date.parse(zoned.trim().replace(' ', 'T'));
  if (Number.isNaN(ms)) throw new Error(`not a timestamp: ${text}`);
  return ms;
}

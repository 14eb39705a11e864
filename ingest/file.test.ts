import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CsvFile, type CsvRow } from './file.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-csv-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
async function read(text: string | Uint8Array, limits?: { lineBytes: number; nameBytes: number }): Promise<{ metrics: string[]; rows: CsvRow[]; file: CsvFile }> {
  const path = join(dir, `${files++}.csv`);
  writeFileSync(path, text);
  const file = await CsvFile.open(path, limits);
  const rows: CsvRow[] = [];
  for await (const chunk of file.chunks()) rows.push(...chunk);
  return { metrics: file.metrics, rows, file };
}

describe('a CSV file', () => {
  it('gives timestamps as they stand there, and numbers, and NaN for empty cells', async () => {
    const { metrics, rows } = await read('timestamp,temperature,"a, b"\n2014-02-14 14:30:00,21.5,\n2014-02-14T14:35:00Z,,7\n1392388800,1e3,NaN\n1392388800123,-0.5,true\n');
    expect(metrics).toEqual(['temperature', 'a, b']);
    expect(rows.map(({ timestamp, timestampMs, values }) => [timestamp, timestampMs, ...values])).toEqual([
      ['2014-02-14 14:30:00', Date.UTC(2014, 1, 14, 14, 30), 21.5, NaN],
      ['2014-02-14T14:35:00Z', Date.UTC(2014, 1, 14, 14, 35), NaN, 7],
      ['1392388800', 1_392_388_800_000, 1000, NaN],
      ['1392388800123', 1_392_388_800_123, -0.5, 1],
    ]);
  });

  it('takes the timestamp column wherever it is, a byte order mark, CRLF and no last line end', async () => {
    const { metrics, rows } = await read('\ufeffvalue,Timestamp\r\n1,2020-01-01 00:00:00\r\n\r\n2,2020-01-01 00:00:01');
    expect(metrics).toEqual(['value']);
    expect(rows.map(({ values }) => values[0])).toEqual([1, 2]);
  });

  it('counts cells that hold a text', async () => {
    const { rows, file } = await read('timestamp,x\n2020-01-01,high\n2020-01-02,3\n2020-01-03\n');
    expect(rows.map(({ values }) => values[0])).toEqual([NaN, 3, NaN]);
    expect(file.textCells).toBe(1);
  });

  it('reads many rows in order', async () => {
    const { rows } = await read(`timestamp,x\n${Array.from({ length: 5000 }, (_, i) => `${1_600_000_000 + i},${i}`).join('\n')}`);
    expect(rows.map(({ values }) => values[0])).toEqual(Array.from({ length: 5000 }, (_, i) => i));
  });

  it.each<[string, string, RegExp]>([
    ['nothing', '', /no column is called timestamp/],
    ['no timestamp', 'time,x\n1,2', /no column is called timestamp: its first line is "time,x"/],
    ['another separator', 'timestamp;x\n1;2', /separated by semicolons where commas are expected/],
    ['no metric', 'timestamp\n1', /no metric column/],
    ['two columns of one name', 'timestamp,x,x\n1,2,3', /column 3/],
    ['the name of the device as a whole', 'timestamp,*\n1,2', /column 2/],
    ['a nameless column', 'timestamp,x,\n1,2,3', /column 3/],
    ['a bad timestamp', 'timestamp,x\n2020-01-01,1\nyesterday,2', /record 3: "yesterday" is no timestamp \(RFC 3339/],
    ['an open quotation mark', 'timestamp,x\n2020-01-01,"1', /csv/i],
  ])('refuses %s', async (_what, text, problem) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'CSV_INVALID', message: expect.stringMatching(problem) as string });
  });

  it('refuses a line without end, and a file that is not there', async () => {
    await expect(read(`timestamp,x\n2020-01-01,${'1'.repeat(5000)}`, { lineBytes: 1000, nameBytes: 256 })).rejects.toMatchObject({ code: 'CSV_INVALID' });
    await expect(CsvFile.open(join(dir, 'none.csv'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(CsvFile.open(dir)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

/** Lines of a table for people: the first row is the header, numbers stand to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const text = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? shortNumber(cell) : cell)));
  const widths = text[0].map((_, column) => Math.max(...text.map((row) => (row[column] ?? '').length)));
  return text
    .map((row, r) => row.map((cell, c) => (typeof rows[r][c] === 'number' || (r === 0 && c > 0) ? cell.padStart(widths[c]) : cell.padEnd(widths[c]))).join('  ').trimEnd())
    .join('\n');
}

export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** The last line of a bench's stdout: finite numbers rounded to six digits, others left out. */
export function jsonLine(figures: Record<string, number | string>): string {
  return JSON.stringify(figures, (_key, value: unknown) => {
    if (typeof value !== 'number') return value;
    return Number.isFinite(value) ? Number(value.toPrecision(6)) : undefined;
  });
}

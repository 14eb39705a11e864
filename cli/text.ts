/** Rows of text in columns, for a terminal; whatever might move its cursor is replaced, since names come from the wire. */
export function table(header: string[], rows: string[][]): string {
  const all = [header, ...rows.map((row) => row.map(plain))];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()).join('\n');
}

/** Without control characters. */
export function plain(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?');
}

/**
 * A name in a CSV file that people open in a spreadsheet: one that begins like a formula gets an apostrophe in front, as does one that begins with an apostrophe, so that
 * taking one off gives every name back. Then quoted where it must be (RFC 4180, 2.6).
 */
export function csvName(name: string): string {
  const text = /^[=+\-@']/.test(name) ? `'${name}` : name;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The same in SQL, for a column that the CSV writer will quote. */
export function csvNameSql(column: string): string {
  return `CASE WHEN regexp_matches(${column}, '^[=+\\-@'']') THEN '''' || ${column} ELSE ${column} END`;
}

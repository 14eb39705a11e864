/**
 * A name in a CSV file that people open in a spreadsheet: an apostrophe goes in front where it begins like a formula, or like an apostrophe, so that taking one off gives every name back. It may begin
 * behind a semicolon too, which parts the columns where the comma is the decimal sign, and behind quotes. Then quoted where it must be (RFC 4180, 2.6).
 */
export function csvName(name: string): string {
  const text = name.replace(/(^|;)(?="*[=+\-@'＝＋－＠])/g, `$1'`);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The same in SQL, for a column that the CSV writer will quote. */
export function csvNameSql(column: string): string {
  return `regexp_replace(${column}, '(^|;)("*[=+\\-@''＝＋－＠])', '\\1''\\2', 'g')`;
}

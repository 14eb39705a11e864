const PATTERN = /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?([Zz]|[+-]\d{2}:?\d{2})?)?$/;
const NUMERIC = /^-?\d{1,19}(\.\d{1,9})?$/;

/** Epoch time in s, ms, us or ns, told apart by magnitude (each unit ends where the next one begins, in the year 5138), as epoch ms. */
export function epochToMs(value: number): number {
  const size = Math.abs(value);
  if (size < 1e11) return Math.round(value * 1000);
  if (size < 1e14) return Math.floor(value);
  if (size < 1e17) return Math.floor(value / 1e3);
  // A double holds today's nanoseconds to within 128: enough for the millisecond, if one that is just missed counts as reached.
  return Math.floor(value / 1e6 + 0.0005);
}

/**
 * RFC 3339, `YYYY-MM-DD hh:mm[:ss[.fff]]` and `YYYY-MM-DD` (UTC where no zone is named), or digits of an epoch time. Epoch ms; NaN where it is none of these.
 * A leap second (:60) is the next minute's first.
 */
export function parseTimestamp(text: string): number {
  if (text.length > 40) return NaN;
  const m = PATTERN.exec(text);
  if (m === null) return NUMERIC.test(text) ? epochToMs(Number(text)) : NaN;
  const [year, month, day, hour, minute, second] = [m[1], m[2], m[3], m[4] ?? '0', m[5] ?? '0', m[6] ?? '0'].map(Number);
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60) return NaN;
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return NaN;
  const fractionMs = m[7] === undefined ? 0 : Math.floor(Number(`0.${m[7]}`) * 1000 + 1e-6);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, fractionMs);
  return date.getTime() - zoneOffsetMs(m[8]);
}

function zoneOffsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z' || zone === 'z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone[0] === '-' ? -minutes : minutes) * 60_000;
}

import { GruardError } from '../core/errors.js';

/** RFC 3339 section 5.6; the `T` may be a space (its own note) and a `+` that the query string turned into a space is read as one. */
const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)([Zz]|[+\- ]\d\d:\d\d)$/;
const EPOCH_MS = /^-?\d{1,16}$/;
/** ECMA-262 21.4.1.1: the range of Date. */
const MAX_MS = 8.64e15;

/** Epoch ms of an RFC 3339 time or of epoch ms in digits. Throws REQUEST_INVALID that names the field. */
export function parseTime(text: string, field: string): number {
  const ms = EPOCH_MS.test(text) ? Number(text) : parseRfc3339(text);
  if (!(Math.abs(ms) <= MAX_MS)) {
    throw new GruardError('REQUEST_INVALID', `${field}: expected an RFC 3339 time such as 2026-01-31T12:00:00Z, or epoch milliseconds`);
  }
  return ms;
}

function parseRfc3339(text: string): number {
  const match = RFC3339.exec(text);
  return match ? Date.parse(`${match[1]}T${match[2]}${match[3].toUpperCase().replace(' ', '+')}`) : NaN;
}

/** RFC 3339 in UTC with milliseconds. */
export function formatTime(ms: number): string {
  return new Date(Math.max(-MAX_MS, Math.min(MAX_MS, ms))).toISOString();
}

export function formatTimeOrNull(ms: number | null): string | null {
  return ms === null ? null : formatTime(ms);
}

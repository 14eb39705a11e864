/** Times are shown in the reader's zone, with a 24-hour clock. */

const DATE = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const COUNT = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const clock = (ms: number): string => CLOCK.format(ms);
export const clockSeconds = (ms: number): string => SECONDS.format(ms);
export const date = (ms: number): string => DATE.format(ms);
export const dateClock = (ms: number): string => `${DATE.format(ms)} ${CLOCK.format(ms)}`;

/** The clock alone when it is within a day of `nowMs`. */
export const near = (ms: number, nowMs: number): string => (Math.abs(nowMs - ms) < 20 * HOUR ? clock(ms) : dateClock(ms));

export function duration(ms: number): string {
  const abs = Math.max(0, ms);
  if (abs < MINUTE) return `${Math.round(abs / 1000)} s`;
  if (abs < HOUR) return `${Math.round(abs / MINUTE)} min`;
  if (abs < 2 * DAY) {
    const minutesInAll = Math.round(abs / MINUTE);
    const hours = Math.floor(minutesInAll / 60);
    const minutes = minutesInAll % 60;
    return minutes > 0 && hours < 10 ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  return `${Math.round(abs / DAY)} days`;
}

export function ago(ms: number, nowMs: number): string {
  const elapsed = nowMs - ms;
  return elapsed < 5000 ? 'just now' : `${duration(elapsed)} ago`;
}

export const count = (value: number): string => (Math.abs(value) >= 100_000 ? COMPACT : COUNT).format(value);

/** Four significant digits: enough to compare, few enough to read. */
export function quantity(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '–';
  const abs = Math.abs(value);
  if (abs === 0) return '0';
  if (abs >= 1e6 || abs < 1e-3) return value.toExponential(2);
  const digits = abs >= 1000 ? 0 : abs >= 100 ? 1 : abs >= 1 ? 2 : 3;
  return value.toFixed(digits).replace('-', '−');
}

export const score = (value: number | null): string => (value === null ? '–' : value >= 10 ? value.toFixed(0) : value.toFixed(2));

export const words = (code: string): string => code.replaceAll('_', ' ');
export const sentence = (code: string): string => code === 'ok' ? 'OK' : code.charAt(0).toUpperCase() + words(code.slice(1));

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { epochToMs, parseTimestamp } from './timestamp.js';

/** 1973 (what is earlier is no plausible time) to 2100. */
const instants = fc.integer({ min: 100_000_000_000, max: 4_102_444_800_000 });

it('tells seconds, milliseconds, microseconds and nanoseconds apart, and keeps the millisecond', () => {
  fc.assert(fc.property(instants, (ms) => {
    expect(epochToMs(ms)).toBe(ms);
    expect(epochToMs(ms / 1000)).toBe(ms);
    expect(epochToMs(ms * 1000)).toBe(ms);
    expect(epochToMs(Number(BigInt(ms) * 1_000_000n))).toBe(ms);
    expect(parseTimestamp(String(ms))).toBe(ms);
    expect(parseTimestamp(`${BigInt(ms) * 1_000_000n}`)).toBe(ms);
  }));
});

it('reads RFC 3339 in any zone, and a time without one as UTC', () => {
  fc.assert(fc.property(instants, fc.integer({ min: -14 * 60, max: 14 * 60 }), (ms, offset) => {
    const local = new Date(ms + offset * 60_000).toISOString().slice(0, -1);
    const zone = `${offset < 0 ? '-' : '+'}${String(Math.floor(Math.abs(offset) / 60)).padStart(2, '0')}:${String(Math.abs(offset) % 60).padStart(2, '0')}`;
    expect(parseTimestamp(local + zone)).toBe(ms);
    const utc = new Date(ms).toISOString();
    for (const text of [utc, utc.toLowerCase(), utc.slice(0, -1), utc.replace('T', ' ').slice(0, -1), utc.replace('Z', '456Z')]) expect(parseTimestamp(text)).toBe(ms);
    expect(parseTimestamp(utc.slice(0, 10))).toBe(Date.parse(utc.slice(0, 10)));
  }));
});

it.each([
  '', 'now', '2023-1-1', '2023-02-29', '2023-00-01', '2023-01-32', '2023-01-01T24:00:00Z', '2023-01-01T00:60:00Z', '2023-01-01T00:00:61Z', '2023-01-01T', '01/02/2023', '1e12', '0x10', ' 1700000000',
  '2023-01-01T00:00:00+1', `1${'0'.repeat(60)}`,
])('does not read %j', (text) => {
  expect(parseTimestamp(text)).toBeNaN();
});

it('knows leap days and leap seconds, and years before 100', () => {
  expect(parseTimestamp('2024-02-29')).toBe(Date.UTC(2024, 1, 29));
  expect(parseTimestamp('2016-12-31T23:59:60Z')).toBe(Date.UTC(2017, 0, 1));
  expect(new Date(parseTimestamp('0050-01-01')).getUTCFullYear()).toBe(50);
});

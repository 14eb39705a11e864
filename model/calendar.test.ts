import { describe, expect, it } from 'vitest';
import { CALENDAR_WORDS, comesAgain, DAY_TICKS, forgetCalendar, QUIET } from './calendar.js';

const HOUR = DAY_TICKS / 24;
const START = 20_000 * DAY_TICKS;

/** Alarms at so many hours, each of the same odds but where told otherwise; whether each was as usual. */
function told(alarms: readonly (number | { hour: number; odds?: number; value?: number; confirmed?: boolean })[]): boolean[] {
  const { buffer } = new Float32Array(1 + CALENDAR_WORDS);
  const floats = new Float32Array(buffer);
  const ints = new Int32Array(buffer);
  return alarms.map((alarm) => {
    const { hour, odds = 12, value = NaN, confirmed = false } = typeof alarm === 'number' ? { hour: alarm } : alarm;
    const usual = comesAgain(floats, ints, 1, { tick: START + Math.round(hour * HOUR), odds, value, range: 100 });
    if (confirmed) forgetCalendar(ints, 1);
    return usual !== QUIET.NO;
  });
}

describe('what comes by the calendar', () => {
  it('is told twice, be it day by day, every other day or week by week', () => {
    for (const hours of [24, 48, 168]) {
      expect(told([0, hours + 0.2, 2 * hours - 0.2, 3 * hours]), `every ${hours} hours`).toEqual([false, false, true, true]);
    }
  });

  it('is told again where it is far worse, and then no more', () => {
    expect(told([0, 24, { hour: 48, odds: 16 }, { hour: 72, odds: 16 }])).toEqual([false, false, false, true]);
  });

  it('is told at any other time', () => {
    expect(told([0, 24, 50, 79])).toEqual([false, false, false, false]);
  });

  it('counts alarms within the hour as one', () => {
    expect(told([0, 0.1, 0.3, 24])).toEqual([false, false, false, false]);
  });

  it('is known by the first alarm of its hour and the worst of them', () => {
    const nights = [0, 24, 48, 72].flatMap((hour) => [{ hour, odds: 18 }, { hour: hour + 0.35, odds: 13 }]);
    expect(told(nights).slice(4)).toEqual([true, true, true, true]);
  });

  it('is told three times where it comes at any time, but at the same value', () => {
    const at = (value: number): boolean[] => told([0, 110, 305, 400].map((hour, k) => ({ hour, value: k < 3 ? 50 + k : value })));
    expect(at(54)).toEqual([false, false, false, true]);
    expect(at(60)).toEqual([false, false, false, false]);
    expect(told([0, 110, 305, 400].map((hour, k) => ({ hour, value: 50, odds: k < 3 ? 12 : 16 })))).toEqual([false, false, false, false]);
    expect(told([0, 110, 305, 305 + 61 * 24].map((hour) => ({ hour, value: 50 })))).toEqual([false, false, false, false]);
  });

  it('is forgotten after four weeks, and where a person confirmed it', () => {
    expect(told([0, 24, 35 * 24])).toEqual([false, false, false]);
    expect(told([0, { hour: 24, confirmed: true }, 48, 72])).toEqual([false, false, false, false]);
  });
});

/**
 * What comes by the calendar, and what comes again as it was. Alarms of a series that come at the same time of the day, or of the week, are what it does: the nightly backup,
 * the boiler on Sundays. They are told twice. Alarms at the same value, whenever they come (a pump that is flushed now and then), are told three times. Both are told again
 * only where they are far worse than those before.
 *
 * Times are of UTC, in ticks.
 */

/** Ticks a day; those of a day fit a byte. */
export const DAY_TICKS = 256;
export const DAY_MS = 86_400_000;
/** What is some days apart, give or take half an hour, is at the same time of the day. */
const MOST_DAYS = 30;
const HOUR_TICKS = 5;
/** What is some weeks apart, give or take an hour and a half, is at the same time of the week. */
const WEEK_TICKS = 7 * DAY_TICKS;
const MOST_WEEKS = 4;
const WEEK_HOUR_TICKS = 16;
/** Alarms that a series remembers. */
const KEPT = 8;
// Words of one of them; the first is its tick, an integer.
const ODDS = 1;
const VALUE = 2;
const ALARM_WORDS = 3;
/** Words that they take. */
export const CALENDAR_WORDS = KEPT * ALARM_WORDS;
/** Times that are told. */
const TOLD = 2;
/** Values of alarms are the same up to this share of what they are measured in; so often are they told, if no more than so many days lie between. */
const SAME_VALUE = 0.05;
const TOLD_VALUE = 3;
const MOST_DAYS_VALUE = 60;
/** Log odds by which one that is told all the same is above those before. */
const WORSE = 3;

/** Of a time since 1970. */
export function tickOf(timestampMs: number): number {
  return Math.floor((timestampMs / DAY_MS) * DAY_TICKS);
}

/** Whether a tick is one to four weeks before another. */
export function isWeeksBefore(before: number, tick: number): boolean {
  return isMultiple(tick - before, WEEK_TICKS, MOST_WEEKS, WEEK_HOUR_TICKS);
}

function isMultiple(since: number, unit: number, most: number, tolerance: number): boolean {
  const times = Math.round(since / unit);
  return times >= 1 && times <= most && Math.abs(since - times * unit) < tolerance;
}

/** An alarm, as it is held against those before it. */
export interface KnownBy {
  tick: number;
  odds: number;
  /** The working value; NaN where the alarm is not about values. */
  value: number;
  /** What is alike is measured in it: the range of the values of the series, or how far this one is from the normal. */
  range: number;
}

/** For how long nobody is told of an alarm: as long as what came before it lasted; or while it is short, where it has only its value in common with others (Condition.untold of record.h). */
export const QUIET = { NO: 0, AS_BEFORE: 1, WHILE_SHORT: 2 } as const;
export type Quiet = (typeof QUIET)[keyof typeof QUIET];

/** Notes an alarm of a series whose words begin at `at`; returns whether, and how, it is as usual as those before it. */
export function comesAgain(floats: Float32Array, ints: Int32Array, at: number, alarm: KnownBy): Quiet {
  const { tick, odds, value, range } = alarm;
  const place = placeOf(ints, at, tick);
  const others = Array.from({ length: KEPT }, (_, k) => at + k * ALARM_WORDS).filter((k) => k !== place);
  const atTime = others.filter((k) => isMultiple(tick - ints[k], DAY_TICKS, MOST_DAYS, HOUR_TICKS) || isWeeksBefore(ints[k], tick));
  const atValue = others.filter((k) => tick - ints[k] < MOST_DAYS_VALUE * DAY_TICKS && Math.abs(floats[k + VALUE] - value) <= SAME_VALUE * range);
  const isNoNews = (alike: number[], told: number): boolean => alike.length >= told && odds < Math.max(...alike.map((k) => floats[k + ODDS])) + WORSE;
  const usual = isNoNews(atTime, TOLD) ? QUIET.AS_BEFORE : isNoNews(atValue, TOLD_VALUE) ? QUIET.WHILE_SHORT : QUIET.NO;
  const again = Math.abs(tick - ints[place]) < HOUR_TICKS;
  if (!again) {
    ints[place] = tick;
    floats[place + VALUE] = value;
  }
  floats[place + ODDS] = again ? Math.max(floats[place + ODDS], odds) : odds;
  return usual;
}

/** Where the alarm goes: to one of the same hour, or in place of the oldest. */
function placeOf(ints: Int32Array, at: number, tick: number): number {
  let oldest = at;
  for (let k = at; k < at + CALENDAR_WORDS; k += ALARM_WORDS) {
    if (Math.abs(tick - ints[k]) < HOUR_TICKS) return k;
    if (ints[k] < ints[oldest]) oldest = k;
  }
  return oldest;
}

/** A person confirmed a fault: nothing is usual before it was told anew. */
export function forgetCalendar(ints: Int32Array, at: number): void {
  ints.fill(0, at, at + CALENDAR_WORDS);
}

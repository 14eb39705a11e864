/**
 * What comes by the calendar. Alarms of a series that come at the same time of the day, or of the week, are what it does: the nightly backup, the boiler on Sundays. They
 * are told twice, and again only where they are far worse than those before.
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
/** Words that they take: [KEPT][2] int tick, log odds. */
export const CALENDAR_WORDS = 2 * KEPT;
/** Times that are told. */
const TOLD = 2;
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

/** Notes an alarm of a series whose words begin at `at`; returns whether it is as usual as those before it. */
export function comesByTheCalendar(floats: Float32Array, ints: Int32Array, at: number, tick: number, odds: number): boolean {
  const place = placeOf(ints, at, tick);
  let times = 0;
  let worst = -Infinity;
  for (let k = at; k < at + CALENDAR_WORDS; k += 2) {
    if (k === place || !(isMultiple(tick - ints[k], DAY_TICKS, MOST_DAYS, HOUR_TICKS) || isWeeksBefore(ints[k], tick))) continue;
    times++;
    worst = Math.max(worst, floats[k + 1]);
  }
  const again = Math.abs(tick - ints[place]) < HOUR_TICKS;
  if (!again) ints[place] = tick;
  floats[place + 1] = again ? Math.max(floats[place + 1], odds) : odds;
  return times >= TOLD && odds < worst + WORSE;
}

/** Where the alarm goes: to one of the same hour, or in place of the oldest. */
function placeOf(ints: Int32Array, at: number, tick: number): number {
  let oldest = at;
  for (let k = at; k < at + CALENDAR_WORDS; k += 2) {
    if (Math.abs(tick - ints[k]) < HOUR_TICKS) return k;
    if (ints[k] < ints[oldest]) oldest = k;
  }
  return oldest;
}

/** A person confirmed a fault: nothing is usual before it was told anew. */
export function forgetCalendar(ints: Int32Array, at: number): void {
  ints.fill(0, at, at + CALENDAR_WORDS);
}

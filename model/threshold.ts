import { DAY_MS } from './calendar.js';
import type { Channel, Tuning } from './tuning.js';

/** The rate of false alarms for which the threshold was fitted: one in so many readings. */
const FITTED_READINGS = DAY_MS / 600_000 / 0.07;
/** The oldest series that were looked at. */
const OLD_READINGS = 12_000;
const LEAST_THRESHOLD = 2;
const MINUTE_MS = 60_000;

/** How much rarer an alarm must be than one in FITTED_READINGS, as a logarithm; 0 while the period is unknown. */
export function rarityOf(periodMs: number, falseAlarmsPerDay: number): number {
  return periodMs > 0 ? Math.log(DAY_MS / periodMs / falseAlarmsPerDay / FITTED_READINGS) : 0;
}

/** The age of a series of so many readings, in readings: what is read more often than every minute is no older than its minutes. */
export function ageOf(readings: number, periodMs: number): number {
  return readings * Math.min(1, periodMs / MINUTE_MS);
}

/** Log odds that are an alarm where it must be so rare, of a channel that is the loudest, on a series of such an age (ageOf). */
export function thresholdOf({ threshold, prior, rareTo, ageSlope, ageReadings, ageTo }: Tuning, channel: Channel, rarity: number, age: number): number {
  if (rarity <= 0) return Math.max(LEAST_THRESHOLD, threshold + rarity);
  const old = Math.max(0, Math.log(Math.min(age, OLD_READINGS) / ageReadings));
  return threshold + rarity + (prior[channel].rare - 1) * Math.min(rarity, rareTo) - ageSlope * Math.min(1, rarity / ageTo) * old;
}

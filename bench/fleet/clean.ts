import type { MakeDetector } from '../harness.js';
import { runByPeriod } from '../harness.js';
import type { FleetOptions } from './build.js';
import { fleetOf } from './evaluate.js';
import { DECLUSTER_ROWS } from './judge.js';

const DAY_MS = 86_400_000;
const FIRST_ROWS = 500;
/** Readings by age, as DETECTOR-style tables give them: [from, to). */
const AGES: readonly [number, number][] = [[0, 50], [50, 500], [500, 4000], [4000, Infinity]];
/** Those by which alarms a day are told apart. */
export const RATE_AGES: readonly [number, number][] = [[0, 4000], [4000, 40_000], [40_000, Infinity]];

export interface CleanReport {
  series: number;
  readings: number;
  /** By sampling period: declustered alarms of all rows. */
  byPeriod: { periodS: number; series: number; alarmsPerSeriesDay: number; alarmsPer2000: number; /** Of RATE_AGES; NaN where no series is so old. */ alarmsPerSeriesDayByAge: number[] }[];
  byFamily: { family: string; group: string; alarmsPer2000: number }[];
  byAge: { from: number; to: number; rowsPer1000: number }[];
  /** Alarms in the first 500 readings of a series. */
  firstAlarmsMedian: number;
  firstAlarmsMean: number;
  eventsPer2000: number;
  /** Share of the readings within [yhat_lower, yhat_upper]; NaN where there is no forecast. */
  bandCoverage: number;
}

/** Runs a detector over series without faults: every alarm is false. */
export async function evaluateClean(make: MakeDetector, options: FleetOptions = {}): Promise<CleanReport> {
  const fleet = fleetOf({ ...options, faults: false });
  const outputs = await runByPeriod(make, fleet.map((one) => ({ device: one.name, metrics: ['value'], timestampMs: one.timestampMs, values: [one.values] })));
  const counts = fleet.map((one, i) => {
    const { score } = outputs[i].series[0];
    const alarms = alarmRows(score);
    return {
      ...one, alarms: alarms.length, byAge: RATE_AGES.map(([from, to]) => alarms.filter((row) => row >= from && row < to).length),
      daysByAge: RATE_AGES.map(([from, to]) => daysBetween(one.timestampMs, from, Math.min(to, score.length) - 1)), first: alarms.filter((row) => row < FIRST_ROWS).length,
      days: daysBetween(one.timestampMs, 0, score.length - 1), score, events: outputs[i].events.length,
    };
  });
  const rate = (group: typeof counts): number => (2000 * sum(group, (c) => c.alarms)) / sum(group, (c) => c.score.length);
  const first = counts.map((c) => c.first).sort((a, b) => a - b);
  let inside = 0;
  let banded = 0;
  fleet.forEach((one, i) => {
    const { yhatLower, yhatUpper } = outputs[i].series[0];
    one.values.forEach((x, row) => {
      if (!Number.isFinite(yhatLower[row]) || !Number.isFinite(yhatUpper[row])) return;
      banded++;
      if (x >= yhatLower[row] && x <= yhatUpper[row]) inside++;
    });
  });
  return {
    series: fleet.length,
    readings: sum(counts, (c) => c.score.length),
    byPeriod: grouped(counts, (c) => c.periodS).sort((a, b) => a[0] - b[0]).map(([periodS, group]) => ({
      periodS, series: group.length, alarmsPerSeriesDay: sum(group, (c) => c.alarms) / sum(group, (c) => c.days), alarmsPer2000: rate(group),
      alarmsPerSeriesDayByAge: RATE_AGES.map((_, age) => sum(group, (c) => c.byAge[age]) / sum(group, (c) => c.daysByAge[age])),
    })),
    byFamily: grouped(counts, (c) => c.family).map(([family, group]) => ({ family, group: group[0].group, alarmsPer2000: rate(group) }))
      .sort((a, b) => b.alarmsPer2000 - a.alarmsPer2000),
    byAge: AGES.map(([from, to]) => {
      let over = 0;
      let rows = 0;
      for (const { score } of counts) {
        for (let row = from; row < Math.min(to, score.length); row++) {
          rows++;
          if (score[row] > 1) over++;
        }
      }
      return { from, to, rowsPer1000: rows > 0 ? (1000 * over) / rows : NaN };
    }),
    firstAlarmsMedian: first[first.length >> 1],
    firstAlarmsMean: first.reduce((a, b) => a + b, 0) / first.length,
    eventsPer2000: (2000 * sum(counts, (c) => c.events)) / sum(counts, (c) => c.score.length),
    bandCoverage: banded > 0 ? inside / banded : NaN,
  };
}

function alarmRows(score: Float32Array): number[] {
  const rows: number[] = [];
  for (let row = 0; row < score.length; row++) {
    if (score[row] > 1 && row - (rows[rows.length - 1] ?? -Infinity) >= DECLUSTER_ROWS) rows.push(row);
  }
  return rows;
}

function daysBetween(timestampMs: Float64Array, from: number, to: number): number {
  return to > from ? (timestampMs[to] - timestampMs[from]) / DAY_MS : 0;
}

function grouped<T, K>(items: readonly T[], key: (item: T) => K): [K, T[]][] {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return [...groups];
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

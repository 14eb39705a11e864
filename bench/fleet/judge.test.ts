import { describe, expect, test } from 'vitest';
import type { LabelledScores } from './judge.js';
import { exposure, falseAlarmRows, operatingAt, thresholdForRate } from './judge.js';

const MINUTE_MS = 60_000;

/** A minute a row; rows above 1 are given, judged from row 100; faults at [500, 520] and [700, 700]. */
function series(scores: Record<number, number>, rows = 1000): LabelledScores {
  const score = new Float32Array(rows);
  for (const [row, value] of Object.entries(scores)) score[Number(row)] = value;
  return {
    name: 's', family: 'f', group: 'g', from: 100, timestampMs: Float64Array.from({ length: rows }, (_, t) => t * MINUTE_MS), score,
    faults: [{ kind: 'shift', difficulty: 'easy', start: 500, end: 520 }, { kind: 'spike', difficulty: 'hard', start: 700, end: 700 }],
  };
}

describe('a fault', () => {
  test('is caught in its rows or the 20 behind them, with the delay of the first', () => {
    const { faults, recall } = operatingAt([series({ 507: 2, 509: 3, 720: 2 })], 1);
    expect(faults.map(({ delay }) => delay)).toEqual([7, 20]);
    expect(recall).toBe(1);
  });

  test('is missed by a row before it or more than 20 behind it, which are false alarms', () => {
    const result = operatingAt([series({ 499: 2, 721: 2 })], 1);
    expect(result.faults.map(({ delay }) => delay)).toEqual([-1, -1]);
    expect(result.recall).toBe(0);
    expect(result.falseAlarms).toBe(2);
  });

  test('needs more than the threshold', () => {
    expect(operatingAt([series({ 507: 1, 700: 1.001 })], 1).faults.map(({ delay }) => delay)).toEqual([-1, 0]);
  });
});

describe('false alarms', () => {
  test('within 40 rows are one; one that stays on counts every 40 rows', () => {
    expect(falseAlarmRows(series({ 200: 2, 215: 2, 239: 2, 240: 2 }), 1)).toEqual([200, 240]);
    const on = Object.fromEntries(Array.from({ length: 100 }, (_, k) => [200 + k, 2]));
    expect(falseAlarmRows(series(on), 1)).toEqual([200, 240, 280]);
  });

  test('are not counted before the judged rows', () => {
    expect(falseAlarmRows(series({ 20: 9, 99: 9 }), 1)).toEqual([]);
  });

  test('are given in 2,000 readings and a series and day of the time outside of faults', () => {
    // 900 judged rows less 21 + 20 and 1 + 20 of the faults and their tails.
    expect(exposure([series({})]).readings).toBe(838);
    const result = operatingAt([series({ 200: 2, 300: 2 })], 1);
    expect(result.falseAlarmsPer2000).toBeCloseTo(4000 / 838, 9);
    expect(result.falseAlarmsPerSeriesDay).toBeCloseTo(2 / ((899 / 1440) * (838 / 900)), 9);
  });
});

test('the threshold for a rate is the lowest that keeps to it', () => {
  const one = series({ 200: 5, 300: 4, 400: 3, 510: 3.5, 700: 4.5 });
  // 838 readings: one false alarm is allowed in 500, so one in all.
  const threshold = thresholdForRate([one], 500);
  expect(threshold).toBe(4);
  expect(operatingAt([one], threshold)).toMatchObject({ falseAlarms: 1, recall: 0.5 });
});

test('recall is broken down by kind, family and difficulty', () => {
  const { byKind, byDifficulty, byFamily } = operatingAt([series({ 505: 2 })], 1);
  expect(byKind).toEqual({ shift: { faults: 1, recall: 1, medianDelay: 5 }, spike: { faults: 1, recall: 0, medianDelay: NaN } });
  expect([byDifficulty.easy.recall, byDifficulty.hard.recall, byFamily.f.recall]).toEqual([1, 0, 0.5]);
});

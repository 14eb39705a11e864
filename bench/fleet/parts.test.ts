import { expect, test } from 'vitest';
import type { Batch } from '../../core/batch.js';
import { DEVICE_METRIC, FLAG } from '../../core/batch.js';
import type { Detector } from '../../core/detector.js';
import type { Fleet } from '../../core/fleet.js';
import { seededRandom } from '../../core/random.js';
import { baselineDetector } from '../baselines/baseline.js';
import { ewZscore } from '../baselines/zscore.js';
import { evaluateClean } from './clean.js';
import { buildDevices, evaluateDevices } from './devices.js';
import { evaluateFleet } from './evaluate.js';
import { buildIndustrial, evaluateIndustrial, INDUSTRIAL } from './industrial.js';
import * as scenarios from './scenarios.js';
import { CLEAN_ROWS, buildValveRuns, evaluateValve } from './valve.js';
import { SENSORS } from './sensors.js';
import { drawWeeks, evaluateWeeks } from './weeks.js';

const zscore = (): Detector => baselineDetector(ewZscore);

/** Opens an event on the device whenever `open` says so of the row of a device's message. */
function oracle(fleet: Fleet, open: (device: string, message: number) => boolean): Detector {
  const messages = new Map<string, number>();
  return {
    ...zscore(),
    step(batch: Batch) {
      const readings = batch.n;
      for (let row = 0; row < readings; row++) {
        const device = fleet.deviceOfSlot(batch.slot[row])!;
        const again = row > 0 && batch.timestampMs[row] === batch.timestampMs[row - 1] && fleet.deviceOfSlot(batch.slot[row - 1]) === device;
        if (again) continue;
        const message = messages.get(device.name) ?? 0;
        messages.set(device.name, message + 1);
        let slot = fleet.slotOf(device, DEVICE_METRIC);
        if (slot < 0) slot = fleet.addSeries(device, DEVICE_METRIC).slot;
        batch.push(fleet.idOfSlot(slot), slot, batch.timestampMs[row], NaN, FLAG.DEVICE | (open(device.name, message) ? FLAG.IN_EVENT : 0));
      }
    },
  };
}

test('the fleet report holds together on a z-score', async () => {
  const report = await evaluateFleet(zscore, { seriesPerFamily: 1, maxReadings: 3000 });
  expect(report.faults).toBeGreaterThan(20);
  expect(report.atRate.falseAlarmsPer2000).toBeLessThanOrEqual(1);
  expect(report.atRate.recall).toBeGreaterThan(0.05);
  expect(report.atRate.recall).toBeLessThan(0.8);
  expect(Object.values(report.atRate.byKind).reduce((sum, one) => sum + one.faults, 0)).toBe(report.faults);
});

test('a detector that never alarms has no recall and no false alarms', async () => {
  const report = await evaluateFleet(() => baselineDetector(() => () => ({ score: 0, yhat: NaN, halfBand: NaN })), { seriesPerFamily: 1, maxReadings: 2000 });
  expect([report.atProduct.recall, report.atProduct.falseAlarms, report.eventRecall]).toEqual([0, 0, 0]);
});

test('clean series: a detector that always alarms does so every 40 readings', async () => {
  const report = await evaluateClean(() => baselineDetector(() => () => ({ score: 2, yhat: 0, halfBand: Infinity })), { seriesPerFamily: 1, maxReadings: 2000 });
  expect(report.firstAlarmsMedian).toBe(13);
  expect(report.byAge[0].rowsPer1000).toBe(1000);
  for (const { alarmsPer2000 } of report.byPeriod) expect(alarmsPer2000).toBeCloseTo(50, -1);
});

test('clean series that are read often: alarms a day by age', async () => {
  const report = await evaluateClean(() => baselineDetector(() => () => ({ score: 2, yhat: 0, halfBand: Infinity })), {
    families: ['smooth', 'latency'], seriesPerFamily: 4, minReadings: 5000, maxReadings: 5000, periodsS: [10, 60],
  });
  expect(report.byPeriod.map((p) => p.periodS)).toEqual([10, 60]);
  for (const { periodS, alarmsPerSeriesDayByAge: [young, older, old] } of report.byPeriod) {
    for (const perDay of [young, older]) expect(perDay / (86_400 / periodS / 40)).toBeCloseTo(1, 0);
    expect(old).toBeNaN();
  }
});

test('valve runs: the truth scores 1, always on what its share of faulty rows gives', async () => {
  const truth = new Map(buildValveRuns({ runs: 4 }).map(({ input, faulty }) => [input.device, faulty]));
  expect((await evaluateValve((fleet) => oracle(fleet, (device, message) => truth.get(device)![message] === 1), { runs: 4 })).f1).toBe(1);
  const always = await evaluateValve((fleet) => oracle(fleet, () => true), { runs: 4 });
  expect(always.f1).toBeCloseTo(always.f1AllOnes, 9);
  expect(always.falseShareInCleanStart).toBe(1);
  for (const faulty of truth.values()) expect(faulty.subarray(0, CLEAN_ROWS).every((x) => x === 0)).toBe(true);
});

test('industrial devices: the truth scores 1 and has one event a fault; a detector that is silent catches nothing', async () => {
  const truth = new Map(buildIndustrial({ runs: 2 }).map(({ input, faults }) => [input.device, faults]));
  const reports = await evaluateIndustrial((fleet) => oracle(fleet, (device, message) => truth.get(device)!.some(({ start, end }) => message >= start && message < end)), { runs: 2 });
  expect(reports.map(({ kind }) => kind)).toEqual(Object.keys(INDUSTRIAL));
  for (const { f1, caught, falseEventsPerDay } of reports) expect([f1, caught, falseEventsPerDay]).toEqual([1, 1, 0]);
  for (const { f1, caught } of await evaluateIndustrial((fleet) => oracle(fleet, () => false), { runs: 1 })) expect([f1, caught]).toEqual([0, 0]);
});

test('each fault of an industrial device shows, within its time, against the same device without it', () => {
  const all = buildIndustrial();
  const most = Math.max(...all.map(({ faults }) => faults.length));
  for (let without = 0; without < most; without++) {
    buildIndustrial({ without }).forEach(({ input: { values } }, d) => {
      const { kind, input, faults } = all[d];
      if (without >= faults.length) return;
      const { kind: fault, start, end } = faults[without];
      expect(start).toBeGreaterThanOrEqual(INDUSTRIAL[kind].cleanRows);
      const firstRow = Math.min(...input.values.map((own, m) => own.findIndex((x, row) => x !== values[m][row])).filter((row) => row >= 0));
      expect(firstRow, `${input.device} ${fault}`).toBeGreaterThanOrEqual(start);
      expect(firstRow, `${input.device} ${fault}`).toBeLessThan(start + 0.6 * (end - start));
    });
  }
  for (const { input } of all) for (const own of input.values) expect(own.every(Number.isFinite), input.device).toBe(true);
});

test('a correlation break leaves the metric within its own range', () => {
  let checked = 0;
  const clean = buildDevices({ devices: 16, faults: false });
  buildDevices({ devices: 16 }).forEach(({ input, faults }, d) => {
    for (const { kind, metric, start, end } of faults) {
      if (kind !== 'correlation') continue;
      const before = clean[d].input.values[metric];
      const [low, high] = [Math.min(...before), Math.max(...before)];
      const margin = 0.25 * (high - low);
      for (const x of input.values[metric].subarray(start, end + 1)) {
        expect(x).toBeGreaterThan(low - margin);
        expect(x).toBeLessThan(high + margin);
      }
      checked++;
    }
  });
  expect(checked).toBeGreaterThan(5);
});

test('the device report counts faults by kind', async () => {
  const report = await evaluateDevices(zscore, { devices: 8, maxRows: 2000 });
  expect(Object.values(report.atRate.byKind).reduce((sum, one) => sum + one.faults, 0)).toBe(report.faults);
  expect(report.byDevice.recall).toBe(0);
});

test('scenarios have their marks within their rows, in time order', () => {
  for (const make of [scenarios.daylightSaving, scenarios.dailySpike, scenarios.gap, scenarios.returningDevice, scenarios.persistentShift,
    scenarios.passingShift, scenarios.stuckSensor, scenarios.silence, scenarios.impossibleValues]) {
    const { timestampMs, values, marks } = make();
    expect(values).toHaveLength(timestampMs.length);
    expect(timestampMs.every((ms, t) => t === 0 || ms > timestampMs[t - 1])).toBe(true);
    for (const row of Object.values(marks)) expect(row).toBeLessThanOrEqual(values.length);
  }
  const { timestampMs, marks } = scenarios.dailySpike();
  expect(new Date(timestampMs[marks.first]).getUTCHours()).toBe(6);
});

test('weeks: a detector that never alarms has no events; one that always does is in one all the time', async () => {
  expect(await evaluateWeeks(zscore, { series: 1, weeks: 4, periodS: 1800 })).toMatchObject({ first: 0, later: 0 });
  const always = (): Detector => ({
    ...zscore(),
    step(batch: Batch) {
      for (let row = 0; row < batch.n; row++) {
        batch.flags[row] |= FLAG.IN_EVENT;
        batch.anomalyScore[row] = 2;
      }
    },
  });
  const { inEvent, byKind, faults } = await evaluateWeeks(always, { series: 1, weeks: 4, periodS: 1800 });
  expect(inEvent).toBe(1);
  expect(faults.stays).toEqual({ told: 1, held: 1, over: 0 });
  expect(byKind.length).toBeGreaterThan(10);
});

test('sensors: each moves, by itself and the same from the same seed', async () => {
  for (const [kind, make] of Object.entries(SENSORS)) {
    const draw = (seed: number): Float64Array => drawWeeks(make(seededRandom(seed), 300), 14 * 288, 288);
    const values = draw(1);
    expect(values.every(Number.isFinite), kind).toBe(true);
    expect(new Set(values).size, kind).toBeGreaterThan(2);
    expect(draw(1), kind).toEqual(values);
    expect(draw(2), kind).not.toEqual(values);
  }
  expect(await evaluateWeeks(zscore, { things: SENSORS, series: 1, weeks: 4, periodS: 1800 })).toMatchObject({ first: 0 });
});

import type { DeviceOutput, MakeDetector } from '../harness.js';
import { deviceScore, runByPeriod } from '../harness.js';
import type { FleetOptions, FleetSeries } from './build.js';
import { JUDGED_FROM_ROW, buildFleet } from './build.js';
import type { LabelledScores, Operating } from './judge.js';
import { exposure, operatingAt, thresholdForRate } from './judge.js';

export interface FleetReport {
  series: number;
  faults: number;
  readings: number;
  /** At the product's threshold, 1. */
  atProduct: Operating;
  /** At the threshold that lets one false alarm in 2,000 readings through. */
  atRate: Operating;
  /** Of the product's events: those that open outside of every fault and its tail, in 2,000 readings and a series and day. */
  falseEventsPer2000: number;
  falseEventsPerSeriesDay: number;
  /** Share of the faults during which (or in whose tail) an event is open. */
  eventRecall: number;
  /** Events that open in a fault, over the faults with one: 1 is one event for one fault. */
  eventsPerFault: number;
  seconds: number;
}

const cache = new Map<string, FleetSeries[]>();

/** The fleet of these options; kept, so that a sweep of constants builds it once. */
export function fleetOf(options: FleetOptions): FleetSeries[] {
  const key = JSON.stringify(options);
  let fleet = cache.get(key);
  if (!fleet) cache.set(key, fleet = buildFleet(options));
  return fleet;
}

/** Runs a detector over the generated fleet and reports what it caught. */
export async function evaluateFleet(make: MakeDetector, options: FleetOptions = {}): Promise<FleetReport> {
  const fleet = fleetOf(options);
  const began = performance.now();
  const outputs = await runFleet(make, fleet);
  return reportFleet(fleet, outputs, (performance.now() - began) / 1000);
}

export function runFleet(make: MakeDetector, fleet: readonly FleetSeries[]): Promise<DeviceOutput[]> {
  return runByPeriod(make, fleet.map((one) => ({ device: one.name, metrics: ['value'], timestampMs: one.timestampMs, values: [one.values] })));
}

export function labelled(fleet: readonly FleetSeries[], outputs: readonly DeviceOutput[]): LabelledScores[] {
  return fleet.map((one, i) => ({ ...one, from: JUDGED_FROM_ROW, score: deviceScore(outputs[i]) }));
}

export function reportFleet(fleet: readonly FleetSeries[], outputs: readonly DeviceOutput[], seconds: number): FleetReport {
  const scores = labelled(fleet, outputs);
  // An event is open or not: the same rules at a threshold between 0 and 1, on the rows where it opens and on those where it is open.
  const open = scores.map((one, i) => ({ ...one, score: Float32Array.from(outputs[i].series[0].inEvent) }));
  const opened = open.map((one) => ({ ...one, score: one.score.map((now, row) => (now > 0 && !(row > 0 && one.score[row - 1] > 0) ? 1 : 0)) }));
  const eventsOpen = operatingAt(open, 0.5);
  const eventsOpened = operatingAt(opened, 0.5);
  const inFaults = opened.reduce((sum, one) => sum + one.score.reduce((n, x) => n + x, 0), 0) - eventsOpened.falseAlarms;
  return {
    series: fleet.length,
    faults: scores.reduce((sum, one) => sum + one.faults.length, 0),
    readings: exposure(scores).readings,
    atProduct: operatingAt(scores, 1),
    atRate: operatingAt(scores, thresholdForRate(scores)),
    falseEventsPer2000: eventsOpened.falseAlarmsPer2000,
    falseEventsPerSeriesDay: eventsOpened.falseAlarmsPerSeriesDay,
    eventRecall: eventsOpen.recall,
    eventsPerFault: inFaults / Math.max(1, eventsOpened.faults.filter((fault) => fault.delay >= 0).length),
    seconds,
  };
}

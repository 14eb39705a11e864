import type { Random } from '../../core/random.js';
import { seededRandom } from '../../core/random.js';
import { uniform } from '../../model/train/generator/draws.js';
import type { DeviceInput, DeviceOutput, MakeDetector } from '../harness.js';
import { runDetector } from '../harness.js';
import { hash } from './build.js';
import { COMPRESSOR } from './industrial/compressor.js';
import type { IndustrialFault, IndustrialKind } from './industrial/kind.js';
import { PLANT } from './industrial/plant.js';
import { SERVER } from './industrial/server.js';
import { TANKS } from './industrial/tanks.js';
import { add, compare, compareAlwaysOn, f1, none, precision, recall } from './pointwise.js';

/** Devices of many metrics that are made and not drawn: what a metric shows follows from the others, as in tanks, a plant in closed loops, a server, a compressor. */
export const INDUSTRIAL = { tanks: TANKS, plant: PLANT, server: SERVER, compressor: COMPRESSOR };
export type IndustrialName = keyof typeof INDUSTRIAL;

/** Readings until what a fault has left behind is gone: tanks fill, oil cools. */
const RECOVERS_ROWS = 600;
const START_MS = Date.UTC(2024, 2, 4);

export interface IndustrialRun {
  kind: IndustrialName;
  input: DeviceInput;
  faults: IndustrialFault[];
}

export interface IndustrialOptions {
  /** Of each kind. */
  runs?: number;
  seed?: number;
  /** A fault that is left out of each device, by its place: to see what it does. */
  without?: number;
}

export function buildIndustrial(options: IndustrialOptions = {}): IndustrialRun[] {
  const { runs = 4, seed = 0, without = -1 } = options;
  return (Object.keys(INDUSTRIAL) as IndustrialName[]).flatMap((name) => Array.from({ length: runs }, (_, k): IndustrialRun => {
    const kind = INDUSTRIAL[name];
    // Places are drawn apart: up to a fault a device is what it is without it.
    const faults = place(kind, k, seededRandom(hash(`${name} ${k} ${seed} faults`))).filter((_, i) => i !== without);
    const metrics = kind.run(seededRandom(hash(`${name} ${k} ${seed}`)), kind.rows, faults);
    const timestampMs = Float64Array.from({ length: kind.rows }, (_, row) => START_MS + row * kind.periodS * 1000);
    return { kind: name, faults, input: { device: `${name}-${k}`, metrics: Object.keys(metrics), timestampMs, values: Object.values(metrics) } };
  }));
}

/** As many as there is room for, one in each stretch of what follows the clean start; each device begins with another kind. */
function place(kind: IndustrialKind, k: number, random: Random): IndustrialFault[] {
  const [shortest, longest] = kind.lasts;
  const room = kind.rows - kind.cleanRows;
  const count = Math.min(kind.faults.length, Math.floor(room / (longest + RECOVERS_ROWS)));
  return Array.from({ length: count }, (_, i) => {
    const length = Math.round(uniform(random, shortest, longest));
    const first = kind.cleanRows + Math.floor((i * room) / count);
    const start = first + Math.floor(random() * Math.max(1, Math.floor(room / count) - length - RECOVERS_ROWS));
    return { kind: kind.faults[(k + i) % kind.faults.length], start, end: start + length };
  });
}

export interface IndustrialReport {
  kind: IndustrialName;
  devices: number;
  /** Of the `*` row's in_event, over the rows behind the clean start. */
  f1: number;
  precision: number;
  recall: number;
  f1AllOnes: number;
  /** Share of the faults in which an event was open. */
  caught: number;
  caughtByFault: Record<string, number>;
  /** Events that opened during faults, a fault caught. */
  eventsPerFault: number;
  /** Events that opened where nothing was wrong, nor had been for as long as it takes to recover. */
  falseEventsPerDay: number;
}

export async function evaluateIndustrial(make: MakeDetector, options: IndustrialOptions = {}): Promise<IndustrialReport[]> {
  const runs = buildIndustrial(options);
  const reports: IndustrialReport[] = [];
  for (const kind of new Set(runs.map((run) => run.kind))) {
    const own = runs.filter((run) => run.kind === kind);
    const outputs: DeviceOutput[] = [];
    // Each by itself, as a backtest of a file would.
    for (const { input } of own) outputs.push(...(await runDetector(make, [input])));
    reports.push(report(kind, own, outputs));
  }
  return reports;
}

function report(kind: IndustrialName, runs: readonly IndustrialRun[], outputs: readonly DeviceOutput[]): IndustrialReport {
  const { cleanRows, rows, periodS } = INDUSTRIAL[kind];
  const [counts, always] = [none(), none()];
  const found: { kind: string; caught: boolean }[] = [];
  let during = 0;
  let wrong = 0;
  let quietRows = 0;
  runs.forEach(({ faults, input }, i) => {
    const flag = outputs[i].whole?.inEvent ?? new Uint8Array(rows);
    const faulty = rowsOf(faults, rows, 0);
    const disturbed = rowsOf(faults, rows, RECOVERS_ROWS);
    add(counts, compare(flag, faulty, cleanRows));
    add(always, compareAlwaysOn(faulty, cleanRows));
    for (const fault of faults) found.push({ kind: fault.kind, caught: flag.subarray(fault.start, fault.end).includes(1) });
    const opened = outputs[i].events.map((event) => Math.round((event.openedMs - input.timestampMs[0]) / 1000 / periodS)).filter((row) => row >= cleanRows);
    during += opened.filter((row) => faulty[row] === 1).length;
    wrong += opened.filter((row) => disturbed[row] === 0).length;
    quietRows += disturbed.subarray(cleanRows).reduce((sum, row) => sum + (row === 0 ? 1 : 0), 0);
  });
  const share = (some: typeof found): number => some.filter((one) => one.caught).length / Math.max(1, some.length);
  return {
    kind, devices: runs.length, f1: f1(counts), precision: precision(counts), recall: recall(counts), f1AllOnes: f1(always),
    caught: share(found), caughtByFault: Object.fromEntries(INDUSTRIAL[kind].faults.map((name) => [name, share(found.filter((one) => one.kind === name))])),
    eventsPerFault: during / Math.max(1, found.filter((one) => one.caught).length), falseEventsPerDay: wrong / ((quietRows * periodS) / 86_400),
  };
}

/** [rows] 1 from the beginning of a fault to so many rows behind its end. */
function rowsOf(faults: readonly IndustrialFault[], rows: number, behind: number): Uint8Array {
  const out = new Uint8Array(rows);
  for (const { start, end } of faults) out.fill(1, start, Math.min(rows, end + behind));
  return out;
}

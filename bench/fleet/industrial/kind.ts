import type { Random } from '../../../core/random.js';

/** What a kind of device sends: a metric's name and its [rows] values. */
export type Metrics = Record<string, Float64Array>;

/** A fault: what is different from row `start` to row `end`, by its place among the faults of its kind. */
export interface IndustrialFault {
  kind: string;
  start: number;
  end: number;
}

/** A kind of industrial device. */
export interface IndustrialKind {
  periodS: number;
  rows: number;
  /** Rows at the beginning in which nothing is wrong. */
  cleanRows: number;
  /** Rows that a fault lasts, from and to. */
  lasts: readonly [number, number];
  faults: readonly string[];
  /** Runs it: `faults` are in order and do not touch. */
  run(random: Random, rows: number, faults: readonly IndustrialFault[]): Metrics;
}

/** The fault of a row, undefined where nothing is wrong. */
export function faultAt(faults: readonly IndustrialFault[], row: number): IndustrialFault | undefined {
  return faults.find(({ start, end }) => row >= start && row < end);
}

/** Room for the values of these metrics. */
export function metricsOf<Name extends string>(names: readonly Name[], rows: number): Record<Name, Float64Array> {
  return Object.fromEntries(names.map((name) => [name, new Float64Array(rows)])) as Record<Name, Float64Array>;
}

import { dirname } from 'node:path';
import type { MakeDetector } from '../harness.js';
import { runByPeriod } from '../harness.js';
import type { CorpusFile, FileScores } from './corpus.js';
import type { Tally } from './scorer.js';
import { PROFILES, Scoring, probationRows, weigh } from './scorer.js';

/** NAB calls a score at or above the threshold a detection, gruard one above 1: this is the smallest number above 1 that a 32-bit score can hold. */
export const PRODUCT_THRESHOLD = 1 + 2 ** -23;

export interface NabReport {
  files: number;
  windows: number;
  /** At the product's threshold and at the best threshold of each profile. */
  profiles: { name: string; atProduct: number; optimised: number; bestThreshold: number }[];
  atProduct: Tally;
  /** Declustered false alarms (those within 40 rows are one), and single rows, a series and day, after the probation, at the product's threshold. */
  falseAlarmsPerSeriesDay: number;
  falseRowsPerSeriesDay: number;
  /** Share of the readings after the probation that lie within [yhat_lower, yhat_upper]; NaN where there is no forecast. */
  bandCoverage: number;
  folders: FolderReport[];
  /** The standard profile's points at the product's threshold, worst first: a perfect file has as many as windows. */
  perFile: { name: string; windows: number; caught: number; falseDetections: number; points: number }[];
}

export interface FolderReport {
  name: string;
  files: number;
  /** NaN for a folder without windows. */
  standard: number;
  windows: number;
  caught: number;
  falseDetections: number;
}

const DECLUSTER_ROWS = 40;
const DAY_MS = 86_400_000;

/** Runs a detector over the corpus in process and scores it. */
export async function evaluateNab(make: MakeDetector, files: readonly CorpusFile[]): Promise<NabReport> {
  return scoreNab(files, await runNab(make, files));
}

export async function runNab(make: MakeDetector, files: readonly CorpusFile[]): Promise<FileScores[]> {
  const outputs = await runByPeriod(make, files.map((file) => (
    { device: file.name, metrics: ['value'], timestampMs: file.timestampMs, values: [file.values] }
  )));
  return outputs.map(({ series: [output] }) => ({ scores: output.score, yhatLower: output.yhatLower, yhatUpper: output.yhatUpper }));
}

export function scoreNab(files: readonly CorpusFile[], results: readonly FileScores[]): NabReport {
  const scored = files.map((file, i) => ({ timestampMs: file.timestampMs, scores: results[i].scores, windows: file.windows }));
  const scoring = new Scoring(scored);
  const tallies = scoring.sweep();
  const atProduct = scoring.tallyAt(PRODUCT_THRESHOLD);
  const { alarms, days } = falseAlarms(files, results);
  const folderNames = [...new Set(files.map((file) => dirname(file.name)))];
  return {
    files: files.length,
    windows: scoring.labelledWindows,
    profiles: PROFILES.map((profile) => {
      const best = scoring.best(profile, tallies);
      return {
        name: profile.name, atProduct: scoring.normalised(atProduct, profile),
        optimised: scoring.normalised(best, profile), bestThreshold: best.threshold,
      };
    }),
    atProduct,
    falseAlarmsPerSeriesDay: alarms / days,
    falseRowsPerSeriesDay: atProduct.falseDetections / days,
    bandCoverage: coverage(files, results),
    folders: folderNames.map((name) => folderReport(name, scored.filter((_, i) => dirname(files[i].name) === name))),
    perFile: scored.map((one, i) => fileReport(files[i].name, one)).sort((a, b) => (a.points - a.windows) - (b.points - b.windows)),
  };
}

function folderReport(name: string, scored: ConstructorParameters<typeof Scoring>[0]): FolderReport {
  const scoring = new Scoring(scored);
  const tally = scoring.tallyAt(PRODUCT_THRESHOLD);
  return {
    name, files: scored.length, standard: scoring.labelledWindows > 0 ? scoring.normalised(tally, PROFILES[0]) : NaN,
    windows: scoring.labelledWindows, caught: tally.windowsCaught, falseDetections: tally.falseDetections,
  };
}

function fileReport(name: string, scored: ConstructorParameters<typeof Scoring>[0][number]): NabReport['perFile'][number] {
  const tally = new Scoring([scored]).tallyAt(PRODUCT_THRESHOLD);
  return { name, windows: scored.windows.length, caught: tally.windowsCaught, falseDetections: tally.falseDetections, points: weigh(tally, PROFILES[0]) };
}

/** An alarm that stays on counts once for every 40 rows. */
function falseAlarms(files: readonly CorpusFile[], results: readonly FileScores[]): { alarms: number; days: number } {
  let alarms = 0;
  let days = 0;
  files.forEach((file, i) => {
    const from = probationRows(file.timestampMs.length);
    days += (file.timestampMs[file.timestampMs.length - 1] - file.timestampMs[from]) / DAY_MS;
    let last = -Infinity;
    for (let row = from; row < file.timestampMs.length; row++) {
      if (results[i].scores[row] < PRODUCT_THRESHOLD || row - last < DECLUSTER_ROWS) continue;
      if (file.windows.some(([start, end]) => file.timestampMs[row] >= start && file.timestampMs[row] <= end)) continue;
      alarms++;
      last = row;
    }
  });
  return { alarms, days };
}

function coverage(files: readonly CorpusFile[], results: readonly FileScores[]): number {
  let inside = 0;
  let total = 0;
  files.forEach((file, i) => {
    const { yhatLower, yhatUpper } = results[i];
    for (let row = probationRows(file.values.length); row < file.values.length; row++) {
      if (!Number.isFinite(yhatLower[row]) || !Number.isFinite(yhatUpper[row])) continue;
      total++;
      if (file.values[row] >= yhatLower[row] && file.values[row] <= yhatUpper[row]) inside++;
    }
  });
  return total > 0 ? inside / total : NaN;
}

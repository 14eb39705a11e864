import { parseArgs } from 'node:util';
import { detectorNamed } from './detectors.js';
import type { FleetOptions } from './fleet/build.js';
import { evaluateFleet } from './fleet/evaluate.js';
import type { FleetReport } from './fleet/evaluate.js';
import type { Breakdown } from './fleet/judge.js';
import { jsonLine, table } from './table.js';

const USAGE = `Scores the detector on a generated fleet with labelled faults.
  npm run bench:fleet -- [--split development|held_back] [--series N] [--seed N] [--detector NAMES] [--json]
  --split NAME     development (default), or held_back: other seeds, and families that development does not have
  --series N       series of each family (default 6)
  --seed N         another fleet of the same kind
  --detector NAMES gruard (default), baselines, ablations, or several with commas: see bench/detectors.ts
  --json           figures of the first detector as one JSON object on the last line`;

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      split: { type: 'string', default: 'development' }, series: { type: 'string', default: '6' }, seed: { type: 'string', default: '0' },
      detector: { type: 'string', default: 'gruard' }, json: { type: 'boolean' }, help: { type: 'boolean' },
    },
  });
  const { split } = options;
  if (options.help || (split !== 'development' && split !== 'held_back')) {
    process.stdout.write(`${USAGE}\n`);
    process.exitCode = options.help ? 0 : 2;
    return;
  }
  const fleet: FleetOptions = { split, seriesPerFamily: Number(options.series), seed: Number(options.seed) };
  const names = options.detector.split(',');
  const reports: FleetReport[] = [];
  for (const name of names) reports.push(await evaluateFleet(await detectorNamed(name), fleet));
  process.stdout.write(`${describe(names, reports)}\n`);
  if (options.json) process.stdout.write(`${jsonLine(flatten(reports[0]))}\n`);
}

function describe(names: string[], reports: FleetReport[]): string {
  const [first] = reports;
  const head = `${first.series} series, ${first.faults} faults, ${first.readings} readings outside of faults`;
  const summary = table([
    ['detector', 'recall at 1', 'false/2000', 'false/series/day', 'events/fault', 'false events/2000', 'recall at 1 in 2000', 'its threshold', 'readings/s'],
    ...reports.map((r, i) => [
      names[i], r.atProduct.recall, r.atProduct.falseAlarmsPer2000, r.atProduct.falseAlarmsPerSeriesDay, r.eventsPerFault, r.falseEventsPer2000,
      r.atRate.recall, r.atRate.threshold, Math.round(r.readings / r.seconds),
    ]),
  ]);
  return [head, summary, ...(['byKind', 'byDifficulty', 'byGroup', 'byFamily'] as const).map((by) => compare(by, names, reports))].join('\n\n');
}

/** Recall at one false alarm in 2,000 readings for each detector, and for the first one its recall at 1 and its delay. */
function compare(by: 'byKind' | 'byDifficulty' | 'byGroup' | 'byFamily', names: string[], reports: FleetReport[]): string {
  const keys = Object.keys(reports[0].atRate[by]);
  const of = (breakdown: Breakdown, key: string): Breakdown[string] => breakdown[key];
  return table([
    [by.slice(2).toLowerCase(), 'faults', `at 1: ${names[0]}`, 'median delay', ...names],
    ...keys.map((key) => [
      key, of(reports[0].atRate[by], key).faults, of(reports[0].atProduct[by], key).recall, of(reports[0].atProduct[by], key).medianDelay,
      ...reports.map((r) => of(r.atRate[by], key).recall),
    ]),
  ]);
}

function flatten(report: FleetReport): Record<string, number> {
  const figures: Record<string, number> = {
    series: report.series, faults: report.faults, readings: report.readings,
    recall: report.atProduct.recall,
    false_alarms_per_2000: report.atProduct.falseAlarmsPer2000,
    false_alarms_per_series_day: report.atProduct.falseAlarmsPerSeriesDay,
    false_events_per_2000: report.falseEventsPer2000,
    event_recall: report.eventRecall,
    events_per_fault: report.eventsPerFault,
    recall_at_rate: report.atRate.recall,
    threshold_at_rate: report.atRate.threshold,
  };
  for (const [kind, one] of Object.entries(report.atProduct.byKind)) {
    figures[`recall_${kind}`] = one.recall;
    figures[`delay_${kind}`] = one.medianDelay;
    figures[`recall_at_rate_${kind}`] = report.atRate.byKind[kind].recall;
  }
  for (const [group, one] of Object.entries(report.atProduct.byGroup)) {
    figures[`recall_${group}_families`] = one.recall;
    figures[`recall_at_rate_${group}_families`] = report.atRate.byGroup[group].recall;
  }
  return figures;
}

await main();

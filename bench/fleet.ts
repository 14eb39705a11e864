import { parseArgs } from 'node:util';
import { ABLATIONS, BASELINES, SHIPPED, detectorNamed } from './detectors.js';
import type { FleetOptions } from './fleet/build.js';
import { evaluateClean } from './fleet/clean.js';
import {
  describeClean, describeDevices, describeFaults, describeIndustrial, describeMisses, describeShippedDevices, describeValve, describeWeeks, flattenClean, flattenDevices, flattenFaults, flattenIndustrial, flattenValve, flattenWeeks,
} from './fleet/describe.js';
import { evaluateCleanDevices, evaluateDevices } from './fleet/devices.js';
import { evaluateFleet, fleetOf } from './fleet/evaluate.js';
import type { FleetReport } from './fleet/evaluate.js';
import { evaluateIndustrial } from './fleet/industrial.js';
import { evaluateValve } from './fleet/valve.js';
import { SENSORS } from './fleet/sensors.js';
import { evaluateWeeks, type WeeksReport } from './fleet/weeks.js';
import { jsonLine } from './table.js';

const PARTS = ['faults', 'clean', 'long', 'weeks', 'sensors', 'devices', 'valve', 'industrial'] as const;
/** Readings of a series in the part `long`. */
const LONG = { minReadings: 40_000, maxReadings: 60_000 };
/** And of those of them that are read often: five weeks at a reading every ten seconds. */
const OFTEN = { minReadings: 300_000, maxReadings: 300_000, periodsS: [10, 30, 60] };
const USAGE = `Scores the detector on generated fleets with labelled faults.
  npm run bench:fleet -- [--split development|held_back] [--series N] [--seed N] [--parts LIST] [--detector LIST] [--json]
  --split NAME    development (default), or held_back: other seeds, and families that development does not have
  --series N      series of each family (default 6)
  --seed N        another fleet of the same kind
  --parts LIST    of ${PARTS.join(',')} (default: all)
  --detector LIST compared on the faults: gruard (allowing one false alarm in 2,057 readings), shipped (allowing 0.07 a series and day), baselines, ablations
                  (all of them: ablations): ${[...Object.keys(ABLATIONS), ...Object.keys(BASELINES)].join(', ')}
  --misses N      the first detector's N plainest misses, with the values around them
  --json          figures of the first detector as one JSON object on the last line`;

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      split: { type: 'string', default: 'development' }, series: { type: 'string', default: '6' }, seed: { type: 'string', default: '0' },
      parts: { type: 'string', default: PARTS.join(',') }, detector: { type: 'string', default: 'gruard,shipped,ew_zscore' },
      misses: { type: 'string', default: '0' }, json: { type: 'boolean' }, help: { type: 'boolean' },
    },
  });
  const { split } = options;
  if (options.help || (split !== 'development' && split !== 'held_back')) {
    process.stdout.write(`${USAGE}\n`);
    process.exitCode = options.help ? 0 : 2;
    return;
  }
  const names = options.detector.split(',').flatMap((name) => (name === 'ablations' ? Object.keys(ABLATIONS) : [name]));
  const fleet: FleetOptions = { split, seriesPerFamily: Number(options.series), seed: Number(options.seed) };
  const figures = await run(names, options.parts.split(','), fleet, Number(options.misses));
  if (options.json) process.stdout.write(`${jsonLine(figures)}\n`);
}

async function run(names: string[], parts: string[], fleet: FleetOptions, misses: number): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const first = detectorNamed(names[0]);
  const shipped = names[0] === 'gruard' ? SHIPPED : first;
  const seed = (fleet.seed ?? 0) + (fleet.split === 'held_back' ? 1000 : 0);
  const show = (text: string, flat: Record<string, number>): void => {
    process.stdout.write(`${text}\n\n`);
    Object.assign(figures, flat);
  };
  if (parts.includes('faults')) {
    const reports: FleetReport[] = [];
    for (const name of names) reports.push(await evaluateFleet(detectorNamed(name), fleet));
    show(describeFaults(names, reports), flattenFaults(reports[0]));
    if (misses > 0) show(describeMisses(reports[0], fleetOf(fleet), misses), {});
  }
  if (parts.includes('clean')) {
    const report = await evaluateClean(shipped, fleet);
    show(describeClean(report), flattenClean(report, 'clean'));
  }
  if (parts.includes('long')) {
    for (const [name, lengths] of [['long', LONG], ['often', OFTEN]] as const) {
      const report = await evaluateClean(shipped, { ...fleet, ...lengths });
      show(describeClean(report), flattenClean(report, name));
    }
  }
  if (parts.includes('weeks')) {
    const reports = [await evaluateWeeks(shipped, { seed }), await evaluateWeeks(shipped, { seed, periodS: 60, weeks: 6 })];
    show(describeWeeks('things', reports), flattenWeeks('weeks', reports));
  }
  if (parts.includes('sensors')) {
    const reports: WeeksReport[] = [];
    for (const periodS of [60, 300, 900]) reports.push(await evaluateWeeks(shipped, { things: SENSORS, seed, periodS, weeks: 6 }));
    show(describeWeeks('sensors', reports), flattenWeeks('sensors', reports));
  }
  if (parts.includes('devices')) {
    const report = await evaluateDevices(first, { seed });
    show(describeDevices(report), flattenDevices(report));
    const clean = await evaluateCleanDevices(shipped, { seed: seed + 50, devices: 64 });
    const inOne = await evaluateDevices(shipped, { seed, devices: 64 });
    const apart = await evaluateDevices(shipped, { seed, devices: 64, apart: true });
    show(describeShippedDevices(clean, inOne, apart), Object.fromEntries(clean.byPeriod.map((p) => [`device_clean_alarms_per_day_at_${p.periodS}_s`, p.alarmsPerDeviceDay])));
  }
  if (parts.includes('valve')) {
    const report = await evaluateValve(shipped, { seed });
    show(describeValve(report), flattenValve(report));
  }
  if (parts.includes('industrial')) {
    const reports = await evaluateIndustrial(shipped, { seed });
    show(describeIndustrial(reports), flattenIndustrial(reports));
  }
  return figures;
}

await main();

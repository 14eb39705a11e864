import { table } from '../table.js';
import { RATE_AGES, type CleanReport } from './clean.js';
import type { CleanDeviceReport, DeviceReport } from './devices.js';
import type { FleetSeries } from './build.js';
import type { FleetReport } from './evaluate.js';
import type { CaughtFault } from './judge.js';
import type { IndustrialReport } from './industrial.js';
import type { ValveReport } from './valve.js';
import type { WeeksReport } from './weeks.js';
import { FIRST_WEEKS } from './weeks.js';

/** Tables for people, and the same figures flat for programs. */

/** How much of the false alarms at one in 2,000 readings comes from which family. */
function falseShares(name: string, report: FleetReport): string {
  const shares = Object.entries(report.atRate.falseAlarmsByFamily).filter(([, share]) => share >= 0.02);
  return `False alarms of ${name} at that rate: ${shares.map(([family, share]) => `${family} ${(100 * share).toFixed(0)} %`).join(', ')}`;
}

const BY = { byKind: 'kind', byDifficulty: 'difficulty', byGroup: 'families', byFamily: 'family' } as const;

export function describeFaults(names: string[], reports: FleetReport[]): string {
  const [first] = reports;
  const summary = table([
    ['detector', 'recall at 1', 'false/2000', 'false/series/day', 'events/fault', 'false events/2000', 'recall at 1 in 2000', 'its threshold', 'readings/s'],
    ...reports.map((r, i) => [
      names[i], r.atProduct.recall, r.atProduct.falseAlarmsPer2000, r.atProduct.falseAlarmsPerSeriesDay, r.eventsPerFault, r.falseEventsPer2000,
      r.atRate.recall, r.atRate.threshold, Math.round(r.readings / r.seconds),
    ]),
  ]);
  return [
    `Faults: ${first.series} series, ${first.faults} faults, ${first.readings} readings outside of them. Right: recall at one false alarm in 2,000 readings.`,
    summary, ...(Object.keys(BY) as (keyof typeof BY)[]).map((by) => compare(by, names, reports)), falseShares(names[0], first),
  ].join('\n\n');
}

/** Of the first detector also the recall and the median delay (readings) at the product's threshold. */
function compare(by: keyof typeof BY, names: string[], reports: FleetReport[]): string {
  const [first] = reports;
  return table([
    [BY[by], 'faults', `${names[0]} at 1`, 'delay', ...names],
    ...Object.keys(first.atRate[by]).map((key) => [
      key, first.atRate[by][key].faults, first.atProduct[by][key].recall, first.atProduct[by][key].medianDelay, ...reports.map((r) => r.atRate[by][key].recall),
    ]),
  ]);
}

/** The faults that are missed at one false alarm in 2,000 readings, easy ones and low peaks first, with the values around their start. */
export function describeMisses(report: FleetReport, fleet: readonly FleetSeries[], count: number): string {
  const { faults, threshold } = report.atRate;
  const rank = (fault: CaughtFault): number => ['easy', 'medium', 'hard'].indexOf(fault.difficulty) * 100 + fault.peak;
  const missed = faults.filter((fault) => fault.delay < 0).sort((a, b) => rank(a) - rank(b));
  const lines = missed.slice(0, count).map((fault) => {
    const { values, periodS } = fleet.find((one) => one.name === fault.series)!;
    const around = (from: number, to: number): string => [...values.subarray(Math.max(0, from), to)].map((x) => Number(x.toPrecision(5))).join(' ');
    return `${fault.series} (${values.length} readings, ${periodS} s): ${fault.difficulty} ${fault.kind} ${fault.start}-${fault.end}, peak ${(fault.peak / threshold).toFixed(2)} of the threshold\n`
      + `    ${around(fault.start - 8, fault.start)} | ${around(fault.start, fault.start + 8)}`;
  });
  const near = missed.filter((fault) => fault.peak > 0.9 * threshold).length;
  return [`Missed: ${missed.length} of ${faults.length}, ${near} of them by less than a tenth of the threshold`, ...lines].join('\n');
}

export function flattenFaults(report: FleetReport): Record<string, number> {
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

export function describeClean(report: CleanReport): string {
  return [
    `Clean series: ${report.series}, ${report.readings} readings; every alarm is false`,
    table([
      ['period s', 'series', 'alarms/series/day', ...RATE_AGES.map(([from, to]) => `from reading ${from}${Number.isFinite(to) ? ` to ${to}` : ''}`), 'alarms/2000'],
      ...report.byPeriod.map((p) => [p.periodS, p.series, p.alarmsPerSeriesDay, ...p.alarmsPerSeriesDayByAge, p.alarmsPer2000]),
    ]),
    table([['age in readings', 'alarmed rows/1000'], ...report.byAge.map((a) => [`${a.from} - ${Number.isFinite(a.to) ? a.to : ''}`, a.rowsPer1000])]),
    table([['family', 'alarms/2000'], ...report.byFamily.slice(0, 10).map((f) => [f.family, f.alarmsPer2000])]),
    table([
      ['of clean series', ''], ['alarms in the first 500 readings, median', report.firstAlarmsMedian], ['their mean', report.firstAlarmsMean],
      ['events/2000', report.eventsPer2000], ['readings within the 99 % band', report.bandCoverage],
    ]),
  ].join('\n\n');
}

export function flattenClean(report: CleanReport, part: string): Record<string, number> {
  const figures: Record<string, number> = {
    [`${part}_first_500_median`]: report.firstAlarmsMedian, [`${part}_first_500_mean`]: report.firstAlarmsMean,
    [`${part}_events_per_2000`]: report.eventsPer2000, [`${part}_band_coverage`]: report.bandCoverage,
  };
  for (const p of report.byPeriod) figures[`${part}_alarms_per_series_day_at_${p.periodS}_s`] = p.alarmsPerSeriesDay;
  return figures;
}

export function describeWeeks(what: string, reports: WeeksReport[]): string {
  return reports.map((report) => [
    `Weeks of ${what} in order, as shipped: ${report.weeks} weeks, a reading every ${report.periodS} s; events a series and week`,
    table([
      ['', `weeks 1 to ${FIRST_WEEKS}`, 'then', 'share of that time in an event'],
      ...report.byKind.map((one) => [one.kind, one.first, one.later, one.inEvent]), ['mean', report.first, report.later, report.inEvent],
    ]),
    `Faults put into them, in the week before the last (a spike; a shift for six hours; a day stuck; a burst for three hours; a drift for twelve; a day at rest; two days at its highest): share that is told, of these the share of the time from then to the end that is in an event, and the share that is over half a day after the end`,
    table([['', 'told', 'held', 'over'], ...Object.entries(report.faults).map(([fault, one]) => [fault, one.told, one.held, one.over])]),
  ].join('\n\n')).join('\n\n');
}

export function flattenWeeks(part: string, reports: WeeksReport[]): Record<string, number> {
  return Object.fromEntries(reports.flatMap(({ periodS, first, later, inEvent, faults }) => [
    [`${part}_events_first_at_${periodS}_s`, first], [`${part}_events_later_at_${periodS}_s`, later], [`${part}_in_event_at_${periodS}_s`, inEvent],
    ...Object.entries(faults).flatMap(([fault, one]) => Object.entries(one).map(([what, share]: [string, number]): [string, number] => [`${part}_${fault}_${what}_at_${periodS}_s`, share])),
  ]));
}

export function describeDevices(report: DeviceReport): string {
  return [
    `Devices of several metrics: ${report.devices}, ${report.faults} faults, ${report.messages} messages outside of them`,
    table([
      ['fault', 'faults', 'at 1', 'delay', 'by the device', 'at 1 in 2000'],
      ...Object.entries(report.atRate.byKind).map(([kind, one]) => [
        kind, one.faults, report.atProduct.byKind[kind].recall, report.atProduct.byKind[kind].medianDelay, report.byDevice.byKind[kind].recall, one.recall,
      ]),
      ['all', report.faults, report.atProduct.recall, '', report.byDevice.recall, report.atRate.recall],
    ]),
    table([
      ['of devices', ''], ['false alarms/2000 messages', report.atProduct.falseAlarmsPer2000], ['false alarms/device/day', report.atProduct.falseAlarmsPerSeriesDay],
      ['by the device, false alarms/2000', report.byDevice.falseAlarmsPer2000],
      ['broken metric named first in the event', report.namedFirst], ['among the first two', report.namedRight],
    ]),
  ].join('\n\n');
}

/** As shipped: false alarms of clean devices, and what the device as a whole finds where each metric comes in a message of its own. */
export function describeShippedDevices(clean: CleanDeviceReport, inOne: DeviceReport, apart: DeviceReport): string {
  return [
    'Clean devices as shipped: alarms of the device as a whole that none of its metrics raised',
    table([['period s', 'devices', 'days', 'alarms/device/day', 'alarms/2000 messages'], ...clean.byPeriod.map((p) => [p.periodS, p.devices, p.days, p.alarmsPerDeviceDay, p.alarmsPer2000])]),
    'As shipped: found by the device as a whole, none of its metrics having alarmed at that message',
    table([
      ['fault', 'metrics in one message', 'a message a metric'],
      ...Object.entries(inOne.byDevice.byKind).map(([kind, one]) => [kind, one.recall, apart.byDevice.byKind[kind].recall]),
      ['false alarms/2000 rows', inOne.byDevice.falseAlarmsPer2000, apart.byDevice.falseAlarmsPer2000],
      ['broken metric named first', inOne.namedFirst, apart.namedFirst],
    ]),
  ].join('\n\n');
}

export function flattenDevices(report: DeviceReport): Record<string, number> {
  const figures: Record<string, number> = {
    device_recall: report.atProduct.recall, device_recall_at_rate: report.atRate.recall, device_false_alarms_per_2000: report.atProduct.falseAlarmsPer2000,
  };
  figures.device_named_first = report.namedFirst;
  for (const [kind, one] of Object.entries(report.atProduct.byKind)) figures[`device_recall_${kind}`] = one.recall;
  return figures;
}

export function describeValve(report: ValveReport): string {
  const worst = [...report.perRun].sort((a, b) => a.f1 - b.f1).slice(0, 5).map((run) => `${run.name} ${run.f1.toFixed(2)}`);
  return table([
    [`Valve-like runs: ${report.runs}`, ''], ['F1 of in_event, `*` row', report.f1], ['precision', report.precision], ['recall', report.recall],
    ['F1 of always on', report.f1AllOnes], ['F1 of the head measured on the real bench', report.f1Reference],
    ['faults caught', report.caught], ['events a fault', report.eventsPerFault], ['share of the clean start in an event', report.falseShareInCleanStart], ['worst runs', worst.join(', ')],
  ]);
}

export function flattenValve(report: ValveReport): Record<string, number> {
  return { valve_f1: report.f1, valve_precision: report.precision, valve_recall: report.recall, valve_f1_all_ones: report.f1AllOnes, valve_f1_reference: report.f1Reference, valve_events_per_fault: report.eventsPerFault, valve_clean_start_share: report.falseShareInCleanStart };
}

export function describeIndustrial(reports: readonly IndustrialReport[]): string {
  return [
    'Industrial devices, as shipped: F1 of in_event, `*` row, row by row; faults caught, events a fault, false events a device and day',
    table([['', 'devices', 'F1', 'precision', 'recall', 'F1 of always on', 'caught', 'events a fault', 'false events a day'], ...reports.map((one) => [
      one.kind, one.devices, one.f1, one.precision, one.recall, one.f1AllOnes, one.caught, one.eventsPerFault, one.falseEventsPerDay,
    ])]),
    reports.map((one) => `${one.kind}, caught: ${Object.entries(one.caughtByFault).map(([fault, share]) => `${fault} ${share.toFixed(2)}`).join(', ')}`).join('\n'),
  ].join('\n\n');
}

export function flattenIndustrial(reports: readonly IndustrialReport[]): Record<string, number> {
  return Object.fromEntries(reports.flatMap((one) => [
    [`industrial_f1_${one.kind}`, one.f1], [`industrial_caught_${one.kind}`, one.caught], [`industrial_events_per_fault_${one.kind}`, one.eventsPerFault],
    [`industrial_false_events_per_day_${one.kind}`, one.falseEventsPerDay],
  ]));
}

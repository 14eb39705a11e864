/**
 * How detections are held against labelled faults.
 *
 * A fault is caught when a row from its start to TAIL_ROWS after its end scores above the threshold (the return to normal is part of what is seen of it);
 * its delay is that of the first such row. Every other row above the threshold is a false alarm, but those within DECLUSTER_ROWS of a counted one are part of it:
 * an alarm that stays on counts again every DECLUSTER_ROWS.
 */
export const TAIL_ROWS = 20;
export const DECLUSTER_ROWS = 40;
/** The rate at which recalls are compared. */
export const READINGS_PER_FALSE_ALARM = 2000;

export interface LabelledFault {
  kind: string;
  difficulty: string;
  start: number;
  end: number;
}

/** Scores of a series (or of a device, the highest of its series) and the faults in it. */
export interface LabelledScores {
  name: string;
  family: string;
  group: string;
  /** Rows before are not judged. */
  from: number;
  timestampMs: Float64Array;
  score: Float32Array;
  faults: readonly LabelledFault[];
}

export interface CaughtFault extends LabelledFault {
  series: string;
  family: string;
  group: string;
  /** -1 where it was missed. */
  delay: number;
  /** The highest score from its start to the end of its tail. */
  peak: number;
}

export interface Operating {
  threshold: number;
  faults: CaughtFault[];
  recall: number;
  falseAlarms: number;
  falseAlarmsPer2000: number;
  falseAlarmsPerSeriesDay: number;
  /** Share of the false alarms that each family gives, largest first. */
  falseAlarmsByFamily: Record<string, number>;
  byKind: Breakdown;
  byFamily: Breakdown;
  byGroup: Breakdown;
  byDifficulty: Breakdown;
}

export type Breakdown = Record<string, { faults: number; recall: number; medianDelay: number }>;

const DAY_MS = 86_400_000;

/** What is seen at one threshold: a row is a detection where its score is above it. */
export function operatingAt(series: readonly LabelledScores[], threshold: number): Operating {
  const faults = series.flatMap((one) => one.faults.map((fault) => catchFault(one, fault, threshold)));
  const { readings, days } = exposure(series);
  const alarmsOf = new Map<string, number>();
  let falseAlarms = 0;
  for (const one of series) {
    const alarms = falseAlarmRows(one, threshold).length;
    falseAlarms += alarms;
    alarmsOf.set(one.family, (alarmsOf.get(one.family) ?? 0) + alarms);
  }
  return {
    threshold, faults, recall: recallOf(faults), falseAlarms,
    falseAlarmsPer2000: (falseAlarms * READINGS_PER_FALSE_ALARM) / readings,
    falseAlarmsPerSeriesDay: falseAlarms / days,
    falseAlarmsByFamily: Object.fromEntries([...alarmsOf].sort((a, b) => b[1] - a[1]).map(([family, alarms]) => [family, alarms / Math.max(1, falseAlarms)])),
    byKind: breakdown(faults, (fault) => fault.kind),
    byFamily: breakdown(faults, (fault) => fault.family),
    byGroup: breakdown(faults, (fault) => fault.group),
    byDifficulty: breakdown(faults, (fault) => fault.difficulty),
  };
}

/** The lowest threshold with no more than one false alarm in `readingsPerFalseAlarm` readings. */
export function thresholdForRate(series: readonly LabelledScores[], readingsPerFalseAlarm = READINGS_PER_FALSE_ALARM): number {
  const allowed = exposure(series).readings / readingsPerFalseAlarm;
  const candidates = Float32Array.from(new Set(series.flatMap((one) => [...one.score.subarray(one.from)]))).sort();
  let low = 0;
  let high = candidates.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const alarms = series.reduce((sum, one) => sum + falseAlarmRows(one, candidates[middle]).length, 0);
    if (alarms <= allowed) high = middle;
    else low = middle + 1;
  }
  return candidates[low] ?? 0;
}

/** Readings that are judged and lie outside of faults, and the days that they cover. */
export function exposure(series: readonly LabelledScores[]): { readings: number; days: number } {
  let readings = 0;
  let days = 0;
  for (const one of series) {
    const rows = one.score.length;
    const faulty = one.faults.reduce((sum, fault) => sum + Math.min(rows, fault.end + TAIL_ROWS + 1) - fault.start, 0);
    const judged = Math.max(0, rows - one.from - faulty);
    readings += judged;
    if (rows > one.from) days += ((one.timestampMs[rows - 1] - one.timestampMs[one.from]) / DAY_MS) * (judged / (rows - one.from));
  }
  return { readings, days };
}

/** First rows of the false alarms. */
export function falseAlarmRows({ score, faults, from }: LabelledScores, threshold: number): number[] {
  const rows: number[] = [];
  let last = -Infinity;
  let next = 0;
  for (let row = from; row < score.length; row++) {
    while (next < faults.length && row > faults[next].end + TAIL_ROWS) next++;
    if (!(score[row] > threshold) || row - last < DECLUSTER_ROWS) continue;
    if (next < faults.length && row >= faults[next].start) continue;
    rows.push(row);
    last = row;
  }
  return rows;
}

export function recallOf(faults: readonly CaughtFault[]): number {
  return faults.length === 0 ? NaN : faults.filter((fault) => fault.delay >= 0).length / faults.length;
}

function catchFault({ name, family, group, score }: LabelledScores, fault: LabelledFault, threshold: number): CaughtFault {
  const end = Math.min(score.length - 1, fault.end + TAIL_ROWS);
  let delay = -1;
  let peak = 0;
  for (let row = fault.start; row <= end; row++) {
    if (delay < 0 && score[row] > threshold) delay = row - fault.start;
    peak = Math.max(peak, score[row]);
  }
  return { ...fault, series: name, family, group, delay, peak };
}

function breakdown(faults: readonly CaughtFault[], key: (fault: CaughtFault) => string): Breakdown {
  const groups = new Map<string, CaughtFault[]>();
  for (const fault of faults) {
    const group = groups.get(key(fault));
    if (group) group.push(fault);
    else groups.set(key(fault), [fault]);
  }
  return Object.fromEntries([...groups].map(([name, group]) => {
    const delays = group.filter((fault) => fault.delay >= 0).map((fault) => fault.delay).sort((a, b) => a - b);
    return [name, { faults: group.length, recall: recallOf(group), medianDelay: delays.length > 0 ? delays[delays.length >> 1] : NaN }];
  }));
}

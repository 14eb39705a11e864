import type { Batch } from '../../core/batch.js';
import { FLAG } from '../../core/batch.js';
import type { FleetMinute } from './line.js';

const MINUTE_MS = 60_000;

/** A minute is counted for as long as it is among the newest so many; readings that come later than that are not in the aggregates. */
const KEPT_MINUTES = 60;

export interface FleetMinutesDocument {
  minutes: FleetMinute[];
  /** Minutes up to this one are final. Epoch ms. */
  closedMs: number;
}

/**
 * Counts a minute over the whole fleet, for `gruard_fleet`. They are kept in the cursor file with the position that they belong to, so that after a
 * restart the batches that are written again are counted once.
 */
export class FleetMinutes {
  private constructor(readonly minutes: ReadonlyMap<number, FleetMinute>, readonly closedMs: number) {}

  static from(document?: FleetMinutesDocument): FleetMinutes {
    return new FleetMinutes(new Map(document?.minutes.map((minute) => [minute.minuteMs, minute])), document?.closedMs ?? -Infinity);
  }

  /** These counts and the batch's, and the minutes that changed; this object stays as it is, so that a write that failed has counted nothing. */
  with(batch: Batch): { next: FleetMinutes; changed: FleetMinute[] } {
    const changed = new Map<number, FleetMinute>();
    let minute: FleetMinute | undefined;
    for (let row = 0; row < batch.n; row++) {
      if ((batch.flags[row] & FLAG.DEVICE) !== 0) continue;
      const minuteMs = Math.floor(batch.timestampMs[row] / MINUTE_MS) * MINUTE_MS;
      if (minuteMs <= this.closedMs) continue;
      if (minute?.minuteMs !== minuteMs) {
        minute = changed.get(minuteMs) ?? { ...(this.minutes.get(minuteMs) ?? { minuteMs, readings: 0, late: 0, anomalous: 0, scoreMax: 0 }) };
        changed.set(minuteMs, minute);
      }
      count(minute, batch, row);
    }
    const all = new Map([...this.minutes, ...changed]);
    const oldestFirst = [...all.keys()].sort((a, b) => a - b);
    const closed = oldestFirst.slice(0, Math.max(0, oldestFirst.length - KEPT_MINUTES));
    for (const minuteMs of closed) all.delete(minuteMs);
    return { next: new FleetMinutes(all, closed.at(-1) ?? this.closedMs), changed: [...changed.values()] };
  }

  document(): FleetMinutesDocument {
    return { minutes: [...this.minutes.values()], closedMs: Number.isFinite(this.closedMs) ? this.closedMs : -8.64e15 };
  }
}

function count(minute: FleetMinute, batch: Batch, row: number): void {
  minute.readings++;
  if ((batch.flags[row] & FLAG.LATE) !== 0) {
    minute.late++;
    return;
  }
  const score = batch.anomalyScore[row];
  if (score > 1) minute.anomalous++;
  if (score > minute.scoreMax && Number.isFinite(score)) minute.scoreMax = score;
}

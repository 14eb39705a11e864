import { FLAG, type Batch } from '../../core/batch.js';
import type { AnomalyEvent } from '../../core/event.js';
import type { SeriesNames } from '../../core/results.js';
import type { Random } from '../../core/random.js';

export interface StoredReading {
  actual: number;
  yhat: number;
  anomalyScore: number;
  flags: number;
}

/** What a result store keeps, by what identifies it. It outlives every process. */
export class MemoryStore {
  readonly readings = new Map<string, StoredReading>();
  readonly events = new Map<string, AnomalyEvent>();
  position = -1;
  /** The chance that a write fails: before or after it was carried out. */
  failing = 0;
  down = false;
  /** Readings whose series nobody knew. */
  nameless = 0;

  constructor(private readonly random: Random) {}

  write(batch: Batch, names: SeriesNames, position: number): void {
    if (this.down) throw new Error('simulated: the store is down');
    if (this.random() < this.failing) throw new Error('simulated: refused before it was written');
    for (let row = 0; row < batch.n; row++) this.#upsert(batch, row, names);
    for (const event of batch.events) this.events.set(event.id, event);
    this.position = position;
    if (this.random() < this.failing) throw new Error('simulated: the answer was lost');
  }

  #upsert(batch: Batch, row: number, names: SeriesNames): void {
    const name = names.nameOf(batch.seriesId[row]);
    if (!name) {
      this.nameless++;
      return;
    }
    const key = `${name.device}/${name.metric}/${batch.timestampMs[row]}`;
    const flags = batch.flags[row];
    const before = this.readings.get(key);
    // As the real stores: a late reading never takes away a score.
    if (before && (flags & FLAG.LATE) !== 0) before.actual = batch.value[row];
    else this.readings.set(key, { actual: batch.value[row], yhat: batch.yhat[row], anomalyScore: batch.anomalyScore[row], flags });
  }
}

import { FLAG, type Batch } from './core/batch.js';
import type { AnomalyEvent } from './core/event.js';
import type { Fleet } from './core/fleet.js';
import type { LiveFeed, LiveMessage, LiveReading } from './core/service.js';

/** Anomaly and verdict messages that a browser which lost its connection can still be given without asking the store. */
const REMEMBERED = 1000;

interface Listener {
  send: (message: LiveMessage) => void;
  device?: string;
}

/**
 * What was just committed, for whoever watches. Ids are `sequence-index` of the journal: they grow, and are the same after a restart.
 * Nothing waits for a listener: one that is slow must drop what it cannot send.
 */
export class CommittedFeed implements LiveFeed {
  readonly #listeners = new Set<Listener>();
  readonly #recent: LiveMessage[] = [];
  /** Open events that were told: one whose kind or severity changes within the reading that opened it, or without a further one, is not opened again. */
  readonly #open = new Set<string>();

  subscribe(send: (message: LiveMessage) => void, device?: string): () => void {
    const listener: Listener = { send, device };
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  since(id: string): LiveMessage[] | undefined {
    const at = this.#recent.findIndex((message) => message.id === id);
    return at < 0 ? undefined : this.#recent.slice(at + 1);
  }

  /** Called once for each batch, after its commit, in order. */
  publish(batch: Batch, sequence: number, fleet: Fleet): void {
    let index = 0;
    for (const event of batch.events) {
      this.#tell({ type: 'anomaly', id: `${sequence}-${index++}`, change: this.#changeOf(event), event }, event.device);
    }
    for (const verdict of batch.verdicts) {
      this.#tell({ type: 'verdict', id: `${sequence}-${index++}`, verdict }, verdict.device);
    }
    this.#publishReadings(batch, sequence, fleet);
  }

  #changeOf(event: AnomalyEvent): 'opened' | 'updated' | 'resolved' {
    if (event.state === 'resolved') {
      this.#open.delete(event.id);
      return 'resolved';
    }
    const told = this.#open.has(event.id);
    this.#open.add(event.id);
    // What was open before the start is not known here, but has most often gone on since it opened.
    return !told && event.openedMs === event.updatedMs ? 'opened' : 'updated';
  }

  #tell(message: LiveMessage, device: string): void {
    this.#recent.push(message);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    for (const listener of this.#listeners) {
      if (listener.device === undefined || listener.device === device) listener.send(message);
    }
  }

  #publishReadings(batch: Batch, sequence: number, fleet: Fleet): void {
    const watched = new Map<string, LiveReading[]>();
    for (const { device } of this.#listeners) if (device !== undefined) watched.set(device, []);
    if (watched.size === 0) return;
    for (let row = 0; row < batch.n; row++) {
      const name = fleet.nameOf(batch.seriesId[row]);
      if (name) watched.get(name.device)?.push(readingOf(batch, row, name.metric));
    }
    for (const listener of this.#listeners) {
      const rows = listener.device === undefined ? undefined : watched.get(listener.device);
      if (rows && rows.length > 0) listener.send({ type: 'readings', id: `${sequence}`, device: listener.device!, rows });
    }
  }
}

function readingOf(batch: Batch, row: number, metric: string): LiveReading {
  return {
    metric,
    timestampMs: batch.timestampMs[row],
    actual: orNull(batch.value[row]),
    yhat: orNull(batch.yhat[row]),
    yhatLower: orNull(batch.yhatLower[row]),
    yhatUpper: orNull(batch.yhatUpper[row]),
    anomalyScore: (batch.flags[row] & FLAG.LATE) !== 0 ? null : orNull(batch.anomalyScore[row]),
    inEvent: (batch.flags[row] & FLAG.IN_EVENT) !== 0,
  };
}

function orNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

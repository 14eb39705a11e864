import { FLAG, type Batch } from '../core/batch.js';

/**
 * Splits the rows of a batch into rounds in which no series stands twice: its k-th reading of the batch is in round k.
 * Order within a round is that of the batch. Late rows are in no round.
 */
export class Rounds {
  /** [n] rows of the batch, round after round. */
  rows = new Uint32Array(0);
  /** Where each round begins in `rows`; one more entry than there are rounds. */
  readonly starts: number[] = [];
  /** [n] the round of each row. */
  #roundOf = new Uint32Array(0);
  /** By series slot: readings seen in this batch; all zeros between calls. */
  #seen = new Uint32Array(0);

  split(batch: Batch, slots: number): void {
    const { n, slot, flags } = batch;
    if (this.rows.length < n) {
      this.rows = new Uint32Array(batch.capacity);
      this.#roundOf = new Uint32Array(batch.capacity);
    }
    if (this.#seen.length < slots) this.#seen = new Uint32Array(Math.ceil(slots * 1.5));
    const sizes: number[] = [];
    for (let row = 0; row < n; row++) {
      if (flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
      const round = this.#seen[slot[row]]++;
      this.#roundOf[row] = round;
      sizes[round] = (sizes[round] ?? 0) + 1;
    }
    this.starts.length = 0;
    let start = 0;
    for (const size of sizes) {
      this.starts.push(start);
      start += size;
    }
    this.starts.push(start);
    const next = this.starts.slice();
    for (let row = 0; row < n; row++) {
      if (flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
      this.rows[next[this.#roundOf[row]]++] = row;
      this.#seen[slot[row]] = 0;
    }
  }
}

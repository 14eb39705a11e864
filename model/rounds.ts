import { FLAG, type Batch } from '../core/batch.js';

/** Series that are taken through all their readings before the next ones: what is kept of so many lies in a processor's cache. */
const GROUP = 128;

/**
 * Splits the rows of a batch into rounds in which no series stands twice. Series are taken in groups, in the order in which they first come; within a group a
 * series' k-th reading is in round k. Order within a round is that of the batch. Late rows are in no round.
 */
export class Rounds {
  /** [n] rows of the batch, round after round. */
  rows = new Uint32Array(0);
  /** Where each round begins in `rows`; one more entry than there are rounds. */
  readonly starts: number[] = [];
  /** [n] the group and the round in it of each row. */
  #groupOf = new Uint32Array(0);
  #roundOf = new Uint32Array(0);
  /** By series slot: readings seen in this batch, and its place among its series; all zeros between calls. */
  #seen = new Uint32Array(0);
  #place = new Uint32Array(0);
  /** [group][round] rows, and then where the next one goes. */
  readonly #sizes: number[][] = [];

  split(batch: Batch, slots: number): void {
    const { n, slot, flags } = batch;
    if (this.rows.length < n) {
      this.rows = new Uint32Array(batch.capacity);
      this.#groupOf = new Uint32Array(batch.capacity);
      this.#roundOf = new Uint32Array(batch.capacity);
    }
    if (this.#seen.length < slots) {
      this.#seen = new Uint32Array(Math.ceil(slots * 1.5));
      this.#place = new Uint32Array(Math.ceil(slots * 1.5));
    }
    const sizes = this.#sizes;
    sizes.length = 0;
    let series = 0;
    for (let row = 0; row < n; row++) {
      if (flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
      const round = this.#seen[slot[row]]++;
      if (round === 0) {
        if (series % GROUP === 0) sizes.push([]);
        this.#place[slot[row]] = series++;
      }
      const group = Math.floor(this.#place[slot[row]] / GROUP);
      this.#groupOf[row] = group;
      this.#roundOf[row] = round;
      const ofGroup = sizes[group];
      if (round === ofGroup.length) ofGroup.push(1);
      else ofGroup[round]++;
    }
    this.#begin(sizes);
    for (let row = 0; row < n; row++) {
      if (flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
      this.rows[sizes[this.#groupOf[row]][this.#roundOf[row]]++] = row;
      this.#seen[slot[row]] = 0;
    }
  }

  /** From how many rows there are in each round to where they go. */
  #begin(sizes: number[][]): void {
    this.starts.length = 0;
    let start = 0;
    for (const ofGroup of sizes) {
      for (let round = 0; round < ofGroup.length; round++) {
        this.starts.push(start);
        const size = ofGroup[round];
        ofGroup[round] = start;
        start += size;
      }
    }
    this.starts.push(start);
  }
}

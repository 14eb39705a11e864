import type { Layout } from './layout.js';

/** Runs of equal values up to this are nothing. */
const SHORT_RUN = 6;
const LOG_SHORT_RUN = Math.log(SHORT_RUN);

/** How long a series stands still, against its own record. */
export class Run {
  /** Equal readings in a row before the latest one. */
  length = 0;
  /** ln of the run over the record; 0 or less where it is none. */
  beyond = 0;
  /** How rare repeats are for this series: 0 where every tenth reading is one. */
  rarity = 0;
  readonly #length: number; // int: equal values in a row
  readonly #record: number; // ln(1 + longest run)
  readonly #repeats: number; // share of readings that equal the one before

  constructor(layout: Layout) {
    this.#length = layout.take(1);
    this.#record = layout.take(1);
    this.#repeats = layout.take(1);
  }

  /** @param equal whether the reading is what the last one was; @param t readings before it */
  step(s: Float32Array, ints: Int32Array, at: number, equal: boolean, t: number): void {
    const ran = ints[at + this.#length];
    const run = equal ? ran + 1 : 0;
    ints[at + this.#length] = this.length = run;
    this.beyond = 0;
    const repeats = at + this.#repeats;
    // A run that goes on counts no more, or a stuck sensor would teach that it repeats itself.
    if (run < SHORT_RUN) s[repeats] += (t < 1000 ? 1 / (t + 1) : 0.001) * ((equal ? 1 : 0) - s[repeats]);
    const record = s[at + this.#record] > LOG_SHORT_RUN ? s[at + this.#record] : LOG_SHORT_RUN;
    if (!equal) {
      // One long run does not become normal; several, each a little longer than was normal, do.
      const length = Math.log(1 + ran);
      if (length > record) s[at + this.#record] = length < record + 0.5 ? length : record + 0.5;
      return;
    }
    const beyond = Math.log(1 + run) - record;
    if (beyond <= 0) return;
    this.beyond = beyond;
    // A sensor that hardly ever repeats a value does not do so six times by chance.
    const share = 10 * s[repeats] + 0.01;
    this.rarity = share < 1 ? -Math.log(share) : 0;
  }
}

/** The records that were committed last, in memory, so that followers that keep up never read the disk. */
export class RecentRecords {
  readonly #records = new Map<number, Uint8Array>();
  #held = 0;

  /** @param mostBytes bound on what is kept; a record that is not committed yet is kept beyond it, since it stands nowhere else for readers */
  constructor(private readonly mostBytes: number) {}

  /** Takes a record; `committed` is the sequence up to which older ones may go. */
  keep(sequence: number, record: Uint8Array, committed: number): void {
    if (this.#records.has(sequence)) return;
    this.#records.set(sequence, record);
    this.#held += record.length;
    for (const [oldest, bytes] of this.#records) {
      if (this.#held <= this.mostBytes || oldest >= committed) break;
      this.#records.delete(oldest);
      this.#held -= bytes.length;
    }
  }

  get(sequence: number): Uint8Array | undefined {
    return this.#records.get(sequence);
  }

  /** The sequence of the oldest record that is not before this one. */
  from(sequence: number): number | undefined {
    for (const held of this.#records.keys()) if (held >= sequence) return held;
    return undefined;
  }
}

import type { Batch } from '../core/batch.js';

export type PositionsDocument = Record<string, Record<string, string>>;

/** Where each source stood in its own stream at the last batch: follows the journal, and is kept in the snapshots. */
export class SourcePositions {
  readonly #bySource = new Map<string, Map<string, string>>();

  apply(batch: Batch): void {
    for (const { source, partition, position } of batch.positions) this.#put(source, partition, position);
  }

  /** By partition; empty for a source that has none. A view. */
  of(source: string): ReadonlyMap<string, string> {
    return this.#bySource.get(source) ?? new Map<string, string>();
  }

  document(): PositionsDocument {
    return Object.fromEntries([...this.#bySource].map(([source, positions]) => [source, Object.fromEntries(positions)]));
  }

  restore(document: PositionsDocument): void {
    for (const [source, positions] of Object.entries(document)) {
      for (const [partition, position] of Object.entries(positions)) this.#put(source, partition, position);
    }
  }

  #put(source: string, partition: string, position: string): void {
    let positions = this.#bySource.get(source);
    if (!positions) this.#bySource.set(source, positions = new Map<string, string>());
    positions.set(partition, position);
  }
}

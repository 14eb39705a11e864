/** A part of a season's state: words of a series in the arena, from `at` on. */
export class SeasonPart {
  protected s: Float32Array = new Float32Array(0);
  /** The same memory. */
  protected ints: Int32Array = new Int32Array(0);
  protected at = 0;

  /** The words of the series that is meant. */
  select(floats: Float32Array, ints: Int32Array, at: number): void {
    this.at = at;
    // Most series lie in the page of the one before, and to keep an object costs more than to compare it.
    if (this.s === floats) return;
    this.s = floats;
    this.ints = ints;
  }
}

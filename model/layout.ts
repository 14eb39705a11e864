/** Places in a series' block of an arena, handed out once. */
export class Layout {
  words = 0;

  /** Where `words` words begin, from the start of the block. */
  take(words: number): number {
    const at = this.words;
    this.words += words;
    return at;
  }
}

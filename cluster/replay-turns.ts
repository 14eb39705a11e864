/** What takes its turn. */
export interface Replaying {
  /** Whether it can be given messages. */
  readonly ready: boolean;
  /** Messages that it has still to replay. */
  readonly toReplay: number;
  /** The offset that it wants next. */
  readonly next: number;
}

/** A turn is over after so many looks, done or not: a long replay goes on beside those that follow. */
const TURN_LOOKS = 4;

/**
 * Partitions that were taken over replay one after the other: a worker is one thread, so that all at once would mean that all of them come late, and that a worker that does not
 * live long finishes none.
 */
export class ReplayTurns<T extends Replaying> {
  readonly #waiting = new Set<T>();
  #current: T | undefined;
  #seenAt = -1;
  #looks = 0;

  /** `begin` lets one read. */
  constructor(private readonly begin: (one: T) => void) {}

  enter(one: T): void {
    this.#waiting.add(one);
    this.pass();
  }

  isWaiting(one: T): boolean {
    return this.#waiting.has(one);
  }

  /** After anything that may have ended a turn. */
  pass(): void {
    if (this.#current?.ready && this.#current.toReplay > 0) return;
    this.#current = undefined;
    for (const one of this.#waiting) {
      this.#waiting.delete(one);
      if (!one.ready) continue;
      this.#current = one;
      this.#seenAt = -1;
      this.#looks = 0;
      this.begin(one);
      return;
    }
  }

  /** Called regularly, some times a second. Who does not come on holds up nobody: what it waits for may be marks of transactions, which no reader is given. */
  look(): void {
    if (this.#current === undefined) return;
    if (++this.#looks >= TURN_LOOKS || this.#current.next === this.#seenAt) this.#current = undefined;
    else this.#seenAt = this.#current.next;
    this.pass();
  }
}

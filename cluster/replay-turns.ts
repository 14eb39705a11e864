/** What takes its turn. */
export interface Replaying {
  /** Whether it can be given messages. */
  readonly ready: boolean;
  /** Messages that it has still to replay. */
  readonly toReplay: number;
  /** The offset that it wants next. */
  readonly next: number;
}

/**
 * Partitions that were taken over replay one after the other, the shortest first: a worker is one thread, so that all at once would mean that all of them come late, and that a
 * worker that does not live long finishes none.
 */
export class ReplayTurns<T extends Replaying> {
  readonly #waiting = new Set<T>();
  #current: T | undefined;
  #seenAt = -1;

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
    for (const one of this.#waiting) if (!one.ready) this.#waiting.delete(one);
    const [first] = [...this.#waiting].sort((a, b) => a.toReplay - b.toReplay);
    if (first === undefined) return;
    this.#waiting.delete(first);
    this.#current = first;
    this.#seenAt = -1;
    this.begin(first);
  }

  /** Called regularly: who did not come on since the last call holds up nobody. What it waits for may be marks of transactions, which no reader is given. */
  look(): void {
    if (this.#current?.next === this.#seenAt) this.#current = undefined;
    else this.#seenAt = this.#current?.next ?? -1;
    this.pass();
  }
}

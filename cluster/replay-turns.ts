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
/** Short ones go together, up to so many messages: each by itself would wait for a fetch of its own. */
const TOGETHER_MESSAGES = 20_000;

/**
 * Partitions that were taken over replay one after the other: a worker is one thread, so that all at once would mean that all of them come late, and that a worker that does not
 * live long finishes none.
 */
export class ReplayTurns<T extends Replaying> {
  readonly #waiting = new Set<T>();
  readonly #running = new Map<T, { seenAt: number; looks: number }>();

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
    let messages = 0;
    for (const one of this.#running.keys()) {
      if (one.ready && one.toReplay > 0) messages += one.toReplay;
      else this.#running.delete(one);
    }
    for (const one of this.#waiting) {
      if (one.ready && this.#running.size > 0 && messages + one.toReplay > TOGETHER_MESSAGES) return;
      this.#waiting.delete(one);
      if (!one.ready) continue;
      messages += one.toReplay;
      this.#running.set(one, { seenAt: -1, looks: 0 });
      this.begin(one);
    }
  }

  /** Called regularly, some times a second. Who does not come on holds up nobody: what it waits for may be marks of transactions, which no reader is given. */
  look(): void {
    for (const [one, turn] of this.#running) {
      if (++turn.looks >= TURN_LOOKS || one.next === turn.seenAt) this.#running.delete(one);
      turn.seenAt = one.next;
    }
    this.pass();
  }
}

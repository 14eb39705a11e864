import type { Clock } from '../../core/clock.js';
import type { Sleep } from '../../store/sleep.js';

interface Event {
  atMs: number;
  order: number;
  run: () => void;
}

/** Time that passes only when nothing is left to do: everything that waits is an event in one queue, so a seed gives one course of events. */
export class VirtualTime implements Clock {
  #nowMs: number;
  #order = 0;
  /** By time, the last one first. */
  readonly #events: Event[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  readonly schedule = (delayMs: number, run: () => void): void => {
    const event = { atMs: this.#nowMs + delayMs, order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle].atMs > event.atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  };

  readonly sleep: Sleep = (ms, signal) => {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      signal?.addEventListener('abort', wake, { once: true });
      this.schedule(ms, wake);
    });
  };

  /** Lets events happen until `done`, or until so much time has passed. Returns whether it is done. */
  async run(done: () => boolean, mostMs = Infinity): Promise<boolean> {
    const endMs = this.#nowMs + mostMs;
    for (;;) {
      await settled();
      if (done()) return true;
      const next = this.#events.at(-1);
      if (!next) return done();
      if (next.atMs > endMs) {
        this.#nowMs = endMs;
        return false;
      }
      this.#events.pop();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
  }

  /** The result of work that needs time to pass. */
  async result<T>(work: Promise<T>, mostMs = 600_000): Promise<T> {
    let over = false;
    const outcome = work.then((value) => ({ value }), (error: unknown) => ({ error })).finally(() => { over = true; });
    if (!await this.run(() => over, mostMs)) throw new Error(`not done after ${mostMs} ms of virtual time`);
    const settledOutcome = await outcome;
    if ('error' in settledOutcome) throw settledOutcome.error;
    return settledOutcome.value;
  }
}

/** Promise chains have run to where they wait for an event; a stage that yields with setImmediate has had two turns. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

import type { Batch } from '../core/batch.js';
import type { Clock } from '../core/clock.js';
import { systemClock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { Random } from '../core/random.js';
import { systemRandom } from '../core/random.js';
import type { ChangesDocument, Telling } from './changes.js';
import { Changes } from './changes.js';
import type { Notification } from './notification.js';
import type { AlertSink } from './sink.js';
import { SinkRefusal } from './sink.js';

/** A place for one JSON document, which is replaced whole and durable when `write` resolves. */
export interface Memory<T> {
  read(): Promise<T | undefined>;
  write(document: T): Promise<void>;
}

/** What was decided: written whenever there is something to tell. */
export interface AlertsDocument {
  version: 1;
  position: number;
  changes: ChangesDocument;
  /** The number of the first of `outbox`; they count up from the first notification ever. */
  firstNumber: number;
  outbox: Notification[];
}

/** What was done: the number of the last notification that the sink has taken. Small, since it is written after each. */
export interface SentDocument {
  sent: number;
}

export interface AlertsOptions {
  sink: AlertSink;
  telling: Telling;
  memory: Memory<AlertsDocument>;
  sentMemory: Memory<SentDocument>;
  /** More than this a minute are held back until the next; 0: no limit. */
  maxPerMinute?: number;
  /** So many notifications may wait for a sink that is down; past that the journal holds the rest. */
  maxPending?: number;
  log?: (message: string) => void;
  clock?: Clock;
  random?: Random;
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface AlertsStatus {
  name: string;
  pending: number;
  sent: number;
  /** Notifications that the sink's peer refused for good. */
  refused: number;
  lastError: string | null;
}

const FIRST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 300_000;
/** A refusal is asked again, since peers refuse for passing reasons too. */
const REFUSALS = 5;
const IDLE_SAVE_MS = 1_000;
const CLOSE_MS = 2_000;

/**
 * Carries changes of events and verdicts from the journal to one sink, in order, each at least once. `apply` decides what to tell and makes that durable together
 * with the position, so the journal need not wait for a sink that is down; a loop of its own then sends, and notes each one that was taken.
 * A kill repeats at most the one that was under way, with the same key.
 */
export class Alerts {
  readonly name: string;
  readonly #options: AlertsOptions;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  #changes: Changes;
  /** Numbered `#firstNumber` and up; the first is the one under way. */
  #outbox: Notification[] = [];
  #firstNumber = 1;
  #position = -1;
  #savedMs = -Infinity;
  #savedPosition = -1;
  #sent = 0;
  #refused = 0;
  #lastError: string | null = null;
  #wake: () => void = () => undefined;
  #running: Promise<void> | undefined;

  constructor(options: AlertsOptions) {
    this.#options = options;
    this.name = options.sink.name;
    this.#clock = options.clock ?? systemClock;
    this.#changes = new Changes(options.telling);
  }

  /** Reads what was decided and done, and begins to send what is left. Called once, by the follower, before any `apply`. */
  async position(): Promise<number> {
    if (this.#running) return this.#position;
    const document = await this.#options.memory.read();
    const sent = (await this.#options.sentMemory.read())?.sent ?? 0;
    if (document) {
      this.#changes = new Changes(this.#options.telling, document.changes);
      this.#position = this.#savedPosition = document.position;
      const done = Math.max(0, Math.min(document.outbox.length, sent - document.firstNumber + 1));
      this.#outbox = document.outbox.slice(done);
      this.#firstNumber = document.firstNumber + done;
    }
    this.#running = this.#run();
    return this.#position;
  }

  /** Rejects where too much waits already, or the memory cannot be written: the same batch then comes again and gives the same notifications. */
  async apply(batch: Batch, position: number): Promise<void> {
    if (batch.events.length === 0 && batch.verdicts.length === 0) {
      this.#position = position;
      if (this.#clock.nowMs() - this.#savedMs >= IDLE_SAVE_MS) await this.#save(this.#changes, this.#outbox);
      return;
    }
    const { next, notifications } = this.#changes.with(batch);
    const maxPending = this.#options.maxPending ?? 10_000;
    if (notifications.length > 0 && this.#outbox.length >= maxPending) throw new Error(`${this.#outbox.length} notifications wait for ${this.name}: ${this.#lastError ?? 'it is slow'}`);
    const before = this.#position;
    this.#position = position;
    if (notifications.length > 0) {
      try {
        await this.#save(next, [...this.#outbox, ...notifications]);
      } catch (error) {
        this.#position = before;
        throw error;
      }
      this.#outbox.push(...notifications);
      this.#wake();
    }
    this.#changes = next;
  }

  status(): AlertsStatus {
    return { name: this.name, pending: this.#outbox.length, sent: this.#sent, refused: this.#refused, lastError: this.#lastError };
  }

  /** Resolves once nothing waits. */
  async drained(): Promise<void> {
    while (this.#outbox.length > 0 && !this.#stop.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** What waits is kept and sent at the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    // A sink that hangs is not waited for: what it has under way is sent again at the next start.
    await Promise.race([this.#running, sleepFor(CLOSE_MS, new AbortController().signal)]);
    if (this.#position !== this.#savedPosition) await this.#save(this.#changes, this.#outbox);
    await this.#options.sink.close();
  }

  async #save(changes: Changes, outbox: Notification[]): Promise<void> {
    const position = this.#position;
    await this.#options.memory.write({ version: 1, position, changes: changes.document(), firstNumber: this.#firstNumber, outbox });
    this.#savedPosition = position;
    this.#savedMs = this.#clock.nowMs();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const budget = new MinuteBudget(this.#options.maxPerMinute ?? 0, this.#clock);
    while (!signal.aborted) {
      const notification = this.#outbox[0];
      if (!notification) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      await this.#sleep(budget.waitMs());
      if (signal.aborted || !this.#isLatest(notification)) {
        if (!signal.aborted) await this.#done();
        continue;
      }
      if (await this.#deliver(notification)) await this.#done();
    }
  }

  /** An update that another update or the end of the same event stands behind tells nothing any more. */
  #isLatest(notification: Notification): boolean {
    if (notification.change !== 'updated') return true;
    const id = idOf(notification);
    return !this.#outbox.some((other) => other !== notification && other.change !== 'opened' && idOf(other) === id);
  }

  /** True once the sink has taken it, or refused it for good. */
  async #deliver(notification: Notification): Promise<boolean> {
    let refusals = 0;
    for (let attempt = 0; !this.#stop.signal.aborted; attempt++) {
      try {
        await this.#options.sink.deliver(notification);
        this.#sent++;
        this.#lastError = null;
        return true;
      } catch (error) {
        this.#lastError = messageOf(error);
        this.#options.log?.(`${this.name}: ${notification.key} was not taken: ${this.#lastError}`);
        if (error instanceof SinkRefusal && ++refusals >= REFUSALS) {
          this.#refused++;
          return true;
        }
        const most = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 20));
        await this.#sleep(most * (0.5 + 0.5 * (this.#options.random ?? systemRandom)()));
      }
    }
    return false;
  }

  /** Notes the first of the outbox as done; what cannot be noted is sent again after a kill, with its key. */
  async #done(): Promise<void> {
    this.#outbox.shift();
    this.#firstNumber++;
    try {
      await this.#options.sentMemory.write({ sent: this.#firstNumber - 1 });
    } catch (error) {
      this.#lastError = messageOf(error);
    }
  }

  async #sleep(ms: number): Promise<void> {
    if (ms > 0 && !this.#stop.signal.aborted) await (this.#options.sleep ?? sleepFor)(ms, this.#stop.signal);
  }
}

/** At most so many in any minute: waits for the oldest of the last so many to be a minute old. */
class MinuteBudget {
  readonly #atMs: number[] = [];

  constructor(readonly perMinute: number, readonly clock: Clock) {}

  /** How long to wait before the next; it is taken as sent then. */
  waitMs(): number {
    if (this.perMinute === 0) return 0;
    const nowMs = this.clock.nowMs();
    const oldestMs = this.#atMs.length < this.perMinute ? -Infinity : this.#atMs.shift()!;
    const waitMs = Math.max(0, oldestMs + 60_000 - nowMs);
    this.#atMs.push(nowMs + waitMs);
    return waitMs;
  }
}

function idOf({ subject }: Notification): string {
  return subject.type === 'anomaly' ? subject.event.id : subject.verdict.id;
}

function sleepFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

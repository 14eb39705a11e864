import type { Limits } from '../core/limits.js';
import type { ReadingSink } from '../core/source.js';
import type { Decoder } from './decode/index.js';
import type { Intake } from './intake.js';
import { StagedPayload } from './staged.js';

/** What may be between arrival and durability in one source. */
export interface InletLimits {
  items: number;
  bytes: number;
}

export const DEFAULT_INLET_LIMITS: InletLimits = { items: 20_000, bytes: 64 * 1024 * 1024 };

/** The stages behind a source, shared by all sources of a pipeline. */
export interface IngestStages {
  decoder: Decoder;
  intake: Intake;
  limits: Limits;
}

interface Item<T> {
  topic: string;
  /** undefined once it is drained: only the token is still needed. */
  payload: Uint8Array | undefined;
  bytes: number;
  receivedMs: number;
  retained: boolean;
  token: T;
}

/**
 * The queue that every source has: payloads from their arrival until they are durable, in order. A place in it is a ticket: [settled, drained) is
 * with the pipeline, [drained, received) waits. It never refuses: whoever pushes asks `overfull` and slows its peer.
 */
export class Inlet<T> {
  /** Payloads since the start. */
  received = 0;
  #drained = 0;
  #settled = 0;
  #bytes = 0;
  /** A ring: the item with ticket t is at t & mask. */
  #ring: (Item<T> | undefined)[] = new Array<Item<T> | undefined>(1024).fill(undefined);
  /** The payload at `#drained`, where it is only partly with the pipeline. */
  #staged: StagedPayload | undefined;

  readonly #source: string;
  readonly #stages: IngestStages;
  readonly #limits: InletLimits;
  /** Told after each part of a payload was taken, while the intake still has it in hand. */
  readonly #taken: ((token: T, intake: Intake) => void) | undefined;

  constructor(source: string, stages: IngestStages, limits: InletLimits, taken?: (token: T, intake: Intake) => void) {
    this.#source = source;
    this.#stages = stages;
    this.#limits = limits;
    this.#taken = taken;
  }

  get waiting(): number {
    return this.received - this.#drained;
  }

  /** The ticket up to which everything is durable. */
  get settled(): number {
    return this.#settled;
  }

  get unsettled(): number {
    return this.received - this.#settled;
  }

  get overfull(): boolean {
    return this.unsettled >= this.#limits.items || this.#bytes >= this.#limits.bytes;
  }

  push(topic: string, payload: Uint8Array, receivedMs: number, token: T, retained = false): void {
    if (this.unsettled === this.#ring.length) this.#grow();
    const bytes = payload.length + topic.length + 64;
    this.#bytes += bytes;
    this.#ring[this.received & (this.#ring.length - 1)] = { topic, payload, bytes, receivedMs, retained, token };
    this.received++;
  }

  /** As core/source.ts. */
  drain(sink: ReadingSink): number {
    while (this.#drained < this.received && !sink.full) {
      const item = this.#ring[this.#drained & (this.#ring.length - 1)]!;
      if (!this.#take(item, sink)) break;
      item.payload = undefined;
      this.#drained++;
    }
    return this.#drained;
  }

  /** Hands out the tokens up to this ticket, in order. */
  settle(ticket: number, each: (token: T) => void): void {
    const mask = this.#ring.length - 1;
    const to = Math.min(ticket, this.#drained);
    while (this.#settled < to) {
      const at = this.#settled & mask;
      const item = this.#ring[at]!;
      this.#ring[at] = undefined;
      this.#bytes -= item.bytes;
      this.#settled++;
      each(item.token);
    }
  }

  /** Takes back what no batch holds yet, e.g. to refuse it at a shutdown. */
  discardWaiting(each: (token: T) => void): void {
    const mask = this.#ring.length - 1;
    while (this.received > this.#drained) {
      this.received--;
      const item = this.#ring[this.received & mask]!;
      this.#ring[this.received & mask] = undefined;
      this.#bytes -= item.bytes;
      each(item.token);
    }
    this.#staged = undefined;
  }

  /** Returns false where the sink was full before the payload's end. */
  #take(item: Item<T>, sink: ReadingSink): boolean {
    const { intake, decoder, limits } = this.#stages;
    const payload = item.payload!;
    intake.open(this.#source, item.topic, payload);
    let done = true;
    // A reading takes at least two bytes, and a sink that is not full has room for a device's metrics.
    if (this.#staged === undefined && payload.length <= 2 * limits.metricsPerDevice) {
      decoder.decode(item.topic, payload, item.receivedMs, sink, item.retained);
    } else {
      if (this.#staged === undefined) {
        this.#staged = new StagedPayload();
        decoder.decode(item.topic, payload, item.receivedMs, this.#staged, item.retained);
      }
      done = this.#staged.pour(sink);
      if (done) this.#staged = undefined;
    }
    this.#taken?.(item.token, intake);
    intake.close();
    return done;
  }

  #grow(): void {
    const old = this.#ring;
    const ring = new Array<Item<T> | undefined>(old.length * 2).fill(undefined);
    for (let t = this.#settled; t < this.received; t++) ring[t & (ring.length - 1)] = old[t & (old.length - 1)];
    this.#ring = ring;
  }
}

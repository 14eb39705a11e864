import type { Limits } from '../core/limits.js';
import type { ReadingSink } from '../core/source.js';
import type { Named } from './decode/message.js';
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
  /** Rings in columns: what has ticket t is at t & mask. A payload is let go once it is drained; only its token is still needed. */
  #capacity = 1024;
  #topics = ring<string | undefined>(this.#capacity);
  #payloads = ring<Uint8Array | undefined>(this.#capacity);
  #tokens = ring<T | undefined>(this.#capacity);
  #sizes: Uint32Array = new Uint32Array(this.#capacity);
  /** Epoch ms; below 0 for a retained message. */
  #times: Float64Array = new Float64Array(this.#capacity);
  /** The payload at `#drained`, where it is only partly with the pipeline. */
  #staged: StagedPayload | undefined;

  readonly #source: string;
  readonly #stages: IngestStages;
  readonly #limits: InletLimits;
  /** Told after each part of a payload was taken, while the intake still has it in hand. */
  readonly #taken: ((token: T, intake: Intake) => void) | undefined;
  /** What the token says of device and tags, for sources that know them beside the topic. */
  readonly #named: ((token: T) => Named | undefined) | undefined;

  constructor(source: string, stages: IngestStages, limits: InletLimits, taken?: (token: T, intake: Intake) => void, named?: (token: T) => Named | undefined) {
    this.#source = source;
    this.#stages = stages;
    this.#limits = limits;
    this.#taken = taken;
    this.#named = named;
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
    if (this.unsettled === this.#capacity) this.#grow();
    const at = this.received & (this.#capacity - 1);
    const bytes = payload.length + topic.length + 64;
    this.#bytes += bytes;
    this.#topics[at] = topic;
    this.#payloads[at] = payload;
    this.#tokens[at] = token;
    this.#sizes[at] = bytes;
    this.#times[at] = retained ? -receivedMs : receivedMs;
    this.received++;
  }

  /** As core/source.ts. */
  drain(sink: ReadingSink): number {
    while (this.#drained < this.received && !sink.full) {
      const at = this.#drained & (this.#capacity - 1);
      if (!this.#take(at, sink)) break;
      this.#payloads[at] = undefined;
      this.#topics[at] = undefined;
      this.#drained++;
    }
    return this.#drained;
  }

  /** Hands out the tokens up to this ticket, in order. */
  settle(ticket: number, each: (token: T) => void): void {
    const to = Math.min(ticket, this.#drained);
    while (this.#settled < to) {
      const token = this.#release(this.#settled);
      this.#settled++;
      each(token);
    }
  }

  /** Takes back what no batch holds yet, e.g. to refuse it at a shutdown. */
  discardWaiting(each: (token: T) => void): void {
    while (this.received > this.#drained) {
      this.received--;
      each(this.#release(this.received));
    }
    this.#staged = undefined;
  }

  /** Returns false where the sink was full before the payload's end. */
  #take(at: number, sink: ReadingSink): boolean {
    const { intake, decoder, limits } = this.#stages;
    const payload = this.#payloads[at]!;
    const topic = this.#topics[at]!;
    const time = this.#times[at];
    const named = this.#named?.(this.#tokens[at]!);
    intake.open(this.#source, topic, payload);
    let done = true;
    // A reading takes at least two bytes, and a sink that is not full has room for a device's metrics.
    if (this.#staged === undefined && payload.length <= 2 * limits.metricsPerDevice) {
      decoder.decode(topic, payload, Math.abs(time), sink, time < 0, named);
    } else {
      if (this.#staged === undefined) {
        this.#staged = new StagedPayload();
        decoder.decode(topic, payload, Math.abs(time), this.#staged, time < 0, named);
      }
      done = this.#staged.pour(sink);
      if (done) this.#staged = undefined;
    }
    this.#taken?.(this.#tokens[at]!, intake);
    intake.close();
    return done;
  }

  #release(ticket: number): T {
    const at = ticket & (this.#capacity - 1);
    const token = this.#tokens[at]!;
    this.#tokens[at] = undefined;
    this.#payloads[at] = undefined;
    this.#topics[at] = undefined;
    this.#bytes -= this.#sizes[at];
    return token;
  }

  #grow(): void {
    const old = { capacity: this.#capacity, topics: this.#topics, payloads: this.#payloads, tokens: this.#tokens, sizes: this.#sizes, times: this.#times };
    this.#capacity *= 2;
    this.#topics = ring(this.#capacity);
    this.#payloads = ring(this.#capacity);
    this.#tokens = ring(this.#capacity);
    this.#sizes = new Uint32Array(this.#capacity);
    this.#times = new Float64Array(this.#capacity);
    for (let ticket = this.#settled; ticket < this.received; ticket++) {
      const from = ticket & (old.capacity - 1);
      const to = ticket & (this.#capacity - 1);
      this.#topics[to] = old.topics[from];
      this.#payloads[to] = old.payloads[from];
      this.#tokens[to] = old.tokens[from];
      this.#sizes[to] = old.sizes[from];
      this.#times[to] = old.times[from];
    }
  }
}

function ring<V>(capacity: number): V[] {
  return new Array<V>(capacity).fill(undefined as V);
}

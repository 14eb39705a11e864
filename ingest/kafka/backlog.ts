import type { ReadingSink } from '../../core/source.js';
import type { InletLimits } from '../inlet.js';
import type { RecordBlock } from './records.js';
import type { Partition } from './progress.js';

/** Records [from, to) of a block, whose tickets follow each other. */
export interface Stretch {
  partition: Partition;
  block: RecordBlock;
  from: number;
  to: number;
  firstTicket: number;
  bytes: number;
  /** When it came in. Epoch ms. */
  receivedMs: number;
}

/** Takes record `i` of a stretch; false where the sink was full before its end. */
export type TakeRecord = (stretch: Stretch, i: number, sink: ReadingSink) => boolean;

/**
 * Records from their arrival until they are durable, as `Inlet` does it for payloads, but in the blocks that they came in: nothing is made for a record. A ticket is a
 * place in it: [settled, drained) is with the pipeline, [drained, received) waits.
 */
export class Backlog {
  received = 0;
  #drained = 0;
  #settled = 0;
  #bytes = 0;
  /** From the first that is not drained, in order of their tickets. */
  readonly #waiting: Stretch[] = [];
  /** The ends of those whose bytes count, from the first that is not settled. */
  readonly #unsettled: { endTicket: number; bytes: number }[] = [];

  constructor(private readonly limits: InletLimits) {}

  get waiting(): number {
    return this.received - this.#drained;
  }

  /** How many more records may come; 0: none. */
  get room(): number {
    return this.#bytes >= this.limits.bytes ? 0 : Math.max(0, this.limits.items - (this.received - this.#settled));
  }

  push(partition: Partition, block: RecordBlock, from: number, to: number, receivedMs: number): void {
    const bytes = Math.ceil((block.bytes.length / block.n) * (to - from));
    this.#waiting.push({ partition, block, from, to, firstTicket: this.received, bytes, receivedMs });
    this.#bytes += bytes;
    this.received += to - from;
    this.#unsettled.push({ endTicket: this.received, bytes });
  }

  /** As core/source.ts. */
  drain(sink: ReadingSink, take: TakeRecord): number {
    while (this.#waiting.length > 0) {
      const stretch = this.#waiting[0];
      let i = stretch.from + (this.#drained - stretch.firstTicket);
      while (i < stretch.to) {
        if (sink.full || !take(stretch, i, sink)) return this.#drained;
        i++;
        this.#drained++;
      }
      this.#waiting.shift();
    }
    return this.#drained;
  }

  settle(ticket: number): void {
    this.#settled = Math.max(this.#settled, Math.min(ticket, this.#drained));
    while (this.#unsettled.length > 0 && this.#unsettled[0].endTicket <= this.#settled) this.#bytes -= this.#unsettled.shift()!.bytes;
  }
}

import type { Reason, ReasonCounters } from '../core/reasons.js';

/** A payload that was refused, whole or in part. `payload` is lent: copy what is kept. */
export type DeadLetterSink = (source: string, origin: string, reason: Reason, detail: string, payload: Uint8Array) => void;

/** How much of one reason there was in a payload, with the words of the first case. */
export interface Tally {
  count: number;
  detail: string;
}

/**
 * What becomes of the payload in hand. Decoders and the sequencer report to it; it counts by reason, and turns a payload of which something was
 * refused into one dead letter. One for a pipeline: payloads are taken one after the other.
 */
export class Intake {
  /** Readings of the payload in hand that gruard holds now: taken, or there already. */
  accepted = 0;
  /** Readings (or whole messages, where it could not be read) of the payload in hand that were refused. */
  refused = 0;
  /** By reason, for the payload in hand. */
  readonly tally = new Map<Reason, Tally>();

  readonly #counters: ReasonCounters;
  readonly #deadLetter: DeadLetterSink;
  #source = '';
  #origin = '';
  /** The payload in hand is [start, end) of these. */
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** The first refusal of the payload in hand. */
  #reason: Reason | undefined;
  #detail = '';

  constructor(counters: ReasonCounters, deadLetter: DeadLetterSink) {
    this.#counters = counters;
    this.#deadLetter = deadLetter;
  }

  /** Takes a payload in hand, the bytes [start, end); `origin` is where in the source it came from (a topic, an HTTP route). */
  open(source: string, origin: string, bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#source = source;
    this.#origin = origin;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#reason = undefined;
    this.accepted = 0;
    this.refused = 0;
    if (this.tally.size > 0) this.tally.clear();
  }

  /** Something is not taken, and becomes part of a dead letter. */
  refuse(reason: Reason, detail: string): void {
    this.refused++;
    this.#count(reason, detail);
    if (this.#reason === undefined) {
      this.#reason = reason;
      this.#detail = detail;
    }
  }

  /** Something worth counting, but nothing that anyone would want to see again (a duplicate, a text among numbers). */
  note(reason: Reason, detail: string): void {
    this.#count(reason, detail);
  }

  /** Lays the payload down; writes the dead letter where one is due. */
  close(): void {
    if (this.#reason !== undefined) this.#deadLetter(this.#source, this.#origin, this.#reason, this.#detail, this.#bytes.subarray(this.#start, this.#end));
    this.#reason = undefined;
  }

  #count(reason: Reason, detail: string): void {
    this.#counters.count(reason);
    const entry = this.tally.get(reason);
    if (entry) entry.count++;
    else this.tally.set(reason, { count: 1, detail });
  }
}

import type { Clock } from '../core/clock.js';
import { GruardError } from '../core/errors.js';
import type { Reason } from '../core/reasons.js';
import type { SubmitResult } from '../core/service.js';
import type { ReadingSink, Source, SourceStatus } from '../core/source.js';
import { DEFAULT_INLET_LIMITS, Inlet, type IngestStages, type InletLimits } from './inlet.js';
import type { Intake, Tally } from './intake.js';

interface Submission {
  accepted: number;
  refused: number;
  reasons: Map<Reason, Tally>;
  resolve: (result: SubmitResult) => void;
  reject: (error: GruardError) => void;
}

/** Readings that come with an HTTP request (or any other call): the answer waits until they are durable. */
export class HttpSource implements Source {
  readonly name = 'http';
  readonly #clock: Clock;
  readonly #payloadBytes: number;
  readonly #inlet: Inlet<Submission>;
  #wake: () => void = () => undefined;
  #state: SourceStatus['state'] = 'connecting';

  constructor(stages: IngestStages, clock: Clock, limits: InletLimits = DEFAULT_INLET_LIMITS) {
    this.#clock = clock;
    this.#payloadBytes = stages.limits.payloadBytes;
    this.#inlet = new Inlet(this.name, stages, limits, addUp);
  }

  /**
   * Takes readings in JSON or line protocol (told apart by the first byte). Resolves once they are durable, with what was taken and what was not. Throws
   * BUSY where too much is not durable yet, SHUTTING_DOWN, PAYLOAD_TOO_LARGE; then nothing was taken. The payload must not be changed afterwards.
   */
  submit(payload: Uint8Array): Promise<SubmitResult> {
    if (this.#state !== 'connected') return Promise.reject(new GruardError('SHUTTING_DOWN', 'gruard is not taking readings now'));
    if (payload.length > this.#payloadBytes) return Promise.reject(new GruardError('PAYLOAD_TOO_LARGE', `${payload.length} bytes; the limit is ${this.#payloadBytes}`));
    if (this.#inlet.overfull) return Promise.reject(new GruardError('BUSY', `${this.#inlet.unsettled} requests are not durable yet`));
    return new Promise((resolve, reject) => {
      this.#inlet.push('', payload, this.#clock.nowMs(), { accepted: 0, refused: 0, reasons: new Map(), resolve, reject });
      this.#wake();
    });
  }

  open(wake: () => void): Promise<void> {
    this.#wake = wake;
    this.#state = 'connected';
    return Promise.resolve();
  }

  drain(sink: ReadingSink): number {
    return this.#inlet.drain(sink);
  }

  settle(ticket: number): void {
    this.#inlet.settle(ticket, ({ accepted, refused, reasons, resolve }) => {
      resolve({ accepted, refused, reasons: [...reasons].map(([reason, tally]) => ({ reason, ...tally })) });
    });
  }

  get waiting(): number {
    return this.#inlet.waiting;
  }

  status(): SourceStatus {
    return { state: this.#state, address: 'POST /v1/readings', detail: null, received: this.#inlet.received };
  }

  /** What waits may still be drained and settled. */
  pause(): Promise<void> {
    this.#state = 'stopped';
    return Promise.resolve();
  }

  /** What is not drained by now is refused: the caller sends it again. */
  async close(): Promise<void> {
    await this.pause();
    this.#inlet.discardWaiting(({ reject }) => reject(new GruardError('SHUTTING_DOWN', 'gruard stopped before these readings were taken')));
  }
}

/** A payload may be taken in parts; its result is their sum. */
function addUp(submission: Submission, intake: Intake): void {
  submission.accepted += intake.accepted;
  submission.refused += intake.refused;
  for (const [reason, tally] of intake.tally) {
    const entry = submission.reasons.get(reason);
    if (entry) entry.count += tally.count;
    else submission.reasons.set(reason, { ...tally });
  }
}

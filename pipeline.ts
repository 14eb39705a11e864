import type { Batch, Control, Declaration, FeedbackVerdict } from './core/batch.js';
import { Batch as BatchColumns } from './core/batch.js';
import type { Clock } from './core/clock.js';
import type { Detector, Replaying } from './core/detector.js';
import { GruardError } from './core/errors.js';
import type { AnomalyEvent } from './core/event.js';
import type { Device, Fleet } from './core/fleet.js';
import type { Source } from './core/source.js';
import type { Sequencer } from './ingest/sequence.js';

/** Where the pipeline's batches become durable. Resolves with the journal sequence; stays pending while the disk cannot take it. */
export interface Recorder {
  append(batch: Batch): Promise<number>;
}

export interface PipelineOptions {
  fleet: Fleet;
  sequencer: Sequencer;
  detector: Detector;
  journal: Recorder;
  clock: Clock;
  commitDelayMs: number;
  /** Whether the clock is looked at every second for devices that have fallen silent; a backtest knows no clock. Default true. */
  ticks?: boolean;
  /** Told of every batch in the turn in which it was stepped and given its sequence: whoever keeps state beside the detector's follows here. */
  onStepped: (batch: Batch) => void;
  /** Told of every batch, in order, once it is durable and before its sources are told. */
  onCommitted: (batch: Batch, sequence: number) => void;
  /** Told of a device that is about to be forgotten, while its slots are still its own. */
  onRetire: (device: Device) => void;
}

/** Rows of readings a batch takes; as many again are kept free for the rows of devices as a whole. */
export const BATCH_READINGS = 8192;
/** Batches between drain and commit: one is filled while another is written. */
const BATCHES = 3;
const TICK_MS = 1000;
/**
 * How much longer a batch waits for company, by the rows of the one before it. A commit costs the processor as much as some hundred readings do, mostly in the
 * kernel; at 10,000 readings a second the factor is 3, at 26,000 it is 6.
 */
const PATIENCE = [{ rows: 256, factor: 6 }, { rows: 32, factor: 3 }, { rows: 0, factor: 1 }];

type Command = { control: Control } | { retire: string };

/** What a command brought about, once that is durable. */
export interface Outcome {
  events: AnomalyEvent[];
  sequence: number | undefined;
}

interface Waiting {
  command: Command;
  resolve: (outcome: Outcome) => void;
  reject: (error: unknown) => void;
}

/**
 * The flow, in one direction:
 *
 *     source.drain -> decode -> sequence -> detector.step (predict, judge) -> journal.append => source.settle
 *                                                                               |
 *                                                          onCommitted: live feed; followers read the journal
 *
 * One batch at a time is stepped, in order, so the detector is a function of the journal; up to BATCHES are on their way to the disk.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #sources: Source[] = [];
  readonly #commands: Waiting[] = [];
  readonly #free: Batch[] = [];
  #freed: (() => void) | undefined;
  #woken: (() => void) | undefined;
  #work = false;
  #stopping = false;
  #firstSource = 0;
  #lastRows = 0;
  /** More waited than the last batch could take. */
  #behind = false;
  /** Commits in order: what is settled when the newest batch is durable. */
  #tail: Promise<void> = Promise.resolve();
  #loop: Promise<void> | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #failure: unknown;
  #fail: (error: unknown) => void = () => undefined;
  /** Rejects when the flow has stopped for good: a defect. */
  readonly failed: Promise<never>;
  readings = 0;
  batches = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.failed = new Promise((_, reject) => { this.#fail = reject; });
    this.failed.catch(() => undefined);
    for (let i = 0; i < BATCHES; i++) this.#free.push(new BatchColumns(BATCH_READINGS * 2));
  }

  /** "Now" for everything that the detector decides. Epoch ms. */
  get nowMs(): number {
    return this.#options.sequencer.nowMs();
  }

  /** Why the flow has stopped for good (a defect), if it has. */
  get failure(): unknown {
    return this.#failure;
  }

  addSource(source: Source): void {
    this.#sources.push(source);
  }

  /** Rows and controls of the journal that the state has not seen; the declarations were carried out (`declare`), and the results are in the journal already. */
  replay(batch: Batch, replaying?: Replaying): void {
    this.#options.sequencer.observe(batch);
    this.#options.detector.step(batch, replaying);
  }

  /** Carries out declarations: new devices and series, and what is to be forgotten. */
  declare(declarations: readonly Declaration[]): void {
    for (const declaration of declarations) {
      if (declaration.kind === 'retire') this.#forget(this.#options.fleet.getById(declaration.deviceId));
      this.#options.fleet.apply(declaration);
    }
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      this.#failure = error;
      this.#fail(error);
      for (const waiting of this.#commands.splice(0)) waiting.reject(error);
    });
    if (this.#options.ticks === false) return;
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
  }

  /** Sources call this when something waits. */
  readonly wake = (): void => {
    this.#work = true;
    this.#woken?.();
  };

  /** Resolves once it is durable. */
  control(control: Control): Promise<Outcome> {
    return this.#command({ control });
  }

  feedback(eventId: string, verdict: FeedbackVerdict, by: string): Promise<Outcome> {
    return this.control({ kind: 'feedback', eventId, verdict, atMs: this.#options.clock.nowMs(), by });
  }

  retire(device: string): Promise<Outcome> {
    return this.#command({ retire: device });
  }

  /** Takes in what waits, commits it, and stops. The sources must have been paused. */
  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    this.#stopping = true;
    this.wake();
    await this.#loop;
    await this.#tail;
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#somethingToDo();
      if (this.#stopping && !this.#anythingWaits()) return;
      const batch = await this.#freeBatch();
      const commands = this.#commands.splice(0);
      const tickets = this.#fill(batch, commands);
      this.#options.detector.step(batch);
      this.#commit(batch, tickets, commands);
      // Lets the network and the disk have their turn between two batches.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /**
   * Waits for work, and then a moment for company: larger batches cost less. Under load the moment is longer, since then it is spent on many readings;
   * where more waits than a batch takes, there is none.
   */
  async #somethingToDo(): Promise<void> {
    if (!this.#work && !this.#anythingWaits() && !this.#stopping) {
      await new Promise<void>((resolve) => { this.#woken = resolve; });
      this.#woken = undefined;
    }
    const delayMs = this.#options.commitDelayMs * PATIENCE.find(({ rows }) => this.#lastRows >= rows)!.factor;
    if (delayMs > 0 && !this.#behind && !this.#stopping) await new Promise((resolve) => setTimeout(resolve, delayMs));
    this.#work = false;
  }

  #anythingWaits(): boolean {
    return this.#commands.length > 0 || this.#sources.some((source) => source.waiting > 0);
  }

  async #freeBatch(): Promise<Batch> {
    if (this.#free.length === 0) await new Promise<void>((resolve) => { this.#freed = resolve; });
    this.#freed = undefined;
    const batch = this.#free.pop()!;
    batch.reset();
    return batch;
  }

  /** Commands first, then what the sources hold, beginning with another source each time so that none starves. */
  #fill(batch: Batch, commands: Waiting[]): { source: Source; ticket: number }[] {
    batch.nowMs = this.nowMs;
    for (const { command } of commands) this.#carryOut(batch, command);
    this.#options.sequencer.attach(batch);
    const tickets = this.#sources.map((_, i) => {
      const source = this.#sources[(this.#firstSource + i) % this.#sources.length];
      return { source, ticket: source.drain(this.#options.sequencer) };
    });
    this.#firstSource = (this.#firstSource + 1) % Math.max(1, this.#sources.length);
    batch.nowMs = this.nowMs;
    this.#positions(batch);
    this.readings += batch.n;
    this.#lastRows = batch.n;
    this.#behind = this.#sources.some((source) => source.waiting > 0);
    this.batches++;
    return tickets;
  }

  #carryOut(batch: Batch, command: Command): void {
    if ('control' in command) {
      batch.controls.push(command.control);
      return;
    }
    const device = this.#options.fleet.get(command.retire);
    if (!device) return;
    const declaration: Declaration = { kind: 'retire', deviceId: device.id, atMs: batch.nowMs };
    this.declare([declaration]);
    batch.declarations.push(declaration);
  }

  #forget(device: Device | undefined): void {
    if (!device) return;
    this.#options.detector.retire(device);
    for (const slot of device.slots) this.#options.sequencer.state.clear(slot);
    this.#options.onRetire(device);
  }

  #positions(batch: Batch): void {
    if (batch.n === 0) return;
    for (const source of this.#sources) {
      for (const { partition, position } of source.positions?.() ?? []) batch.positions.push({ source: source.name, partition, position });
    }
  }

  /** A batch that changes nothing (duplicates only, a tick that found nothing) is not journaled, but settled in its turn. */
  #commit(batch: Batch, tickets: { source: Source; ticket: number }[], commands: Waiting[]): void {
    const durable = this.#changesNothing(batch) ? Promise.resolve(undefined) : this.#options.journal.append(batch);
    this.#options.onStepped(batch);
    // The batch is used again as soon as it is free: what others keep is taken out of it.
    const events = batch.events;
    const before = this.#tail;
    this.#tail = (async () => {
      const sequence = await durable;
      await before;
      if (sequence !== undefined) this.#options.onCommitted(batch, sequence);
      for (const { source, ticket } of tickets) source.settle(ticket);
      const outcome = { events, sequence };
      for (const { resolve } of commands) resolve(outcome);
    })().catch((error: unknown) => {
      this.#failure ??= error;
      for (const { reject } of commands) reject(error);
    }).finally(() => {
      this.#free.push(batch);
      this.#freed?.();
    });
  }

  #changesNothing(batch: Batch): boolean {
    return batch.n === 0 && batch.declarations.length === 0 && batch.events.length === 0 && batch.verdicts.length === 0
      && batch.controls.every((control) => control.kind === 'tick');
  }

  #tick(): void {
    if (this.#options.fleet.deviceCount === 0 || this.#stopping) return;
    this.#command({ control: { kind: 'tick', nowMs: this.nowMs } }).catch(() => undefined);
  }

  #command(command: Command): Promise<Outcome> {
    if (this.#stopping || this.#failure !== undefined) {
      return Promise.reject(new GruardError('SHUTTING_DOWN', 'gruard is stopping'));
    }
    return new Promise((resolve, reject) => {
      this.#commands.push({ command, resolve, reject });
      this.wake();
    });
  }
}

import type { KafkaMessage } from 'kafkajs';
import { Batch, type Control } from '../core/batch.js';
import type { Clock } from '../core/clock.js';
import { Fleet } from '../core/fleet.js';
import type { Limits } from '../core/limits.js';
import type { Reason, ReasonCounters } from '../core/reasons.js';
import type { ReadingSink } from '../core/source.js';
import type { StatePart } from '../core/state.js';
import { Decoder, type DecoderSettings } from '../ingest/decode/index.js';
import { Intake } from '../ingest/intake.js';
import { MessageTime } from '../ingest/kafka/message-time.js';
import { Naming, type NamingSettings } from '../ingest/kafka/naming.js';
import { RecentReadings } from '../ingest/recent.js';
import { Sequencer } from '../ingest/sequence.js';
import { StagedPayload } from '../ingest/staged.js';
import { openDetector, type DetectorOptions, type StreamDetector } from '../model/detector.js';
import { SettingsInForce } from '../settings.js';
import { encodeShard, restoreShard, type ShardHead, type StateParts } from '../store/shard.js';
import { controlOf, type PartitionControl } from './control.js';

export interface CellSettings {
  topic: string;
  partition: number;
  limits: Limits;
  decoder: DecoderSettings;
  naming: NamingSettings;
  time: 'wall' | 'event';
  /** Without settings: those are in the log. All workers must have the same network and profile. */
  detector: DetectorOptions;
  reasons: ReasonCounters;
}

/** A message of which something was refused. */
export interface Refused {
  message: KafkaMessage;
  reason: Reason;
  detail: string;
}

/** Told what comes of the messages; nobody is told in a replay. */
export interface CellListener {
  /** A stepped batch, with results, events and verdicts. Lent: copy what is kept. */
  stepped(batch: Batch): void;
  refused(refused: Refused): void;
  /** A device is forgotten. */
  retired(device: string): void;
}

/** What a snapshot says of a cell beside the state of its series. */
export interface CellDocument {
  nowMs: number;
  tick: number;
  watermarkMs: number;
  settings: Control | null;
}

/** Rows of readings a batch takes; as many again are for the rows of devices as a whole. */
const BATCH_ROWS = 4096;
/** So often, in the time of the log, it is looked whether a device has fallen silent. */
export const TICK_MS = 10_000;
const RECENT_BUCKETS = 2048;
const NOTHING = Buffer.alloc(0);
/** Reasons that are counted and are no dead letter by themselves. */
const NOTED: ReadonlySet<Reason> = new Set<Reason>(['duplicate', 'duplicate_differs', 'late', 'retained', 'excluded']);

/**
 * The fleet of one input partition: a deterministic function of the partition's log and of nothing else, wherever it was cut into batches. "Now" is the latest time of a
 * message so far (`time: event`: of a reading), ticks are derived from it, and what a person says is a record of the log.
 */
export class Cell {
  readonly #settings: CellSettings;
  readonly #recent = new RecentReadings(RECENT_BUCKETS);
  readonly #intake: Intake;
  readonly #sequencer: Sequencer;
  readonly #decoder: Decoder;
  readonly #naming: Naming;
  readonly #sink: ReadingSink;
  readonly #inForce = new SettingsInForce();
  readonly #state: StateParts;
  readonly #batch = new Batch(2 * BATCH_ROWS);
  #listener: CellListener | undefined;
  #messageNowMs = 0;
  /** The last tick, in units of TICK_MS. */
  #tick = 0;
  /** The offset behind the last message taken. */
  next = 0;
  readings = 0;

  private constructor(settings: CellSettings, readonly fleet: Fleet, readonly detector: StreamDetector) {
    this.#settings = settings;
    this.#intake = new Intake(settings.reasons, () => undefined);
    const clock: Clock = { nowMs: () => this.#messageNowMs };
    this.#sequencer = new Sequencer(this.fleet, this.#intake, { limits: settings.limits, clock, time: settings.time, markMessages: true, recent: this.#recent });
    this.#decoder = new Decoder(this.#intake, settings.limits, settings.decoder);
    this.#naming = new Naming(settings.naming);
    this.#sink = settings.time === 'event' ? new MessageTime().before(this.#sequencer) : this.#sequencer;
    this.#state = { fleet: this.fleet, parts: [this.#sequencer.state, ...this.detector.parts] as StatePart[], documents: this.detector.documents };
    this.#batch.rowNowMs = new Float64Array(this.#batch.capacity);
    this.#sequencer.attach(this.#batch);
  }

  /** A cell that has seen nothing. Throws WEIGHTS_*, BACKEND_UNAVAILABLE. */
  static async open(settings: CellSettings): Promise<Cell> {
    const fleet = new Fleet();
    return new Cell(settings, fleet, await openDetector(fleet, settings.detector));
  }

  /** "Now" for everything that is decided here. Epoch ms. */
  get nowMs(): number {
    return this.#settings.time === 'event' && this.#sequencer.state.watermarkMs > 0 ? this.#sequencer.state.watermarkMs : this.#messageNowMs;
  }

  /** What brings the detector to these settings; undefined where they are in force. */
  settingsTo(settings: unknown): Control | undefined {
    return this.#inForce.changeTo(settings);
  }

  /** Whoever is told from here on; undefined: a replay. What is under way is stepped first. */
  tell(listener: CellListener | undefined): void {
    this.flush();
    this.#listener = listener;
  }

  /** Takes messages in the order of the log. */
  take(messages: readonly KafkaMessage[], from = 0, to = messages.length): void {
    for (let i = from; i < to; i++) this.#one(messages[i]);
  }

  /** Steps what waits for a full batch. */
  flush(): void {
    const batch = this.#batch;
    if (batch.n === 0 && batch.controls.length === 0 && batch.declarations.length === 0) return;
    batch.nowMs = this.nowMs;
    this.readings += batch.n;
    this.detector.step(batch);
    this.#inForce.apply(batch);
    this.#listener?.stepped(batch);
    batch.reset();
    this.#sequencer.attach(batch);
  }

  /** The state after all messages taken so far: the copy is of one moment. */
  save(): { head: CellDocument; recent: Uint8Array; shard: Uint8Array[] } {
    this.flush();
    return {
      head: { nowMs: this.#messageNowMs, tick: this.#tick, watermarkMs: this.#sequencer.state.watermarkMs, settings: this.#inForce.current },
      recent: this.#recent.save(), shard: encodeShard(this.#state, [...this.fleet.devices()], [], this.next),
    };
  }

  /** Into a cell that has seen nothing. Returns the names of parts that begin afresh, since their stored form is another one. */
  restore(head: CellDocument, recent: Uint8Array, shard: ShardHead, body: Uint8Array): string[] {
    const afresh = restoreShard(this.#state, shard, body);
    this.#recent.restore(recent);
    this.#messageNowMs = head.nowMs;
    this.#tick = head.tick;
    this.#sequencer.state.watermarkMs = head.watermarkMs;
    this.next = shard.sequence;
    if (head.settings) {
      this.#batch.controls.push(head.settings);
      this.flush();
    }
    return afresh;
  }

  #one(message: KafkaMessage): void {
    this.next = Number(message.offset) + 1;
    const stampedMs = Number(message.timestamp);
    if (stampedMs > this.#messageNowMs) this.#messageNowMs = stampedMs;
    const tick = Math.floor(this.nowMs / TICK_MS);
    if (tick > this.#tick) this.#passTime(tick);
    const control = controlOf(message);
    if (control === undefined) this.#decode(message, stampedMs >= 0 ? stampedMs : this.#messageNowMs);
    else if (control === 'unreadable') this.#refuse(message, 'unparseable', 'a control record that cannot be read');
    else this.#carryOut(control);
  }

  /** However much time has passed, it is one tick: the log says nothing of the time between. */
  #passTime(tick: number): void {
    this.flush();
    this.#tick = tick;
    this.#batch.controls.push({ kind: 'tick', nowMs: tick * TICK_MS });
  }

  #decode(message: KafkaMessage, receivedMs: number): void {
    const { limits, topic } = this.#settings;
    const payload = message.value ?? NOTHING;
    const named = this.#naming.of(message.key?.toString() ?? '', message.headers);
    const intake = this.#intake;
    if (this.#sequencer.full) this.flush();
    intake.open('kafka', topic, payload);
    const from = this.#batch.n;
    // A reading takes at least two bytes, and a sink that is not full has room for a device's metrics.
    if (payload.length <= 2 * limits.metricsPerDevice) {
      this.#decoder.decode(topic, payload, receivedMs, this.#sink, false, named);
      this.#stamp(from);
    } else {
      const staged = new StagedPayload();
      this.#decoder.decode(topic, payload, receivedMs, staged, false, named);
      for (let at = from; ; at = 0) {
        const done = staged.pour(this.#sink);
        this.#stamp(at);
        if (done) break;
        this.flush();
      }
    }
    if (intake.refused > 0 && this.#listener) this.#letter(message);
  }

  #stamp(from: number): void {
    this.#batch.rowNowMs!.fill(this.nowMs, from, this.#batch.n);
  }

  #letter(message: KafkaMessage): void {
    for (const [reason, { detail }] of this.#intake.tally) {
      if (NOTED.has(reason)) continue;
      this.#listener!.refused({ message, reason, detail });
      return;
    }
  }

  #refuse(message: KafkaMessage, reason: Reason, detail: string): void {
    this.#settings.reasons.count(reason);
    this.#listener?.refused({ message, reason, detail });
  }

  #carryOut(control: PartitionControl): void {
    this.flush();
    if (control.kind === 'clock') return;
    if (control.kind !== 'retire') {
      this.#batch.controls.push(control);
      this.flush();
      return;
    }
    const device = this.fleet.get(control.device);
    if (!device) return;
    this.#listener?.retired(device.name);
    this.detector.retire(device);
    for (const slot of device.slots) this.#sequencer.state.clear(slot);
    this.fleet.apply({ kind: 'retire', deviceId: device.id, atMs: this.nowMs });
    this.#batch.declarations.push({ kind: 'retire', deviceId: device.id, atMs: this.nowMs });
    this.flush();
  }
}

import { DEVICE_METRIC, FLAG, type Batch, type Control, type FeedbackVerdict } from '../core/batch.js';
import type { Detector, Replaying, WarmUp } from '../core/detector.js';
import type { Device, Fleet } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import type { DocumentPart, StatePart } from '../core/state.js';
import { openBackend, type Backend, type BackendName } from './backends/index.js';
import { QUIET } from './calendar.js';
import { Conditions } from './condition.js';
import { DeviceJudge } from './device.js';
import { Events, type Alarm } from './events.js';
import { Health, impossibleReason, isSentinel } from './health.js';
import { Joint } from './joint.js';
import { Judge, SAME_EVENT_READINGS } from './judge.js';
import type { Network } from './network.js';
import { Predictor } from './predictor.js';
import { KIND_OF, reasonText } from './reason.js';
import { CHUNK_ROWS, SAID, SILENT } from './records.js';
import { Rounds } from './rounds.js';
import { DEFAULT_SETTINGS, matches, Policies, readSettings, type DetectorSettings, type SeriesPolicy } from './settings.js';
import { ageOf, rarityOf, thresholdOf } from './threshold.js';
import { CHANNELS, DEFAULT_TUNING, type Channel, type Tuning } from './tuning.js';
import { readServingWeights, requireServing } from './serving.js';
import type { Wanted } from './weights.js';

export interface DetectorOptions {
  /** The network, or the file that it is read from; the shipped weights where left out. */
  network?: Network | string;
  /** What the network must be. */
  wanted?: Wanted;
  /** Default `wasm`. */
  backend?: BackendName;
  /** Other networks for some devices, on `backend` where they name none; the first pattern that a device's name matches counts. */
  models?: readonly { devices: string; network: Network | string; backend?: BackendName }[];
  /** A backend that is open already (then `network` and `backend` are not looked at). */
  opened?: Backend;
  /** `last_value` predicts without a network: the ablation that shows what the network is worth. */
  forecaster?: 'gru' | 'last_value';
  /** `compact` keeps fewer intervals, no errors of the long horizon, no cycle, pace, clock, calendar and shapes: at most 1.2 KB a series. */
  profile?: 'default' | 'compact';
  settings?: Partial<DetectorSettings>;
  /** Channels that judge; all where left out (ablations). Peak and step are measured in ranges of x, and judge nothing without it. */
  channels?: readonly Channel[];
  /** Constants (benchmarks that choose them). */
  tuning?: Partial<Tuning>;
}

const INTERVALS = { default: 16, compact: 5 };
/** Channels whose state the compact profile does without. */
const NOT_COMPACT: ReadonlySet<Channel> = new Set(['e32', 'season', 'span', 'pace', 'clock', 'peak', 'step']);
/** A score at a limit that a person set. */
const LIMIT_SCORE = 2;
/** The least that is an alarm for sure: its onset was one, and was usual. */
const OVERDUE_SCORE = 1.5;
/** Odds beyond this share of the threshold keep an open event open. */
const STILL = 0.7;
/** What stays at 0 for so many readings, in no event, is no broken sensor's: as long as what comes again at its value may stay. */
const STAYS_READINGS = 72;

/** Opens a detector with no state. @throws GruardError WEIGHTS_*, FILE_UNREADABLE, BACKEND_UNAVAILABLE. */
export async function openDetector(fleet: Fleet, options: DetectorOptions = {}): Promise<StreamDetector> {
  if (options.forecaster === 'last_value') return new StreamDetector(fleet, null, options);
  if (options.opened) return new StreamDetector(fleet, options.opened, options);
  const { network = shippedFile('model/weights/default.safetensors') } = options;
  const open = async (from: Network | string, backend = options.backend ?? 'wasm', wanted?: Wanted): Promise<Backend> =>
    openBackend(backend, typeof from === 'string' ? await readServingWeights(from, wanted) : requireServing(from, wanted));
  const others: Backend[] = [];
  for (const model of options.models ?? []) others.push(await open(model.network, model.backend));
  return new StreamDetector(fleet, await open(network, options.backend, options.wanted), options, others);
}

/** Forecast, judge, events and health in one: see core/detector.ts for what it promises and docs/detection.md for how it judges. */
export class StreamDetector implements Detector {
  readonly parts: readonly StatePart[];
  readonly documents: readonly DocumentPart[];
  readonly predictor: Predictor;
  readonly judge: Judge;
  readonly tuning: Tuning;
  readonly #conditions: Conditions;
  readonly #health = new Health();
  readonly #joint: Joint;
  readonly #events: Events;
  readonly #devices: DeviceJudge;
  readonly #rounds = new Rounds();
  #policies: Policies;

  /** Which of the other networks a series has, -1 for none; absent where there is one network only. */
  readonly #modelOf: ((slot: number) => number) | undefined;
  /** By device; a device's name does not change, so it is matched once. */
  readonly #chosenModel = new WeakMap<Device, number>();

  // One round in columns.
  #slots = new Uint32Array(0);
  #timestampMs = new Float64Array(0);
  #value = new Float64Array(0);
  #learning = new Float32Array(0);

  constructor(readonly fleet: Fleet, backend: Backend | null, options: DetectorOptions, others: readonly Backend[] = []) {
    this.tuning = { ...DEFAULT_TUNING, ...options.tuning };
    this.#policies = new Policies({ ...DEFAULT_SETTINGS, ...options.settings });
    const profile = options.profile ?? 'default';
    this.predictor = new Predictor(backend, others);
    const patterns = (options.models ?? []).map(({ devices }) => devices);
    if (patterns.length > 0) this.#modelOf = (slot) => this.#chosen(slot, patterns);
    this.judge = new Judge(this.predictor, this.tuning, INTERVALS[profile], (options.channels ?? CHANNELS).filter((channel) => profile === 'default' || !NOT_COMPACT.has(channel)));
    this.#conditions = new Conditions(this.judge.records);
    this.#joint = new Joint();
    this.#events = new Events(fleet, this.#policies.settings);
    this.#devices = new DeviceJudge(fleet, this.#joint, this.#events, this.#health);
    this.parts = [...this.predictor.parts, ...this.judge.parts, this.#health.arena, ...this.#devices.parts];
    this.documents = [this.#events, this.#health];
  }

  step(batch: Batch, replaying?: Replaying): void {
    this.#reserve(batch);
    for (const declaration of batch.declarations) {
      if (declaration.kind === 'retire') for (const document of this.documents) document.clearDevice(declaration.deviceId);
    }
    for (const control of batch.controls) this.#control(control, replaying?.seen ?? none);
    this.#events.grouping = replaying === undefined;
    this.#rounds.split(batch, this.fleet.seriesTop);
    this.#devices.begin(batch, this.#policies);
    const { starts } = this.#rounds;
    for (let k = 0; k + 1 < starts.length; k++) this.#round(batch, starts[k], starts[k + 1]);
    this.#devices.judge(batch, (periodMs) => rarityOf(periodMs, this.#policies.settings.falseAlarmsPerDay));
    for (const { id, incident } of replaying?.events ?? []) this.#events.adoptIncident(id, incident);
    batch.events.push(...this.#events.takeChanged());
    batch.verdicts.push(...this.#health.takeChanged());
  }

  #control(control: Control, seen: (deviceId: number) => boolean): void {
    switch (control.kind) {
      case 'tick':
        for (const id of this.#events.overdue(control.nowMs, seen)) this.#feedback(id, 'accept', control.nowMs, 'accept_after');
        this.#health.tick(this.fleet.devices(), control.nowMs, seen);
        return;
      case 'feedback':
        return this.#feedback(control.eventId, control.verdict, control.atMs, control.by);
      case 'settings':
        this.#policies = new Policies({ ...this.#policies.settings, ...readSettings(control.settings) });
        this.#events.settings = this.#policies.settings;
    }
  }

  #feedback(eventId: string, verdict: FeedbackVerdict, atMs: number, by: string): void {
    const concerned = this.#events.feedback(eventId, verdict, atMs, by);
    if (!concerned) return;
    const { device, members, before, open } = concerned;
    const slotOf = (metric: string): number => (metric === DEVICE_METRIC ? -1 : this.fleet.slotOf(device, metric));
    if (verdict === 'confirm') {
      if (before === 'confirm') return;
      for (const { metric, channel } of members) {
        if (metric === DEVICE_METRIC) this.#joint.confirm(device);
        const slot = slotOf(metric);
        if (slot < 0) continue;
        this.#conditions.confirm(slot);
        this.judge.forgetCalendar(slot);
        if (channel >= 0) this.judge.forgetEvent(slot, channel);
      }
      return;
    }
    for (const { metric, channel } of members) {
      // What is open now may be another event: that of a verdict on one that is over goes on.
      if (metric === DEVICE_METRIC && (open || !this.#joint.isOpen(device))) this.#joint.close(device, verdict === 'accept');
      const slot = slotOf(metric);
      if (slot < 0) continue;
      if (open) this.#conditions.close(slot, verdict === 'accept');
      if (verdict === 'false_alarm' && channel >= 0) this.judge.raiseBar(slot, channel);
    }
    if (verdict === 'accept') this.#joint.close(device, true);
  }

  #chosen(slot: number, patterns: readonly string[]): number {
    const device = this.fleet.deviceOfSlot(slot);
    if (!device) return -1;
    let model = this.#chosenModel.get(device);
    if (model === undefined) {
      model = patterns.findIndex((pattern) => matches(pattern, device.name));
      this.#chosenModel.set(device, model);
    }
    return model;
  }

  #round(batch: Batch, from: number, to: number): void {
    const rows = this.#rounds.rows;
    const n = to - from;
    const { predictor, judge } = this;
    for (let i = 0; i < n; i++) {
      const row = rows[from + i];
      const slot = batch.slot[row];
      this.#slots[i] = slot;
      this.#timestampMs[i] = batch.timestampMs[row];
      this.#value[i] = batch.value[row];
      this.#learning[i] = this.#impossible(batch, row, slot) ? 0 : this.#conditions.learning(slot);
    }
    predictor.observe(this.#slots, n, this.#timestampMs, this.#value, this.#learning);
    for (let first = 0; first < n; first += CHUNK_ROWS) this.#judgeChunk(batch, from, first, Math.min(CHUNK_ROWS, n - first));
    predictor.advance(this.#slots, n, this.#modelOf);
    for (let i = 0; i < n; i++) judge.keepForecast(this.#slots[i]);
  }

  /** Rows first .. first + n - 1 of the round that begins at `from`. */
  #judgeChunk(batch: Batch, from: number, first: number, n: number): void {
    const { judge } = this;
    const rows = this.#rounds.rows;
    for (let i = 0; i < n; i++) judge.stage(i, this.#slots[first + i], this.#timestampMs, this.#value, first + i, this.#learning[first + i] > 0);
    judge.judge(n);
    for (let i = 0; i < n; i++) this.#judgeRow(batch, rows[from + first + i], i);
    if (judge.settle(n) === 0) return;
    for (let i = 0; i < n; i++) {
      const row = rows[from + first + i];
      const said = judge.said(i);
      if ((said & (SAID.OPEN | SAID.ENDED)) === 0) continue;
      const { ignore: ignored } = this.#policies.ofSlot(this.fleet, batch.slot[row]);
      if (said & SAID.OVERDUE) this.#tellOverdue(batch, row);
      // An event that ends is told also of a series that is warming up, or ignored by now, or it would stay open with its device.
      const told = ignored || batch.flags[row] & FLAG.WARMING ? SAID.ENDED : SAID.OPEN | SAID.ENDED;
      if ((said & told) === 0) continue;
      this.#devices.open(row, (said & SAID.ENDED) !== 0, (said & SAID.LASTING) !== 0);
    }
  }

  /** Fills a row of the batch from row i of the chunk. */
  #judgeRow(batch: Batch, row: number, i: number): void {
    const { predictor, judge, tuning } = this;
    const slot = batch.slot[row];
    predictor.forecast(slot, row, batch);
    const said = judge.said(i);
    const odds = judge.odds(i);
    this.#devices.keep(row, judge.value(i), judge.run(i), said, judge.hourOff(i));
    const policy = this.#policies.ofSlot(this.fleet, slot);
    const beyond = batch.value[row] < policy.min || batch.value[row] > policy.max;
    if (policy.ignore || (judge.readings(slot) <= tuning.warmUp && !beyond)) {
      batch.flags[row] |= policy.ignore ? 0 : FLAG.WARMING;
      return;
    }
    const stuck = (said & SAID.STANDS) !== 0;
    batch.anomalyScore[row] = 0;
    const off = batch.value[row] - batch.yhat[row];
    // A step as high as the highest so far is no alarm of its own; what begins with it is told if it stays.
    if ((said & SAID.AGAIN) !== 0 && counts(policy, off > 0, off)) this.#conditions.open(slot, QUIET.AS_BEFORE);
    if (odds <= SILENT && !beyond) return judge.close(i, false, stuck);
    const found = judge.find(i);
    const periodMs = judge.periodMs(i);
    const silent = odds <= SILENT;
    const threshold = silent ? Infinity : thresholdOf(tuning, CHANNELS[found.channel], rarityOf(periodMs, policy.falseAlarmsPerDay), ageOf(judge.readings(slot), periodMs));
    const ends = judge.isOfValue() && this.#conditions.returns(slot, judge.value(i));
    // What nobody wants to hear of sets no bar for what comes after it.
    const alarms = !silent && !ends && counts(policy, found.above, off) && judge.emits(slot, odds, threshold);
    const quiet = alarms ? judge.quiet(i, slot, batch.timestampMs[row], this.#conditions.isTold(slot)) : QUIET.NO;
    const emitted = alarms && quiet === QUIET.NO;
    const score = odds <= 0 ? 0 : odds / threshold;
    batch.anomalyScore[row] = emitted ? score : 0.5 * Math.min(score, 1);
    const limit = beyond && !this.#conditions.isTold(slot);
    if (limit) batch.anomalyScore[row] = Math.max(score, LIMIT_SCORE);
    if (alarms || limit) this.#conditions.open(slot, limit ? QUIET.NO : quiet);
    if (emitted || limit) this.#devices.alarm(row, this.#describe(batch, row, periodMs, beyond));
    judge.close(i, beyond, stuck || odds > STILL * threshold);
  }

  /** What nobody was told of, because it comes by the calendar or came before, has stayed for longer than it ever did. */
  #tellOverdue(batch: Batch, row: number): void {
    const slot = batch.slot[row];
    const policy = this.#policies.ofSlot(this.fleet, slot);
    const off = this.#conditions.wentBy(slot);
    const unwanted = policy.ignore || !counts(policy, off > 0, off);
    if (unwanted || this.#policies.inMaintenance(this.fleet.deviceOfSlot(slot)?.name ?? '', batch.timestampMs[row])) return this.#conditions.postpone(slot);
    const [yhat, yhatLower, yhatUpper] = forecastAt(batch, row);
    batch.anomalyScore[row] = OVERDUE_SCORE;
    this.#devices.alarm(row, {
      metric: this.fleet.metricOfSlot(slot), atMs: batch.timestampMs[row], score: OVERDUE_SCORE, kind: 'shift', channel: -1, actual: batch.value[row], yhat, yhatLower, yhatUpper,
      reason: reasonText({ channel: 'overdue', actual: batch.value[row], yhat, yhatLower, yhatUpper, unseenMs: 0, above: false, extreme: false, run: 0 }),
    });
  }

  #describe(batch: Batch, row: number, periodMs: number, beyond: boolean): Alarm {
    const found = this.judge.finding;
    const slot = batch.slot[row];
    const channel = CHANNELS[found.channel];
    const [yhat, yhatLower, yhatUpper] = forecastAt(batch, row);
    const spoke = found.odds > SILENT && !beyond;
    return {
      metric: this.fleet.metricOfSlot(slot), atMs: batch.timestampMs[row], score: batch.anomalyScore[row],
      kind: beyond ? 'limit' : KIND_OF[channel], channel: spoke ? found.channel : -1, actual: batch.value[row], yhat, yhatLower, yhatUpper,
      reason: reasonText({
        channel: beyond ? 'limit' : channel, actual: batch.value[row], yhat, yhatLower, yhatUpper, unseenMs: found.unseen > SAME_EVENT_READINGS ? found.unseen * periodMs : 0,
        above: found.above, extreme: found.extreme, run: found.run, counter: this.predictor.normaliser.isCounter(slot),
      }),
    };
  }

  /** Whether a reading is one that a broken sensor sends, and teaches nothing; its verdict begins or ends here. */
  #impossible(batch: Batch, row: number, slot: number): boolean {
    const { normaliser } = this.predictor;
    const value = batch.value[row];
    const mean = normaliser.mean(slot);
    const reach = 8 * normaliser.scale(slot);
    const far = value > mean + reach || value < mean - reach;
    const known = this.#health.metricVerdicts > 0;
    if (!far && !known) return false;
    const device = this.fleet.deviceOfSlot(slot);
    if (!device || normaliser.isCounter(slot)) return false;
    const metric = this.fleet.metricOfSlot(slot);
    // Nothing is what many a series comes to now and then: what is switched off draws none.
    const impossible = far && isSentinel(value) && this.judge.readings(slot) > this.tuning.warmUp && !(value === 0 && this.judge.knows(slot, 0));
    if (impossible) this.#health.begin(device, metric, 'impossible', batch.timestampMs[row], impossibleReason(metric, value, mean - 0.5 * reach, mean + 0.5 * reach));
    else if (known) this.#health.end(device.id, metric, 'impossible', batch.timestampMs[row]);
    // A series that stays at 0, and is in no event there, is one that comes to rest: it is taught, and then known.
    const rests = value === 0 && this.judge.stands(slot, value) >= STAYS_READINGS && !this.#conditions.isTold(slot);
    return impossible && !rests;
  }

  #reserve(batch: Batch): void {
    const slots = this.fleet.seriesTop;
    for (const part of this.parts) part.reserve(part.per === 'series' ? slots : this.fleet.deviceTop);
    if (this.#slots.length >= batch.n) return;
    this.#slots = new Uint32Array(batch.capacity);
    this.#timestampMs = new Float64Array(batch.capacity);
    this.#value = new Float64Array(batch.capacity);
    this.#learning = new Float32Array(batch.capacity);
    this.predictor.reserveRows(batch.capacity);
  }

  retire(device: Device): void {
    for (const part of this.parts) {
      if (part.per === 'device') part.clear(device.slot);
      else for (const slot of device.slots) part.clear(slot);
    }
    for (const document of this.documents) document.clearDevice(device.id);
    for (const slot of device.slots) this.#policies.forget(slot);
  }

  warmUp(device: Device): WarmUp {
    const all = device.slots.filter((_, i) => device.metrics[i] !== DEVICE_METRIC).map((slot) => this.seriesInfo(slot).warmUp);
    const readingsLeft = Math.max(0, ...all.map((w) => w.readingsLeft));
    const times = all.map((w) => w.readyAtMs).filter((ms) => ms !== null);
    return { ready: readingsLeft === 0, readingsLeft, readyAtMs: times.length > 0 ? Math.max(...times) : null };
  }

  seriesInfo(slot: number): { periodMs: number | null; warmUp: WarmUp; readings: number } {
    for (const part of this.parts) if (part.per === 'series') part.reserve(slot + 1);
    const readings = this.judge.readings(slot);
    const periodMs = this.predictor.normaliser.periodMs(slot) || null;
    const readingsLeft = Math.max(0, this.tuning.warmUp - readings);
    const lastSeenMs = this.fleet.deviceOfSlot(slot)?.lastSeenMs ?? 0;
    const readyAtMs = readingsLeft > 0 && periodMs !== null ? lastSeenMs + readingsLeft * periodMs : null;
    return { periodMs, readings, warmUp: { ready: readingsLeft === 0, readingsLeft, readyAtMs } };
  }

  canTakeFeedback(eventId: string, verdict: FeedbackVerdict): boolean {
    return this.#events.canTakeFeedback(eventId, verdict);
  }
}

function forecastAt({ yhat, yhatLower, yhatUpper }: Batch, row: number): (number | null)[] {
  return [yhat[row], yhatLower[row], yhatUpper[row]].map((x) => (Number.isFinite(x) ? x : null));
}

function none(): boolean {
  return false;
}

/** Whether a deviation is one that the policy wants to hear of. */
function counts(policy: SeriesPolicy, above: boolean, deviation: number): boolean {
  if (policy.direction !== 'both' && above !== (policy.direction === 'up')) return false;
  return !(Math.abs(deviation) < policy.minDeviation);
}

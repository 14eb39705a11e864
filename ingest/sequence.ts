import { DEVICE_METRIC, FLAG, type Batch } from '../core/batch.js';
import type { Clock } from '../core/clock.js';
import type { Device, Fleet } from '../core/fleet.js';
import type { Limits } from '../core/limits.js';
import type { ReadingSink } from '../core/source.js';
import type { Intake } from './intake.js';
import { metricProblem, nameProblem, printable } from './names.js';
import { RecentReadings } from './recent.js';
import { SequenceState } from './sequence-state.js';

export interface SequencerOptions {
  limits: Limits;
  clock: Clock;
  /** `wall`: now is the clock. `event`: now is the latest reading (replays, simulated fleets). */
  time: 'wall' | 'event';
  /** Readings before this are refused: a device that has not set its clock. Epoch ms; default 2000-01-01. */
  earliestMs?: number;
  /** Sets FLAG.FIRST on the first row of each message. */
  markMessages?: boolean;
  /** What is remembered of recent readings; one's own where it must be kept in a snapshot. */
  recent?: RecentReadings;
}

const YEAR_2000_MS = 946_684_800_000;
/** The last instant that RFC 3339 can write. */
const YEAR_9999_MS = 253_402_300_799_999;

/**
 * Puts readings in order into the batch: finds or declares the device and the series, refuses what is over a limit, drops duplicates and marks what is late.
 * Nothing is allocated for a reading of a known series.
 */
export class Sequencer implements ReadingSink {
  /** Each series' last reading: part of every snapshot. */
  readonly state = new SequenceState();

  readonly #fleet: Fleet;
  readonly #intake: Intake;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #event: boolean;
  readonly #earliestMs: number;
  readonly #recent: RecentReadings;
  readonly #mark: number;
  #batch!: Batch;
  /** Rows that the detector may still add to the batch: one for each message of a device with several metrics. */
  #deviceRows = 0;

  // The open message.
  #device: Device | undefined;
  #deviceName = '';
  #tags: Record<string, string> | undefined;
  #timestampMs = 0;
  /** The message had no timestamp: it may be moved past the last reading. */
  #stamped = false;
  /** FLAG.FIRST until its first row, where messages are marked. */
  #first = 0;
  /** Where in `device.metrics` the next metric probably is: messages repeat their order. */
  #hint = 0;

  constructor(fleet: Fleet, intake: Intake, options: SequencerOptions) {
    this.#fleet = fleet;
    this.#intake = intake;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#event = options.time === 'event';
    this.#earliestMs = options.earliestMs ?? YEAR_2000_MS;
    this.#recent = options.recent ?? new RecentReadings();
    this.#mark = options.markMessages ? FLAG.FIRST : 0;
  }

  /** The batch to fill from here on. */
  attach(batch: Batch): void {
    this.#batch = batch;
    this.#deviceRows = 0;
  }

  /** Room is kept for a message of a device with as many metrics as it may have, and for the detector's device rows. */
  get full(): boolean {
    const used = this.#batch.n + this.#deviceRows;
    return used > 0 && used + this.#limits.metricsPerDevice + 1 > this.#batch.capacity;
  }

  /** The detector's "now": the clock, or for event time the latest reading. Epoch ms. */
  nowMs(): number {
    return this.#event && this.state.watermarkMs > 0 ? this.state.watermarkMs : this.#clock.nowMs();
  }

  begin(deviceName: string, timestampMs: number, receivedMs: number, tags?: Record<string, string>): boolean {
    const device = this.#fleet.get(deviceName);
    if (device === undefined && !this.#mayDeclare(deviceName)) return false;
    if (timestampMs !== timestampMs) {
      this.#stamped = false;
      const now = this.#event ? this.nowMs() : receivedMs;
      timestampMs = device !== undefined && now <= device.lastSeenMs ? device.lastSeenMs + 1 : now;
    } else {
      this.#stamped = true;
      if (!this.#timely(timestampMs, receivedMs)) return false;
    }
    this.#device = device;
    this.#deviceName = deviceName;
    this.#timestampMs = timestampMs;
    this.#first = this.#mark;
    this.#hint = 0;
    this.#tags = tags;
    if (tags !== undefined && device !== undefined) this.#retag(device, tags);
    return true;
  }

  add(metric: string, value: number): boolean {
    if (value - value !== 0) {
      this.#intake.refuse('not_finite', `${printable(metric)} is ${value}`);
      return false;
    }
    const batch = this.#batch;
    if (batch.n + this.#deviceRows + 1 >= batch.capacity) {
      this.#intake.refuse('too_many_metrics', `the message does not fit a batch of ${batch.capacity} rows`);
      return false;
    }
    const slot = this.#slot(metric);
    if (slot < 0) return false;
    const state = this.state;
    const lastMs = state.lastMs(slot);
    let timestampMs = this.#timestampMs;
    let flags = 0;
    if (timestampMs <= lastMs) {
      if (!this.#stamped) timestampMs = lastMs + 1;
      else if (this.#alreadyThere(slot, timestampMs, value, lastMs)) return false;
      else flags = FLAG.LATE;
    }
    const seriesId = this.#fleet.idOfSlot(slot);
    batch.push(seriesId, slot, timestampMs, value, flags | this.#first);
    this.#first = 0;
    this.#recent.add(seriesId, timestampMs, value);
    if (flags === 0) state.set(slot, timestampMs, value);
    this.#intake.accepted++;
    return true;
  }

  end(): void {
    const device = this.#device;
    if (device === undefined) return;
    if (this.#timestampMs > device.lastSeenMs) device.lastSeenMs = this.#timestampMs;
    if (device.metrics.length > 1) this.#deviceRows++;
    this.#device = undefined;
  }

  /** Takes up what the journal holds (its declarations are already applied): after this its readings are duplicates. */
  observe(batch: Batch): void {
    this.state.reserve(this.#fleet.seriesTop);
    for (let row = 0; row < batch.n; row++) {
      if (batch.flags[row] & FLAG.DEVICE) continue;
      const slot = this.#fleet.slotOfId(batch.seriesId[row]);
      if (slot === undefined) continue;
      const timestampMs = batch.timestampMs[row];
      this.#recent.add(batch.seriesId[row], timestampMs, batch.value[row]);
      if (timestampMs > this.state.lastMs(slot)) this.state.set(slot, timestampMs, batch.value[row]);
      const device = this.#fleet.deviceOfSlot(slot);
      if (device && timestampMs > device.lastSeenMs) device.lastSeenMs = timestampMs;
    }
  }

  #mayDeclare(deviceName: string): boolean {
    const problem = nameProblem(deviceName, this.#limits.nameBytes);
    if (problem) this.#intake.refuse(problem, `device ${printable(deviceName)}`);
    else if (this.#fleet.deviceCount >= this.#limits.devices) this.#intake.refuse('too_many_devices', `device ${printable(deviceName)}`);
    else return true;
    return false;
  }

  #timely(timestampMs: number, receivedMs: number): boolean {
    if (timestampMs < 0 || timestampMs > YEAR_9999_MS) {
      this.#intake.refuse('timestamp_invalid', `${timestampMs} ms is not a date that can be written`);
      return false;
    }
    const nowMs = this.#event ? Math.max(this.state.watermarkMs, receivedMs) : receivedMs;
    if (timestampMs <= nowMs + this.#limits.clockSkewMs && timestampMs >= this.#earliestMs) return true;
    this.#intake.refuse('timestamp_skewed', `${new Date(timestampMs).toISOString()} at ${new Date(nowMs).toISOString()}`);
    return false;
  }

  /** The slot of the open message's metric, declared where it is new; -1 where it is refused. */
  #slot(metric: string): number {
    const device = this.#device ?? this.#declareDevice(metric);
    if (device === undefined) return -1;
    const hint = this.#hint;
    if (device.metrics[hint] === metric && metric !== DEVICE_METRIC) {
      this.#hint = hint + 1;
      return device.slots[hint];
    }
    const at = metric === DEVICE_METRIC ? -1 : device.metrics.indexOf(metric);
    if (at < 0) return this.#declareSeries(device, metric);
    this.#hint = at + 1;
    return device.slots[at];
  }

  /** A device comes to be with its first metric that is taken, so that refused messages leave no empty devices behind. */
  #declareDevice(metric: string): Device | undefined {
    if (!this.#metricAllowed(metric, 0)) return undefined;
    const { device, declaration } = this.#fleet.addDevice(this.#deviceName, {}, this.#timestampMs);
    this.#batch.declarations.push(declaration);
    this.#device = device;
    if (this.#tags !== undefined) this.#retag(device, this.#tags);
    return device;
  }

  #declareSeries(device: Device, metric: string): number {
    if (!this.#metricAllowed(metric, device.metrics.includes(DEVICE_METRIC) ? device.metrics.length - 1 : device.metrics.length)) return -1;
    const { slot, declaration } = this.#fleet.addSeries(device, metric);
    this.#batch.declarations.push(declaration);
    this.state.reserve(this.#fleet.seriesTop);
    this.state.clear(slot);
    this.#hint = device.metrics.length;
    return slot;
  }

  #metricAllowed(metric: string, already: number): boolean {
    const limits = this.#limits;
    const problem = metricProblem(metric, limits.nameBytes);
    const where = (): string => `metric ${printable(metric)} of device ${printable(this.#deviceName)}`;
    if (problem) this.#intake.refuse(problem, where());
    else if (already >= limits.metricsPerDevice) this.#intake.refuse('too_many_metrics', where());
    else if (this.#fleet.seriesCount >= limits.series) this.#intake.refuse('too_many_series', where());
    else return true;
    return false;
  }

  /** True for a reading that was taken before; counts it, apart where it now has another value. */
  #alreadyThere(slot: number, timestampMs: number, value: number, lastMs: number): boolean {
    const before = timestampMs === lastMs ? this.state.lastValue(slot) : this.#recent.find(this.#fleet.idOfSlot(slot), timestampMs);
    if (before === undefined) {
      this.#intake.note('late', '');
      return false;
    }
    if (before === value) {
      this.#intake.accepted++;
      this.#intake.note('duplicate', '');
    } else {
      this.#intake.refused++;
      this.#intake.note('duplicate_differs', `${value} came after ${before} for the same time`);
    }
    return true;
  }

  /** Tags add up: a message that names some of them leaves the others. */
  #retag(device: Device, tags: Record<string, string>): void {
    let changed = false;
    for (const key in tags) {
      if (device.tags[key] !== tags[key] && Object.hasOwn(tags, key)) changed = true;
    }
    if (!changed) return;
    const merged = new Map(Object.entries(device.tags));
    for (const [key, value] of Object.entries(tags)) {
      if (device.tags[key] === value) continue;
      const problem = key === '__proto__' ? 'name_invalid' : nameProblem(key, this.#limits.nameBytes) ?? nameProblem(value, this.#limits.nameBytes);
      if (problem) this.#intake.note(problem, `tag ${printable(key)} of device ${printable(device.name)}`);
      else if (!merged.has(key) && merged.size >= this.#limits.tags) this.#intake.note('too_many_tags', `tag ${printable(key)} of device ${printable(device.name)}`);
      else merged.set(key, value);
    }
    const next = Object.fromEntries(merged);
    if (sameTags(device.tags, next)) return;
    device.tags = next;
    this.#batch.declarations.push({ kind: 'tags', deviceId: device.id, tags: next });
  }
}

function sameTags(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

import { DEVICE_METRIC, FLAG, type Batch } from '../core/batch.js';
import type { Device, Fleet } from '../core/fleet.js';
import type { StatePart } from '../core/state.js';
import { WideArena } from './arena.js';
import type { Alarm, Events } from './events.js';
import type { Health } from './health.js';
import type { Joint, JointFinding } from './joint.js';
import { duration, reasonText } from './reason.js';
import { SAID } from './records.js';
import type { Policies } from './settings.js';

// Words of a device.
const LATEST = 0; // timestamp of its latest `*` row
const PENDING = 1; // the highest score of its metrics since then
const WORDS = 2;

// What the judge of series said of a row.
const OPEN = 1;
const ENDED = 2;
const LASTING = 4;
const ALARM = 8;

/** States are counted, not readings: a device that is read more often than this does not have more of them. */
const LEAST_PERIOD_MS = 10_000;

/**
 * The pass over a batch in the order of its rows, message by message: alarms become events, metrics are judged together,
 * and a device of several metrics gets its row `*`.
 */
export class DeviceJudge {
  readonly parts: readonly StatePart[];
  readonly #wide = new WideArena('device', 1, 'device', WORDS);
  // [capacity] of the batch, written by the judge of series.
  #v = new Float64Array(0);
  #run = new Int32Array(0);
  #wanders = new Uint8Array(0);
  #hourOff = new Float64Array(0);
  #said = new Uint8Array(0);
  readonly #alarms = new Map<number, Alarm>();
  #policies!: Policies;

  constructor(
    readonly fleet: Fleet, readonly joint: Joint, readonly events: Events, readonly health: Health,
  ) {
    this.parts = [joint.series, joint.devices, this.#wide];
  }

  begin(batch: Batch, policies: Policies): void {
    this.#policies = policies;
    this.#alarms.clear();
    if (this.#said.length < batch.capacity) {
      this.#v = new Float64Array(batch.capacity);
      this.#run = new Int32Array(batch.capacity);
      this.#wanders = new Uint8Array(batch.capacity);
      this.#hourOff = new Float64Array(batch.capacity);
      this.#said = new Uint8Array(batch.capacity);
    }
    this.#said.fill(0, 0, batch.n);
  }

  /** What the judge of series says of a row (SAID), and how far it is from its hour, as they are at this reading: when the rows are gone through, later readings of the batch have moved them. */
  keep(row: number, v: number, run: number, said: number, hourOff: number): void {
    this.#v[row] = v;
    this.#run[row] = run;
    this.#wanders[row] = said & SAID.WANDERS;
    this.#hourOff[row] = said & SAID.AT_HOUR ? hourOff : said & SAID.OFF_HOUR ? Infinity : NaN;
  }

  alarm(row: number, alarm: Alarm): void {
    this.#alarms.set(row, alarm);
    this.#said[row] |= ALARM;
  }

  open(row: number, ended: boolean, lasting: boolean): void {
    this.#said[row] |= (ended ? ENDED : OPEN) | (lasting ? LASTING : 0);
  }

  judge(batch: Batch, rarityAt: (periodMs: number) => number): void {
    const n = batch.n;
    for (let row = 0; row < n;) {
      const device = this.fleet.deviceOfSlot(batch.slot[row]);
      const first = row;
      const atMs = batch.timestampMs[row];
      do row++;
      while (row < n && batch.timestampMs[row] === atMs && (batch.flags[row] & FLAG.FIRST) === 0 && this.fleet.deviceOfSlot(batch.slot[row]) === device);
      if (device) this.#message(batch, device, first, row, rarityAt);
    }
  }

  /**
   * Rows first .. end - 1 are one message of the device. Messages of one device with one timestamp that follow each other (a topic for each metric) cannot be told
   * apart here and count as one: only then does it matter for the device as a whole whether a batch ends between them; the scores of its series do not change.
   */
  #message(batch: Batch, device: Device, first: number, end: number, rarityAt: (periodMs: number) => number): void {
    const several = device.slots.length > 1 && this.#readsSeveral(batch, device, first, end);
    const atMs = batch.timestampMs[first];
    let judged = 0;
    let warming = 0;
    let score = 0;
    for (let row = first; row < end; row++) {
      if (batch.flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
      judged++;
      if (batch.flags[row] & FLAG.WARMING) warming++;
      score = Math.max(score, batch.anomalyScore[row]);
      if (this.#said[row] !== 0) this.#settle(batch, device, row);
      if (this.#run[row] === 0 && this.health.metricVerdicts > 0) this.health.end(device.id, this.fleet.metricOfSlot(batch.slot[row]), 'stuck', atMs);
      if (several) this.joint.observe(device, batch.slot[row], this.#v[row], this.#wanders[row] !== 0, this.#hourOff[row], (batch.flags[row] & FLAG.IN_EVENT) !== 0);
    }
    if (judged === 0) return;
    this.health.message(device, atMs, batch.rowNowMs?.[first] ?? batch.nowMs);
    if (several) this.#whole(batch, device, atMs, score, warming === judged, rarityAt);
  }

  /** Whether several metrics of a device were read by now; those that the batch goes on to declare do not count: where it ends must make no difference. */
  #readsSeveral(batch: Batch, device: Device, first: number, end: number): boolean {
    if (!this.joint.hasReadAll(device)) for (let row = first; row < end; row++) if ((batch.flags[row] & (FLAG.LATE | FLAG.DEVICE)) === 0) this.joint.note(device, batch.slot[row]);
    return this.joint.metrics(device) > 1;
  }

  /** Alarms and abnormal states of one metric become events. */
  #settle(batch: Batch, device: Device, row: number): void {
    const metric = this.fleet.metricOfSlot(batch.slot[row]);
    const atMs = batch.timestampMs[row];
    const said = this.#said[row];
    const alarm = this.#alarms.get(row);
    const periodMs = this.health.periodMs(device);
    if (alarm && !this.#policies.inMaintenance(device.name, atMs)) {
      this.events.alarm(device, alarm, periodMs);
      if (alarm.kind === 'stuck') {
        const lasted = this.#run[row] * periodMs;
        this.health.begin(device, metric, 'stuck', atMs - lasted, `${metric} has not moved for ${duration(lasted)} (${this.#run[row] + 1} readings)`);
      }
    } else if (said & OPEN) {
      this.events.continued(device, metric, atMs, said & LASTING ? 'shift' : null);
    }
    if (said & ENDED) this.events.ended(device, metric, atMs);
    if (said & OPEN && this.events.holds(device.id, metric)) batch.flags[row] |= FLAG.IN_EVENT;
  }

  /** The device as a whole, after a message of it. */
  #whole(batch: Batch, device: Device, atMs: number, score: number, warming: boolean, rarityAt: (periodMs: number) => number): void {
    const s = this.#wide.floats[this.#wide.page(device.slot)];
    const at = this.#wide.at(device.slot);
    const periodMs = this.health.periodMs(device) * this.joint.messagesASweep(device);
    const found = this.joint.judge(device, rarityAt(Math.max(LEAST_PERIOD_MS, periodMs)));
    const told = found.opened ? !this.#policies.inMaintenance(device.name, atMs) : found.grew && this.events.holds(device.id, DEVICE_METRIC);
    if (told) this.events.alarm(device, jointAlarm(found, atMs), periodMs);
    else if (this.joint.isOpen(device)) this.events.continued(device, DEVICE_METRIC, atMs, null);
    if (found.closed) this.events.ended(device, DEVICE_METRIC, atMs);
    s[at + PENDING] = Math.max(s[at + PENDING], score, found.score);
    if (atMs <= s[at + LATEST]) return;
    const pending = s[at + PENDING];
    s[at + PENDING] = 0;
    s[at + LATEST] = atMs;
    if (batch.n === batch.capacity) return;
    const slot = this.#deviceSlot(batch, device);
    const flags = FLAG.DEVICE | (warming ? FLAG.WARMING : 0) | (this.events.isOpen(device.id) ? FLAG.IN_EVENT : 0);
    const row = batch.push(this.fleet.idOfSlot(slot), slot, atMs, NaN, flags);
    batch.anomalyScore[row] = pending;
  }

  #deviceSlot(batch: Batch, device: Device): number {
    const slot = this.fleet.slotOf(device, DEVICE_METRIC);
    if (slot >= 0) return slot;
    const added = this.fleet.addSeries(device, DEVICE_METRIC);
    batch.declarations.push(added.declaration);
    for (const part of this.parts) part.reserve(part.per === 'series' ? this.fleet.seriesTop : this.fleet.deviceTop);
    return added.slot;
  }
}

function jointAlarm(found: JointFinding, atMs: number): Alarm {
  const { kind, metrics: parts } = found;
  return {
    metric: DEVICE_METRIC, atMs, score: found.score, kind, channel: -1, actual: null, yhat: null, yhatLower: null, yhatUpper: null,
    with: parts.map(({ metric, contribution }) => ({ metric, contribution })),
    reason: reasonText({
      channel: kind === 'correlation' ? 'joint' : 'state', actual: NaN, yhat: null, yhatLower: null, yhatUpper: null, unseenMs: 0, above: false, extreme: false, run: 0, parts,
    }),
  };
}

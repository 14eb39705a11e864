import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { DEVICE_METRIC, FLAG, type Batch, type Control, type FeedbackVerdict } from '../core/batch.js';
import type { Detector, WarmUp } from '../core/detector.js';
import type { Device, Fleet } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import type { DocumentPart, StatePart } from '../core/state.js';
import { openBackend, type Backend, type BackendName } from './backends/index.js';
import { FEATURES } from './normaliser.js';
import { Judge } from './judge.js';
import type { Network } from './network.js';
import { Predictor } from './predictor.js';
import { Rounds } from './rounds.js';
import { DEFAULT_SETTINGS, Policies, type DetectorSettings } from './settings.js';
import { CHANNELS, DEFAULT_TUNING, type Channel, type Tuning } from './tuning.js';
import { readWeights } from './weights.js';

export interface DetectorOptions {
  /** The network, or the file that it is read from; the shipped weights where left out. */
  network?: Network | string;
  /** Default `wasm`. */
  backend?: BackendName;
  /** A backend that is open already (then `network` and `backend` are not looked at). */
  opened?: Backend;
  /** `last_value` predicts without a network: the ablation that shows what the network is worth. */
  forecaster?: 'gru' | 'last_value';
  /** `compact` keeps fewer intervals and channels: 1.2 KB a series in place of 3.2 KB. */
  profile?: 'default' | 'compact';
  settings?: Partial<DetectorSettings>;
  /** Channels that judge; all where left out (ablations). */
  channels?: readonly Channel[];
  /** Constants (benchmarks that choose them). */
  tuning?: Partial<Tuning>;
}

const DAY_MS = 86_400_000;
/** The rate of false alarms for which the threshold was fitted: one in so many readings. */
const FITTED_READINGS = DAY_MS / 600_000 / 0.07;

/** Opens a detector with no state. @throws GruardError WEIGHTS_*, FILE_UNREADABLE, BACKEND_UNAVAILABLE. */
export async function openDetector(fleet: Fleet, options: DetectorOptions = {}): Promise<StreamDetector> {
  if (options.forecaster === 'last_value') return new StreamDetector(fleet, null, options);
  if (options.opened) return new StreamDetector(fleet, options.opened, options);
  const { network = shippedFile('model/weights/default.safetensors') } = options;
  if (options.network === undefined && !existsSync(network as string)) return new StreamDetector(fleet, null, options);
  const loaded = typeof network === 'string' ? await readWeights(network) : network;
  return new StreamDetector(fleet, await openBackend(options.backend ?? 'wasm', loaded), options);
}

export class StreamDetector implements Detector {
  readonly parts: readonly StatePart[];
  readonly documents: readonly DocumentPart[] = [];
  readonly predictor: Predictor;
  readonly judge: Judge;
  readonly tuning: Tuning;
  readonly #policies: Policies;
  readonly #rounds = new Rounds();

  // One round in columns.
  #slots = new Uint32Array(0);
  #timestampMs = new Float64Array(0);
  #value = new Float64Array(0);
  #learning = new Float32Array(0);

  constructor(readonly fleet: Fleet, backend: Backend | null, options: DetectorOptions) {
    this.tuning = { ...DEFAULT_TUNING, ...options.tuning };
    this.#policies = new Policies({ ...DEFAULT_SETTINGS, ...options.settings });
    this.predictor = new Predictor(backend);
    this.judge = new Judge(this.predictor, this.tuning, options.profile === 'compact' ? 6 : 16, options.channels ?? CHANNELS);
    this.parts = [...this.predictor.parts, ...this.judge.parts];
  }

  step(batch: Batch): void {
    this.#reserve(batch);
    this.#rounds.split(batch, this.fleet.seriesTop);
    const { starts } = this.#rounds;
    for (let k = 0; k + 1 < starts.length; k++) this.#round(batch, starts[k], starts[k + 1]);
    this.#deviceRows(batch);
  }

  #round(batch: Batch, from: number, to: number): void {
    const rows = this.#rounds.rows;
    const n = to - from;
    for (let i = 0; i < n; i++) {
      const row = rows[from + i];
      this.#slots[i] = batch.slot[row];
      this.#timestampMs[i] = batch.timestampMs[row];
      this.#value[i] = batch.value[row];
      this.#learning[i] = 1;
    }
    const { predictor, judge } = this;
    predictor.observe(this.#slots, n, this.#timestampMs, this.#value, this.#learning);
    for (let i = 0; i < n; i++) this.#judgeRow(batch, rows[from + i], i);
    predictor.advance(this.#slots, n);
    for (let i = 0; i < n; i++) judge.keepForecasts(this.#slots[i]);
  }

  #judgeRow(batch: Batch, row: number, i: number): void {
    const { predictor, judge, tuning } = this;
    const slot = batch.slot[row];
    if (predictor.hasForecast(slot)) {
      batch.yhat[row] = predictor.yhat(slot);
      batch.yhatLower[row] = predictor.yhatLower(slot);
      batch.yhatUpper[row] = predictor.yhatUpper(slot);
    }
    const u = predictor.normaliser.working(slot);
    if (predictor.normaliser.count(slot) === 1) judge.clear(slot);
    const periodMs = predictor.normaliser.periodMs(slot);
    judge.step(slot, batch.timestampMs[row], batch.value[row], u, 2 * predictor.features[i * FEATURES + 6], periodMs);
    if (judge.readings(slot) <= tuning.warmUp) {
      batch.flags[row] |= FLAG.WARMING;
      return;
    }
    const threshold = this.#threshold(periodMs, this.#policies.settings.falseAlarmsPerDay);
    const { odds } = judge.finding;
    const emitted = judge.emits(slot, odds, threshold);
    const score = odds <= 0 ? 0 : odds / threshold;
    batch.anomalyScore[row] = emitted ? score : 0.5 * Math.min(score, 1);
  }

  /** Log odds that keep to the false alarms allowed, at this series' rate of readings. */
  #threshold(periodMs: number, falseAlarmsPerDay: number): number {
    if (periodMs <= 0) return this.tuning.threshold;
    return Math.max(2, this.tuning.threshold + Math.log(DAY_MS / periodMs / falseAlarmsPerDay / FITTED_READINGS));
  }

  /** The row of the device as a whole after the rows of each message of a device with several metrics. */
  #deviceRows(batch: Batch): void {
    const n = batch.n;
    let row = 0;
    while (row < n) {
      const device = this.fleet.deviceOfSlot(batch.slot[row]);
      const first = row;
      let score = 0;
      let judged = 0;
      for (; row < n && this.fleet.deviceOfSlot(batch.slot[row]) === device && batch.timestampMs[row] === batch.timestampMs[first]; row++) {
        if (batch.flags[row] & (FLAG.LATE | FLAG.DEVICE)) continue;
        judged++;
        score = Math.max(score, batch.anomalyScore[row]);
      }
      if (device === undefined || judged === 0 || device.metrics.length < 2) continue;
      this.#pushDeviceRow(batch, device, batch.timestampMs[first], score);
    }
  }

  #pushDeviceRow(batch: Batch, device: Device, timestampMs: number, score: number): void {
    let slot = this.fleet.slotOf(device, DEVICE_METRIC);
    if (slot < 0) {
      const added = this.fleet.addSeries(device, DEVICE_METRIC);
      batch.declarations.push(added.declaration);
      slot = added.slot;
    }
    if (batch.n === batch.capacity) return;
    const row = batch.push(this.fleet.idOfSlot(slot), slot, timestampMs, NaN, FLAG.DEVICE);
    batch.anomalyScore[row] = score;
  }

  #reserve(batch: Batch): void {
    const slots = this.fleet.seriesTop;
    this.predictor.reserve(slots);
    for (const part of this.judge.parts) part.reserve(slots);
    if (this.#slots.length >= batch.n) return;
    this.#slots = new Uint32Array(batch.capacity);
    this.#timestampMs = new Float64Array(batch.capacity);
    this.#value = new Float64Array(batch.capacity);
    this.#learning = new Float32Array(batch.capacity);
    this.predictor.reserveRows(batch.capacity);
  }

  retire(device: Device): void {
    for (const slot of device.slots) {
      for (const part of this.parts) if (part.per === 'series') part.clear(slot);
    }
  }

  warmUp(device: Device): WarmUp {
    const all = device.slots.filter((_, i) => device.metrics[i] !== DEVICE_METRIC).map((slot) => this.seriesInfo(slot).warmUp);
    const readingsLeft = Math.max(0, ...all.map((w) => w.readingsLeft));
    const times = all.map((w) => w.readyAtMs).filter((ms) => ms !== null);
    return { ready: readingsLeft === 0, readingsLeft, readyAtMs: times.length > 0 ? Math.max(...times) : null };
  }

  seriesInfo(slot: number): { periodMs: number | null; warmUp: WarmUp; readings: number } {
    this.predictor.reserve(slot + 1);
    for (const part of this.judge.parts) part.reserve(slot + 1);
    const readings = this.judge.readings(slot);
    const periodMs = this.predictor.normaliser.periodMs(slot) || null;
    const readingsLeft = Math.max(0, this.tuning.warmUp - readings);
    const lastSeenMs = this.fleet.deviceOfSlot(slot)?.lastSeenMs ?? 0;
    const readyAtMs = readingsLeft > 0 && periodMs !== null ? lastSeenMs + readingsLeft * periodMs : null;
    return { periodMs, readings, warmUp: { ready: readingsLeft === 0, readingsLeft, readyAtMs } };
  }

  canTakeFeedback(_eventId: string, _verdict: FeedbackVerdict): boolean {
    return false;
  }
}

export function eventId(device: string, metric: string, openedMs: number): string {
  return createHash('sha256').update(`${device}\0${metric}\0${openedMs}`).digest('hex').slice(0, 16);
}

export type { Control };

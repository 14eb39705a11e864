import { Batch, DEVICE_METRIC, FLAG } from '../core/batch.js';
import type { Detector } from '../core/detector.js';
import type { AnomalyEvent, HealthVerdict } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import type { Device } from '../core/fleet.js';

/** Opens the detector that is measured, over the fleet that the harness fills; `periodMs` is the usual time between readings of the devices that it will see. */
export type MakeDetector = (fleet: Fleet, periodMs: number) => Detector | Promise<Detector>;

/** The readings of one device: a row is a message with a timestamp and a value for each metric. */
export interface DeviceInput {
  device: string;
  metrics: readonly string[];
  /** [rows] epoch ms. A repeated timestamp repeats the first one's results; an older one that is new is late and not scored. */
  timestampMs: Float64Array;
  /** [metrics][rows]; NaN where a row has no reading of the metric. */
  values: readonly Float64Array[];
}

/** What the detector made of one series (or of the device as a whole), row by row. */
export interface SeriesOutput {
  /** [rows] 0 where the row was not scored. */
  score: Float32Array;
  /** [rows] 1 while an anomaly event is open. */
  inEvent: Uint8Array;
  /** [rows] NaN where there is none. */
  yhat: Float64Array;
  yhatLower: Float64Array;
  yhatUpper: Float64Array;
}

export interface DeviceOutput {
  device: string;
  /** [metrics] in the order of the input. */
  series: SeriesOutput[];
  /** The `*` row: undefined for a device of one metric. */
  whole: SeriesOutput | undefined;
  /** As they stand at the end, in the order in which they opened. */
  events: AnomalyEvent[];
  verdicts: HealthVerdict[];
}

export interface HarnessOptions {
  /** Readings in a batch; a device's rows follow one another in it. */
  batchRows?: number;
}

const DEFAULT_BATCH_ROWS = 1024;

/**
 * Feeds the rows of all devices, in step (row 0 of each, then row 1 of each ...), through a new fleet and detector.
 * Devices that run together should share a sampling period: `nowMs` is the newest timestamp fed so far.
 */
export async function runDetector(make: MakeDetector, inputs: readonly DeviceInput[], options: HarnessOptions = {}): Promise<DeviceOutput[]> {
  const fleet = new Fleet();
  const detector = await make(fleet, inputs.length > 0 ? medianPeriodMs(inputs[0].timestampMs) : 0);
  return new Run(fleet, detector, inputs, options.batchRows ?? DEFAULT_BATCH_ROWS).all();
}

/** Groups devices by the median of their sampling periods (to the second), runs each group by itself, and keeps the order of the input. */
export async function runByPeriod(make: MakeDetector, inputs: readonly DeviceInput[], options: HarnessOptions = {}): Promise<DeviceOutput[]> {
  const groups = new Map<number, number[]>();
  inputs.forEach((input, i) => {
    const key = Math.round(medianPeriodMs(input.timestampMs) / 1000);
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  });
  const outputs = new Array<DeviceOutput>(inputs.length);
  for (const group of groups.values()) {
    const done = await runDetector(make, group.map((i) => inputs[i]), options);
    group.forEach((i, k) => {
      outputs[i] = done[k];
    });
  }
  return outputs;
}

/** The highest score of any series of the device, or of the device as a whole, row by row. */
export function deviceScore(output: DeviceOutput): Float32Array {
  const all = output.whole ? [...output.series, output.whole] : output.series;
  if (all.length === 1) return all[0].score;
  const highest = Float32Array.from(all[0].score);
  for (const one of all) for (let row = 0; row < highest.length; row++) if (one.score[row] > highest[row]) highest[row] = one.score[row];
  return highest;
}

export function medianPeriodMs(timestampMs: Float64Array): number {
  if (timestampMs.length < 2) return 0;
  const steps = new Float64Array(timestampMs.length - 1);
  for (let i = 1; i < timestampMs.length; i++) steps[i - 1] = timestampMs[i] - timestampMs[i - 1];
  return steps.sort()[steps.length >> 1];
}

class Run {
  readonly #batch: Batch;
  readonly #outputs: DeviceOutput[];
  readonly #devices: (Device | undefined)[];
  /** By series slot: which input it belongs to, and which metric of it (-1: the device as a whole). */
  readonly #inputOfSlot: number[] = [];
  readonly #metricOfSlot: number[] = [];
  /** [capacity] which row of its input a row of the batch is. */
  readonly #rowOf: Int32Array;
  /** By input: where to go on looking for the row of the next device row. */
  readonly #deviceRowFrom: Int32Array;
  readonly #room: number;
  #newestMs = -Infinity;

  constructor(private readonly fleet: Fleet, private readonly detector: Detector, private readonly inputs: readonly DeviceInput[], batchRows: number) {
    const widest = Math.max(1, ...inputs.map((input) => input.metrics.length));
    this.#room = Math.max(batchRows, widest);
    this.#batch = new Batch(this.#room * 2);
    this.#rowOf = new Int32Array(this.#room);
    this.#deviceRowFrom = new Int32Array(inputs.length);
    this.#devices = new Array<Device | undefined>(inputs.length);
    this.#outputs = inputs.map((input) => ({
      device: input.device,
      series: input.metrics.map(() => emptyOutput(input.timestampMs.length)),
      whole: input.metrics.length > 1 ? emptyOutput(input.timestampMs.length) : undefined,
      events: [],
      verdicts: [],
    }));
  }

  all(): DeviceOutput[] {
    const longest = Math.max(0, ...this.inputs.map((input) => input.timestampMs.length));
    const newest = this.inputs.map(() => -Infinity);
    for (let row = 0; row < longest; row++) {
      for (let i = 0; i < this.inputs.length; i++) {
        const input = this.inputs[i];
        if (row >= input.timestampMs.length || !(input.timestampMs[row] > newest[i])) continue;
        newest[i] = input.timestampMs[row];
        if (this.#batch.n + input.metrics.length > this.#room) this.#step();
        this.#push(i, row);
      }
    }
    this.#step();
    this.inputs.forEach((input, i) => repeatDuplicates(input.timestampMs, this.#outputs[i]));
    return this.#outputs;
  }

  #push(i: number, row: number): void {
    const input = this.inputs[i];
    const atMs = input.timestampMs[row];
    const device = (this.#devices[i] ??= this.#declareDevice(input, atMs));
    for (let m = 0; m < input.metrics.length; m++) {
      const value = input.values[m][row];
      if (Number.isNaN(value)) continue;
      let slot = this.fleet.slotOf(device, input.metrics[m]);
      if (slot < 0) {
        const added = this.fleet.addSeries(device, input.metrics[m]);
        this.#batch.declarations.push(added.declaration);
        slot = added.slot;
        this.#inputOfSlot[slot] = i;
        this.#metricOfSlot[slot] = m;
      }
      this.#rowOf[this.#batch.push(this.fleet.idOfSlot(slot), slot, atMs, value, 0)] = row;
    }
    device.lastSeenMs = atMs;
    this.#newestMs = Math.max(this.#newestMs, atMs);
  }

  #declareDevice(input: DeviceInput, atMs: number): Device {
    const { device, declaration } = this.fleet.addDevice(input.device, {}, atMs);
    this.#batch.declarations.push(declaration);
    return device;
  }

  #step(): void {
    const batch = this.#batch;
    if (batch.n === 0) return;
    const fed = batch.n;
    batch.nowMs = this.#newestMs;
    this.detector.step(batch);
    for (let row = 0; row < fed; row++) {
      const output = this.#outputs[this.#inputOfSlot[batch.slot[row]]].series[this.#metricOfSlot[batch.slot[row]]];
      copyRow(batch, row, output, this.#rowOf[row]);
    }
    for (let row = fed; row < batch.n; row++) if (batch.flags[row] & FLAG.DEVICE) this.#copyDeviceRow(row);
    for (const event of batch.events) upsert(this.#outputOf(event.device)?.events, event);
    for (const verdict of batch.verdicts) upsert(this.#outputOf(verdict.device)?.verdicts, verdict);
    batch.reset();
  }

  /** A device row carries no input row: its timestamp tells which it is, and those of a device come in time order. */
  #copyDeviceRow(row: number): void {
    const device = this.fleet.deviceOfSlot(this.#batch.slot[row]);
    const i = device ? this.#devices.indexOf(device) : -1;
    if (i < 0 || this.fleet.metricOfSlot(this.#batch.slot[row]) !== DEVICE_METRIC) return;
    const times = this.inputs[i].timestampMs;
    let at = this.#deviceRowFrom[i];
    while (at < times.length && times[at] !== this.#batch.timestampMs[row]) at++;
    const whole = this.#outputs[i].whole;
    if (at === times.length || !whole) return;
    copyRow(this.#batch, row, whole, at);
    this.#deviceRowFrom[i] = at + 1;
  }

  #outputOf(device: string): DeviceOutput | undefined {
    return this.#outputs.find((output) => output.device === device);
  }
}

function emptyOutput(rows: number): SeriesOutput {
  return {
    score: new Float32Array(rows), inEvent: new Uint8Array(rows),
    yhat: new Float64Array(rows).fill(NaN), yhatLower: new Float64Array(rows).fill(NaN), yhatUpper: new Float64Array(rows).fill(NaN),
  };
}

function copyRow(batch: Batch, row: number, output: SeriesOutput, at: number): void {
  output.score[at] = batch.anomalyScore[row];
  output.inEvent[at] = batch.flags[row] & FLAG.IN_EVENT ? 1 : 0;
  output.yhat[at] = batch.yhat[row];
  output.yhatLower[at] = batch.yhatLower[row];
  output.yhatUpper[at] = batch.yhatUpper[row];
}

function upsert<T extends { id: string }>(list: T[] | undefined, item: T): void {
  if (!list) return;
  const at = list.findIndex((one) => one.id === item.id);
  if (at < 0) list.push(structuredClone(item));
  else list[at] = structuredClone(item);
}

function repeatDuplicates(times: Float64Array, output: DeviceOutput): void {
  const firstRow = new Map<number, number>();
  let newest = -Infinity;
  for (let row = 0; row < times.length; row++) {
    if (times[row] > newest) {
      newest = times[row];
      continue;
    }
    if (firstRow.size === 0) for (let r = times.length - 1; r >= 0; r--) firstRow.set(times[r], r);
    const from = firstRow.get(times[row])!;
    for (const one of output.whole ? [...output.series, output.whole] : output.series) {
      one.score[row] = one.score[from];
      one.inEvent[row] = one.inEvent[from];
      one.yhat[row] = one.yhat[from];
      one.yhatLower[row] = one.yhatLower[from];
      one.yhatUpper[row] = one.yhatUpper[from];
    }
  }
}

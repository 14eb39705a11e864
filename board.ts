import { DEVICE_METRIC, FLAG, type Batch } from './core/batch.js';
import type { AnomalyEvent, HealthVerdict } from './core/event.js';
import type { Device, Fleet } from './core/fleet.js';
import type { StatePart } from './core/state.js';

const PAGE = 1024;
/** Numbers a series: timestamp, value, score. */
const WIDTH = 3;

/** The last committed reading of every series. Pages of [1024, 3] doubles, so that growing moves nothing. */
export class LastReadings implements StatePart {
  readonly name = 'last';
  readonly version = 1;
  readonly per = 'series';
  readonly bytesPerSlot = WIDTH * 8;
  readonly #pages: Float64Array[] = [];

  reserve(capacity: number): void {
    while (this.#pages.length * PAGE < capacity) this.#pages.push(new Float64Array(PAGE * WIDTH).fill(NaN));
  }

  put(slot: number, timestampMs: number, value: number, score: number): void {
    const page = this.#pages[slot >>> 10];
    const at = (slot & (PAGE - 1)) * WIDTH;
    if (page[at] > timestampMs) return;
    page[at] = timestampMs;
    page[at + 1] = value;
    page[at + 2] = score;
  }

  /** undefined where nothing was read yet. */
  get(slot: number): { timestampMs: number; actual: number; anomalyScore: number } | undefined {
    const page = this.#pages[slot >>> 10];
    const at = (slot & (PAGE - 1)) * WIDTH;
    if (!page || Number.isNaN(page[at])) return undefined;
    return { timestampMs: page[at], actual: page[at + 1], anomalyScore: page[at + 2] };
  }

  clear(slot: number): void {
    this.#pages[slot >>> 10]?.fill(NaN, (slot & (PAGE - 1)) * WIDTH, ((slot & (PAGE - 1)) + 1) * WIDTH);
  }

  write(slot: number, out: Uint8Array, at: number): void {
    out.set(this.#bytes(slot), at);
  }

  read(slot: number, from: Uint8Array, at: number): void {
    this.#bytes(slot).set(from.subarray(at, at + this.bytesPerSlot));
  }

  #bytes(slot: number): Uint8Array {
    return new Uint8Array(this.#pages[slot >>> 10].buffer, (slot & (PAGE - 1)) * this.bytesPerSlot, this.bytesPerSlot);
  }
}

/** The open events and verdicts. */
export interface BoardDocument {
  events: AnomalyEvent[];
  verdicts: HealthVerdict[];
}

/** What stands on the board of a control room: the last reading of each series, what is open on each device. */
export class Board {
  readonly last = new LastReadings();
  /** By device name. */
  readonly #events = new Map<string, Map<string, AnomalyEvent>>();
  readonly #verdicts = new Map<string, Map<string, HealthVerdict>>();

  constructor(private readonly fleet: Fleet) {}

  /** A stepped batch, or a record of the journal with its results; one that is older than what stands there changes no reading. */
  apply(batch: Batch): void {
    this.last.reserve(this.fleet.seriesTop);
    for (let row = 0; row < batch.n; row++) this.#applyRow(batch, row);
    // An event of a device that was retired meanwhile is history, not something open.
    for (const event of batch.events) if (this.fleet.get(event.device)) this.putEvent(event);
    for (const verdict of batch.verdicts) if (this.fleet.get(verdict.device)) this.putVerdict(verdict);
  }

  /** The device is about to be forgotten: its slots will be another's. */
  retire(device: Device): void {
    for (const slot of device.slots) this.last.clear(slot);
    this.#events.delete(device.name);
    this.#verdicts.delete(device.name);
  }

  putEvent(event: AnomalyEvent): void {
    place(this.#events, event.device, event.id, event.state === 'open' ? event : undefined);
  }

  putVerdict(verdict: HealthVerdict): void {
    place(this.#verdicts, verdict.device, verdict.id, verdict.untilMs === null ? verdict : undefined);
  }

  /** What is open, for the snapshot. */
  document(): BoardDocument {
    return {
      events: [...this.#events.values()].flatMap((events) => [...events.values()]),
      verdicts: [...this.#verdicts.values()].flatMap((verdicts) => [...verdicts.values()]),
    };
  }

  restore(document: BoardDocument): void {
    document.events.forEach((event) => this.putEvent(event));
    document.verdicts.forEach((verdict) => this.putVerdict(verdict));
  }

  openEvents(device: string): AnomalyEvent[] {
    return [...(this.#events.get(device)?.values() ?? [])];
  }

  openVerdicts(device: string): HealthVerdict[] {
    return [...(this.#verdicts.get(device)?.values() ?? [])];
  }

  get openBySeverity(): { info: number; warning: number; critical: number } {
    const counts = { info: 0, warning: 0, critical: 0 };
    for (const events of this.#events.values()) for (const event of events.values()) counts[event.severity]++;
    return counts;
  }

  get unhealthyDevices(): number {
    return this.#verdicts.size;
  }

  /** The highest of its series' last scores. */
  scoreOf(device: Device): number {
    let score = 0;
    for (const slot of device.slots) score = Math.max(score, this.last.get(slot)?.anomalyScore ?? 0);
    return score;
  }

  #applyRow(batch: Batch, row: number): void {
    const seriesId = batch.seriesId[row];
    // A stepped batch knows the slots; in one that comes from the journal they mean nothing.
    const slot = this.fleet.idOfSlot(batch.slot[row]) === seriesId ? batch.slot[row] : this.fleet.slotOfId(seriesId);
    if (slot === undefined || (batch.flags[row] & FLAG.LATE) !== 0) return;
    this.last.put(slot, batch.timestampMs[row], batch.value[row], batch.anomalyScore[row]);
    const device = this.fleet.deviceOfSlot(slot);
    if (device && batch.timestampMs[row] > device.lastSeenMs && this.fleet.metricOfSlot(slot) !== DEVICE_METRIC) {
      device.lastSeenMs = batch.timestampMs[row];
    }
  }
}

function place<T>(board: Map<string, Map<string, T>>, device: string, id: string, open: T | undefined): void {
  let ofDevice = board.get(device);
  if (open !== undefined) {
    if (!ofDevice) board.set(device, (ofDevice = new Map<string, T>()));
    ofDevice.set(id, open);
  } else if (ofDevice?.delete(id) && ofDevice.size === 0) {
    board.delete(device);
  }
}

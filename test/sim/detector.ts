import { DEVICE_METRIC, FLAG, type Batch } from '../../core/batch.js';
import type { Detector, WarmUp } from '../../core/detector.js';
import type { AnomalyEvent } from '../../core/event.js';
import type { Device, Fleet } from '../../core/fleet.js';
import type { DocumentPart, StatePart } from '../../core/state.js';

/** Numbers kept for each slot. */
class Numbers implements StatePart {
  readonly version = 1;
  readonly bytesPerSlot: number;
  #values = new Float64Array(0);

  constructor(readonly name: string, readonly per: 'series' | 'device', private readonly width: number) {
    this.bytesPerSlot = width * 8;
  }

  of(slot: number): Float64Array {
    return this.#values.subarray(slot * this.width, (slot + 1) * this.width);
  }

  reserve(capacity: number): void {
    if (this.#values.length >= capacity * this.width) return;
    const grown = new Float64Array(capacity * this.width * 2);
    grown.set(this.#values);
    this.#values = grown;
  }

  clear(slot: number): void {
    this.of(slot).fill(0);
  }

  write(slot: number, out: Uint8Array, at: number): void {
    out.set(new Uint8Array(this.#values.buffer, slot * this.bytesPerSlot, this.bytesPerSlot), at);
  }

  read(slot: number, from: Uint8Array, at: number): void {
    new Uint8Array(this.#values.buffer, slot * this.bytesPerSlot, this.bytesPerSlot).set(from.subarray(at, at + this.bytesPerSlot));
  }
}

/** An open event and the readings since it was last fed. */
interface Open {
  event: AnomalyEvent;
  calm: number;
}

/**
 * A detector small enough to be seen through and honest about what matters: every score depends on all readings of its series before, so one that is lost, seen
 * twice or out of order shows in all scores after it; device rows, events and documents as the real one has them.
 */
export class SmallDetector implements Detector {
  /** [slot] readings, running mean, running hash. */
  readonly #series = new Numbers('small', 'series', 3);
  /** [slot] messages. */
  readonly #messages = new Numbers('messages', 'device', 1);
  readonly #open = new Map<number, Open>();
  readonly parts: readonly StatePart[] = [this.#series, this.#messages];
  readonly documents: readonly DocumentPart[] = [{
    name: 'open',
    version: 1,
    writeDevice: (id) => this.#open.get(id) ?? null,
    readDevice: (id, document) => this.#open.set(id, document as Open),
    clearDevice: (id) => this.#open.delete(id),
  }];

  constructor(private readonly fleet: Fleet) {}

  step(batch: Batch): void {
    this.#series.reserve(this.fleet.seriesTop);
    this.#messages.reserve(this.fleet.deviceTop);
    const n = batch.n;
    for (let row = 0; row < n; row++) {
      const device = this.fleet.deviceOfSlot(batch.slot[row])!;
      if ((batch.flags[row] & FLAG.LATE) !== 0) continue;
      this.#judge(batch, row, device);
      const last = row + 1 === n || this.fleet.deviceOfSlot(batch.slot[row + 1]) !== device || batch.timestampMs[row + 1] !== batch.timestampMs[row];
      // Metrics that were read by now, not those that the batch goes on to declare: where a batch ends must make no difference.
      if (last && device.slots.filter((slot) => this.#series.of(slot)[0] > 0).length > 1) this.#deviceRow(batch, row, device);
    }
  }

  #judge(batch: Batch, row: number, device: Device): void {
    const state = this.#series.of(batch.slot[row]);
    const value = batch.value[row];
    if (state[0] > 2) {
      batch.yhat[row] = state[1];
      batch.yhatLower[row] = state[1] - 1;
      batch.yhatUpper[row] = state[1] + 1;
      batch.anomalyScore[row] = Math.abs(value - state[1]) + state[2] * 1e-6;
      this.#event(batch, row, device);
    } else {
      batch.flags[row] |= FLAG.WARMING;
    }
    state[0]++;
    state[1] = 0.9 * state[1] + 0.1 * value;
    state[2] = (state[2] * 31 + batch.timestampMs[row] + value) % 1009;
  }

  #event(batch: Batch, row: number, device: Device): void {
    const score = batch.anomalyScore[row];
    const atMs = batch.timestampMs[row];
    const open = this.#open.get(device.id);
    if (score > 1 && !open) {
      const metric = this.fleet.metricOfSlot(batch.slot[row]);
      const event: AnomalyEvent = {
        id: `${device.name}/${metric}/${atMs}`, device: device.name, metric, kind: 'spike', state: 'open', severity: 'warning', openedMs: atMs, updatedMs: atMs, resolvedMs: null,
        readings: 1, peakScore: score, peakMs: atMs, actual: batch.value[row], yhat: batch.yhat[row], yhatLower: null, yhatUpper: null, reason: 'simulated', metrics: [], incident: null, feedback: null,
      };
      this.#open.set(device.id, { event, calm: 0 });
      batch.events.push({ ...event });
    } else if (open) {
      const { event } = open;
      event.readings++;
      event.updatedMs = atMs;
      open.calm = score > 1 ? 0 : open.calm + 1;
      if (open.calm === 4) {
        event.state = 'resolved';
        event.resolvedMs = atMs;
        this.#open.delete(device.id);
      }
      batch.events.push({ ...event });
    }
    if (this.#open.has(device.id)) batch.flags[row] |= FLAG.IN_EVENT;
  }

  #deviceRow(batch: Batch, row: number, device: Device): void {
    let slot = this.fleet.slotOf(device, DEVICE_METRIC);
    if (slot < 0) {
      const added = this.fleet.addSeries(device, DEVICE_METRIC);
      batch.declarations.push(added.declaration);
      slot = added.slot;
      this.#series.reserve(this.fleet.seriesTop);
      this.#series.clear(slot);
    }
    const count = this.#messages.of(device.slot);
    count[0]++;
    const at = batch.push(this.fleet.idOfSlot(slot), slot, batch.timestampMs[row], NaN, FLAG.DEVICE);
    batch.anomalyScore[at] = count[0];
  }

  retire(device: Device): void {
    for (const slot of device.slots) this.#series.clear(slot);
    this.#messages.clear(device.slot);
    this.#open.delete(device.id);
  }

  warmUp(): WarmUp {
    return { ready: true, readingsLeft: 0, readyAtMs: null };
  }

  seriesInfo(slot: number): { periodMs: number | null; warmUp: WarmUp; readings: number } {
    return { periodMs: null, warmUp: this.warmUp(), readings: this.#series.of(slot)[0] };
  }

  canTakeFeedback(): boolean {
    return false;
  }
}

import type { Declaration } from './batch.js';
import { DEVICE_METRIC } from './batch.js';
import type { SeriesNames } from './results.js';

/** One device and its series. `metrics[i]` is the name of the series at `slots[i]` with identity `seriesIds[i]`. */
export interface Device {
  readonly id: number;
  readonly name: string;
  tags: Readonly<Record<string, string>>;
  /** Place in the per-device arenas. */
  readonly slot: number;
  readonly metrics: string[];
  readonly slots: number[];
  readonly seriesIds: number[];
  firstSeenMs: number;
  lastSeenMs: number;
}

/** A series of a device that is no more. */
export interface RetiredSeries {
  readonly seriesId: number;
  readonly deviceId: number;
  readonly device: string;
  readonly metric: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Hands out the lowest free place first, so that arenas stay dense when devices come and go. */
class Slots {
  #next = 0;
  readonly #free: number[] = [];

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  /** One more than the highest place ever handed out: what an arena must have room for. */
  get top(): number {
    return this.#next;
  }
}

const NO_ID = 0xffffffff;

/**
 * Which devices and series there are. Identities (`deviceId`, `seriesId`) are never used twice and are what the journal and the stores
 * hold; slots are places in this process's arenas and are used again after a device is retired.
 */
export class Fleet implements SeriesNames {
  readonly #byName = new Map<string, Device>();
  readonly #byId = new Map<number, Device>();
  readonly #seriesSlots = new Slots();
  readonly #deviceSlots = new Slots();
  /** By series slot. */
  #idOf: Uint32Array = new Uint32Array(1024).fill(NO_ID);
  readonly #deviceOf: (Device | undefined)[] = [];
  readonly #metricOf: string[] = [];
  /** By device slot. */
  readonly #deviceAt: (Device | undefined)[] = [];
  readonly #slotOfId = new Map<number, number>();
  /** Names of series that were retired: followers that lag may still need them. */
  readonly #retiredNames = new Map<number, RetiredSeries>();
  #nextDeviceId = 1;
  #nextSeriesId = 1;
  #seriesCount = 0;

  /** Grows whenever a device comes or goes: what is derived from the list of devices is good until then. */
  version = 0;

  get deviceCount(): number {
    return this.#byName.size;
  }

  /** Series of metrics; the device rows (metric `*`) are not counted. */
  get seriesCount(): number {
    return this.#seriesCount;
  }

  /** What a per-series arena must have room for. */
  get seriesTop(): number {
    return this.#seriesSlots.top;
  }

  /** What a per-device arena must have room for. */
  get deviceTop(): number {
    return this.#deviceSlots.top;
  }

  get(name: string): Device | undefined {
    return this.#byName.get(name);
  }

  getById(deviceId: number): Device | undefined {
    return this.#byId.get(deviceId);
  }

  devices(): IterableIterator<Device> {
    return this.#byName.values();
  }

  deviceOfSlot(seriesSlot: number): Device | undefined {
    return this.#deviceOf[seriesSlot];
  }

  deviceAtSlot(deviceSlot: number): Device | undefined {
    return this.#deviceAt[deviceSlot];
  }

  metricOfSlot(seriesSlot: number): string {
    return this.#metricOf[seriesSlot];
  }

  idOfSlot(seriesSlot: number): number {
    return this.#idOf[seriesSlot];
  }

  /** undefined where the series is unknown here or retired. */
  slotOfId(seriesId: number): number | undefined {
    return this.#slotOfId.get(seriesId);
  }

  /** The slot of a device's metric, or -1. Linear: most devices have a handful of metrics, and a small scan beats a Map for each device. */
  slotOf(device: Device, metric: string): number {
    const at = device.metrics.indexOf(metric);
    return at < 0 ? -1 : device.slots[at];
  }

  nameOf(seriesId: number): { device: string; metric: string; tags: Readonly<Record<string, string>> } | undefined {
    const slot = this.#slotOfId.get(seriesId);
    if (slot === undefined) return this.#retiredNames.get(seriesId);
    const device = this.#deviceOf[slot];
    return device && { device: device.name, metric: this.#metricOf[slot], tags: device.tags };
  }

  /** A device not seen before: gets the next identity. The declaration goes into the batch. */
  addDevice(name: string, tags: Record<string, string>, atMs: number): { device: Device; declaration: Declaration } {
    const declaration: Declaration = { kind: 'device', deviceId: this.#nextDeviceId, name, tags, atMs };
    this.apply(declaration);
    return { device: this.#byName.get(name)!, declaration };
  }

  addSeries(device: Device, metric: string): { slot: number; declaration: Declaration } {
    const declaration: Declaration = { kind: 'series', seriesId: this.#nextSeriesId, deviceId: device.id, metric };
    this.apply(declaration);
    return { slot: this.slotOf(device, metric), declaration };
  }

  /** Carries out a declaration: made here, replayed from the journal, or read from a snapshot. One that was applied already changes nothing. */
  apply(declaration: Declaration): void {
    switch (declaration.kind) {
      case 'device':
        return this.#applyDevice(declaration);
      case 'series':
        return this.#applySeries(declaration);
      case 'tags': {
        const device = this.#byId.get(declaration.deviceId);
        if (device) device.tags = declaration.tags;
        return;
      }
      case 'retire':
        return this.#retire(declaration.deviceId);
    }
  }

  /** Names of retired series are kept until every follower has passed their retirement; the journal says when. */
  forgetRetired(): void {
    this.#retiredNames.clear();
  }

  retiredSeries(): IterableIterator<RetiredSeries> {
    return this.#retiredNames.values();
  }

  addRetired(series: RetiredSeries): void {
    this.#retiredNames.set(series.seriesId, series);
  }

  /** The identities handed out next. A snapshot keeps them: an identity is not used again even when its device is long gone. */
  get nextIds(): { device: number; series: number } {
    return { device: this.#nextDeviceId, series: this.#nextSeriesId };
  }

  raiseIds(ids: { device: number; series: number }): void {
    this.#nextDeviceId = Math.max(this.#nextDeviceId, ids.device);
    this.#nextSeriesId = Math.max(this.#nextSeriesId, ids.series);
  }

  #applyDevice(d: Extract<Declaration, { kind: 'device' }>): void {
    if (this.#byId.has(d.deviceId)) return;
    const device: Device = {
      id: d.deviceId, name: d.name, tags: d.tags, slot: this.#deviceSlots.take(),
      metrics: [], slots: [], seriesIds: [], firstSeenMs: d.atMs, lastSeenMs: d.atMs,
    };
    this.version++;
    this.#byName.set(device.name, device);
    this.#byId.set(device.id, device);
    this.#deviceAt[device.slot] = device;
    this.#nextDeviceId = Math.max(this.#nextDeviceId, device.id + 1);
  }

  #applySeries(d: Extract<Declaration, { kind: 'series' }>): void {
    const device = this.#byId.get(d.deviceId);
    if (!device || this.#slotOfId.has(d.seriesId)) return;
    const slot = this.#seriesSlots.take();
    if (slot >= this.#idOf.length) {
      const grown = new Uint32Array(this.#idOf.length * 2).fill(NO_ID);
      grown.set(this.#idOf);
      this.#idOf = grown;
    }
    this.#idOf[slot] = d.seriesId;
    this.#deviceOf[slot] = device;
    this.#metricOf[slot] = d.metric;
    this.#slotOfId.set(d.seriesId, slot);
    device.metrics.push(d.metric);
    device.slots.push(slot);
    device.seriesIds.push(d.seriesId);
    if (d.metric !== DEVICE_METRIC) this.#seriesCount++;
    this.#nextSeriesId = Math.max(this.#nextSeriesId, d.seriesId + 1);
  }

  #retire(deviceId: number): void {
    const device = this.#byId.get(deviceId);
    if (!device) return;
    device.seriesIds.forEach((id, i) => {
      this.#retiredNames.set(id, { seriesId: id, deviceId, device: device.name, metric: device.metrics[i], tags: device.tags });
      const slot = device.slots[i];
      this.#slotOfId.delete(id);
      this.#idOf[slot] = NO_ID;
      this.#deviceOf[slot] = undefined;
      this.#metricOf[slot] = '';
      this.#seriesSlots.give(slot);
      if (device.metrics[i] !== DEVICE_METRIC) this.#seriesCount--;
    });
    this.#deviceAt[device.slot] = undefined;
    this.#deviceSlots.give(device.slot);
    this.version++;
    this.#byName.delete(device.name);
    this.#byId.delete(deviceId);
  }
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import type { Replaying } from '../core/detector.js';
import type { AnomalyEvent } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import { gaussian, seededRandom } from '../core/random.js';
import { openBackend, type Backend } from './backends/index.js';
import { StreamDetector } from './detector.js';
import { readWeights } from './weights.js';

const START_MS = Date.UTC(2024, 0, 1);
const PERIOD_MS = 60_000;
const SETTINGS = { incidentDevices: 2 };

interface Message {
  device: string;
  atMs: number;
  values: [metric: string, value: number][];
}

interface Found {
  rows: Map<string, unknown>;
  events: Map<string, AnomalyEvent>;
}

/**
 * Three devices of one to four metrics: partial messages, a metric that appears later, a fault of all, a gap. A fourth sends each of its metrics by itself. A fifth has
 * faults of all sizes and lengths on a slow course.
 */
function makeMessages(seed: number, rounds: number): Message[] {
  const random = seededRandom(seed);
  const messages: Message[] = [];
  const appears = [150, 200, 40].map((most) => Math.floor(random() * most));
  const faultFrom = 180 + Math.floor(random() * 120);
  const gapAt = Math.floor(random() * rounds);
  const wild = { left: 0, size: 0 };
  for (let t = 0; t < rounds; t++) {
    for (const [d, metrics] of [1, 2, 3].entries()) {
      if (random() < 0.02 || (d === 1 && t >= gapAt && t < gapAt + 15)) continue;
      const count = metrics + (t >= appears[d] ? 1 : 0);
      const fault = t >= faultFrom && t < faultFrom + 60 && random() < 0.9 ? 12 : 0;
      const course = Math.sin(t / 9);
      const values = Array.from({ length: count }, (_, m): [string, number] => [`m${m}`, m + course + 0.2 * gaussian(random) + (m === 0 ? fault : 0)]);
      const partial = values.filter(() => random() < 0.9);
      messages.push({ device: `d${d}`, atMs: START_MS + t * PERIOD_MS + 10 * d, values: partial.length > 0 ? partial : values });
    }
    if (wild.left === 0 && t > 150 && random() < 0.02) Object.assign(wild, { left: 12 + Math.floor(90 * random()), size: (random() < 0.5 ? -2 : 2) * Math.exp(2 * random()) });
    const off = wild.left > 0 ? wild.size : 0;
    wild.left = Math.max(0, wild.left - 1);
    messages.push({ device: 'd4', atMs: START_MS + t * PERIOD_MS + 50, values: [['m0', 20 + 3 * Math.sin(t / 240 + seed) + 0.2 * gaussian(random) + off], ['m1', 0.5 * gaussian(random)]] });
    for (let m = 0; m < 3; m++) {
      const fault = t >= faultFrom && t < faultFrom + 60 ? 2 : 0;
      if (random() < 0.95) messages.push({ device: 'd3', atMs: START_MS + t * PERIOD_MS + 30 + 5000 * m, values: [[`m${m}`, Math.sin(t / 9) + 0.2 * gaussian(random) + (m === 1 ? fault : 0)]] });
    }
  }
  return messages;
}

/** Two devices on a slow course (whether their level wanders is told by its moves over 256 readings) with long faults, each of a size of its own: an open state must not depend on what a later reading of the batch tells. */
function makeSlowCourse(seed: number, rounds: number): Message[] {
  const random = seededRandom(seed);
  const messages: Message[] = [];
  const faults = [{ left: 0, size: 0 }, { left: 0, size: 0 }];
  for (let t = 0; t < rounds; t++) {
    for (const [d, fault] of faults.entries()) {
      if (fault.left === 0 && random() < 0.004) Object.assign(fault, { left: 150, size: (random() < 0.5 ? -1 : 1) * Math.exp(3 * random()) });
      const off = fault.left > 0 ? fault.size : 0;
      fault.left = Math.max(0, fault.left - 1);
      const hours = t / 60;
      messages.push({ device: `slow${d}`, atMs: START_MS + t * PERIOD_MS, values: [['m0', 20 + 3 * Math.sin(hours / 4 + d) + 0.2 * gaussian(random) + off], ['m1', 1000 + 5 * Math.cos(hours / 3) + 0.5 * gaussian(random)]] });
    }
  }
  return messages;
}

/** One process: what is known of it goes into `found`. */
class Process {
  readonly fleet = new Fleet();
  readonly detector: StreamDetector;
  readonly #batch = new Batch(16_384);

  constructor(readonly found: Found, readonly openBackend: () => Backend | null = () => null) {
    this.detector = new StreamDetector(this.fleet, openBackend(), { settings: SETTINGS });
  }

  take(messages: readonly Message[], replaying?: Replaying): void {
    const batch = this.#batch;
    batch.reset();
    for (const { device: name, atMs, values } of messages) {
      let device = this.fleet.get(name);
      if (!device) {
        const added = this.fleet.addDevice(name, {}, atMs);
        batch.declarations.push(added.declaration);
        device = added.device;
      }
      for (const [metric, value] of values) {
        let slot = this.fleet.slotOf(device, metric);
        if (slot < 0) {
          const added = this.fleet.addSeries(device, metric);
          batch.declarations.push(added.declaration);
          slot = added.slot;
        }
        batch.push(this.fleet.idOfSlot(slot), slot, atMs, value, 0);
      }
      batch.nowMs = Math.max(batch.nowMs, atMs);
    }
    this.detector.step(batch, replaying);
    this.#keep(batch);
  }

  #keep(batch: Batch): void {
    for (let row = 0; row < batch.n; row++) {
      const { device, metric } = this.fleet.nameOf(batch.seriesId[row])!;
      const key = `${device}/${metric}/${batch.timestampMs[row]}`;
      expect(this.found.rows.has(key)).toBe(false);
      this.found.rows.set(key, [batch.anomalyScore[row], batch.flags[row], batch.yhat[row], batch.yhatLower[row], batch.yhatUpper[row]]);
    }
    for (const event of batch.events) this.found.events.set(event.id, event);
  }

  /** What a restart from a snapshot finds: names in the order of their identities, parts and documents. */
  restarted(): Process {
    const next = new Process(this.found, this.openBackend);
    for (const device of this.fleet.devices()) {
      next.fleet.apply({ kind: 'device', deviceId: device.id, name: device.name, tags: {}, atMs: device.firstSeenMs });
      device.metrics.forEach((metric, i) => next.fleet.apply({ kind: 'series', seriesId: device.seriesIds[i], deviceId: device.id, metric }));
      const mine = next.fleet.get(device.name)!;
      this.detector.parts.forEach((part, k) => {
        const bytes = new Uint8Array(part.bytesPerSlot);
        const [from, to] = part.per === 'device' ? [[device.slot], [mine.slot]] : [device.slots, mine.slots];
        const into = next.detector.parts[k];
        into.reserve(Math.max(...to) + 1);
        part.reserve(Math.max(...from) + 1);
        from.forEach((slot, i) => {
          part.write(slot, bytes, 0);
          into.read(to[i], bytes, 0);
        });
      });
      this.detector.documents.forEach((part, k) => {
        const document: unknown = JSON.parse(JSON.stringify(part.writeDevice(device.id)));
        if (document !== null) next.detector.documents[k].readDevice(device.id, document);
      });
    }
    return next;
  }
}

/** The messages in batches of these sizes, over and over, with a restart after so many messages. */
function run(messages: readonly Message[], sizes: readonly number[], restartAfter = Infinity, openBackend?: () => Backend | null): Found {
  const found: Found = { rows: new Map(), events: new Map() };
  let process = new Process(found, openBackend);
  let restarted = false;
  for (let from = 0, k = 0; from < messages.length; k++) {
    const to = Math.min(messages.length, from + sizes[k % sizes.length]);
    process.take(messages.slice(from, to));
    from = to;
    if (restarted || from < restartAfter) continue;
    process = process.restarted();
    restarted = true;
  }
  return found;
}

describe('exactness', () => {
  it('rows and events are those of one batch, however the messages are cut and wherever the process is restarted', () => {
    let events = 0;
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 1e6 }), fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 8 }), fc.double({ min: 0, max: 1, noNaN: true }),
      (seed, sizes, share) => {
        const messages = makeMessages(seed, 320);
        const whole = run(messages, [messages.length]);
        events += whole.events.size;
        expect([...whole.rows.keys()].some((key) => key.startsWith('d3/*/'))).toBe(true);
        const cut = run(messages, sizes, share * messages.length);
        expect([...cut.rows].sort()).toEqual([...whole.rows].sort());
        expect([...cut.events].sort()).toEqual([...whole.events].sort());
      }), { numRuns: 5 });
    expect(events).toBeGreaterThan(0);
  });

  it('holds for faults on a course so slow that its level wanders at times', () => {
    for (const seed of [1, 2]) {
      const messages = makeSlowCourse(seed, 2500);
      const whole = run(messages, [messages.length]);
      const cut = run(messages, [1, 7, 50], 2000);
      expect(whole.events.size).toBeGreaterThan(0);
      expect([...cut.rows].filter(([key, row]) => JSON.stringify(row) !== JSON.stringify(whole.rows.get(key))).map(([key]) => key), `seed ${seed}`).toEqual([]);
      expect([...cut.events].sort()).toEqual([...whole.events].sort());
    }
  });

  it('holds with the network, which steps the series of a batch together', async () => {
    const network = await readWeights(shippedFile('model/weights/default.safetensors'));
    const opened = await Promise.all([1, 2, 3].map(() => openBackend('wasm', network)));
    const messages = makeMessages(3, 320);
    const whole = run(messages, [messages.length], Infinity, () => opened.pop()!);
    const cut = run(messages, [1, 7, 50], 500, () => opened.pop()!);
    expect(cut.rows).toEqual(new Map([...cut.rows.keys()].map((key) => [key, whole.rows.get(key)])));
    expect(cut.rows.size).toBe(whole.rows.size);
    expect(cut.events).toEqual(whole.events);
  });

  it('a replayed tick leaves a device alone whose state has seen it', () => {
    const found: Found = { rows: new Map(), events: new Map() };
    const process = new Process(found);
    const messages = makeMessages(1, 60);
    process.take(messages);
    const verdictsAfterTick = (seen: (deviceId: number) => boolean): string[] => {
      const batch = new Batch(1);
      batch.controls.push({ kind: 'tick', nowMs: messages[messages.length - 1].atMs + 100 * PERIOD_MS });
      process.detector.step(batch, { seen, events: [] });
      return batch.verdicts.map((verdict) => `${verdict.device} ${verdict.kind}`);
    };
    expect(verdictsAfterTick(() => true)).toEqual([]);
    const first = process.fleet.get('d0')!.id;
    expect(verdictsAfterTick((id) => id === first)).toEqual(['d1 silent', 'd2 silent', 'd4 silent', 'd3 silent']);
  });

  it('replayed events get the incident that the record names, and only that', () => {
    const messages = makeMessages(2, 320);
    const replayed = (incident: string | null): (string | null)[] => {
      const process = new Process({ rows: new Map(), events: new Map() });
      const whole = run(messages, [messages.length]);
      const events = [...whole.events.values()].map((event) => ({ ...event, incident }));
      process.take(messages, { seen: () => false, events });
      return [...process.fleet.devices()].flatMap((device) => {
        const kept = process.detector.documents[0].writeDevice(device.id) as { open: { event: AnomalyEvent }[]; past: { event: AnomalyEvent }[] } | null;
        return [...kept?.open ?? [], ...kept?.past ?? []].map(({ event }) => event.incident);
      });
    };
    expect(replayed(null).length).toBeGreaterThan(1);
    expect(new Set(replayed(null))).toEqual(new Set([null]));
    expect(new Set(replayed('named'))).toEqual(new Set(['named']));
  });
});

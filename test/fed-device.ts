import { Batch, FLAG, type Control } from '../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import { gaussian, seededRandom } from '../core/random.js';
import type { Backend } from '../model/backends/index.js';
import { StreamDetector, type DetectorOptions } from '../model/detector.js';

export const PERIOD_MS = 600_000;
export const START_MS = Date.UTC(2024, 0, 1);

/** A detector fed message by message; keeps what came out. */
export class Bench {
  readonly fleet = new Fleet();
  readonly detector: StreamDetector;
  readonly events = new Map<string, AnomalyEvent>();
  readonly verdicts = new Map<string, HealthVerdict>();
  readonly scores: number[] = [];
  readonly inEvent: boolean[] = [];
  readonly whole: { score: number; inEvent: boolean }[] = [];
  nowMs = START_MS;
  readonly #batch = new Batch(64);

  /** @param backend of the network; the forecast is the last value where left out */
  constructor(options: DetectorOptions = {}, backend: Backend | null = null) {
    this.detector = new StreamDetector(this.fleet, backend, options);
  }

  feed(values: Record<string, number>, device = 'pump', stepMs = PERIOD_MS): void {
    this.nowMs += stepMs;
    this.message(values, device);
  }

  message(values: Record<string, number>, device = 'pump'): void {
    const batch = this.#batch;
    batch.nowMs = this.nowMs;
    const known = this.fleet.get(device) ?? this.fleet.addDevice(device, {}, this.nowMs).device;
    for (const [metric, value] of Object.entries(values)) {
      let slot = this.fleet.slotOf(known, metric);
      if (slot < 0) slot = this.fleet.addSeries(known, metric).slot;
      batch.push(this.fleet.idOfSlot(slot), slot, this.nowMs, value, 0);
    }
    known.lastSeenMs = this.nowMs;
    this.#step();
  }

  control(control: Control): void {
    this.#batch.nowMs = this.nowMs;
    this.#batch.controls.push(control);
    this.#step();
  }

  get open(): AnomalyEvent[] {
    return [...this.events.values()].filter((event) => event.state === 'open');
  }

  #step(): void {
    const batch = this.#batch;
    const n = batch.n;
    this.detector.step(batch);
    if (n > 0) {
      this.scores.push(batch.anomalyScore[0]);
      this.inEvent.push((batch.flags[0] & FLAG.IN_EVENT) !== 0);
    }
    for (let row = n; row < batch.n; row++) this.whole.push({ score: batch.anomalyScore[row], inEvent: (batch.flags[row] & FLAG.IN_EVENT) !== 0 });
    for (const event of batch.events) this.events.set(event.id, event);
    for (const verdict of batch.verdicts) this.verdicts.set(verdict.id, verdict);
    batch.reset();
  }
}

export function noise(seed: number): () => number {
  const random = seededRandom(seed);
  return () => gaussian(random);
}

/** Readings of a calm sensor: 20 with noise of 0.5. */
export function calm(bench: Bench, readings: number, draw: () => number, level = 20, deviation = 0.5): void {
  for (let k = 0; k < readings; k++) bench.feed({ temperature: level + deviation * draw() });
}

import { DEVICE_METRIC } from '../core/batch.js';
import type { Device } from '../core/fleet.js';
import { Arena } from './arena.js';
import { Block, NORMAL, SERIES_WORDS } from './block.js';
import { WIDTH } from './covariance.js';
import { observeHour, observeLevel, SWEEP } from './level.js';

// Words of a device.
const D_SWEEP = 0; // int: sweeps so far
const D_READ = 1; // int: metrics read in this sweep
const D_AGAIN = 2; // int: 1 where one of them was read twice
const D_EXPECTED = 3; // int: metrics that make a sweep
const D_MESSAGES = 4; // int: messages of this sweep
const D_LENGTH = 5; // EW of messages a sweep
const D_OPEN = 6; // int: blocks whose state is abnormal
const D_METRICS = 7; // int: metrics read so far
const DEVICE_WORDS = 8;

/** A metric that was missing is expected again after so many sweeps. */
const EXPECT_AGAIN = 64;
/** Surprise that it takes to open where one false alarm in 2,057 sweeps is allowed; both it and the rarity asked for are logarithms of how seldom. */
const NEEDED = 4;
/** At least. */
const LEAST_NEEDED = 3;
const NAMED = 6;

/** A metric that takes part. */
export interface Share {
  metric: string;
  contribution: number;
  /** From its normal or, for ties, from what the other metrics say of it; in the metric's unit. */
  off: number;
}

/** What a message said of its device as a whole. */
export interface JointFinding {
  /** > 1 where it is an alarm. */
  score: number;
  kind: 'correlation' | 'shift';
  /** The metrics that take part, the most telling first, with their share and how far off they are. */
  metrics: Share[];
  opened: boolean;
  /** It is open and the metrics that take part were looked at again. */
  grew: boolean;
  closed: boolean;
}

/**
 * Judges the metrics of a device together, in blocks of 16 in the order in which they were declared (block.ts): a reading costs 16
 * multiplications and its share of an inversion every 64 sweeps, whatever the number of metrics.
 *
 * A *sweep* is what makes the metrics comparable: it is over when each of the device's metrics was read, or one of them again. With all metrics in
 * one message it is the message; with a message a metric it is the round of them, and a metric that is slower than others takes part with its latest means.
 *
 * A metric's ordinal is its place among the metrics of the device in the order in which they were declared, the row `*` left out: neither it nor the number
 * of those read so far depends on where a batch ends, as the place of `*` and the number of those declared do.
 */
export class Joint {
  readonly series = new Arena('joint', 5, 'series', SERIES_WORDS);
  readonly devices = new Arena('joint-device', 3, 'device', DEVICE_WORDS);
  readonly #finding: JointFinding = { score: 0, kind: 'shift', metrics: [], opened: false, grew: false, closed: false };
  readonly #block = new Block(this.series);

  /** By series slot: its place in the device's list, as far as it was looked up. Derived from the fleet, no state. */
  #places = new Int32Array(1024);
  /** By device slot: the place of `*`. */
  #stars = new Int32Array(1024);

  /** Whether the state of the device is abnormal. */
  isOpen(device: Device): boolean {
    return this.#int(device, D_OPEN) > 0;
  }

  /** Ends what is open; with `accept` the present is the normal from here on. */
  close(device: Device, accept: boolean): void {
    this.#eachBlock(device, (block) => block.close(accept));
    this.#setInt(device, D_OPEN, 0);
  }

  /** A person confirmed a fault of the device: that it came before makes it no habit. */
  confirm(device: Device): void {
    this.#eachBlock(device, (block) => block.forgetHabit());
  }

  /** Notes that a metric was read; those of a message are noted before the message is judged. */
  note(device: Device, slot: number): void {
    const ordinal = this.#ordinalOf(device, slot);
    if (ordinal >= this.metrics(device)) this.#setInt(device, D_METRICS, ordinal + 1);
  }

  /** Whether each of the metrics that the device has was read. */
  hasReadAll(device: Device): boolean {
    return this.metrics(device) === device.slots.length - (this.#starOf(device) < 0 ? 0 : 1);
  }

  /** Metrics of the device that were read so far. */
  metrics(device: Device): number {
    return this.#int(device, D_METRICS);
  }

  /** Messages in which each of the device's metrics comes once. */
  messagesASweep(device: Device): number {
    return Math.max(1, this.devices.floats[this.devices.page(device.slot)][this.devices.at(device.slot) + D_LENGTH]);
  }

  /** Takes a metric's reading; `judge` follows when the message is through. @param wanders whether the metric has no level to return to; @param hourOff how far it is from what is usual at its hour, Infinity where that is far, NaN where the hour does not tell; @param inEvent whether the metric is in an event of its own */
  observe(device: Device, slot: number, v: number, wanders: boolean, hourOff: number, inEvent: boolean): void {
    const page = this.series.page(slot);
    const s = this.series.floats[page];
    const ints = this.series.ints[page];
    const at = this.series.at(slot);
    const whole = this.devices.ints[this.devices.page(device.slot)];
    const d = this.devices.at(device.slot);
    const sweep = whole[d + D_SWEEP] + 1;
    if (ints[at + SWEEP] === sweep) whole[d + D_AGAIN] = 1;
    else whole[d + D_READ]++;
    ints[at + SWEEP] = sweep;
    let open = false;
    let rests = false;
    if (whole[d + D_OPEN] > 0 || inEvent) {
      const ordinal = this.#ordinalOf(device, slot);
      this.#block.bind(device, this.#starOf(device), ordinal - (ordinal % WIDTH), 1);
      open = this.#block.state !== NORMAL;
      rests = inEvent && (open || this.#block.rests);
    }
    if (open) observeHour(s, at, hourOff);
    observeLevel(s, ints, at, open, v, !wanders, rests);
  }

  /** Judges the device after the metrics of one message were observed; finds nothing in the middle of a sweep. `rarity`: ln of how much rarer than one in 2,057 sweeps a false alarm must be. The finding is valid until the next call. */
  judge(device: Device, rarity: number): JointFinding {
    const found = this.#finding;
    found.score = 0;
    found.opened = found.grew = found.closed = false;
    if (!this.#sweepEnds(device)) return found;
    const metrics = this.metrics(device);
    const star = this.#starOf(device);
    const wasOpen = this.isOpen(device);
    const needed = Math.max(LEAST_NEEDED, NEEDED + rarity) + Math.log(Math.ceil(metrics / WIDTH));
    let open = 0;
    for (let first = 0; first < metrics; first += WIDTH) {
      const block = this.#block;
      const m = Math.min(WIDTH, metrics - first);
      block.bind(device, star, first, m);
      block.judge(needed);
      if (block.state !== NORMAL) open++;
      if (block.opened || block.grew) {
        if (block.score >= found.score) {
          found.kind = block.untied ? 'correlation' : 'shift';
          found.metrics = this.#parts(device, star, first, m);
        }
        if (block.opened) found.opened = true;
        else found.grew = true;
      }
      if (block.score > found.score) found.score = block.score;
    }
    this.#setInt(device, D_OPEN, open);
    found.closed = wasOpen && open === 0;
    return found;
  }

  #eachBlock(device: Device, does: (block: Block) => void): void {
    const metrics = this.metrics(device);
    const star = this.#starOf(device);
    for (let first = 0; first < metrics; first += WIDTH) {
      this.#block.bind(device, star, first, Math.min(WIDTH, metrics - first));
      does(this.#block);
    }
  }

  /** Whether this message is the last of a sweep. */
  #sweepEnds(device: Device): boolean {
    const s = this.devices.floats[this.devices.page(device.slot)];
    const ints = this.devices.ints[this.devices.page(device.slot)];
    const at = this.devices.at(device.slot);
    if (ints[at + D_SWEEP] % EXPECT_AGAIN === 0) ints[at + D_EXPECTED] = ints[at + D_METRICS];
    ints[at + D_MESSAGES]++;
    const read = ints[at + D_READ];
    if (read < ints[at + D_EXPECTED]) {
      if (ints[at + D_AGAIN] === 0) return false;
      ints[at + D_EXPECTED] = read;
    }
    const sweeps = ++ints[at + D_SWEEP];
    s[at + D_LENGTH] += (sweeps < 32 ? 1 / sweeps : 1 / 32) * (ints[at + D_MESSAGES] - s[at + D_LENGTH]);
    ints[at + D_READ] = ints[at + D_AGAIN] = ints[at + D_MESSAGES] = 0;
    return true;
  }

  #parts(device: Device, star: number, first: number, m: number): Share[] {
    const { gains, offs } = this.#block;
    const all: Share[] = [];
    let sum = 0;
    for (let i = 0; i < m; i++) sum += gains[i];
    for (let i = 0; i < m; i++) {
      const place = star >= 0 && first + i >= star ? first + i + 1 : first + i;
      if (gains[i] > 0) all.push({ metric: device.metrics[place], contribution: gains[i] / sum, off: offs[i] });
    }
    return all.sort((a, b) => b.contribution - a.contribution).slice(0, NAMED);
  }

  #ordinalOf(device: Device, slot: number): number {
    if (slot >= this.#places.length) this.#places = grown(this.#places, slot);
    let place = this.#places[slot];
    if (device.slots[place] !== slot) this.#places[slot] = place = device.slots.indexOf(slot);
    const star = this.#starOf(device);
    return star >= 0 && star < place ? place - 1 : place;
  }

  #starOf(device: Device): number {
    if (device.slot >= this.#stars.length) this.#stars = grown(this.#stars, device.slot);
    const place = this.#stars[device.slot];
    if (device.metrics[place] === DEVICE_METRIC) return place;
    const found = device.metrics.indexOf(DEVICE_METRIC);
    if (found >= 0) this.#stars[device.slot] = found;
    return found;
  }

  #int(device: Device, word: number): number {
    return this.devices.ints[this.devices.page(device.slot)][this.devices.at(device.slot) + word];
  }

  #setInt(device: Device, word: number, value: number): void {
    this.devices.ints[this.devices.page(device.slot)][this.devices.at(device.slot) + word] = value;
  }
}

function grown(from: Int32Array, slot: number): Int32Array<ArrayBuffer> {
  const into = new Int32Array(2 * slot + 1);
  into.set(from);
  return into;
}

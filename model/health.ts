import { createHash } from 'node:crypto';
import type { HealthVerdict, VerdictKind } from '../core/event.js';
import type { Device } from '../core/fleet.js';
import type { DocumentPart } from '../core/state.js';
import { WideArena } from './arena.js';
import { DAY_MS } from './calendar.js';
import { duration, plain } from './reason.js';

// Words of a device.
const LAST = 0; // newest timestamp
const LONGEST = 1; // longest time between messages, forgotten by and by
const MESSAGES = 2;
const FAST_PERIOD = 3; // running mean of the time between messages
const AHEAD = 4; // messages in a row from the future
const BEHIND = 5; // messages in a row that were behind now by about the same
const OFFSET = 6; // how far behind
const SILENCES = 7; // silences, forgotten within a day
const SILENCE_AT = 8; // when the latest one ended
const OPEN = 9; // bit set of verdicts on the device as a whole that hold
const HEARD = 10; // when the newest message came in: the clock where it was old (a backlog, a clock that is behind), else its timestamp
const WORDS = 11;

const SILENT_BIT = 1;
const FLAPPING_BIT = 2;
const SKEWED_BIT = 4;

const KNOWN_MESSAGES = 16;
const SILENT_PERIODS = 10;
const SILENT_LEAST_MS = 30_000;
const FUTURE_MS = 120_000;
const PAST_MS = 600_000;
const SKEWED_MESSAGES = 20;
const FLAPPING_SILENCES = 3.5;

/** Readings that broken sensors and their drivers send in place of a measurement: a lost bus, DS18B20's -127 and power-on 85, all ones. */
const SENTINELS = [0, -127, 85, 65535, -999, -9999, 32767, -32768, 255, 4294967295];

export function isSentinel(value: number): boolean {
  return SENTINELS.includes(value);
}

/**
 * Verdicts on devices as devices: silent, flapping, clock-skewed; and on single metrics: stuck, impossible values. They are told
 * apart from anomalies of the process, which a healthy device measures.
 */
export class Health implements DocumentPart {
  readonly name = 'verdicts';
  readonly version = 1;
  readonly arena = new WideArena('health', 2, 'device', WORDS);
  /** By device id: those that hold. */
  readonly #open = new Map<number, HealthVerdict[]>();
  #changed: HealthVerdict[] = [];

  /** Verdicts on metrics that hold, in the whole fleet. */
  metricVerdicts = 0;

  /** The learned time between messages; 0 while it is unknown. */
  periodMs(device: Device): number {
    return this.arena.floats[this.arena.page(device.slot)][this.arena.at(device.slot) + FAST_PERIOD];
  }

  /** Whether a verdict of this kind on a metric of the device holds. */
  holds(deviceId: number, kind: VerdictKind, metric: string | null): boolean {
    return this.#open.get(deviceId)?.some((one) => one.kind === kind && one.metric === metric) ?? false;
  }

  /** A message of the device with this timestamp came in at `nowMs`. */
  message(device: Device, timestampMs: number, nowMs: number): void {
    const s = this.arena.floats[this.arena.page(device.slot)];
    const at = this.arena.at(device.slot);
    const n = s[at + MESSAGES];
    if (n > 0) {
      const gap = timestampMs - s[at + LAST];
      if (gap <= 0) return;
      this.#learnGap(s, at, gap, n);
      if (s[at + OPEN] & SILENT_BIT) this.#returned(device, s, at, timestampMs);
    }
    s[at + MESSAGES] = n + 1;
    s[at + LAST] = timestampMs;
    s[at + HEARD] = nowMs - timestampMs > PAST_MS ? nowMs : timestampMs;
    if (nowMs > 0) this.#judgeClock(device, s, at, timestampMs, nowMs);
  }

  /** Time has passed: who should have spoken by now? Devices whose state has `seen` this tick are left alone. */
  tick(devices: Iterable<Device>, nowMs: number, seen: (deviceId: number) => boolean): void {
    for (const device of devices) {
      if (seen(device.id)) continue;
      const s = this.arena.floats[this.arena.page(device.slot)];
      const at = this.arena.at(device.slot);
      if (s[at + MESSAGES] < KNOWN_MESSAGES) continue;
      if ((s[at + OPEN] & SILENT_BIT) === 0) this.#judgeSilence(device, s, at, nowMs);
      if (s[at + OPEN] & FLAPPING_BIT && nowMs - s[at + SILENCE_AT] > DAY_MS) {
        s[at + OPEN] -= FLAPPING_BIT;
        this.#end(device.id, 'flapping', null, nowMs);
      }
    }
  }

  /** A verdict on one metric begins to hold, or goes on. */
  begin(device: Device, metric: string, kind: 'stuck' | 'impossible', sinceMs: number, reason: string): void {
    if (!this.holds(device.id, kind, metric)) this.#begin(device, metric, kind, sinceMs, reason);
  }

  end(deviceId: number, metric: string, kind: 'stuck' | 'impossible', untilMs: number): void {
    if (this.#open.has(deviceId)) this.#end(deviceId, kind, metric, untilMs);
  }

  /** The verdicts that changed since the last call, each as it stands now. */
  takeChanged(): HealthVerdict[] {
    if (this.#changed.length === 0) return this.#changed;
    const latest = new Map(this.#changed.map((verdict) => [verdict.id, verdict]));
    this.#changed = [];
    return [...latest.values()].map((verdict) => ({ ...verdict }));
  }

  writeDevice(deviceId: number): unknown {
    return this.#open.get(deviceId) ?? null;
  }

  readDevice(deviceId: number, document: unknown): void {
    this.clearDevice(deviceId);
    const open = document as HealthVerdict[];
    this.#open.set(deviceId, open);
    this.metricVerdicts += open.filter((one) => one.metric !== null).length;
  }

  clearDevice(deviceId: number): void {
    this.metricVerdicts -= this.#open.get(deviceId)?.filter((one) => one.metric !== null).length ?? 0;
    this.#open.delete(deviceId);
  }

  #learnGap(s: Float64Array, at: number, gap: number, n: number): void {
    const rate = n < 32 ? 1 / n : 1 / 32;
    const usual = s[at + FAST_PERIOD];
    // A long gap moves the mean little: it is judged by it.
    s[at + FAST_PERIOD] += rate * ((n > 4 && gap > 4 * usual ? 4 * usual : gap) - usual);
    const longest = s[at + LONGEST] * (1 - 1 / 5000);
    // One outage must not make a device patient for ever.
    const counted = n > KNOWN_MESSAGES && gap > 30 * usual ? 30 * usual : gap;
    s[at + LONGEST] = counted > longest ? counted : longest;
  }

  #judgeSilence(device: Device, s: Float64Array, at: number, nowMs: number): void {
    const patience = Math.max(SILENT_LEAST_MS, SILENT_PERIODS * s[at + FAST_PERIOD], 2 * s[at + LONGEST]);
    const quiet = nowMs - s[at + HEARD];
    if (quiet <= patience) return;
    s[at + OPEN] += SILENT_BIT;
    const usual = duration(Math.max(1000, s[at + FAST_PERIOD]));
    this.#begin(device, null, 'silent', s[at + HEARD], `no message for ${duration(quiet)}; it sends one every ${usual}`);
  }

  #returned(device: Device, s: Float64Array, at: number, atMs: number): void {
    s[at + OPEN] -= SILENT_BIT;
    this.#end(device.id, 'silent', null, atMs);
    const since = atMs - s[at + SILENCE_AT];
    s[at + SILENCES] = s[at + SILENCES] * Math.exp(-Math.max(0, since) / DAY_MS) + 1;
    s[at + SILENCE_AT] = atMs;
    if (s[at + SILENCES] < FLAPPING_SILENCES || s[at + OPEN] & FLAPPING_BIT) return;
    s[at + OPEN] += FLAPPING_BIT;
    this.#begin(device, null, 'flapping', atMs, `silent and back ${Math.round(s[at + SILENCES])} times within a day`);
  }

  #judgeClock(device: Device, s: Float64Array, at: number, timestampMs: number, nowMs: number): void {
    const behind = nowMs - timestampMs;
    s[at + AHEAD] = behind < -FUTURE_MS ? s[at + AHEAD] + 1 : 0;
    // A clock that is behind stays as far behind; a backlog that is sent all at once comes nearer by a period with each message.
    const steady = behind > PAST_MS && Math.abs(behind - s[at + OFFSET]) < 0.5 * s[at + FAST_PERIOD];
    s[at + BEHIND] = steady ? s[at + BEHIND] + 1 : 0;
    s[at + OFFSET] = behind;
    const skewed = s[at + AHEAD] >= 3 || s[at + BEHIND] >= SKEWED_MESSAGES;
    if (skewed && (s[at + OPEN] & SKEWED_BIT) === 0) {
      s[at + OPEN] += SKEWED_BIT;
      this.#begin(device, null, 'clock_skewed', timestampMs, `its clock is ${duration(Math.abs(behind))} ${behind < 0 ? 'ahead' : 'behind'}`);
    } else if (s[at + OPEN] & SKEWED_BIT && behind > -FUTURE_MS && behind < PAST_MS) {
      s[at + OPEN] -= SKEWED_BIT;
      this.#end(device.id, 'clock_skewed', null, timestampMs);
    }
  }

  #begin(device: Device, metric: string | null, kind: VerdictKind, sinceMs: number, reason: string): void {
    const id = createHash('sha256').update(JSON.stringify([device.name, metric, kind, sinceMs])).digest('hex').slice(0, 24);
    const verdict: HealthVerdict = { id, device: device.name, metric, kind, sinceMs, untilMs: null, reason };
    const open = this.#open.get(device.id);
    if (open) open.push(verdict);
    else this.#open.set(device.id, [verdict]);
    this.#changed.push(verdict);
    if (metric !== null) this.metricVerdicts++;
  }

  #end(deviceId: number, kind: VerdictKind, metric: string | null, untilMs: number): void {
    const open = this.#open.get(deviceId) ?? [];
    const at = open.findIndex((one) => one.kind === kind && one.metric === metric);
    if (at < 0) return;
    const [verdict] = open.splice(at, 1);
    verdict.untilMs = untilMs;
    if (metric !== null) this.metricVerdicts--;
    this.#changed.push(verdict);
    if (open.length === 0) this.#open.delete(deviceId);
  }
}

/** The reason of an impossible value. */
export function impossibleReason(metric: string, value: number, low: number, high: number): string {
  return `${metric} jumped to ${plain(value, 1)}, which broken sensors send; it was ${plain(low, high - low)} to ${plain(high, high - low)}`;
}


import { createHash } from 'node:crypto';
import { DEVICE_METRIC, type FeedbackVerdict } from '../core/batch.js';
import type { AnomalyEvent, AnomalyKind, Severity } from '../core/event.js';
import type { Device, Fleet } from '../core/fleet.js';
import type { DocumentPart } from '../core/state.js';
import { Incidents } from './incident.js';
import { hasPart, shares, takePart, type Part } from './parts.js';
import type { DetectorSettings } from './settings.js';

/** One alarm on a metric of a device (or on the device as a whole). */
export interface Alarm {
  metric: string;
  atMs: number;
  score: number;
  kind: AnomalyKind;
  /** Index of the channel that spoke; -1 where none did. */
  channel: number;
  actual: number | null;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  reason: string;
  /** Of an alarm on the device as a whole: the metrics that take part, with their share. */
  with?: { metric: string; contribution: number }[];
}

interface Member {
  metric: string;
  open: boolean;
  peak: number;
  channel: number;
}

interface Kept {
  event: AnomalyEvent;
  members: Member[];
  parts: Part[];
  /** Alarms on other metrics of the device join until then. */
  joinUntilMs: number;
  /** Readings at which it is reported again. */
  nextUpdate: number;
  toldPeak: number;
  /** What the reason is made of, once a second alarm has joined: what was found of a metric, and of the device as a whole. */
  said?: { metric?: string; device?: string };
}

interface DeviceEvents {
  open: Kept[];
  /** Resolved ones that can still take feedback, the latest last. */
  past: Kept[];
  /** Nothing opens before. */
  quietUntilMs: number;
}

/** Past events of a device that can still take feedback. */
const PAST = 8;
/** Alarms on other metrics of the device within so many periods belong to the same fault. */
const JOIN_PERIODS = 32;
/** A peak that grows by this factor is news. */
const GROWTH = 1.25;

/**
 * From alarms to anomaly events: one for one fault of one device, which lists the metrics that take part. Everything here
 * happens only while something is wrong, so it may use objects.
 */
export class Events implements DocumentPart {
  readonly name = 'events';
  readonly version = 2;
  readonly #devices = new Map<number, DeviceEvents>();
  /** Event id to device id. */
  readonly #deviceOf = new Map<string, number>();
  readonly #incidents: Incidents;
  /** Copies, each as of the reading that made the news: what is told must not depend on where a batch ends. */
  #changed = new Map<string, AnomalyEvent>();
  /** False in a replay, where incidents are those of the record: a device that took part may not be replayed. */
  grouping = true;

  constructor(readonly fleet: Fleet, public settings: DetectorSettings) {
    this.#incidents = new Incidents();
  }

  /** Whether any event of the device is open. */
  isOpen(deviceId: number): boolean {
    return (this.#devices.get(deviceId)?.open.length ?? 0) > 0;
  }

  /** Whether an event of the device that is open now was opened by, or joined by, this metric. */
  holds(deviceId: number, metric: string): boolean {
    return this.#of(deviceId)?.open.some((kept) => kept.members.some((m) => m.open && m.metric === metric)) ?? false;
  }

  alarm(device: Device, alarm: Alarm, periodMs: number): void {
    const mine = this.#devices.get(device.id) ?? { open: [], past: [], quietUntilMs: -Infinity };
    this.#devices.set(device.id, mine);
    const joined = mine.open.find((kept) => kept.members.some((m) => m.open && m.metric === alarm.metric))
      ?? mine.open.find((kept) => alarm.atMs <= kept.joinUntilMs || sameFault(kept, alarm));
    if (joined) this.#join(joined, alarm);
    else if (alarm.atMs >= mine.quietUntilMs) this.#openNew(device, mine, alarm, periodMs);
  }

  /** A reading of a metric whose state is abnormal, without an alarm of its own. `kind` is what a spike turned out to be. */
  continued(device: Device, metric: string, atMs: number, kind: AnomalyKind | null): void {
    for (const kept of this.#of(device.id)?.open ?? []) {
      if (!kept.members.some((m) => m.open && m.metric === metric)) continue;
      const { event } = kept;
      event.readings++;
      if (atMs > event.updatedMs) event.updatedMs = atMs;
      if (kind !== null && event.kind === 'spike' && metric === event.metric) {
        event.kind = kind;
        this.#tell(kept);
      }
      if (event.readings < kept.nextUpdate) continue;
      kept.nextUpdate *= 2;
      event.severity = severityOf(event);
      this.#tell(kept);
    }
  }

  /** A metric's state is normal again. */
  ended(device: Device, metric: string, atMs: number): void {
    const mine = this.#of(device.id);
    if (!mine) return;
    for (const kept of [...mine.open]) {
      const member = kept.members.find((m) => m.metric === metric);
      if (!member?.open) continue;
      member.open = false;
      if (!kept.members.some((m) => m.open)) this.#resolve(mine, kept, atMs);
    }
  }

  /** The events that made news since the last call, each as it stood at its latest news. */
  takeChanged(): AnomalyEvent[] {
    if (this.#changed.size === 0) return [];
    const out = [...this.#changed.values()];
    this.#changed = new Map();
    return out;
  }

  canTakeFeedback(eventId: string, verdict: FeedbackVerdict): boolean {
    const kept = this.#find(eventId);
    return kept !== undefined && (verdict !== 'accept' || kept.event.state === 'open');
  }

  /** Notes what a person said. Returns the device and the members whose state it concerns, and what was said `before`; undefined where the event is unknown. */
  feedback(eventId: string, verdict: FeedbackVerdict, atMs: number, by: string): { device: Device; members: { metric: string; channel: number }[]; before: FeedbackVerdict | undefined; open: boolean } | undefined {
    const kept = this.#find(eventId);
    const device = kept && this.fleet.getById(this.#deviceOf.get(eventId)!);
    if (!kept || !device || !this.canTakeFeedback(eventId, verdict)) return undefined;
    const before = kept.event.feedback?.verdict;
    const open = kept.event.state === 'open';
    kept.event.feedback = { verdict, atMs, by };
    const members = kept.members.map(({ metric, channel }) => ({ metric, channel }));
    if (verdict !== 'confirm' && open) {
      for (const member of kept.members) member.open = false;
      this.#resolve(this.#devices.get(device.id)!, kept, atMs);
    }
    this.#tell(kept);
    return { device, members, before, open };
  }

  /** Open events of a device that have lasted until `atMs` longer than the settings let a fault stand against the normal, but for devices whose state has `seen` this. */
  overdue(atMs: number, seen: (deviceId: number) => boolean): string[] {
    if (!Number.isFinite(this.settings.acceptAfterMs)) return [];
    const ids: string[] = [];
    for (const [deviceId, mine] of this.#devices) {
      if (seen(deviceId)) continue;
      for (const { event } of mine.open) if (atMs - event.openedMs >= this.settings.acceptAfterMs) ids.push(event.id);
    }
    return ids;
  }

  /** In a replay: the incident that the record names. */
  adoptIncident(eventId: string, incident: string | null): void {
    const kept = this.#find(eventId);
    if (kept && incident !== null) kept.event.incident = incident;
  }

  writeDevice(deviceId: number): unknown {
    const mine = this.#devices.get(deviceId);
    if (!mine || (mine.open.length === 0 && mine.past.length === 0)) return null;
    return { ...mine, quietUntilMs: Number.isFinite(mine.quietUntilMs) ? mine.quietUntilMs : null };
  }

  readDevice(deviceId: number, document: unknown): void {
    const mine = document as DeviceEvents & { quietUntilMs: number | null };
    this.#devices.set(deviceId, { open: mine.open, past: mine.past, quietUntilMs: mine.quietUntilMs ?? -Infinity });
    for (const { event } of [...mine.open, ...mine.past]) {
      this.#deviceOf.set(event.id, deviceId);
      this.#incidents.remember(event);
    }
  }

  clearDevice(deviceId: number): void {
    const mine = this.#devices.get(deviceId);
    for (const { event } of mine ? [...mine.open, ...mine.past] : []) this.#deviceOf.delete(event.id);
    if (mine) this.#incidents.forget(mine.open.concat(mine.past).map((kept) => kept.event));
    this.#devices.delete(deviceId);
  }

  #of(deviceId: number): DeviceEvents | undefined {
    return this.#devices.get(deviceId);
  }

  #find(eventId: string): Kept | undefined {
    const mine = this.#devices.get(this.#deviceOf.get(eventId) ?? -1);
    return mine && [...mine.open, ...mine.past].find((kept) => kept.event.id === eventId);
  }

  #openNew(device: Device, mine: DeviceEvents, alarm: Alarm, periodMs: number): void {
    const event: AnomalyEvent = {
      id: eventId(device.name, alarm.metric, alarm.atMs), device: device.name, metric: alarm.metric, kind: alarm.kind, state: 'open', severity: 'info',
      openedMs: alarm.atMs, updatedMs: alarm.atMs, resolvedMs: null, readings: 1, peakScore: alarm.score, peakMs: alarm.atMs,
      actual: alarm.actual, yhat: alarm.yhat, yhatLower: alarm.yhatLower, yhatUpper: alarm.yhatUpper, reason: alarm.reason,
      metrics: [], incident: null, feedback: null,
    };
    event.severity = severityOf(event);
    const kept: Kept = {
      event, members: [{ metric: alarm.metric, open: true, peak: alarm.score, channel: alarm.channel }],
      parts: [], joinUntilMs: alarm.atMs + JOIN_PERIODS * periodMs, nextUpdate: 16, toldPeak: alarm.score,
    };
    takePart(kept.parts, alarm);
    event.metrics = shares(kept.parts);
    mine.open.push(kept);
    this.#deviceOf.set(event.id, device.id);
    this.#tell(kept);
    if (!this.grouping) return this.#incidents.remember(event);
    for (const other of this.#incidents.opened(event, this.settings.incidentDevices, Math.max(this.settings.incidentWindowMs, periodMs))) this.#changed.set(other.id, structuredClone(other));
  }

  #join(kept: Kept, alarm: Alarm): void {
    const { event } = kept;
    let member = kept.members.find((m) => m.metric === alarm.metric);
    const before = newsOf(event);
    if (!member) kept.members.push((member = { metric: alarm.metric, open: true, peak: 0, channel: alarm.channel }));
    member.open = true;
    member.peak = Math.max(member.peak, alarm.score);
    event.readings++;
    event.updatedMs = Math.max(event.updatedMs, alarm.atMs);
    const worst = alarm.score > event.peakScore;
    if (worst) Object.assign(event, { peakScore: alarm.score, peakMs: alarm.atMs });
    explain(kept, alarm, worst);
    takePart(kept.parts, alarm);
    event.metrics = shares(kept.parts);
    // What began as a reading out of line, or a tie, turned out to be the device's state.
    if (alarm.metric === DEVICE_METRIC && (event.kind === 'spike' || event.kind === 'shift' || event.kind === 'correlation')) event.kind = alarm.kind;
    event.severity = severityOf(event);
    if (newsOf(event) !== before || event.peakScore >= GROWTH * kept.toldPeak) this.#tell(kept);
  }

  #resolve(mine: DeviceEvents, kept: Kept, atMs: number): void {
    const { event } = kept;
    event.state = 'resolved';
    event.resolvedMs = event.updatedMs = Math.max(event.updatedMs, atMs);
    mine.open.splice(mine.open.indexOf(kept), 1);
    mine.quietUntilMs = event.resolvedMs + this.settings.cooldownMs;
    mine.past.push(kept);
    if (mine.past.length > PAST) this.#deviceOf.delete(mine.past.shift()!.event.id);
    this.#tell(kept);
  }

  #tell(kept: Kept): void {
    kept.toldPeak = kept.event.peakScore;
    this.#changed.set(kept.event.id, structuredClone(kept.event));
  }
}

/** The reason is what the worst alarm of a metric found, which has readings to show, and then that of the device as a whole, whose kind and score the event may have. */
function explain(kept: Kept, alarm: Alarm, worst: boolean): void {
  const { event } = kept;
  const said = (kept.said ??= event.actual === null ? { device: event.reason } : { metric: event.reason });
  if (alarm.metric === DEVICE_METRIC) {
    if (worst || said.device === undefined) said.device = alarm.reason;
  } else if (worst) {
    const { actual, yhat, yhatLower, yhatUpper } = alarm;
    Object.assign(event, { actual, yhat, yhatLower, yhatUpper });
    said.metric = alarm.metric === event.metric ? alarm.reason : `${alarm.metric}: ${alarm.reason}`;
  }
  event.reason = [said.metric, said.device].filter((words) => words !== undefined).join('; and ');
}

/** The same for the same device, metric and opening, so that a replay finds it. */
export function eventId(device: string, metric: string, openedMs: number): string {
  return createHash('sha256').update(JSON.stringify([device, metric, openedMs])).digest('hex').slice(0, 24);
}

/** How unlikely, and how long: a short one that is just over the bar is for information. */
function severityOf(event: AnomalyEvent): Severity {
  if (event.kind === 'limit' || event.peakScore >= 1.6) return 'critical';
  const lasts = event.readings >= 64;
  if (event.peakScore >= 1.4) return lasts ? 'critical' : 'warning';
  return event.peakScore >= 1.15 || lasts || event.metrics.length > 1 ? 'warning' : 'info';
}

/** What makes an alarm on an event that is open news. */
function newsOf({ kind, metrics }: AnomalyEvent): string {
  return JSON.stringify([kind, ...metrics.map(({ metric }) => metric)]);
}

/** Whether an alarm belongs to an event that is open for longer: the device's state is abnormal because of this metric, or this is what its state turns out to be. */
function sameFault({ parts, members }: Kept, alarm: Alarm): boolean {
  if (alarm.metric === DEVICE_METRIC) return alarm.with?.some(({ metric }) => hasPart(parts, metric)) ?? false;
  return hasPart(parts, alarm.metric) && members.some((m) => m.open && m.metric === DEVICE_METRIC);
}

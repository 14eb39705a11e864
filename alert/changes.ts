import type { Batch } from '../core/batch.js';
import type { AnomalyEvent, HealthVerdict, Severity } from '../core/event.js';
import type { Change, Notification } from './notification.js';
import { VERDICT_SEVERITY } from './notification.js';
import type { Route } from './routing.js';
import { atLeast, matchesRoute } from './routing.js';

/** What a sink wants to hear. */
export interface Telling {
  route: Route;
  changes: readonly Change[];
  /** An event that goes on is told anew after this time (of the events' own clock); 0: never. A higher severity and a person's feedback are told at once. */
  updateIntervalMs: number;
  /** After a series has opened an event, the time in which another one of it is not told, unless it outlasts that time; 0: none. */
  cooldownMs: number;
}

/** What the sink was last told of something that is open. */
interface Told {
  device: string;
  severity: Severity;
  updates: number;
  /** Of the events' own clock. Epoch ms. */
  atMs: number;
  feedback: string | null;
}

export interface ChangesDocument {
  open: [string, Told][];
  resolved: string[];
  openedMs: [string, number][];
}

/** Feedback can come after an event was resolved: so many resolved ones are remembered, so that it does not open it anew. */
const REMEMBERED_RESOLVED = 1_000;

/**
 * Tells changes from whole events: compares each with what the sink was last told. It depends on nothing but the records of the journal and on itself,
 * so that the same records give the same notifications, with the same keys, however they were cut into batches and whenever it was restarted.
 */
export class Changes {
  readonly #telling: Telling;
  #open: Map<string, Told>;
  #resolved: Set<string>;
  /** By device and metric: when the last event that was told had opened; kept only where there is a cooldown. */
  #openedMs: Map<string, number>;

  constructor(telling: Telling, document?: ChangesDocument) {
    this.#telling = telling;
    this.#open = new Map(document?.open);
    this.#resolved = new Set(document?.resolved);
    this.#openedMs = new Map(document?.openedMs);
  }

  document(): ChangesDocument {
    return { open: [...this.#open], resolved: [...this.#resolved], openedMs: [...this.#openedMs] };
  }

  /** These changes and the batch's notifications; this object stays as it is until the new one is durable. */
  with(batch: Batch): { next: Changes; notifications: Notification[] } {
    const next = new Changes(this.#telling, { open: [...this.#open].map(([id, told]) => [id, { ...told }]), resolved: [...this.#resolved], openedMs: [...this.#openedMs] });
    const all = [...batch.events.flatMap((event) => next.#event(event)), ...batch.verdicts.flatMap((verdict) => next.#verdict(verdict))];
    return { next, notifications: all.filter(({ change }) => this.#telling.changes.includes(change)) };
  }

  #event(event: AnomalyEvent): Notification[] {
    const subject = { type: 'anomaly', event } as const;
    const feedback = event.feedback?.verdict ?? null;
    return this.#subject(event.id, subject, { ...event, atMs: event.updatedMs, feedback, resolved: event.state === 'resolved' });
  }

  #verdict(verdict: HealthVerdict): Notification[] {
    const subject = { type: 'verdict', verdict } as const;
    return this.#subject(verdict.id, subject, { ...verdict, severity: VERDICT_SEVERITY, openedMs: verdict.sinceMs, atMs: verdict.untilMs ?? verdict.sinceMs, feedback: null, resolved: verdict.untilMs !== null });
  }

  #subject(
    id: string, subject: Notification['subject'],
    now: { device: string; metric: string | null; kind: AnomalyEvent['kind'] | HealthVerdict['kind']; severity: Severity; openedMs: number; atMs: number; feedback: string | null; resolved: boolean },
  ): Notification[] {
    const told = this.#open.get(id);
    const make = (change: Change, update: number, severityBefore: Severity | null): Notification =>
      ({ key: `${id}:${change}:${update}`, change, update, subject, severity: now.severity, severityBefore, deviceState: this.#stateOf(now.device) });
    if (!told) {
      if (this.#resolved.has(id) || !matchesRoute(this.#telling.route, now) || this.#cooling(now)) return [];
      this.#open.set(id, { device: now.device, severity: now.severity, updates: 0, atMs: now.atMs, feedback: now.feedback });
      const opened = make('opened', 0, null);
      return now.resolved ? [opened, this.#resolve(id, () => make('resolved', 0, now.severity))] : [opened];
    }
    if (now.resolved) return [this.#resolve(id, () => make('resolved', told.updates, told.severity))];
    const worse = atLeast(told.severity, now.severity) !== told.severity;
    const due = this.#telling.updateIntervalMs > 0 && now.atMs - told.atMs >= this.#telling.updateIntervalMs;
    if (!worse && !due && now.feedback === told.feedback) return [];
    this.#open.set(id, { device: now.device, severity: now.severity, updates: told.updates + 1, atMs: now.atMs, feedback: now.feedback });
    return [make('updated', told.updates + 1, told.severity)];
  }

  #resolve(id: string, make: () => Notification): Notification {
    this.#open.delete(id);
    this.#resolved.add(id);
    if (this.#resolved.size > REMEMBERED_RESOLVED) this.#resolved.delete(this.#resolved.values().next().value!);
    return make();
  }

  /** Whether the series has only just opened another event; if not, its cooldown begins. */
  #cooling(now: { device: string; metric: string | null; openedMs: number; atMs: number }): boolean {
    const { cooldownMs } = this.#telling;
    if (cooldownMs === 0) return false;
    const series = JSON.stringify([now.device, now.metric]);
    const before = this.#openedMs.get(series);
    if (before !== undefined && now.atMs - before < cooldownMs) return true;
    for (const [other, openedMs] of this.#openedMs) {
      // Oldest first, since a series is put behind the others whenever its cooldown begins.
      if (now.atMs - openedMs < cooldownMs) break;
      this.#openedMs.delete(other);
    }
    this.#openedMs.delete(series);
    this.#openedMs.set(series, now.atMs);
    return false;
  }

  #stateOf(device: string): Notification['deviceState'] {
    let open = 0;
    let worst: Severity | null = null;
    for (const told of this.#open.values()) {
      if (told.device !== device) continue;
      open++;
      worst = worst === null ? told.severity : atLeast(worst, told.severity);
    }
    return { open, worst };
  }
}

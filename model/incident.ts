import { createHash } from 'node:crypto';
import type { AnomalyEvent } from '../core/event.js';

/** Openings that are remembered; a storm of more than that is one incident long before. */
const REMEMBERED = 4096;

/** Finds events of many devices that opened together: a gateway or a whole site, not so many devices, has a fault. */
export class Incidents {
  /** The latest openings. Their order says nothing: it is another one after a restart. */
  #recent: AnomalyEvent[] = [];

  /** Takes an event that is restored or replayed: its incident is known. */
  remember(event: AnomalyEvent): void {
    this.#recent.push(event);
    if (this.#recent.length >= 2 * REMEMBERED) this.#recent = this.#recent.sort(earlier).slice(-REMEMBERED);
  }

  /** Of a device that is retired: a restart would not find them either. */
  forget(events: readonly AnomalyEvent[]): void {
    const gone = new Set(events.map((event) => event.id));
    this.#recent = this.#recent.filter((event) => !gone.has(event.id));
  }

  /** Takes a new event; `devices` and more whose events open within `windowMs` make an incident. Returns the events that became part of an incident by it, itself included. */
  opened(event: AnomalyEvent, devices: number, windowMs: number): AnomalyEvent[] {
    this.remember(event);
    const together = this.#recent.filter((one) => one.openedMs <= event.openedMs && event.openedMs - one.openedMs <= windowMs).sort(earlier);
    if (new Set(together.map((one) => one.device)).size < devices) return [];
    const known = together.find((one) => one.incident !== null)?.incident;
    const incident = known ?? createHash('sha256').update(`incident ${together[0].id}`).digest('hex').slice(0, 24);
    const changed = together.filter((one) => one.incident === null);
    for (const one of changed) one.incident = incident;
    return changed;
  }
}

function earlier(a: AnomalyEvent, b: AnomalyEvent): number {
  return a.openedMs - b.openedMs || (a.id < b.id ? -1 : 1);
}

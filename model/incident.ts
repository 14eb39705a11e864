import { createHash } from 'node:crypto';
import type { AnomalyEvent } from '../core/event.js';

/** Openings that are remembered; a storm of more than that is one incident long before. */
const REMEMBERED = 4096;

/** Finds events of many devices that opened together: a gateway or a whole site, not so many devices, has a fault. */
export class Incidents {
  /** The latest openings, in order. */
  #recent: AnomalyEvent[] = [];

  /** Puts an event that was restored where `opened` would have put it. */
  remember(event: AnomalyEvent): void {
    this.#recent.push(event);
    this.#recent.sort((a, b) => a.openedMs - b.openedMs || (a.id < b.id ? -1 : 1));
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
  }

  /** Takes a new event; `devices` and more whose events open within `windowMs` make an incident. Returns the events that became part of an incident by it, itself included. */
  opened(event: AnomalyEvent, devices: number, windowMs: number): AnomalyEvent[] {
    this.#recent.push(event);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    const together: AnomalyEvent[] = [];
    for (let i = this.#recent.length - 1; i >= 0 && event.openedMs - this.#recent[i].openedMs <= windowMs; i--) {
      if (this.#recent[i].openedMs <= event.openedMs) together.unshift(this.#recent[i]);
    }
    if (new Set(together.map((one) => one.device)).size < devices) return [];
    const known = together.find((one) => one.incident !== null)?.incident;
    const incident = known ?? createHash('sha256').update(`incident ${together[0].id}`).digest('hex').slice(0, 24);
    const changed = together.filter((one) => one.incident === null);
    for (const one of changed) one.incident = incident;
    return changed;
  }
}

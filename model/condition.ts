import { QUIET, type Quiet } from './calendar.js';
import { CONDITION, RELEARN_READINGS, type Records } from './records.js';

// Words of a series' condition (judge-kernel/record.h, Condition, has all of them).
const OPEN = 0; // int: 1 while its state is abnormal
const SINCE = 1; // int: readings since it opened
const CALM = 2; // int: readings in a row that look normal
const RELEARN = 10; // int: readings for which the normal is learned fast, after it was accepted
const LASTING = 13; // int: readings in a row that were off the normal in level or roughness
const WANDERS = 14; // int: 1 where it has no level to return to
const REACHED = 20; // how far the level went from the normal, with its sign
const USUAL = 21; // the same of the latest long event
const TIMES = 23; // how many events like the latest there were lately
const LASTED = 24; // int: readings of the longest of them
const RECURS = 26; // int: 1 while the event is like them
const UNTOLD = 28; // int: of QUIET, while nobody was told of it

/**
 * Is a series that raised an alarm back to normal? The normal is what its level and its roughness were when the event opened; it
 * is not taught while the event is open, so a fault does not become normal by lasting. A series whose level wanders by nature
 * (a random walk has no level to return to) keeps learning, or its first event would never end; so does one in the third event of a kind
 * (the night shift, the pump that was at rest when it was connected), for about as long as the others lasted.
 *
 * Here is what people and alarms do to it; what each reading does is in judge-kernel/condition.h.
 */
export class Conditions {
  constructor(readonly records: Records) {}

  /** Whether an event is open that people were told of. */
  isTold(slot: number): boolean {
    const { ints } = this.records;
    const at = this.#at(slot);
    return ints[at + OPEN] === 1 && ints[at + UNTOLD] === QUIET.NO;
  }

  /** Whether a value is nearer to the normal than to where the event that nobody was told of went: that it ends is no news either. @param value the working value less the series' anchor */
  returns(slot: number, value: number): boolean {
    const { ints, floats } = this.records;
    const at = this.#at(slot);
    if (ints[at + OPEN] === 0 || ints[at + UNTOLD] === QUIET.NO) return false;
    return Math.abs(value - this.records.normal(slot)) < 0.5 * Math.abs(floats[at + REACHED]);
  }

  /** Factor on the rates at which the series' normal is learned. */
  learning(slot: number): number {
    const { ints } = this.records;
    const at = this.#at(slot);
    if (ints[at + RELEARN] > 0) return 20;
    return ints[at + OPEN] === 0 || ints[at + UNTOLD] !== QUIET.NO || ints[at + WANDERS] === 1 || ints[at + RECURS] === 1 ? 1 : 0;
  }

  /** An alarm; @param quiet of what comes by the calendar or came before: it is learned from, but its level is no part of the normal before it ends, and is told if it stays. */
  open(slot: number, quiet: Quiet): void {
    const { ints } = this.records;
    const at = this.#at(slot);
    if (ints[at + OPEN] === 0) {
      ints[at + OPEN] = 1;
      ints[at + SINCE] = ints[at + CALM] = 0;
      ints[at + UNTOLD] = quiet;
      ints[at + RECURS] = this.records.floats[at + REACHED] = 0;
    } else if (quiet === QUIET.NO) ints[at + UNTOLD] = quiet;
  }

  /** How far the level of the event that is open went, or of those like it: of what had been learned as it came and went nothing is off. */
  wentBy(slot: number): number {
    const { floats } = this.records;
    const at = this.#at(slot);
    return floats[at + REACHED] || floats[at + USUAL];
  }

  /** It cannot be told now: at the next reading it is overdue again. */
  postpone(slot: number): void {
    this.records.ints[this.#at(slot) + UNTOLD] = QUIET.WHILE_SHORT;
  }

  /** Ends the event here and now; the present is the new normal when `accept`. */
  close(slot: number, accept: boolean): void {
    const { ints } = this.records;
    const at = this.#at(slot);
    ints[at + OPEN] = ints[at + LASTING] = ints[at + SINCE] = ints[at + UNTOLD] = 0;
    this.records.floats[at + TIMES] = 0;
    if (accept) ints[at + RELEARN] = RELEARN_READINGS;
  }

  /** A person confirmed a fault: that it came before makes it no more usual. */
  confirm(slot: number): void {
    const at = this.#at(slot);
    this.records.floats[at + TIMES] = this.records.ints[at + LASTED] = 0;
  }

  #at(slot: number): number {
    return this.records.at(slot) + CONDITION;
  }
}

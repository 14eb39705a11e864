import type { AnomalyKind } from '../core/event.js';
import type { Channel } from './tuning.js';

/** What a channel's surprise looks like to people. */
export const KIND_OF: Record<Channel, AnomalyKind> = {
  x: 'spike', e1: 'spike', e32: 'drift', tod: 'pattern',
  stuck: 'stuck', season: 'pattern', span: 'pattern', pace: 'pattern', level: 'shift', rough: 'variance', peak: 'spike', step: 'shift', clock: 'pattern',
};

/** What is known about an alarm when its reason is written. */
export interface Evidence {
  channel: Channel | 'limit' | 'overdue' | 'joint' | 'state';
  actual: number;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  /** Milliseconds for which the series has shown nothing like it; 0 where it did just now, in what belongs to the same event. */
  unseenMs: number;
  /** Whether the value, or the error of its forecast, is above what was seen or expected. */
  above: boolean;
  /** Whether the value is beyond all that the series has shown. */
  extreme: boolean;
  /** Equal readings in a row. */
  run: number;
  /** The series is a counter: its increments are judged. */
  counter?: boolean;
  /** For a device as a whole: the metrics that take part, with how far each is from its normal, or from what the others say of it. */
  parts?: readonly { metric: string; off: number }[];
}

/** Plain words: "expected 20.1-21.3, got 27.9; unusually far above the forecast, as never in 9 days". */
export function reasonText(e: Evidence): string {
  const reading = READINGS.has(e.channel) ? got(e) : '';
  const because = explain(e);
  return reading === '' ? because : `${reading}; ${because}`;
}

/** Who speaks of the reading at hand; the others speak of many readings, of which the latest may look like any. */
const READINGS: ReadonlySet<Evidence['channel']> = new Set(['x', 'e1', 'tod', 'stuck', 'limit']);

/** The reading, beside its band where it left it: a reading within it is off in another way, which the band would deny, and stands beside its forecast. */
function got({ channel, actual, yhat, yhatLower, yhatUpper }: Evidence): string {
  if (!Number.isFinite(actual)) return '';
  if (yhatLower === null || yhatUpper === null) return `got ${plain(actual, Math.abs(actual))}`;
  const spread = yhatUpper - yhatLower;
  if (channel === 'stuck') return `got ${plain(actual, spread)}`;
  if (actual < yhatLower || actual > yhatUpper) return outside(actual, yhatLower, yhatUpper);
  if (channel === 'limit' || yhat === null) return `got ${plain(actual, spread)}`;
  const finer = Math.min(spread, Math.abs(actual - yhat) || spread);
  return `got ${plain(actual, finer)} where ${plain(yhat, finer)} was forecast`;
}

/** With so many digits that a reading just beyond the band does not look like one at its edge; where no digits tell them apart, without the band. */
function outside(actual: number, lower: number, upper: number): string {
  const edge = actual > upper ? upper : lower;
  const spread = Math.min(upper - lower || Infinity, 4 * Math.abs(actual - edge));
  const shown = plain(actual, spread);
  return Number(shown) === Number(plain(edge, spread)) ? `got ${shown}` : `expected ${range(lower, upper, spread)}, got ${shown}`;
}

function explain(e: Evidence): string {
  const inTime = e.unseenMs > 0 ? ` in ${duration(e.unseenMs)}` : '';
  const never = e.unseenMs > 0 ? ` as never${inTime}` : '';
  switch (e.channel) {
    case 'x': return value(e, inTime);
    case 'e1': return `${e.unseenMs > 0 ? '' : 'again '}unusually far ${e.above ? 'above' : 'below'} the forecast${never && `,${never}`}`;
    case 'e32': return `the last 32 readings ran ${e.above ? 'above' : 'below'} the forecast${never && `,${never}`}`;
    case 'tod': return `${e.above ? 'too high' : 'too low'} for this hour of the day${never && `,${never}`}`;
    case 'stuck': return `the same value ${e.run + 1} times in a row${inTime && `, the longest standstill${inTime}`}`;
    case 'season': return `the latest readings are unlike this phase of the cycles before${never && `,${never}`}`;
    case 'span': return `a cycle did not come${never && `,${never}`}`;
    case 'pace': return `a pulse or a pause of unusual length${never && `,${never}`}`;
    case 'clock': return `a rise or a fall at an unusual hour, or none at the usual one${never && `,${never}`}`;
    case 'level': return `the level of the last 32 readings is unusually ${e.above ? 'high' : 'low'}${never && `,${never}`}`;
    case 'rough': return `the readings jump unusually ${e.above ? 'far' : 'little'} from one to the next${never && `,${never}`}`;
    case 'peak': return `${e.above ? 'a peak' : 'a dip'} like none before${never && `,${never}`}`;
    case 'step': return `the largest ${e.above ? 'rise' : 'fall'} that stayed${inTime}`;
    case 'overdue': return 'what comes at this time of the day or week has lasted longer than it ever did';
    case 'limit': return 'beyond the limit that is set for it';
    case 'joint': return `${told(e.parts ?? [])} what the other metrics say of it; they do not go together as before`;
    case 'state': return `the device has left its normal state: ${told(e.parts ?? [])} ${(e.parts?.length ?? 0) > 1 ? 'their usual levels' : 'its usual level'}`;
  }
}

function value({ counter, extreme, above, unseenMs }: Evidence, inTime: string): string {
  const what = counter ? 'rise' : 'value';
  if (!extreme) return unseenMs > 0 ? `a ${what} like none${inTime}` : `an unusual ${what}`;
  return `the ${counter ? (above ? 'fastest' : 'slowest') : above ? 'highest' : 'lowest'} ${what}${inTime}`;
}

/** "flow 12.0 below and pressure 0.3 above"; three metrics at most. */
function told(parts: readonly { metric: string; off: number }[]): string {
  const each = parts.slice(0, 3).map(({ metric, off }) => `${metric} ${plain(Math.abs(off), Math.abs(off))} ${off < 0 ? 'below' : 'above'}`);
  return each.length <= 1 ? each.join('') : `${each.slice(0, -1).join(', ')} and ${each[each.length - 1]}`;
}

/** A number with as many digits as tell it apart at this spread. */
export function plain(x: number, spread: number): string {
  if (!Number.isFinite(x)) return String(x);
  const digits = spread <= 0 ? 3 : spread >= 100 ? 0 : Math.max(1, 1 - Math.floor(Math.log10(spread)));
  if (digits > 12 || Math.abs(x) >= 1e15) return x.toPrecision(6);
  return x.toFixed(digits);
}

function range(low: number, high: number, spread: number): string {
  const a = plain(low, spread);
  const b = plain(high, spread);
  // A minus sign after the hyphen cannot be read.
  return low < 0 || high < 0 ? `${a} to ${b}` : `${a}-${b}`;
}

export function duration(ms: number): string {
  const units: [number, string][] = [[86_400_000, 'day'], [3_600_000, 'hour'], [60_000, 'minute'], [1000, 'second']];
  for (const [size, name] of units) {
    const n = Math.floor(ms / size);
    if (n >= 2 || (n >= 1 && name === 'second')) return `${n} ${name}${n === 1 ? '' : 's'}`;
    if (n === 1 && ms >= size) return `${Math.floor(ms / (size / (name === 'day' ? 24 : 60)))} ${name === 'day' ? 'hours' : name === 'hour' ? 'minutes' : 'seconds'}`;
  }
  return 'a moment';
}

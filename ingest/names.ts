import { DEVICE_METRIC } from '../core/batch.js';
import type { Reason } from '../core/reasons.js';

/**
 * Names from the wire are data, but some cannot be shown, stored or asked for again: empty or blank, control characters (C0, C1, DEL, and the line and
 * paragraph separators), a surrogate without its other half. Returns the reason to refuse the name, or undefined.
 */
export function nameProblem(name: string, maxBytes: number): Reason | undefined {
  if (name.length > maxBytes) return 'name_too_long';
  let bytes = 0;
  let blank = true;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c === 0x2028 || c === 0x2029 || c === 0xfeff) return 'name_invalid';
    if (c >= 0xd800 && c <= 0xdfff) {
      const low = name.charCodeAt(i + 1);
      if (c > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) return 'name_invalid';
      bytes += 4;
      i++;
      blank = false;
      continue;
    }
    bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
    if (c !== 0x20 && c !== 0xa0) blank = false;
  }
  if (blank) return 'name_invalid';
  return bytes > maxBytes ? 'name_too_long' : undefined;
}

/** As `nameProblem`; `*` names the device as a whole. */
export function metricProblem(metric: string, maxBytes: number): Reason | undefined {
  return metric === DEVICE_METRIC ? 'name_invalid' : nameProblem(metric, maxBytes);
}

/** A name as it may stand in a message to people: shortened, what cannot be printed escaped. */
export function printable(name: string): string {
  const cut = name.length > 60 ? `${name.slice(0, 60)}...` : name;
  return JSON.stringify(cut);
}

/**
 * Is this value unlike any that the channel has shown before? A channel keeps at most K intervals of values that it has
 * seen; the novelty of a value is its distance to the nearest, in units of the channel's running range.
 *
 * State of a channel, in 4-byte words from `at`: lo [K], hi [K], used [K] (int: reading at which last hit), then the
 * running range LOW, HIGH, then HIT (int: the interval hit last; most readings fall into the same one again), then N (int).
 */
export const noveltyWords = (intervals: number): number => 3 * intervals + 4;

/** Contraction of the running range towards its centre, a reading. */
const CONTRACTION = 1e-4;
const NOVELTY_LIMIT = 10;
const RARE_READINGS = 32;

/**
 * Distance of `v` to the nearest interval over the running range, then learns `v`: an interval that stays shorter than
 * `theta` of the range is stretched to it, otherwise a new one begins (in place of the one that was used longest ago).
 *
 * @param t the reading's number in its series, for `used`
 * @param rarePad taken off the novelty where the nearest interval is one that was not hit lately: how wide such a rare one really is, few hits do not tell
 */
export function novelty(
  s: Float32Array, ints: Int32Array, at: number, intervals: number, v: number, theta: number, t: number, rarePad: number,
): number {
  const low = at + 3 * intervals;
  const hit = low + 2;
  const n = ints[low + 3];
  if (n === 0) {
    begin(s, ints, at, intervals, v, t);
    return 0;
  }
  const last = at + ints[hit];
  const centre = 0.5 * (s[low] + s[low + 1]);
  s[low] += (centre - s[low]) * CONTRACTION;
  s[low + 1] += (centre - s[low + 1]) * CONTRACTION;
  if (v >= s[last] && v <= s[last + intervals]) {
    ints[last + 2 * intervals] = t;
    return 0;
  }
  let nearest = 0;
  let distance = Infinity;
  for (let k = 0; k < n; k++) {
    const below = s[at + k] - v;
    const above = v - s[at + intervals + k];
    const d = below > above ? below : above;
    if (d < distance) {
      distance = d;
      nearest = k;
      if (d <= 0) break;
    }
  }
  if (distance <= 0) {
    ints[hit] = nearest;
    ints[at + 2 * intervals + nearest] = t;
    return 0;
  }
  const seen = s[low + 1] - s[low];
  const ratio = seen > 0 ? distance / seen : NOVELTY_LIMIT;
  const rare = t - ints[at + 2 * intervals + nearest] > RARE_READINGS ? rarePad : 0;
  if (v < s[low]) s[low] = v;
  if (v > s[low + 1]) s[low + 1] = v;
  let place = nearest;
  const range = s[low + 1] - s[low];
  const length = v < s[at + nearest] ? s[at + intervals + nearest] - v : v - s[at + nearest];
  if (length <= theta * range) {
    if (v < s[at + nearest]) s[at + nearest] = v;
    else s[at + intervals + nearest] = v;
  } else {
    place = n < intervals ? n : leastRecent(ints, at + 2 * intervals, intervals);
    if (n < intervals) ints[low + 3] = n + 1;
    s[at + place] = s[at + intervals + place] = v;
  }
  ints[hit] = place;
  ints[at + 2 * intervals + place] = t;
  return ratio - rare < NOVELTY_LIMIT ? ratio - rare : NOVELTY_LIMIT;
}

function begin(s: Float32Array, ints: Int32Array, at: number, intervals: number, v: number, t: number): void {
  const low = at + 3 * intervals;
  s[at] = s[at + intervals] = s[low] = s[low + 1] = v;
  ints[at + 2 * intervals] = t;
  ints[low + 2] = 0;
  ints[low + 3] = 1;
}

function leastRecent(ints: Int32Array, used: number, intervals: number): number {
  let least = 0;
  for (let k = 1; k < intervals; k++) if (ints[used + k] < ints[used + least]) least = k;
  return least;
}

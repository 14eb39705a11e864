import { PATTERN_BLOCKS, UNKNOWN } from './ring.js';

const MASK = PATTERN_BLOCKS - 1;

/**
 * How far a block is from the same phase of the cycles before, in codes: from the range of values around it one, two and, of days, seven cycles ago, or
 * those ranges from the values around the block itself. It is the block two sixteenths of a cycle before the latest, whose surroundings are complete.
 *
 * @param codes, ring, blocks, known as model/ring.ts has them; @param cycle in blocks
 * @returns -1 where there is nothing to compare with
 */
export function mismatch(codes: Int8Array, ring: number, blocks: number, known: number, cycle: number, daily: boolean): number {
  const reach = cycle < 24 ? 1 : Math.round(cycle / 16);
  const now = blocks - 1 - 2 * reach;
  // Of the cycles before: the highest and lowest around the phase, the least of their highs, the greatest of their lows.
  let high = UNKNOWN;
  let low = 127;
  let leastHigh = 127;
  let greatestLow = UNKNOWN;
  for (let k = 1; k <= 7; k = k === 2 ? 7 : k + 1) {
    const then = now - Math.round(k * cycle);
    if (then - reach < blocks - known || (k === 7 && !daily)) break;
    let top = UNKNOWN;
    let bottom = 127;
    for (let i = then - reach; i <= then + reach; i++) {
      const code = codes[ring + (i & MASK)];
      if (code === UNKNOWN) continue;
      if (code > top) top = code;
      if (code < bottom) bottom = code;
    }
    if (top === UNKNOWN) continue;
    if (top > high) high = top;
    if (bottom < low) low = bottom;
    if (top < leastHigh) leastHigh = top;
    if (bottom > greatestLow) greatestLow = bottom;
  }
  if (high === UNKNOWN) return -1;
  const code = codes[ring + (now & MASK)];
  if (code === UNKNOWN) return 0;
  let top = code;
  let bottom = code;
  for (let i = now - 2 * reach; i < blocks; i++) {
    const one = codes[ring + (i & MASK)];
    if (one === UNKNOWN) continue;
    if (one > top) top = one;
    if (one < bottom) bottom = one;
  }
  return Math.max(0, code - high, low - code, leastHigh - top, bottom - greatestLow);
}

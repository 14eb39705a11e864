/**
 * A ring of a series' past: PATTERN_BLOCKS block means, a signed byte each, from byte `ring` of `codes`. Block b is at b & (PATTERN_BLOCKS - 1);
 * `blocks` is the number of the next one, `known` how many of those before it there are. What is compared is in season-kernel/season.c.
 */
export const PATTERN_BLOCKS = 512;
const MASK = PATTERN_BLOCKS - 1;
/** A byte that stands for no reading. */
export const UNKNOWN = -128;

/** Another unit and centre. */
export function recode(codes: Int8Array, ring: number, factor: number, shift: number): void {
  for (let k = 0; k < PATTERN_BLOCKS; k++) {
    if (codes[ring + k] === UNKNOWN) continue;
    const z = codes[ring + k] * factor + shift;
    codes[ring + k] = z > 127 ? 127 : z < -127 ? -127 : Math.round(z);
  }
}

/** Joins neighbours, the oldest first at 0; returns how many there are then. */
export function fold(codes: Int8Array, ring: number, blocks: number, known: number): number {
  turn(codes, ring, blocks & MASK, known);
  const pairs = known >> 1;
  for (let k = 0; k < pairs; k++) {
    const a = codes[ring + 2 * k];
    const b = codes[ring + 2 * k + 1];
    codes[ring + k] = a === UNKNOWN ? b : b === UNKNOWN ? a : (a + b) >> 1;
  }
  return pairs;
}

/** Each of the latest blocks twice; returns how many there are then. */
export function unfold(codes: Int8Array, ring: number, blocks: number, known: number): number {
  turn(codes, ring, blocks & MASK, known);
  const kept = known < PATTERN_BLOCKS / 2 ? known : PATTERN_BLOCKS / 2;
  codes.copyWithin(ring, ring + known - kept, ring + known);
  for (let k = kept - 1; k >= 0; k--) codes[ring + 2 * k] = codes[ring + 2 * k + 1] = codes[ring + k];
  return 2 * kept;
}

/** Turns a full ring so that its oldest block is at 0. */
function turn(codes: Int8Array, ring: number, next: number, known: number): void {
  if (known < PATTERN_BLOCKS || next === 0) return;
  reverse(codes, ring, next);
  reverse(codes, ring + next, PATTERN_BLOCKS - next);
  reverse(codes, ring, PATTERN_BLOCKS);
}

function reverse(codes: Int8Array, at: number, n: number): void {
  for (let i = 0, j = n - 1; i < j; i++, j--) {
    const kept = codes[at + i];
    codes[at + i] = codes[at + j];
    codes[at + j] = kept;
  }
}

/** Weight of a block in an exponential mean over a quarter of a cycle of so many. */
export function quarterWeight(cycle: number): number {
  return Math.min(4 / cycle, 0.5);
}

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { seededRandom } from '../../core/random.js';
import { PATTERN_BLOCKS, UNKNOWN } from '../ring.js';
import { SeasonArena } from '../season-arena.js';

const MASK = PATTERN_BLOCKS - 1;
/** Blocks of an event, behind the ring. */
const PRESENT_BLOCKS = 32;
/** That are correlated in one call. */
const LAGS = 8;
const arena = new SeasonArena((PATTERN_BLOCKS + PRESENT_BLOCKS) / 4);
arena.reserve(1);
const { kernel } = arena;
const codes = arena.bytes[0];
const ADDRESS = arena.address(0, 0);
const PRESENT = arena.address(0, PATTERN_BLOCKS / 4);

// What the kernel computes, word for word in TypeScript.

/** Correlation of the codes with those `lag` before. */
function correlation(blocks: number, known: number, lag: number, mean: number): number {
  let [products, squares, sum, n] = [0, 0, 0, 0];
  for (let i = blocks - known + lag; i < blocks; i++) {
    const a = codes[i & MASK];
    const b = codes[(i - lag) & MASK];
    if (a === UNKNOWN || b === UNKNOWN) continue;
    products += a * b;
    squares += a * a + b * b;
    sum += a + b;
    n++;
  }
  const product = products - mean * sum + n * (mean * mean);
  const square = squares - 2 * (mean * sum) + 2 * n * (mean * mean);
  return square > 0 ? (2 * product) / square : 0;
}

/** The range of the codes `from` .. `to`, and how many of them are not known. */
function rangeOf(from: number, to: number): { top: number; bottom: number; unknown: number } {
  const all = Array.from({ length: to - from + 1 }, (_, i) => codes[(from + i) & MASK]);
  const known = all.filter((code) => code !== UNKNOWN);
  return { top: Math.max(UNKNOWN, ...known), bottom: Math.min(127, ...known), unknown: all.length - known.length };
}

/** Greatest less least of the `span` codes before block `end`; -1 where more than an eighth of them is not known. */
function rangeBefore(end: number, span: number): number {
  const { top, bottom, unknown } = rangeOf(end - span, end - 1);
  return unknown > Math.floor(span / 8) ? -1 : Math.max(0, top - bottom);
}

/** Codes `reach` to either side of block `now`, one, two ... cycles before it; undefined where not all of them are known. */
function surroundings(blocks: number, known: number, now: number, cycle: number): (ReturnType<typeof rangeOf> | undefined)[] {
  const reach = reachOf(cycle);
  const cycles = [];
  for (let k = 1; now - Math.round(k * cycle) - reach >= blocks - known; k++) {
    const then = now - Math.round(k * cycle);
    const range = rangeOf(then - reach, then + reach);
    cycles.push(range.unknown === 0 ? range : undefined);
  }
  return cycles;
}

function reachOf(cycle: number): number {
  return cycle < 24 ? 1 : Math.round(cycle / 16);
}

type Range = Pick<ReturnType<typeof rangeOf>, 'top' | 'bottom'>;

function beyond(code: number, before: Range[]): number {
  return Math.max(0, code - Math.max(...before.map(({ top }) => top)), Math.min(...before.map(({ bottom }) => bottom)) - code);
}

function lacks(all: number[], before: Range[]): number {
  if (all.includes(UNKNOWN)) return 0;
  return Math.max(0, Math.min(...before.map(({ top }) => top)) - Math.max(...all), Math.min(...all) - Math.max(...before.map(({ bottom }) => bottom)));
}

const isKnown = (range: ReturnType<typeof rangeOf> | undefined): range is ReturnType<typeof rangeOf> => range !== undefined;

function mismatch(blocks: number, known: number, cycle: number, daily: boolean): number {
  const reach = reachOf(cycle);
  const cycles = surroundings(blocks, known, blocks - 1 - 2 * reach, cycle);
  const before = cycles.filter((_, k) => k < 3 || (daily && k === 6)).filter(isKnown);
  if (before.length === 0) return -1;
  const all = Array.from({ length: 4 * reach + 1 }, (_, i) => codes[(blocks - 1 - 4 * reach + i) & MASK]);
  const code = all[2 * reach];
  return code === UNKNOWN ? 0 : Math.max(beyond(code, before), lacks(all, before));
}

/** Against the latest three cycles that are known, and of days the one a week ago; `present` are the latest blocks. The last of them may be beyond what is usual, and all of them lack it. */
function mismatchInEvent(present: number[], blocks: number, known: number, cycle: number, daily: boolean): number {
  const reach = reachOf(cycle);
  const latest = (now: number): Range[] => {
    const cycles = surroundings(blocks, known, now, cycle);
    const three = new Set(cycles.filter(isKnown).slice(0, 3));
    return cycles.filter((range, k) => isKnown(range) && (three.has(range) || (daily && k === 6))).filter(isKnown);
  };
  const before = latest(blocks - 1 - 2 * reach);
  const now = latest(blocks - 1);
  if (before.length === 0 && now.length === 0) return -1;
  const last = present[present.length - 1];
  const lack = before.length === 0 || 4 * reach >= PRESENT_BLOCKS ? 0 : lacks(present.slice(-(4 * reach + 1)), before);
  return Math.max(lack, last === UNKNOWN || now.length === 0 ? 0 : beyond(last, now));
}

/** A ring: a wave with noise, of `unknown` a share that is missing. Returns how much of it is known. */
function fill(seed: number, blocks: number, unknown: number, size: number): number {
  const random = seededRandom(seed);
  const period = 20 + 80 * random();
  for (let i = 0; i < PATTERN_BLOCKS; i++) codes[i] = random() < unknown ? UNKNOWN : Math.round(size * Math.sin(i / period) + 0.2 * size * (random() - 0.5));
  return Math.min(blocks, PATTERN_BLOCKS);
}

const rings = fc.record({ seed: fc.nat(), blocks: fc.integer({ min: 20, max: 3000 }), unknown: fc.constantFrom(0, 0, 0.02, 0.5, 1), size: fc.integer({ min: 0, max: 100 }) });

it('correlates to the last bit as the sums of whole numbers do', () => {
  fc.assert(fc.property(rings, fc.integer({ min: 2, max: 224 }), fc.double({ min: -100, max: 100, noNaN: true }), ({ seed, blocks, unknown, size }, lag, mean) => {
    const known = fill(seed, blocks, unknown, size);
    if (lag > 0.45 * known) return;
    const at = kernel.correlations(ADDRESS, blocks, known, lag, LAGS, Math.fround(mean));
    for (let k = 0; k < LAGS; k++) expect(arena.double(at + 8 * k)).toBe(correlation(blocks, known, lag + k, Math.fround(mean)));
  }), { numRuns: 2000 });
});

it('compares a cycle with those before, and finds its range', () => {
  fc.assert(fc.property(rings, fc.double({ min: 8, max: 224, noNaN: true }), fc.boolean(), ({ seed, blocks, unknown, size }, cycle, daily) => {
    const known = fill(seed, blocks, unknown, size);
    expect(kernel.mismatch(ADDRESS, blocks, known, Math.fround(cycle), daily ? 1 : 0)).toBe(mismatch(blocks, known, Math.fround(cycle), daily));
    const span = Math.round(1.25 * cycle);
    expect(kernel.range_before(ADDRESS, blocks, span)).toBe(rangeBefore(blocks, span));
  }), { numRuns: 2000 });
});

it('compares an event with the latest cycles that are known, however long ago', () => {
  fc.assert(fc.property(rings, fc.double({ min: 8, max: 224, noNaN: true }), fc.boolean(), fc.integer({ min: 0, max: 400 }), ({ seed, blocks, unknown, size }, cycle, daily, event) => {
    const known = fill(seed, blocks, unknown, size);
    const random = seededRandom(seed + 1);
    const present = Array.from({ length: PRESENT_BLOCKS }, () => (random() < unknown ? UNKNOWN : Math.round(size * (2 * random() - 1))));
    present.forEach((code, i) => (codes[PATTERN_BLOCKS + ((blocks - PRESENT_BLOCKS + i) & (PRESENT_BLOCKS - 1))] = code));
    for (let block = blocks - event; block < blocks; block++) codes[block & MASK] = UNKNOWN;
    const c = Math.fround(cycle);
    expect(kernel.mismatch_in_event(ADDRESS, PRESENT, blocks, known, c, daily ? 1 : 0)).toBe(mismatchInEvent(present, blocks, known, c, daily));
    const then = blocks - 1 - 2 * reachOf(c) - Math.round(7 * c);
    expect(kernel.knows_week_before(ADDRESS, blocks, c)).toBe(rangeOf(then - reachOf(c), then + reachOf(c)).unknown === 0 ? 1 : 0);
  }), { numRuns: 2000 });
});

it('finds that an event has come to be like as many blocks in a row as once were', () => {
  let found = 0;
  fc.assert(fc.property(rings, fc.integer({ min: 8, max: PRESENT_BLOCKS }), fc.integer({ min: 40, max: 400 }), fc.double({ min: 0, max: 4, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (
    { seed, blocks, unknown, size }, count, ago, most, share,
  ) => {
    const known = fill(seed, blocks, unknown, size);
    const random = seededRandom(seed + 1);
    const once = Array.from({ length: count }, (_, i) => codes[(blocks - ago + i) & MASK]);
    const present = once.map((code) => (code === UNKNOWN ? 0 : Math.max(-127, Math.min(127, code + Math.round(2 * (2 * random() - 1))))));
    present.forEach((code, i) => (codes[PATTERN_BLOCKS + ((blocks - count + i) & (PRESENT_BLOCKS - 1))] = code));
    const range = share * size;
    const like = (first: number): boolean => {
      const then = present.map((_, i) => codes[(first + i) & MASK]);
      return !then.includes(UNKNOWN) && then.every((code, i) => Math.abs(code - present[i]) <= 2 * most) && then.reduce((sum, code, i) => sum + Math.abs(code - present[i]), 0) <= Math.trunc(most * count);
    };
    let expected = false;
    for (let first = blocks - known; first + count < blocks; first++) expected ||= like(first);
    if (Math.max(...present) - Math.min(...present) < range) expected = false;
    if (expected) found++;
    expect(kernel.is_back(ADDRESS, PRESENT, blocks, known, count, most, range)).toBe(expected ? 1 : 0);
  }), { numRuns: 1000 });
  expect(found).toBeGreaterThan(20);
});

it('finds the codes that a twentieth is below and above', () => {
  fc.assert(fc.property(rings, ({ seed, blocks, unknown, size }) => {
    const known = fill(seed, blocks, unknown, size);
    const all = Array.from({ length: known }, (_, i) => codes[(blocks - 1 - i) & MASK]).filter((code) => code !== UNKNOWN).sort((a, b) => a - b);
    const few = Math.floor((all.length - 1) / 20);
    const expected = all.length < 30 ? -1 : (all[few] - UNKNOWN) | (all[all.length - 1 - few] - UNKNOWN) << 8;
    expect(kernel.tails(ADDRESS, blocks, known)).toBe(expected);
  }), { numRuns: 500 });
});

it('rounds halves as Math.round does', () => {
  fill(1, 512, 0, 50);
  for (const cycle of [24, 40, 56, 72, 8.5, 12.5]) expect(kernel.mismatch(ADDRESS, 600, 512, cycle, 0)).toBe(mismatch(600, 512, cycle, false));
});

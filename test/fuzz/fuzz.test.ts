import { describe, expect, it } from 'vitest';
import { fuzz, TARGETS } from './fuzz.js';

/** A few of the runs of `npm run test:fuzz`, the same ones each time. */
describe('hostile input', () => {
  it.each(TARGETS.map((target) => ({ target, runs: Math.max(12, target.share * 10) })))('$target.name', async ({ target, runs }) => {
    const outcome = await fuzz(target, { runs, seed: 1 });
    expect(outcome.failures).toEqual([]);
    expect(outcome.runs).toBe(runs);
  });
});

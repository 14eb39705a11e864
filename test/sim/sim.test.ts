import { describe, expect, it } from 'vitest';
import { simulate, type Mutant, type Outcome } from './world.js';

/** The guarantee in a world that fails; `npm run test:sim -- --seeds 10000` runs more of it, and plays a failing seed again. */
describe('simulation', () => {
  it('loses nothing, scores nothing twice, tells everything: 12 seeds', async () => {
    let crashes = 0;
    let failedCommits = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const outcome = await simulate({ seed });
      expect(outcome.violations, `seed ${seed}`).toEqual([]);
      crashes += outcome.crashes;
      failedCommits += outcome.failedCommits;
    }
    // The trouble did happen.
    expect(crashes).toBeGreaterThan(20);
    expect(failedCommits).toBeGreaterThan(5);
  });

  it('is the same course of events for the same seed', async () => {
    expect(await simulate({ seed: 8 })).toEqual(await simulate({ seed: 8 }));
  });

  it('survives a crash at every operation of the disk', async () => {
    const messages = 5;
    const { operations } = await simulate({ seed: 1, messages, crashAt: { operation: Infinity, power: false } });
    expect(operations).toBeGreaterThan(40);
    const broken: Outcome[] = [];
    for (let operation = 1; operation <= operations; operation++) {
      for (const power of [false, true]) {
        const outcome = await simulate({ seed: 1, messages, crashAt: { operation, power } });
        if (outcome.violations.length > 0) broken.push(outcome);
      }
    }
    expect(broken).toEqual([]);
  });
});

/** Proof that the simulation can fail: each way to break the guarantee is found within some seeds. */
describe('mutants', () => {
  const mutants: [Mutant, number][] = [
    ['acknowledge before commit', 40], ['no fdatasync', 20], ['cursor after unlink', 20], ['step again after a failed commit', 20], ['snapshot before commit', 100],
  ];
  it.each(mutants)('%s is found', async (mutant, mostSeeds) => {
    for (let seed = 1; seed <= mostSeeds; seed++) {
      if ((await simulate({ seed, mutant })).violations.length > 0) return;
    }
    expect.fail(`not found in ${mostSeeds} seeds`);
  });
});

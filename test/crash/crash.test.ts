import { describe, expect, it } from 'vitest';
import { crashCycles } from './cycles.js';
import { obstacle } from './servers.js';

const why = obstacle();

/** A time-boxed piece of `npm run test:crash -- --cycles N`: the real program against a real broker. */
describe.skipIf(why !== undefined)(`killed at random instants${why ? ` (skipped: ${why})` : ''}`, () => {
  it('loses nothing and comes out equal to one that was never killed', async () => {
    const { examples, ...report } = await crashCycles({ cycles: 3, seed: 7, devices: 6, roundMs: 25 });
    expect(report.readings).toBeGreaterThan(1000);
    expect(examples).toEqual([]);
    expect(report).toMatchObject({ cycles: 3, lost: 0, different: 0, events_different: 0, alerts_missing: 0 });
  }, 120_000);
});

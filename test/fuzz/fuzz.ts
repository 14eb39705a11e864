import { messageOf } from '../../core/errors.js';
import { seededRandom } from '../../core/random.js';
import { checkPrototypes, type FuzzTarget } from './target.js';
import { decodeTarget } from './targets/decode.js';
import { accessTarget, configTarget, csvTarget, weightsTarget } from './targets/files.js';
import { brokerTarget, httpSocketTarget, httpTarget } from './targets/network.js';
import { storedTarget } from './targets/stored.js';

export const TARGETS: FuzzTarget[] = [decodeTarget(), httpTarget(), accessTarget(), configTarget(), weightsTarget(), csvTarget, storedTarget(), httpSocketTarget, brokerTarget];

export interface FuzzOutcome {
  target: string;
  runs: number;
  seconds: number;
  failures: { run: number; error: string; input: unknown }[];
}

const MOST_FAILURES = 5;

/** Runs one target. Each run has random numbers of its own, from seed and number, so `first` plays a single one again (a target that keeps state may need those before it). */
export async function fuzz(target: FuzzTarget, options: { runs: number; seed: number; first?: number; mostFailures?: number; onProgress?: (done: number) => void }): Promise<FuzzOutcome> {
  const began = performance.now();
  const failures: FuzzOutcome['failures'] = [];
  const fuzzed = await target.open();
  const first = options.first ?? 0;
  let done = 0;
  try {
    for (; done < options.runs && failures.length < (options.mostFailures ?? MOST_FAILURES); done++) {
      const run = first + done;
      let input: unknown;
      try {
        await fuzzed.run(seededRandom((Math.imul(options.seed, 0x9e3779b1) ^ run) >>> 0), (given) => { input = given; });
        checkPrototypes();
      } catch (thrown) {
        failures.push({ run, error: `${messageOf(thrown)}\n${(thrown as Error).stack ?? ''}`, input });
      }
      if (done % 1000 === 0) options.onProgress?.(done);
    }
  } finally {
    await fuzzed.close?.();
  }
  return { target: target.name, runs: done, seconds: (performance.now() - began) / 1000, failures };
}

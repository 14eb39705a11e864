import { baselineDetector } from './baselines/baseline.js';
import { randomCutForest } from './baselines/forest.js';
import { ewZscore } from './baselines/zscore.js';
import type { MakeDetector } from './harness.js';

/** The methods that the benches can measure, by the name that `--detector` takes. */
export const DETECTORS: Record<string, () => Promise<MakeDetector>> = {
  gruard: async () => {
    const { openDetector } = await import('../model/detector.js');
    return (fleet) => openDetector(fleet, {});
  },
  ew_zscore: () => Promise.resolve(() => baselineDetector(ewZscore)),
  random_cut_forest: () => Promise.resolve(() => baselineDetector(randomCutForest)),
};

export async function detectorNamed(name: string): Promise<MakeDetector> {
  const make = DETECTORS[name];
  if (!make) throw new Error(`no detector ${name}: one of ${Object.keys(DETECTORS).join(', ')}`);
  return make();
}

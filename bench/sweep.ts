import { join } from 'node:path';
import { openDetector } from '../model/detector.js';
import { DEFAULT_TUNING, type Tuning } from '../model/tuning.js';
import { perReading } from './detectors.js';
import { evaluateFleet } from './fleet/evaluate.js';
import { defaultCorpusDir, readCorpus } from './nab/corpus.js';
import { evaluateNab } from './nab/evaluate.js';
import { shortNumber } from './table.js';

/**
 * A line of figures for each choice of constants, in one process: npx tsx bench/sweep.ts threshold=8 threshold=9,repeatMargin=1 prior.stuck.offset=-1 ...
 * The first line is the constants as they are. Fleets decide (development split only); NAB checks.
 */
const SERIES_PER_FAMILY = 4;

/** `prior.stuck.offset=-1` reaches into the constants; what is not named stays. */
function parseChoice(text: string): Tuning {
  const tuning = structuredClone(DEFAULT_TUNING);
  for (const pair of text.split(',').filter((one) => one !== '')) {
    const [path, value] = pair.split('=');
    const keys = path.split('.');
    const last = keys.pop()!;
    const place = keys.reduce((at, key) => at[key] as Record<string, unknown>, tuning as unknown as Record<string, unknown>);
    if (!(last in place)) throw new Error(`no constant ${path}`);
    place[last] = Number(value);
  }
  return tuning;
}

async function main(): Promise<void> {
  const dir = defaultCorpusDir();
  const corpus = dir ? readCorpus(dir, join(dir, 'windows.json')).files : [];
  const head = ['recall at 1', 'false/2000', 'recall at rate', 'its threshold', 'worst kind', 'NAB standard', 'low_fp', 'low_fn', 'optimised', 'its threshold'];
  process.stdout.write(`${head.join('\t')}\n`);
  for (const choice of ['', ...process.argv.slice(2)]) {
    const tuning = parseChoice(choice);
    const fleet = await evaluateFleet(perReading({ tuning }), { seriesPerFamily: SERIES_PER_FAMILY });
    const [worst] = Object.entries(fleet.atProduct.byKind).sort((a, b) => a[1].recall - b[1].recall);
    const figures: (number | string)[] = [
      fleet.atProduct.recall, fleet.atProduct.falseAlarmsPer2000, fleet.atRate.recall, fleet.atRate.threshold, `${worst[0]} ${shortNumber(worst[1].recall)}`,
    ];
    if (corpus.length > 0) {
      const { profiles } = await evaluateNab((f) => openDetector(f, { tuning }), corpus);
      figures.push(...profiles.map((p) => p.atProduct), profiles[0].optimised, profiles[0].bestThreshold);
    }
    process.stdout.write(`${figures.map((x) => (typeof x === 'number' ? shortNumber(x) : x)).join('\t')}\t${choice}\n`);
  }
}

await main();

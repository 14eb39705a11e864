import { parseArgs } from 'node:util';
import { simulate, type Mutant } from './world.js';

/** `npm run test:sim -- --seeds N [--seed FIRST] [--mutant NAME] [--json]`: exit 1 where a seed breaks the guarantee; `--seed S --seeds 1` plays one again. */
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' }, mutant: { type: 'string' }, json: { type: 'boolean', default: false } },
});
const first = Number(values.seed);
const seeds = Number(values.seeds);
const began = performance.now();
const failed: number[] = [];
const sum = { readings: 0, crashes: 0, sentAgain: 0, failedCommits: 0, operations: 0, hours: 0 };

for (let seed = first; seed < first + seeds; seed++) {
  const outcome = await simulate({ seed, mutant: values.mutant as Mutant | undefined });
  for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += outcome[key];
  if (outcome.violations.length > 0) {
    failed.push(seed);
    if (failed.length <= 10) process.stderr.write(`seed ${seed}:\n  ${outcome.violations.slice(0, 5).join('\n  ')}\n`);
  }
  if (process.stderr.isTTY && seed % 50 === 0) process.stderr.write(`\r${seed - first + 1} of ${seeds}, ${failed.length} failed `);
}

const seconds = (performance.now() - began) / 1000;
const rows: [string, string | number][] = [
  ['seeds', seeds], ['seeds that broke the guarantee', failed.length], ['readings', sum.readings], ['crashes (kill and power cut)', sum.crashes], ['messages sent again', sum.sentAgain],
  ['commits that failed', sum.failedCommits], ['disk operations', sum.operations], ['virtual hours', sum.hours.toFixed(1)], ['seconds', seconds.toFixed(0)],
];
for (const [name, value] of rows) process.stdout.write(`${name.padEnd(34)}${String(value).padStart(12)}\n`);
if (failed.length > 0) process.stdout.write(`play one again: npm run test:sim -- --seeds 1 --seed ${failed[0]}\n`);
if (values.json) {
  process.stdout.write(`${JSON.stringify({ seeds, first_seed: first, failed: failed.length, first_failed: failed[0] ?? null, readings: sum.readings, crashes: sum.crashes, sent_again: sum.sentAgain, failed_commits: sum.failedCommits, disk_operations: sum.operations, seconds: Math.round(seconds) })}\n`);
}
process.exit(failed.length > 0 ? 1 : 0);

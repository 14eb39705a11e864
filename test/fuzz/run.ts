import { parseArgs } from 'node:util';
import { fuzz, TARGETS, type FuzzOutcome } from './fuzz.js';

/**
 * `npm run test:fuzz -- --runs N [--seed S] [--target WORD] [--first RUN] [--json]`: N hostile inputs, shared out over the targets; exit 1 where one breaks a promise.
 */
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' }, target: { type: 'string' }, first: { type: 'string', default: '0' }, json: { type: 'boolean', default: false } },
});
const total = Number(values.runs);
const seed = Number(values.seed);
const targets = TARGETS.filter(({ name }) => values.target === undefined || name.includes(values.target));
const shares = targets.reduce((sum, { share }) => sum + share, 0);
// A YAML file full of rubbish is warned of, thousands of times.
process.removeAllListeners('warning');
const uncaught: unknown[] = [];
process.on('uncaughtException', (error) => uncaught.push(error)).on('unhandledRejection', (error) => uncaught.push(error));

const outcomes: FuzzOutcome[] = [];
for (const target of targets) {
  const outcome = await fuzz(target, {
    runs: Math.max(1, Math.round((total * target.share) / shares)), seed, first: Number(values.first),
    onProgress: (done) => { if (process.stderr.isTTY) process.stderr.write(`\r${target.name}: ${done}        `); },
  });
  outcomes.push(outcome);
  process.stdout.write(`${target.name.padEnd(28)}${String(outcome.runs).padStart(10)} runs ${outcome.seconds.toFixed(1).padStart(8)} s${outcome.failures.length > 0 ? `  ${outcome.failures.length} FAILED` : ''}\n`);
  for (const { run, error, input } of outcome.failures) {
    process.stdout.write(`  run ${run}: ${error}\n  input ${JSON.stringify(input)?.slice(0, 4000)}\n  again: npm run test:fuzz -- --runs 1 --seed ${seed} --first ${run} --target '${target.name}'\n`);
  }
}
const failed = outcomes.reduce((sum, { failures }) => sum + failures.length, 0) + uncaught.length;
for (const error of uncaught) process.stdout.write(`uncaught: ${error instanceof Error ? error.stack : String(error)}\n`);
const runs = outcomes.reduce((sum, outcome) => sum + outcome.runs, 0);
const rssMib = Math.round(process.memoryUsage().rss / 1048576);
process.stdout.write(`${runs} runs, ${failed} failed, ${rssMib} MiB RSS at the end\n`);
if (values.json) process.stdout.write(`${JSON.stringify({ runs, seed, failed, rss_mib: rssMib, seconds: Math.round(outcomes.reduce((sum, { seconds }) => sum + seconds, 0)) })}\n`);
process.exit(failed > 0 ? 1 : 0);

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fuzz, TARGETS, type FuzzOutcome } from './fuzz.js';

/**
 * `npm run test:fuzz -- --runs N [--seed S] [--jobs J] [--target WORD] [--first RUN] [--json]`: N hostile inputs, shared out over the targets, by J processes at once; exit 1 where one breaks a promise.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' }, jobs: { type: 'string', default: '1' }, target: { type: 'string' }, first: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
    /** Given to the processes of `--jobs`: which of them it is. */
    part: { type: 'string', default: '0' },
  },
});
const total = Number(values.runs);
const seed = Number(values.seed);
const jobs = Number(values.jobs);
const targets = TARGETS.filter(({ name }) => values.target === undefined || name.includes(values.target));
const shares = targets.reduce((sum, { share }) => sum + share, 0);

interface Part {
  outcomes: FuzzOutcome[];
  uncaught: string[];
  rssMib: number;
}

/** The runs `part` of `jobs` of every target, in this process. */
async function runPart(part: number): Promise<Part> {
  // A YAML file full of rubbish is warned of, thousands of times.
  process.removeAllListeners('warning');
  const uncaught: string[] = [];
  const note = (error: unknown): void => void uncaught.push(error instanceof Error ? error.stack ?? error.message : String(error));
  process.on('uncaughtException', note).on('unhandledRejection', note);
  const outcomes: FuzzOutcome[] = [];
  for (const target of targets) {
    const runs = Math.max(1, Math.round((total * target.share) / shares));
    const [from, to] = [part, part + 1].map((edge) => Math.floor((runs * edge) / jobs));
    outcomes.push(await fuzz(target, {
      runs: to - from, seed, first: Number(values.first) + from,
      onProgress: (done) => { if (process.stderr.isTTY) process.stderr.write(`\r${target.name}: ${done}        `); },
    }));
  }
  return { outcomes, uncaught, rssMib: Math.round(process.memoryUsage().rss / 1048576) };
}

function spawnPart(part: number): Promise<Part> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--part', String(part + 1)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data: Buffer) => { text += data.toString(); });
    child.once('error', reject).once('exit', (code, signal) => (code === 0 ? resolve(JSON.parse(text) as Part) : reject(new Error(`a process of the fuzzer ended with ${code ?? signal}`))));
  });
}

function show(outcomes: FuzzOutcome[]): void {
  const failed = outcomes.flatMap(({ failures }) => failures);
  const runs = outcomes.reduce((sum, outcome) => sum + outcome.runs, 0);
  const seconds = outcomes.reduce((sum, outcome) => sum + outcome.seconds, 0);
  process.stdout.write(`${outcomes[0].target.padEnd(28)}${String(runs).padStart(10)} runs ${String(Math.round(runs / seconds)).padStart(7)} a second${failed.length > 0 ? `  ${failed.length} FAILED` : ''}\n`);
  for (const { run, error, input } of failed) {
    process.stdout.write(`  run ${run}: ${error}\n  input ${JSON.stringify(input)?.slice(0, 4000)}\n  again: npm run test:fuzz -- --runs 1 --seed ${seed} --first ${run} --target '${outcomes[0].target}'\n`);
  }
}

if (Number(values.part) > 0) {
  process.stdout.write(JSON.stringify(await runPart(Number(values.part) - 1)), () => process.exit(0));
} else {
  const began = performance.now();
  const parts = jobs > 1 ? await Promise.all(Array.from({ length: jobs }, (_, part) => spawnPart(part))) : [await runPart(0)];
  const seconds = Math.round((performance.now() - began) / 1000);
  for (const [i] of targets.entries()) show(parts.map(({ outcomes }) => outcomes[i]));
  const uncaught = parts.flatMap((part) => part.uncaught);
  for (const error of uncaught) process.stdout.write(`uncaught: ${error}\n`);
  const all = parts.flatMap(({ outcomes }) => outcomes);
  const failed = all.reduce((sum, { failures }) => sum + failures.length, 0) + uncaught.length;
  const runs = all.reduce((sum, outcome) => sum + outcome.runs, 0);
  const rssMib = Math.max(...parts.map((part) => part.rssMib));
  process.stdout.write(`${runs} runs in ${seconds} s, ${failed} failed, ${rssMib} MiB RSS at the end\n`);
  if (values.json) process.stdout.write(`${JSON.stringify({ runs, seed, failed, rss_mib: rssMib, seconds })}\n`);
  process.exit(failed > 0 ? 1 : 0);
}

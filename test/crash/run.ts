import { parseArgs } from 'node:util';
import { crashCycles } from './cycles.js';
import { obstacle } from './servers.js';

/** `npm run test:crash -- --cycles N [--seed S] [--json]`: exit 1 where anything acknowledged was lost or came out otherwise. */
const { values } = parseArgs({ options: { cycles: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' }, json: { type: 'boolean', default: false } } });
const why = obstacle();
if (why) {
  process.stderr.write(`the crash test cannot run: ${why}\n`);
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const cycles = Number(values.cycles);
const began = performance.now();
const { examples, ...report } = await crashCycles({ cycles, seed: Number(values.seed), progress: (cycle) => { if (process.stderr.isTTY) process.stderr.write(`\r${cycle} of ${cycles} kills `); } });
const seconds = Math.round((performance.now() - began) / 1000);
for (const example of examples) process.stderr.write(`${example}\n`);
for (const [name, value] of Object.entries({ ...report, seconds })) process.stdout.write(`${name.replaceAll('_', ' ').padEnd(24)}${String(value).padStart(12)}\n`);
if (values.json) process.stdout.write(`${JSON.stringify({ ...report, seconds })}\n`);
const failed = report.lost + report.different + report.events_different + report.alerts_missing;
process.exit(failed > 0 ? 1 : 0);

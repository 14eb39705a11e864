import { parseArgs } from 'node:util';
import { mosquittoPath } from '../servers/mosquitto.js';
import { brokerKilled } from './broker-killed.js';
import { diskFull, mountTmpfs } from './disk-full.js';
import { storeStalled } from './store-stalled.js';

/** `npm run test:faults -- [--seconds 60] [--kills 10] [--json]`: a full disk, a killed broker, a store that stands still; exit 1 where anything acknowledged was lost. */
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, kills: { type: 'string', default: '10' }, json: { type: 'boolean', default: false } } });
const seconds = Number(values.seconds);
const figures: Record<string, string | number> = {};
let lost = 0;

function say(fault: string, report: { lost: number; twice: number }): void {
  process.stdout.write(`${fault}\n`);
  for (const [name, value] of Object.entries(report) as [string, string | number][]) {
    process.stdout.write(`  ${name.replaceAll('_', ' ').padEnd(28)}${value}\n`);
    figures[`${fault.replaceAll(' ', '_')}_${name}`] = value;
  }
  lost += report.lost + report.twice;
}

const tmpfs = mountTmpfs(64);
if (tmpfs === undefined) process.stdout.write('disk full: skipped, a tmpfs cannot be mounted here\n');
else {
  try {
    say('disk full', { ...await diskFull(tmpfs.dir, Math.min(seconds, 10)) });
  } finally {
    tmpfs.unmount();
  }
}
if (mosquittoPath === undefined) process.stdout.write('broker killed: skipped, mosquitto is not installed\n');
else say('broker killed', { ...await brokerKilled(Number(values.kills), 2000) });
say('store stalled', { ...await storeStalled(seconds) });
if (values.json) process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(lost > 0 ? 1 : 0);

import { parseArgs } from 'node:util';
import { clusterObstacle, clusterTrial } from './trial.js';

/**
 * `npm run test:cluster -- [--readings 2000000] [--devices 20000] [--workers 3] [--partitions 12] [--kill-every-ms 10000] [--kills N] [--broker-gone-ms 60000]
 * [--messages-per-s N] [--lose-snapshot] [--session-timeout-ms 6000] [--snapshot-messages 20000] [--kafka VERSION] [--seed S] [--log FILE] [--built] [--json]`: exit 1 where a result is missing, doubled or other than
 * that of a single uninterrupted run, in the topics or in InfluxDB, or a dead letter is missing or
 * doubled, or no fault was found.
 */
const { values } = parseArgs({
  options: {
    readings: { type: 'string', default: '2000000' }, devices: { type: 'string', default: '20000' }, workers: { type: 'string', default: '3' }, partitions: { type: 'string', default: '12' },
    'kill-every-ms': { type: 'string', default: '10000' }, kills: { type: 'string', default: '1000' }, 'broker-gone-ms': { type: 'string', default: '0' }, 'messages-per-s': { type: 'string', default: '0' }, 'lose-snapshot': { type: 'boolean', default: false },
    'session-timeout-ms': { type: 'string', default: '6000' }, 'snapshot-messages': { type: 'string', default: '20000' }, kafka: { type: 'string' }, seed: { type: 'string', default: '1' },
    log: { type: 'string' }, built: { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
  },
});
if (clusterObstacle !== undefined) {
  process.stderr.write(`a cluster cannot be tried here: ${clusterObstacle}\n`);
  process.exit(2);
}
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
const report = await clusterTrial({
  readings: Number(values.readings), devices: Number(values.devices), workers: Number(values.workers), partitions: Number(values.partitions), killEveryMs: Number(values['kill-every-ms']),
  kills: Number(values.kills), brokerGoneMs: Number(values['broker-gone-ms']), messagesPerS: Number(values['messages-per-s']), loseSnapshot: values['lose-snapshot'], sessionTimeoutMs: Number(values['session-timeout-ms']),
  snapshotMessages: Number(values['snapshot-messages']), kafkaVersion: values.kafka, logFile: values.log, built: values.built, seed: Number(values.seed), progress: (line) => process.stderr.write(`${line}\n`),
}, stop.signal);
for (const [name, value] of Object.entries(report)) process.stdout.write(`${name.replaceAll('_', ' ').padEnd(28)}${String(value).padStart(12)}\n`);
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
const { missing, surplus, events_different: different, events, influx_missing: readings, influx_scores_missing: scores, dead_letters_missing: letters, lost_rebuilt: rebuilt } = report;
process.exit([missing, surplus, different, readings, scores, letters].some((wrong) => wrong !== 0) || events === 0 || (values['lose-snapshot'] && rebuilt !== true) ? 1 : 0);

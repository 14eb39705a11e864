import { fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CompressionTypes, Partitioners } from 'kafkajs';
import { KafkaServer, kafkaMissing } from '../test/servers/kafka.js';
import type { ReaderFigures, ReaderTask } from './kafka/consumer.js';
import { jsonLine, table } from './table.js';

/**
 * What gruard costs on Kafka: `start` with the journal alone, and with journal and embedded store, against a bare kafkajs `eachBatch` + JSON.parse consumer that keeps
 * nothing; the same topic of a real broker, runs interleaved, compared by readings a second of their own CPU time.
 *
 *   npm run bench:kafka -- [--messages 1000000] [--devices 1000] [--partitions 4] [--runs 3] [--profile DIR] [--json]
 *
 * With --profile the last run of each kind leaves a .cpuprofile of its measured half in DIR.
 */
const { values: options } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' }, devices: { type: 'string', default: '1000' }, partitions: { type: 'string', default: '4' },
    runs: { type: 'string', default: '3' }, profile: { type: 'string' }, json: { type: 'boolean', default: false },
  },
});
const START_MS = Date.UTC(2026, 0, 1);
const TOPIC = 'readings';
const A_REQUEST = 4000;
const KINDS = ['bare', 'journal', 'store'] as const;
const WANTED = { bare: '', journal: '>= 0.95', store: '>= 0.75' };

const messages = Number(options.messages);
const devices = Number(options.devices);
const runs = Number(options.runs);

/** Reading number `i` of a fleet whose devices take turns, one every ten seconds. */
function message(i: number): { key: string; value: string } {
  const device = i % devices;
  const turn = Math.floor(i / devices);
  return { key: `machine${device}`, value: `{"timestamp":${START_MS + turn * 10_000},"temperature":${(20 + 3 * Math.sin(turn / 20 + device) + ((i * 7919) % 1000) / 2000).toFixed(3)}}` };
}

async function fill(server: KafkaServer): Promise<void> {
  await server.createTopic(TOPIC, Number(options.partitions));
  const producer = server.client().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  for (let at = 0; at < messages; at += A_REQUEST) {
    await producer.send({ topic: TOPIC, compression: CompressionTypes.None, messages: Array.from({ length: Math.min(A_REQUEST, messages - at) }, (_, k) => message(at + k)) });
  }
  await producer.disconnect();
}

function read(task: ReaderTask): Promise<ReaderFigures> {
  const child = fork(new URL('./kafka/consumer.ts', import.meta.url), [JSON.stringify({ ...task, profile: options.profile })]);
  return new Promise((resolve, reject) => {
    let figures: ReaderFigures | undefined;
    child.once('message', (answer) => { figures = answer as ReaderFigures; });
    child.once('exit', (code) => (figures ? resolve(figures) : reject(new Error(`the ${task.kind} reader ended with ${code}`))));
  });
}

const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

if (kafkaMissing !== undefined) {
  console.error(`there is no Kafka to measure against: ${kafkaMissing}`);
  process.exit(1);
}
if (options.profile !== undefined) mkdirSync(options.profile, { recursive: true });
const server = await KafkaServer.start();
try {
  await fill(server);
  const perCpu: Record<ReaderTask['kind'], number[]> = { bare: [], journal: [], store: [] };
  const perS: Record<ReaderTask['kind'], number[]> = { bare: [], journal: [], store: [] };
  for (let run = 0; run < runs; run++) {
    for (const kind of KINDS) {
      const { readings, cpuS, wallS } = await read({ kind, broker: server.broker, topic: TOPIC, group: `${kind}-${run}`, messages });
      perCpu[kind].push(readings / cpuS);
      perS[kind].push(readings / wallS);
    }
  }
  const ratio = (kind: ReaderTask['kind']): number => median(perCpu[kind].map((rate, run) => rate / perCpu.bare[run]));
  const rows = KINDS.map((kind) => [kind, Math.round(median(perCpu[kind])), Math.round(median(perS[kind])), ratio(kind), WANTED[kind]]);
  console.log(`${messages} messages of one reading, ${devices} devices, ${options.partitions} partitions, Kafka ${server.version}, median of ${runs} interleaved runs`);
  console.log(table([['', 'readings/CPU s', 'readings/s', 'ratio', 'wanted'], ...rows]));
  if (options.json) {
    console.log(jsonLine({ messages, devices, runs, bare_per_cpu_s: median(perCpu.bare), journal_per_cpu_s: median(perCpu.journal), store_per_cpu_s: median(perCpu.store), journal_ratio: ratio('journal'), store_ratio: ratio('store') }));
  }
} finally {
  await server.remove();
}

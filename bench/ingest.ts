import { fork, type ChildProcess } from 'node:child_process';
import { parseArgs } from 'node:util';
import { connectAsync } from 'mqtt';
import { Mosquitto, mosquittoPath } from '../test/servers/mosquitto.js';
import type { ConsumerFigures, ConsumerTask } from './ingest/consumer.js';
import { RawPublisher } from './ingest/publisher.js';
import { jsonLine, table } from './table.js';

/**
 * What the guarantee costs: gruard (detector, journal, embedded store) against a bare mqtt.js subscriber that parses JSON and keeps nothing; same broker,
 * same messages, runs interleaved, compared by readings a second of their own CPU time. Then the time from the arrival of a reading to its PUBACK, that is
 * until it is durable, at 10,000 readings a second into the embedded broker (seen from the publisher: its own and the network's time are in it).
 *
 *   npm run bench:ingest -- [--messages 200000] [--devices 1000] [--metrics 1] [--runs 3] [--series 100000] [--qos 0|1] [--profile DIR] [--json]
 *
 * With --profile each consumer leaves a .cpuprofile in DIR.
 */
const { values: options } = parseArgs({
  options: {
    messages: { type: 'string', default: '200000' }, devices: { type: 'string', default: '1000' }, metrics: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' }, series: { type: 'string', default: '100000' }, seconds: { type: 'string', default: '10' },
    profile: { type: 'string' }, qos: { type: 'string' }, json: { type: 'boolean', default: false },
  },
});
const METRICS = ['temperature', 'pressure', 'flow', 'vibration', 'humidity', 'current', 'voltage', 'speed'];
const START_MS = Date.UTC(2026, 0, 1);

class Consumer {
  private constructor(private readonly child: ChildProcess, readonly url: string) {}

  static async start(task: ConsumerTask): Promise<Consumer> {
    const execArgv = [...process.execArgv, ...(options.profile ? ['--cpu-prof', `--cpu-prof-dir=${options.profile}`] : [])];
    const child = fork(new URL('./ingest/consumer.ts', import.meta.url), [JSON.stringify(task)], { execArgv });
    const ready = await next<{ type: 'ready'; url: string }>(child);
    return new Consumer(child, ready.url);
  }

  /** Resolves with the figures once the consumer has taken what `publish` sends. */
  async measure(messages: number, publish: () => Promise<void>): Promise<ConsumerFigures> {
    const go = next(this.child);
    this.child.send({ messages });
    await go;
    const done = next<{ type: 'done'; figures: ConsumerFigures }>(this.child);
    await publish();
    return (await done).figures;
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.send({ end: true });
    await gone;
  }
}

function next<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the consumer ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

/** Reading number `i` of a fleet whose devices take turns, one every ten seconds. */
function message(i: number, devices: number, metrics: number): { topic: string; payload: string } {
  const device = i % devices;
  const turn = Math.floor(i / devices);
  let fields = '';
  for (let m = 0; m < metrics; m++) fields += `,"${METRICS[m]}":${(20 + 3 * Math.sin(turn / 20 + device + m) + ((i * 7919 + m * 104729) % 1000) / 2000).toFixed(3)}`;
  return { topic: `plant/line${device % 8}/machine${device}`, payload: `{"timestamp":${START_MS + turn * 10_000}${fields}}` };
}

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);
const median = (numbers: number[]): number => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const quantile = (sorted: Float64Array, q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];

const messages = Number(options.messages);
const devices = Number(options.devices);
const metrics = Number(options.metrics);

/** Readings a CPU second of one consumer; the first part warms it up. */
async function throughput(kind: 'bare' | 'gruard', qos: 0 | 1): Promise<ConsumerFigures> {
  const mosquitto = await Mosquitto.start();
  const publisher = await RawPublisher.connect(mosquitto.port);
  const consumer = await Consumer.start({ kind, url: mosquitto.url, qos });
  const warmUp = Math.floor(messages / 2);
  const ith = (i: number): { topic: string; payload: string } => message(i, devices, metrics);
  await consumer.measure(warmUp, () => publisher.publish(0, warmUp, qos, ith));
  const figures = await consumer.measure(messages, () => publisher.publish(warmUp, warmUp + messages, qos, ith));
  await consumer.end();
  publisher.end();
  await mosquitto.remove();
  return figures;
}

/** Milliseconds from publish to PUBACK at 10,000 readings/s, as four metrics a message. */
async function latency(seconds: number): Promise<{ p50: number; p99: number; perS: number; cpu: number }> {
  const consumer = await Consumer.start({ kind: 'gruard-broker', url: '', qos: 1 });
  const client = await connectAsync(consumer.url, { clientId: 'publisher' });
  const perTick = 25;
  const total = seconds * 2500;
  const times = new Float64Array(total);
  let sent = 0;
  let acknowledged = 0;
  const started = performance.now();
  const figures = await consumer.measure(total, () => new Promise<void>((resolve) => {
    const tick = (): void => {
      // 25 messages every 10 ms, made up for where the timer was late.
      const due = Math.min(total, Math.floor((performance.now() - started) / 10) * perTick);
      for (; sent < due; sent++) {
        const i = sent;
        const { topic, payload } = message(i, 1000, 4);
        const at = performance.now();
        client.publish(topic, payload, { qos: 1 }, () => {
          times[i] = performance.now() - at;
          if (++acknowledged === total) {
            clearInterval(timer);
            resolve();
          }
        });
      }
    };
    const timer = setInterval(tick, 10);
  }));
  await client.endAsync(true);
  await consumer.end();
  // The first second warms up.
  const sorted = times.slice(2500).sort();
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), perS: figures.readings / figures.wallS, cpu: figures.cpuS / figures.wallS };
}

/** Memory of gruard with that many series, four a device, each of which has had some readings. */
async function memory(series: number): Promise<ConsumerFigures> {
  const mosquitto = await Mosquitto.start();
  const publisher = await RawPublisher.connect(mosquitto.port);
  const consumer = await Consumer.start({ kind: 'gruard', url: mosquitto.url, qos: 1 });
  const total = (series / 4) * 4;
  const figures = await consumer.measure(total, () => publisher.publish(0, total, 1, (i) => message(i, series / 4, 4)));
  await consumer.end();
  publisher.end();
  await mosquitto.remove();
  return figures;
}

if (mosquittoPath === undefined) {
  console.error('mosquitto is not installed: there is nothing to measure against');
  process.exit(1);
}
const runs = Number(options.runs);
const result: Record<string, number> = { messages, devices, metrics, runs };
const rows: (string | number)[][] = [['', 'bare readings/CPU s', 'gruard readings/CPU s', 'ratio', 'wanted', 'gruard readings/s', 'readings a batch', 'arrived', 'bare us', 'gruard us', 'main thread', 'kernel']];
for (const [qos, wanted] of runs > 0 ? [[1, 1.2], [0, 0.75]] as const : []) {
  const rates: Record<'bare' | 'gruard', number[]> = { bare: [], gruard: [] };
  if (options.qos !== undefined && qos !== Number(options.qos)) continue;
  const seen: ConsumerFigures[] = [];
  for (let run = 0; run < runs; run++) {
    for (const kind of ['bare', 'gruard'] as const) {
      const figures = await throughput(kind, qos);
      rates[kind].push(figures.readings / figures.cpuS);
      if (kind === 'gruard') seen.push(figures);
      if (qos === 1 && figures.readings !== messages * metrics) throw new Error(`${kind}: ${figures.readings} of ${messages * metrics} readings arrived`);
    }
  }
  const ratio = median(rates.gruard.map((rate, run) => rate / rates.bare[run]));
  const middle = (figure: (figures: ConsumerFigures) => number): number => median(seen.map(figure));
  const micros = (cpuS: (figures: ConsumerFigures) => number): string => middle((figures) => 1e6 * cpuS(figures) / figures.readings).toFixed(1);
  rows.push([
    `QoS ${qos}`, Math.round(median(rates.bare)), Math.round(median(rates.gruard)), ratio, `>= ${wanted}`,
    Math.round(middle(({ readings, wallS }) => readings / wallS)), Math.round(middle(({ readings, batches }) => readings / batches)),
    `${Math.round(middle((figures) => 100 * figures.messages / messages))} %`, (1e6 / median(rates.bare)).toFixed(1), micros(({ cpuS }) => cpuS), micros(({ mainThreadS }) => mainThreadS), micros(({ systemS }) => systemS),
  ]);
  Object.assign(result, { [`qos${qos}_bare_per_cpu_s`]: median(rates.bare), [`qos${qos}_gruard_per_cpu_s`]: median(rates.gruard), [`qos${qos}_ratio`]: ratio });
}
if (runs > 0) console.log(`${messages} messages of ${metrics} reading(s), ${devices} devices, median of ${runs} interleaved runs\n${table(rows)}`);
if (Number(options.seconds) > 0) {
  const { p50, p99, perS, cpu } = await latency(Number(options.seconds));
  console.log(`publish -> PUBACK through the embedded broker at ${Math.round(perS)} readings/s: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${Math.round(cpu * 100)} % of a core`);
  Object.assign(result, { durable_p50_ms: p50, durable_p99_ms: p99, latency_readings_per_s: perS });
}
if (Number(options.series) > 0) {
  const { rssBytes, rssBeforeBytes } = await memory(Number(options.series));
  console.log(`${options.series} series: ${mebibytes(rssBytes)} MiB resident, of which ${mebibytes(rssBeforeBytes)} MiB before gruard was opened (Node, the loader of TypeScript)`);
  Object.assign(result, { series: Number(options.series), rss_bytes: rssBytes, rss_before_bytes: rssBeforeBytes });
}
if (options.json) console.log(jsonLine(result));

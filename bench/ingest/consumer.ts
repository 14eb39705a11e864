import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'mqtt';
import { loadConfig } from '../../config/load.js';
import { silentLog } from '../../core/log.js';
import { openGruard } from '../../gruard.js';

/** One subscriber in a process of its own, so that its CPU time is its own. Told by messages what to do; answers in figures. */
export interface ConsumerTask {
  kind: 'bare' | 'gruard' | 'gruard-broker';
  url: string;
  qos: 0 | 1;
}

export interface ConsumerFigures {
  messages: number;
  readings: number;
  cpuS: number;
  /** Of `cpuS`: what the kernel took. */
  systemS: number;
  /** Of `cpuS`: what the thread that runs JavaScript took; NaN where it cannot be told (not on Linux). */
  mainThreadS: number;
  wallS: number;
  rssBytes: number;
  /** Before the subscriber was opened: Node, and the loader of TypeScript. */
  rssBeforeBytes: number;
  /** Batches that the messages made; 0 where there are none. */
  batches: number;
}

interface Consumer {
  url: string;
  look(): Look;
  close(): Promise<void>;
}

interface Look {
  messages: number;
  readings: number;
  batches: number;
  /** Nothing is left to do for what came in. */
  settled: boolean;
}

const LOOK_MS = 250;

/** What a tutorial does: mqtt.js, JSON.parse, nothing kept. */
function bare({ url, qos }: ConsumerTask): Promise<Consumer> {
  let messages = 0;
  let readings = 0;
  const client = connect(url, { clientId: 'bare' });
  client.on('message', (_topic, payload) => {
    const parsed = JSON.parse(payload.toString()) as Record<string, number>;
    messages++;
    for (const key in parsed) if (key !== 'timestamp') readings++;
  });
  return new Promise((resolve) => {
    client.subscribe('plant/#', { qos }, () => resolve({
      url, look: () => ({ messages, readings, batches: 0, settled: true }), close: () => client.endAsync(true),
    }));
  });
}

/** All of gruard: detector, journal, embedded store. */
async function gruard({ kind, url, qos }: ConsumerTask): Promise<Consumer> {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-bench-'));
  const broker = kind === 'gruard-broker';
  const config = loadConfig({
    environment: {},
    overrides: {
      data_dir: dir, 'api.port': 0, 'broker.port': 0, 'broker.enabled': broker ? 'on' : 'off',
      ...(broker ? {} : { 'mqtt.url': url, 'mqtt.qos': qos, 'mqtt.topics': ['plant/#'] }),
      'log.level': 'error', 'model.backend': 'wasm',
      // The fleet's time is simulated: by the clock every device would be silent, and heard again, every second.
      time: 'event',
    },
  });
  const running = await openGruard(config, silentLog);
  return {
    url: running.addresses.mqtt ?? url,
    look: () => {
      const measures = running.service.measures();
      const value = (name: string): number => measures.find((measure) => measure.name === name)!.values.reduce((sum, { value: v }) => sum + v, 0);
      return {
        messages: value('gruard_source_received_total'), readings: value('gruard_readings_total'), batches: value('gruard_batches_total'),
        settled: value('gruard_source_waiting') === 0 && value('gruard_follower_lag_records') === 0,
      };
    },
    close: async () => {
      await running.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** CPU seconds of the main thread so far. */
function mainThreadCpuS(): number {
  if (process.platform !== 'linux') return NaN;
  // After the name, which may hold spaces: utime and stime are fields 14 and 15 of proc(5), in ticks of 10 ms.
  const fields = readFileSync(`/proc/self/task/${process.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

async function measure(consumer: Consumer, messages: number): Promise<ConsumerFigures> {
  const before = consumer.look();
  const cpuBefore = process.cpuUsage();
  const mainBefore = mainThreadCpuS();
  const startedMs = performance.now();
  process.send!({ type: 'go' });
  let now = before;
  // At QoS 0 a broker drops what a subscriber is too slow for: then it ends when nothing has come for three seconds.
  for (let still = 0; still * LOOK_MS < 3000 && (now.messages - before.messages < messages || !now.settled);) {
    await pause(LOOK_MS);
    const last = now;
    now = consumer.look();
    still = now.messages === last.messages && now.readings === last.readings ? still + 1 : 0;
  }
  const cpu = process.cpuUsage(cpuBefore);
  return {
    messages: now.messages - before.messages, readings: now.readings - before.readings, batches: now.batches - before.batches,
    cpuS: (cpu.user + cpu.system) / 1e6, systemS: cpu.system / 1e6, mainThreadS: mainThreadCpuS() - mainBefore, wallS: (performance.now() - startedMs) / 1000, rssBytes: process.memoryUsage.rss(), rssBeforeBytes,
  };
}

const rssBeforeBytes = process.memoryUsage.rss();
const task = JSON.parse(process.argv[2]) as ConsumerTask;
const consumer = await (task.kind === 'bare' ? bare(task) : gruard(task));
process.on('message', (message: { messages: number } | { end: true }) => {
  if ('end' in message) void consumer.close().then(() => process.exit(0));
  else void measure(consumer, message.messages).then((figures) => process.send!({ type: 'done', figures }));
});
await pause(300);
process.send!({ type: 'ready', url: consumer.url });

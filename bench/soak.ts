import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import mqtt from 'mqtt';
import { packageRoot } from '../core/paths.js';
import { freePort } from '../test/servers/free-port.js';
import { Mosquitto } from '../test/servers/mosquitto.js';
import { jsonLine, table } from './table.js';

/**
 * What grows: gruard, in a process of its own, behind a real Mosquitto that restarts, with a browser's stream that is cut and opened again, under a large fleet that sends one reading after
 * the other at QoS 1. Printed: memory, heap and file handles over time, their slope over the second half, and whether every reading that the broker took was taken in, once.
 *
 *   npm run bench:soak -- [--minutes 30] [--devices 100000] [--rate 3000] [--restart-seconds 60] [--store-mib 64] [--json]
 *
 * The embedded store keeps blocks in memory until store.memory_bytes are full; here that is the least that can be set, so that it is full before the second half and what else grows shows.
 */
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, devices: { type: 'string', default: '100000' }, rate: { type: 'string', default: '3000' }, 'restart-seconds': { type: 'string', default: '60' }, 'store-mib': { type: 'string', default: '64' }, json: { type: 'boolean', default: false } },
});
const minutes = Number(values.minutes);
const devices = Number(values.devices);
const rate = Number(values.rate);
const restartMs = Number(values['restart-seconds']) * 1000;
const MOST_UNACKNOWLEDGED = 20_000;
const SAMPLE_MS = 5000;
const TICK_MS = 20;
const DRAIN_MS = 120_000;

interface Sample {
  seconds: number;
  rssMib: number;
  heapMib: number;
  /** What V8 has reserved for the heap, used or not. */
  reservedMib: number;
  /** Buffers of Node outside of the heap. */
  externalMib: number;
  /** Buffers of the embedded store, bounded by store.memory_bytes. */
  storeMib: number;
  handles: number;
  readings: number;
  devices: number;
}

/** gruard as a user starts it. */
class Server {
  readonly page: string;
  #log = '';

  private constructor(private readonly child: ChildProcess, port: number) {
    this.page = `http://127.0.0.1:${port}/`;
    child.stderr!.on('data', (chunk: Buffer) => { this.#log = (this.#log + chunk.toString()).slice(-4000); });
  }

  static async start(mqttUrl: string, dataDir: string): Promise<Server> {
    const port = await freePort();
    const child = spawn(process.execPath, ['--import', 'tsx', join(packageRoot, 'cli/main.ts'), 'start', '--data-dir', dataDir], {
      cwd: packageRoot, stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, GRUARD_API_PORT: String(port), GRUARD_MQTT_URL: mqttUrl, GRUARD_MQTT_TOPICS: 'soak/#', GRUARD_MODEL_BACKEND: 'wasm', GRUARD_LOG_LEVEL: 'warn', GRUARD_STORE_MEMORY_BYTES: String(Number(values['store-mib']) * 1048576) },
    });
    const server = new Server(child, port);
    for (let tries = 0; tries < 1200; tries++) {
      if (child.exitCode !== null) throw new Error(`gruard ended with ${child.exitCode}: ${server.#log}`);
      if (await fetch(new URL('/v1/health', server.page)).then((response) => response.ok, () => false)) return server;
      await sleep(100);
    }
    child.kill('SIGKILL');
    throw new Error(`gruard does not answer: ${server.#log}`);
  }

  async sample(seconds: number): Promise<Sample> {
    const text = await (await fetch(new URL('/metrics', this.page))).text();
    const of = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1] ?? NaN);
    const mib = (name: string): number => of(name) / 1048576;
    return {
      seconds, rssMib: mib('process_resident_memory_bytes'), heapMib: mib('nodejs_heap_size_used_bytes'), reservedMib: mib('nodejs_heap_size_total_bytes'), externalMib: mib('nodejs_external_memory_bytes'), storeMib: mib('gruard_store_memory_bytes'),
      handles: of('process_open_fds'), readings: of('gruard_readings_total'), devices: of('gruard_devices'),
    };
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await gone;
  }
}

/** Sends readings at the rate, each device in its turn; slower where the broker is not there. */
class FleetPublisher {
  acknowledged = 0;
  #sent = 0;
  #failed = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #client: mqtt.MqttClient;

  constructor(url: string) {
    this.#client = mqtt.connect(url, { reconnectPeriod: 200, clientId: 'soak', clean: false });
    this.#client.on('error', () => undefined);
  }

  start(): void {
    let due = 0;
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      due = Math.min(due + ((now - last) / 1000) * rate, rate);
      last = now;
      for (; due >= 1 && this.unacknowledged < MOST_UNACKNOWLEDGED; due--) this.#send();
    }, TICK_MS);
  }

  get unacknowledged(): number {
    return this.#sent - this.acknowledged - this.#failed;
  }

  get failed(): number {
    return this.#failed;
  }

  #send(): void {
    const n = this.#sent++;
    const device = n % devices;
    // A day's cycle in ten minutes, another phase for each device.
    const value = 20 + 5 * Math.sin(n / devices / 6 + device) + (n * 7919 % 101) / 200;
    this.#client.publish(`soak/device-${device}`, `{"ts":${Date.now()},"value":${value.toFixed(3)}}`, { qos: 1 }, (error) => {
      if (error) this.#failed++;
      else this.acknowledged++;
    });
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true);
  }
}

/** A browser that looks at the fleet: a stream that is read, cut and opened again with every restart. */
class Page {
  #abort = new AbortController();

  constructor(private readonly url: string) {}

  async reopen(): Promise<void> {
    this.#abort.abort();
    this.#abort = new AbortController();
    const response = await fetch(new URL('/v1/stream', this.url), { signal: this.#abort.signal });
    response.body!.pipeTo(new WritableStream()).catch(() => undefined);
  }

  close(): void {
    this.#abort.abort();
  }
}

/** Of a straight line through the second half, an hour. */
function slopePerHour(samples: Sample[], key: 'rssMib' | 'heapMib' | 'externalMib' | 'storeMib' | 'handles'): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const mean = (of: (sample: Sample) => number): number => half.reduce((sum, sample) => sum + of(sample), 0) / half.length;
  const [t, y] = [mean((s) => s.seconds), mean((s) => s[key])];
  const over = half.reduce((sum, s) => sum + (s.seconds - t) * (s[key] - y), 0);
  const under = half.reduce((sum, s) => sum + (s.seconds - t) ** 2, 0);
  return under === 0 ? 0 : (over / under) * 3600;
}

const dataDir = mkdtempSync(join(tmpdir(), 'gruard-soak-'));
let broker = await Mosquitto.start();
const server = await Server.start(broker.url, dataDir).catch(async (thrown: unknown) => {
  await broker.remove();
  throw thrown;
});
const publisher = new FleetPublisher(broker.url);
const page = new Page(server.page);
const samples: Sample[] = [];
let restarts = 0;
try {
  await page.reopen();
  publisher.start();
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  let nextRestart = restartMs;
  while (seconds() < minutes * 60) {
    await sleep(SAMPLE_MS);
    const sample = await server.sample(Math.round(seconds()));
    samples.push(sample);
    process.stderr.write(`${String(sample.seconds).padStart(5)} s  ${sample.devices} devices  ${sample.readings} readings  RSS ${sample.rssMib.toFixed(0)} MiB  heap ${sample.heapMib.toFixed(0)} of ${sample.reservedMib.toFixed(0)} MiB  external ${sample.externalMib.toFixed(0)} MiB  store ${sample.storeMib.toFixed(0)} MiB  ${sample.handles} handles  ${publisher.unacknowledged} unacknowledged\n`);
    if (seconds() * 1000 < nextRestart || seconds() > minutes * 60 - 10) continue;
    nextRestart += restartMs;
    await broker.stop();
    broker = await Mosquitto.start({ dir: broker.dir, port: broker.port });
    await page.reopen();
    restarts++;
  }
  publisher.stop();
  const drainBegan = performance.now();
  let last = await server.sample(Math.round(seconds()));
  while ((publisher.unacknowledged > 0 || last.readings < publisher.acknowledged) && performance.now() - drainBegan < DRAIN_MS) {
    await sleep(500);
    last = await server.sample(Math.round(seconds()));
  }
  const figures = {
    minutes, devices: last.devices, rate: Math.round(publisher.acknowledged / (minutes * 60)), broker_restarts: restarts, sent: publisher.acknowledged, taken: last.readings, missing: publisher.acknowledged - last.readings,
    rss_mib_first: Math.round(samples[0].rssMib), rss_mib_last: Math.round(last.rssMib), store_mib_last: Math.round(last.storeMib), rss_mib_per_hour: Math.round(slopePerHour(samples, 'rssMib')), heap_mib_per_hour: Math.round(slopePerHour(samples, 'heapMib')), external_mib_per_hour: Math.round(slopePerHour(samples, 'externalMib')), store_mib_per_hour: Math.round(slopePerHour(samples, 'storeMib')),
    handles_first: samples[0].handles, handles_last: last.handles, handles_per_hour: Math.round(slopePerHour(samples, 'handles')),
  };
  process.stdout.write(`${table([['soak', 'figure'], ...Object.entries(figures).map(([name, value]) => [name.replaceAll('_', ' '), value] as [string, number])])}\n`);
  if (values.json) process.stdout.write(`${jsonLine(figures)}\n`);
  process.exitCode = figures.missing === 0 && publisher.failed === 0 ? 0 : 1;
} finally {
  page.close();
  publisher.stop();
  await publisher.end();
  await server.end();
  await broker.remove();
  rmSync(dataDir, { recursive: true, force: true });
}

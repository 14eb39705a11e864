import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import type { Config } from '../config/schema.js';
import { systemClock } from '../core/clock.js';
import type { AnomalyEvent } from '../core/event.js';
import { openGruard, type Gruard } from '../gruard.js';
import type { InjectedFault } from '../ingest/simulate/device.js';
import { Simulator } from '../ingest/simulate/simulator.js';
import { DemoScreen, duration, eventEntry, statusLine } from './demo-screen.js';
import { openLog } from './log.js';
import { configOf } from './options.js';
import { stopSignal } from './signals.js';

export interface DemoOptions {
  config?: string;
  apiPort?: number;
  brokerPort?: number;
  dataDir?: string;
  devices: number;
  speed: number;
  seed: number;
  for?: number;
}

const DEMO_USER = 'gruard-demo';
const HOUR_MS = 3_600_000;
const STATUS_MS = 500;

/** `gruard demo`: a simulated fleet over real MQTT, and its faults being caught. */
export async function demo(options: DemoOptions): Promise<void> {
  const dataDir = options.dataDir ?? await mkdtemp(join(tmpdir(), 'gruard-demo-'));
  try {
    await run(demoConfig(options, dataDir), options);
  } finally {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  }
}

async function run(config: Config, options: DemoOptions): Promise<void> {
  const gruard = await openGruard(config, openLog({ ...config.log, level: 'warn' }));
  const screen = new DemoScreen();
  const { page, mqtt } = gruard.addresses;
  screen.entry(`\n  page  ${pc.bold(pc.cyan(page))}\n  API   ${page}v1   docs ${page}docs\n  MQTT  ${mqtt}   (send your own: ${publishHint(config, Number(new URL(mqtt!).port))})\n`);
  const faults = new InjectedFaults();
  const simulator = new Simulator({
    broker: { url: mqtt!, username: config.broker.username, password: config.broker.password, own: true }, clock: systemClock, devices: options.devices, seed: options.seed, speed: options.speed,
    onFault: (fault) => {
      faults.add(fault);
      screen.entry(`${pc.dim(new Date(fault.startMs).toISOString().slice(11, 16))} ${pc.magenta('injected')} ${fault.kind.replace('_', ' ')} on ${fault.device} ${fault.metric}`);
    },
    onError: (error) => screen.entry(pc.red(`the simulated fleet stopped: ${error instanceof Error ? error.message : String(error)}`)),
  });
  const unsubscribe = show(gruard, simulator, faults, screen);
  await simulator.start();
  const timeUp = options.for === undefined ? undefined : new Promise<string>((resolve) => { setTimeout(() => resolve('the end of --for'), options.for! * 1000).unref(); });
  await stopSignal(gruard.failed, timeUp);
  unsubscribe();
  screen.end();
  process.stdout.write(`\n${faults.summary()}\n`);
  await simulator.stop();
  await gruard.close({ keep: options.dataDir !== undefined });
}

function show(gruard: Gruard, simulator: Simulator, faults: InjectedFaults, screen: DemoScreen): () => void {
  // Three days of history are judged like everything else; what was found there is on the page, and would only flood the terminal.
  const unsubscribe = gruard.service.live.subscribe((message) => {
    if (message.type !== 'anomaly' || message.change === 'updated' || !simulator.caughtUp) return;
    screen.entry(eventEntry(message.change, message.event, message.change === 'opened' ? faults.answer(message.event) : ''));
  });
  const timer = setInterval(() => {
    const { fraction } = simulator.progress;
    const phase = simulator.caughtUp ? pc.green('live') : pc.yellow(`three days of history ${Math.floor(fraction * 100)} %`);
    screen.status(statusLine(gruard.service.overview(), phase), systemClock.nowMs());
  }, STATUS_MS);
  return () => {
    clearInterval(timer);
    unsubscribe();
  };
}

/** What the fleet was made to do, so that the terminal can say which events answer to it. */
class InjectedFaults {
  readonly #faults: (InjectedFault & { caught: boolean })[] = [];

  add(fault: InjectedFault): void {
    this.#faults.push({ ...fault, caught: false });
  }

  /** In words, where the event answers to a fault. */
  answer(event: AnomalyEvent): string {
    const fault = this.#faults.find((f) => f.device === event.device && event.openedMs >= f.startMs && event.openedMs <= f.endMs + HOUR_MS);
    if (!fault) return '';
    fault.caught = true;
    return `= the injected ${fault.kind.replace('_', ' ')}, caught ${event.openedMs - fault.startMs < 60_000 ? 'at once' : `${duration(event.openedMs - fault.startMs)} after it began`}`;
  }

  summary(): string {
    const caught = this.#faults.filter((fault) => fault.caught).length;
    return `${caught} of ${this.#faults.length} injected faults caught`;
  }
}

/** A command that sends a reading to the broker of these settings. */
function publishHint({ broker }: Config, port: number): string {
  const tls = broker.tls_cert_file === '' ? '' : ` --cafile ${broker.tls_cert_file}`;
  const user = broker.users_file === '' && (broker.username === '' || broker.username === DEMO_USER) ? '' : ' -u USER -P PASSWORD';
  return `mosquitto_pub -h 127.0.0.1 -p ${port}${tls}${user} -t plant/oven3 -m '{"temperature":21.4}'`;
}

/** The user's settings (TLS, users, detector ...), but a broker and a data directory of the demo's own, and the fleet's time. */
export function demoConfig(options: DemoOptions, dataDir: string): Config {
  const common = { config: options.config, dataDir };
  const { broker } = configOf(common);
  // Where only named users may come in, the simulated fleet is one of them, for this run.
  const login = broker.username === '' && broker.users_file !== '' ? { 'broker.username': DEMO_USER, 'broker.password': randomBytes(24).toString('base64url'), 'broker.password_file': '' } : {};
  return configOf(common, {
    ...login,
    mode: 'single',
    time: 'event',
    'broker.enabled': 'on',
    'mqtt.url': '',
    'kafka.brokers': [],
    'kafka.output.enabled': false,
    'api.port': options.apiPort,
    'broker.port': options.brokerPort,
    'log.format': 'text',
  });
}

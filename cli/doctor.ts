import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import pc from 'picocolors';
import type { Config } from '../config/schema.js';
import { GruardError, messageOf } from '../core/errors.js';
import { kafkaAddress, openKafka, type KafkaConnection } from '../core/kafka.js';
import { VERSION } from '../core/version.js';
import { openBackend } from '../model/backends/index.js';
import { readServingWeights } from '../model/serving.js';
import { readWeights, type Wanted } from '../model/weights.js';
import { kafkaConnectionOf, wantedOf, weightsPathOf } from '../wiring.js';
import { configOf, type CommonOptions } from './options.js';

interface Finding {
  check: string;
  status: 'ok' | 'note' | 'problem';
  detail: string;
  /** What to do about it. */
  next?: string;
}

const GIB = 2 ** 30;
const MIN_FREE_BYTES = GIB;
const CONNECT_MS = 3000;

export interface DoctorOptions extends CommonOptions {
  json?: boolean;
}

/** `gruard doctor`: exit 0 where nothing keeps gruard from running. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const findings = await examine(configOf(options));
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ version: VERSION, findings })}\n`);
  } else {
    for (const { check, status, detail, next } of findings) {
      const mark = status === 'ok' ? pc.green('ok     ') : status === 'note' ? pc.yellow('note   ') : pc.red('problem');
      process.stdout.write(`${mark}  ${check}: ${detail}\n${next === undefined ? '' : `         ${next}\n`}`);
    }
  }
  if (findings.some(({ status }) => status === 'problem')) process.exitCode = 1;
}

async function examine(config: Config): Promise<Finding[]> {
  const findings: Finding[] = [
    { check: 'gruard', status: 'ok', detail: `${VERSION} on Node ${process.version}, ${process.platform}-${process.arch}` },
    await dataDirectory(config),
    await weights('weights', weightsPathOf(config), wantedOf(config)),
    ...await Promise.all(config.model.by_device.map((model) => weights(`weights of ${model.devices}`, model.weights))),
    await tensorflow(config),
    await port('API and page', config.api.host, config.api.port, 'api.port (GRUARD_API_PORT)'),
  ];
  if (config.broker.enabled === 'on' || (config.broker.enabled === 'auto' && config.mqtt.url === '' && config.kafka.brokers.length === 0)) {
    findings.push(await port('embedded broker', config.broker.host, config.broker.port, 'broker.port (GRUARD_BROKER_PORT)'));
  }
  if (config.mqtt.url !== '') findings.push(await connection('MQTT broker', config.mqtt.url, 'mqtt.url (GRUARD_MQTT_URL)', { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 }));
  const kafka = kafkaConnectionOf(config);
  if (kafka) findings.push(await kafkaBrokers(config, kafka));
  if (config.store.kind === 'influxdb') findings.push(await connection('InfluxDB', config.store.influxdb.url, 'store.influxdb.url (GRUARD_STORE_INFLUXDB_URL)', { 'http:': 80, 'https:': 443 }));
  return findings;
}

async function dataDirectory(config: Config): Promise<Finding> {
  const check = 'data directory';
  try {
    await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
    await access(config.data_dir, constants.W_OK);
    const { bavail, bsize } = await statfs(config.data_dir);
    const free = bavail * bsize;
    const detail = `${config.data_dir}, ${(free / GIB).toFixed(1)} GiB free`;
    if (free < MIN_FREE_BYTES) return { check, status: 'problem', detail, next: 'Free some space: gruard stops acknowledging when the disk is full.' };
    return { check, status: 'ok', detail };
  } catch (thrown) {
    return { check, status: 'problem', detail: messageOf(thrown), next: 'Make it writable for this user, or set data_dir (GRUARD_DATA_DIR).' };
  }
}

async function weights(check: string, file: string, wanted?: Wanted): Promise<Finding> {
  try {
    const { config: network } = await readServingWeights(file, wanted);
    return { check, status: 'ok', detail: `${network.layers.map(({ cell, units }) => `${cell} ${units}`).join(', ')}; horizons ${network.horizons.join(', ')}` };
  } catch (thrown) {
    return { check, status: 'problem', detail: messageOf(thrown), next: thrown instanceof GruardError ? thrown.next : undefined };
  }
}

/** Without it gruard runs on the wasm backend; only a configuration that insists on it has a problem. */
async function tensorflow(config: Config): Promise<Finding> {
  const check = 'TensorFlow backend';
  try {
    const network = await readWeights(weightsPathOf(config));
    (await openBackend('tensorflow', network)).dispose();
    return { check, status: 'ok', detail: 'loads' };
  } catch (thrown) {
    return {
      check, status: config.model.backend === 'tensorflow' ? 'problem' : 'note', detail: `not available (${messageOf(thrown).split('\n')[0]}); the wasm backend is used`,
      next: 'From a checkout, `npm run build:tensorflow` builds it from the package registries.',
    };
  }
}

/** Logs in, and looks whether the topics of the settings are there. */
async function kafkaBrokers(config: Config, connection: KafkaConnection): Promise<Finding> {
  const check = 'Kafka';
  const admin = openKafka(connection).admin({ retry: { retries: 0 } });
  try {
    await admin.connect();
    const there = new Set(await admin.listTopics());
    const { topics, dead_letter_topic: deadLetters, output } = config.kafka;
    const missing = [...topics, deadLetters, ...(output.enabled ? [output.results_topic, output.events_topic] : [])].filter((topic) => topic !== '' && !there.has(topic));
    if (missing.length > 0) return { check, status: 'problem', detail: `missing topics: ${missing.join(', ')}`, next: 'Run `gruard kafka setup`, or mend kafka.topics (GRUARD_KAFKA_TOPICS).' };
    return { check, status: 'ok', detail: `${kafkaAddress(connection)}, ${there.size} topics` };
  } catch (thrown) {
    return { check, status: 'problem', detail: messageOf(thrown), next: 'Check kafka.brokers (GRUARD_KAFKA_BROKERS), kafka.tls and kafka.sasl.' };
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

function port(check: string, host: string, number: number, setting: string): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      resolve({
        check, status: taken ? 'note' : 'problem', detail: taken ? `${host}:${number} is in use (by gruard, if it is running)` : messageOf(error),
        next: `If it is another program, choose another port with ${setting}.`,
      });
    });
    server.listen(number, host, () => server.close(() => resolve({ check, status: 'ok', detail: `${host}:${number} is free` })));
  });
}

function connection(check: string, address: string, setting: string, ports: Record<string, number>): Promise<Finding> {
  return new Promise((resolve) => {
    let url: URL;
    try {
      url = new URL(address);
    } catch {
      resolve({ check, status: 'problem', detail: 'the address cannot be read', next: `Mend ${setting}.` });
      return;
    }
    const where = `${url.hostname}:${url.port || ports[url.protocol] || ''}`;
    const socket = createConnection({ host: url.hostname, port: Number(url.port || ports[url.protocol]), timeout: CONNECT_MS });
    const end = (finding: Finding): void => {
      socket.destroy();
      resolve(finding);
    };
    socket.once('connect', () => end({ check, status: 'ok', detail: `${where} accepts connections` }));
    socket.once('timeout', () => end({ check, status: 'problem', detail: `${where} does not answer`, next: `Check the address in ${setting} and the firewall.` }));
    socket.once('error', (error) => end({ check, status: 'problem', detail: messageOf(error) || `${where} refused`, next: `Start the server, or mend ${setting}.` }));
  });
}

import { randomUUID } from 'node:crypto';
import { connect as plainConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import mqtt, { type IClientOptions } from 'mqtt';
import { readSinks, type SinkSettings } from '../../alert/settings.js';
import type { Config } from '../../config/schema.js';
import { GruardError } from '../../core/errors.js';
import { kafkaAddress, openKafka, type KafkaConnection } from '../../core/kafka.js';
import { withoutPassword } from '../../ingest/mqtt.js';
import { InfluxConnection } from '../../store/results/influx-connection.js';
import { foreseen, grant, type Advice } from '../../store/results/influx-schema.js';
import { influxOptionsOf, kafkaConnectionOf, mqttSettingsOf } from '../../wiring.js';
import { wantedTopics } from '../kafka.js';
import { ANSWER_MS, remedy, told, type Finding, type Settings } from './finding.js';

/** Node's own setting, for servers without one of gruard's. */
const AUTHORITIES = 'the environment variable NODE_EXTRA_CA_CERTS';

/** Every server that the settings name, each asked as gruard will ask it: with its login, for what it needs there. */
export async function servers(config: Config): Promise<Finding[]> {
  const checks: [string, () => Promise<Finding | undefined>][] = [
    ['MQTT broker', () => mqttSource(config)],
    ['Kafka', () => kafka(config)],
    ['InfluxDB', () => influxdb(config)],
    ...readSinks(config.alerts.sinks).map((sink): [string, () => Promise<Finding | undefined>] => [`alerts to ${sink.name}`, () => alertSink(sink)]),
  ];
  const found = await Promise.all(checks.map(async ([check, run]) => {
    try {
      return await run();
    } catch (thrown) {
      // A file of the settings that cannot be read, and the like.
      return { check, status: 'problem', detail: told(thrown), next: thrown instanceof GruardError ? thrown.next : undefined } satisfies Finding;
    }
  }));
  return found.filter((finding) => finding !== undefined);
}

async function mqttSource(config: Config): Promise<Finding | undefined> {
  const settings = mqttSettingsOf(config);
  if (!settings) return undefined;
  const { url, topics, username, password, ca, cert, key, version } = settings;
  const names = { address: 'mqtt.url (GRUARD_MQTT_URL)', login: 'mqtt.username and mqtt.password_file', authority: 'mqtt.ca_file' };
  return await broker('MQTT broker', url, { username, password, ca, cert, key, protocolVersion: version === '5' ? 5 : 4 }, topics, names);
}

/** Logs in under a name of its own, since the broker would throw a running gruard out under gruard's, and subscribes to the topics for a moment. */
async function broker(check: string, url: string, login: IClientOptions, topics: string[], names: Settings): Promise<Finding> {
  const address = withoutPassword(url);
  const client = mqtt.connect(url, { ...login, clientId: `gruard-doctor-${randomUUID().slice(0, 8)}`, clean: true, reconnectPeriod: 0, connectTimeout: ANSWER_MS, log: () => undefined });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve()).on('error', reject).once('close', () => reject(new Error('ECONNRESET: the server hung up')));
    });
    for (const topic of topics) {
      const granted = await client.subscribeAsync(topic, { qos: 0 }).catch(() => []);
      // 0x80 and above: refused.
      if (granted.some(({ qos }) => qos < 128)) continue;
      return { check, status: 'problem', detail: `${address} refuses the subscription to ${topic}`, next: `Allow it to the user there, or mend ${names.login} or mqtt.topics (GRUARD_MQTT_TOPICS).` };
    }
    return { check, status: 'ok', detail: topics.length === 0 ? `${address} lets gruard in` : `${address} lets gruard in and read ${topics.join(', ')}` };
  } catch (thrown) {
    // The reason code of a CONNACK.
    const refused = typeof (thrown as { code?: unknown }).code === 'number';
    return { check, status: 'problem', detail: `${address}: ${told(thrown)}`, next: refused ? `The broker does not let this user in: mend ${names.login}, or the users of the broker.` : remedy(thrown, names) };
  } finally {
    await client.endAsync(true).catch(() => undefined);
  }
}

async function kafka(config: Config): Promise<Finding | undefined> {
  const connection = kafkaConnectionOf(config);
  if (!connection) return undefined;
  const wanted = wantedTopics(config, { partitions: 1, retentionDays: 1 }).map(({ topic }) => topic);
  return await topicsThere('Kafka', connection, wanted, { address: 'kafka.brokers (GRUARD_KAFKA_BROKERS)', login: 'kafka.sasl, kafka.username and kafka.password_file', authority: 'kafka.ca_file' },
    'Run `gruard kafka setup` with these settings, or mend kafka.topics (GRUARD_KAFKA_TOPICS).');
}

async function topicsThere(check: string, connection: KafkaConnection, wanted: string[], names: Settings, toMake: string): Promise<Finding> {
  const admin = openKafka(connection).admin({ retry: { retries: 0 } });
  try {
    await admin.connect();
    const there = new Set(await admin.listTopics());
    const missing = wanted.filter((topic) => !there.has(topic));
    if (missing.length > 0) return { check, status: 'problem', detail: `${kafkaAddress(connection)}: missing topics: ${missing.join(', ')}`, next: toMake };
    return { check, status: 'ok', detail: `${kafkaAddress(connection)}, ${there.size} topics` };
  } catch (thrown) {
    const refused = /sasl|authenticat|authoriz/i.test(told(thrown));
    return { check, status: 'problem', detail: told(thrown), next: refused ? `The brokers do not let this user in: mend ${names.login}.` : remedy(thrown, names) };
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

async function influxdb(config: Config): Promise<Finding | undefined> {
  if (config.store.kind !== 'influxdb') return undefined;
  const check = 'InfluxDB';
  const names = { address: 'store.influxdb.url (GRUARD_STORE_INFLUXDB_URL)', login: 'store.influxdb.username and password_file (or token_file)', authority: 'store.influxdb.ca_file' };
  const options = { ...influxOptionsOf(config, ''), timeoutMs: ANSWER_MS };
  const connection = new InfluxConnection(options);
  try {
    const version = await connection.version();
    const { status, said } = await connection.probe();
    const where = `${connection.address} (${version}), database ${options.database}`;
    if (status === 401) return { check, status: 'problem', detail: `${where}: ${said}`, next: `The server does not know this user or token: mend ${names.login}.` };
    const { commands, advice } = await foreseen(connection);
    if (status === 403) return { check, status: 'problem', detail: `${where}: ${said}`, next: toRun(advice.length > 0 ? advice : grant(connection, '')) || `Give the user or token the right to write and read there, or mend ${names.login}.` };
    const left = await refusedOf(connection, commands);
    if (status === 404) {
      if (left.length === 0 && commands.length > 0) return { check, status: 'ok', detail: `${where}: not there yet; gruard makes it when it starts` };
      return { check, status: 'problem', detail: `${where}: ${said || 'there is no such database'}`, next: toRun([...left, ...advice]) || `Make it, or mend store.influxdb.database (GRUARD_STORE_INFLUXDB_DATABASE).` };
    }
    if (status >= 500) return { check, status: 'problem', detail: `${where}: ${status} ${said}`, next: 'Look into the log of InfluxDB.' };
    const more = toRun([...left, ...advice]);
    return more === '' ? { check, status: 'ok', detail: where } : { check, status: 'note', detail: `${where}: readings are stored, and something is left for an administrator`, next: more };
  } catch (thrown) {
    const cause = thrown instanceof GruardError && thrown.cause !== undefined ? thrown.cause : thrown;
    return { check, status: 'problem', detail: `${connection.address}: ${told(cause)}`, next: remedy(cause, names) };
  }
}

/** Of what gruard would run, what it may not: only an administrator may do any of it, and only he may ask for the users. */
async function refusedOf(connection: InfluxConnection, commands: string[]): Promise<Advice[]> {
  if (commands.length === 0) return [];
  const administrator = await connection.query('SHOW USERS').then(() => true, () => false);
  // A query over what is there already may be made by whoever may write.
  if (administrator || commands.every((command) => command.startsWith('CREATE CONTINUOUS QUERY'))) return [];
  const made = commands.map((command) => ({ command, reason: '' }));
  return commands[0].startsWith('CREATE DATABASE') ? [...made, ...grant(connection, '')] : made;
}

function toRun(advice: Advice[]): string {
  return advice.length === 0 ? '' : ['An administrator has to run:', ...advice.map(({ command, reason }) => `  ${command}${reason === '' ? '' : `   (${reason})`}`)].join('\n');
}

async function alertSink(sink: SinkSettings): Promise<Finding | undefined> {
  const check = `alerts to ${sink.name}`;
  const setting = (name: string): string => `${name} of the sink ${sink.name} in alerts.sinks`;
  const names = { address: setting(sink.kind === 'kafka' ? 'brokers' : 'url'), login: setting('username and password_file'), authority: sink.kind === 'mqtt' || sink.kind === 'kafka' ? setting('ca_file') : AUTHORITIES };
  switch (sink.kind) {
    case 'log':
      return undefined;
    case 'mqtt':
      return await broker(check, sink.url, { username: sink.username, password: sink.password, ...sink.tls }, [], names);
    case 'kafka':
      return await topicsThere(check, sink.connection, [sink.topic], names, `Make the topic, or mend ${setting('topic')}.`);
    case 'webhook':
    case 'alertmanager':
      return await reached(check, new URL(sink.url), names, sink.name);
  }
}

/** A connection and no request: that would be an alert. */
function reached(check: string, url: URL, names: Settings, sink: string): Promise<Finding> {
  const secure = url.protocol === 'https:';
  const port = Number(url.port || (secure ? 443 : 80));
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const end = (finding: Omit<Finding, 'check'>): void => {
      socket.destroy();
      resolve({ check, ...finding });
    };
    const done = (): void => end({ status: 'ok', detail: `${url.host} accepts connections; \`gruard alert test ${sink}\` sends it a test` });
    const socket = secure ? tlsConnect({ host, port, servername: /^[\d.:a-f]+$/i.test(host) ? '' : host }, done) : plainConnect({ host, port }, done);
    socket.setTimeout(ANSWER_MS, () => end({ status: 'problem', detail: `${url.host} does not answer`, next: `Check the firewall, or mend ${names.address}.` }));
    socket.once('error', (error) => end({ status: 'problem', detail: `${url.host}: ${told(error)}`, next: remedy(error, names) }));
  });
}

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { freePort } from './free-port.js';

const POM = fileURLToPath(new URL('./kafka-pom.xml', import.meta.url));
const CLUSTER_ID = 'MkU3OEVBNTcwNTJENDM2Qk';
const START_MS = 240_000;

export const KAFKA_VERSION = process.env.KAFKA_VERSION ?? '4.4.0';

const runs = (program: string): boolean => spawnSync(program, ['-version'], { stdio: 'ignore' }).error === undefined;
const jarsOf = (version: string): string => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kafka-jars', version);
const complete = (version: string): boolean => existsSync(join(jarsOf(version), '.complete'));

/** Why there is no broker on this machine: tests that need one skip, visibly. undefined where there is one (the jars come from Maven Central, once, where mvn is there). */
export const kafkaMissing: string | undefined = !runs('java') ? 'java is not installed' : complete(KAFKA_VERSION) || runs('mvn') ? undefined : `neither mvn nor ${jarsOf(KAFKA_VERSION)} is there`;

/** A real Kafka broker: one KRaft node on free loopback ports, with a directory of its own, ended by its process id. */
export class KafkaServer {
  #child: ChildProcess | undefined;
  /** HOST:PORT of the port that `secure` opened, and the PEM files that a client needs there. */
  secure: { broker: string; ca: string; cert: string; key: string } | undefined;
  #log = '';

  private constructor(readonly version: string, readonly port: number, readonly controllerPort: number, readonly dir: string) {}

  get broker(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * `lines` are added to server.properties, and win over what is there. `secure` opens another port, for TLS with client certificates and SASL (user gruard, password
   * s3cret). Throws where it does not start.
   */
  static async start({ version = KAFKA_VERSION, lines = [] as string[], port = 0, secure = false } = {}): Promise<KafkaServer> {
    fetchJars(version);
    const server = new KafkaServer(version, port || await freePort(), await freePort(), mkdtempSync(join(tmpdir(), 'gruard-kafka-')));
    const secureLines = secure ? server.#secureLines(await freePort()) : [];
    writeFileSync(join(server.dir, 'server.properties'), [...properties(server.port, server.controllerPort, server.dir), ...secureLines, ...lines].join('\n'));
    const scram = secure ? ['256', '512'].flatMap((bits) => ['--add-scram', `SCRAM-SHA-${bits}=[name=gruard,password=s3cret]`]) : [];
    const format = spawnSync('java', [...jvm(version), 'kafka.tools.StorageTool', 'format', '--cluster-id', CLUSTER_ID, '--config', join(server.dir, 'server.properties'), '--ignore-formatted', ...scram], { encoding: 'utf8' });
    if (format.status !== 0) throw new Error(`the broker's directory cannot be formatted: ${format.stderr}`);
    await server.resume();
    return server;
  }

  /** Starts it again on the same port and directory. */
  async resume(): Promise<void> {
    const child = spawn('java', [...jvm(this.version), 'kafka.Kafka', join(this.dir, 'server.properties')], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => { this.#log = (this.#log + chunk.toString()).slice(-20_000); });
    const end = performance.now() + START_MS;
    while (!await this.#answers()) {
      if (child.exitCode !== null || performance.now() > end) throw new Error(`the broker does not start (${child.exitCode ?? 'too slow'}): ${this.#log}`);
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }

  /** Ends it; the directory stays. SIGKILL: as a crash does. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A client of the test's own. */
  client(): Kafka {
    return new Kafka({ brokers: [this.broker], clientId: 'test', logLevel: logLevel.NOTHING, retry: { retries: 10, initialRetryTime: 100, maxRetryTime: 1000 } });
  }

  async createTopic(topic: string, numPartitions = 1, settings: Record<string, string> = {}): Promise<void> {
    const admin = this.client().admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })) }], waitForLeaders: false });
    // kafkajs' own wait gives up on a broker that has not heard of the topic yet.
    for (let known = false; !known;) known = await admin.fetchTopicMetadata({ topics: [topic] }).then(({ topics }) => topics[0].partitions.length === numPartitions, () => false);
    await admin.disconnect();
  }

  /** One self-signed certificate is the broker's, the client's and the authority at once. */
  #secureLines(port: number): string[] {
    const [key, cert, both] = ['key.pem', 'cert.pem', 'both.pem'].map((name) => join(this.dir, name));
    const openssl = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { encoding: 'utf8' });
    if (openssl.status !== 0) throw new Error(`openssl made no certificate: ${openssl.stderr}`);
    writeFileSync(both, readFileSync(key, 'utf8') + readFileSync(cert, 'utf8'));
    this.secure = { broker: `127.0.0.1:${port}`, ca: cert, cert, key };
    const listeners = `PLAINTEXT://127.0.0.1:${this.port},SASL_SSL://127.0.0.1:${port}`;
    const login = 'org.apache.kafka.common.security';
    return [
      `listeners=${listeners},CONTROLLER://127.0.0.1:${this.controllerPort}`, `advertised.listeners=${listeners}`, 'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      `listener.name.sasl_ssl.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required user_gruard="s3cret";`,
      ...['256', '512'].map((bits) => `listener.name.sasl_ssl.scram-sha-${bits}.sasl.jaas.config=${login}.scram.ScramLoginModule required;`),
      'ssl.keystore.type=PEM', `ssl.keystore.location=${both}`, 'ssl.truststore.type=PEM', `ssl.truststore.location=${cert}`, 'ssl.client.auth=required',
    ];
  }

  /** The port is open before the controller has said that the broker may serve. */
  async #answers(): Promise<boolean> {
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(this.port, '127.0.0.1');
      socket.once('connect', () => { socket.destroy(); resolve(true); });
      socket.once('error', () => resolve(false));
    });
    if (!open) return false;
    const admin = new Kafka({ brokers: [this.broker], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
    try {
      await admin.connect();
      return (await admin.describeCluster()).brokers.length > 0;
    } catch {
      return false;
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }
}

function fetchJars(version: string): void {
  if (complete(version)) return;
  const lib = jarsOf(version);
  mkdirSync(lib, { recursive: true });
  const maven = spawnSync('mvn', ['-B', '-q', '-f', POM, 'dependency:copy-dependencies', `-Dkafka.version=${version}`, '-DincludeScope=runtime', `-DoutputDirectory=${lib}`], { encoding: 'utf8' });
  if (maven.status !== 0) throw new Error(`Maven did not fetch Kafka ${version}: ${maven.stdout}${maven.stderr}`);
  writeFileSync(join(lib, '.complete'), '');
}

function jvm(version: string): string[] {
  return [
    '-Xmx512m', '-Xms128m', '-XX:+UseSerialGC', `-XX:TieredStopAtLevel=${process.env.KAFKA_TIER ?? 1}`, '-Xshare:auto',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', join(jarsOf(version), '*'),
  ];
}

function properties(port: number, controllerPort: number, dir: string): string[] {
  return [
    'process.roles=broker,controller', 'node.id=1', `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`, `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names=CONTROLLER', 'inter.broker.listener.name=PLAINTEXT', 'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL',
    `log.dirs=${dir}/data`, 'num.partitions=4', 'num.network.threads=2', 'num.io.threads=2', 'auto.create.topics.enable=false',
    'offsets.topic.replication.factor=1', 'offsets.topic.num.partitions=4', 'transaction.state.log.replication.factor=1', 'transaction.state.log.min.isr=1', 'transaction.state.log.num.partitions=4',
    'group.initial.rebalance.delay.ms=0', 'group.min.session.timeout.ms=1000', 'log.cleaner.dedupe.buffer.size=4194304', 'log.cleaner.backoff.ms=1000',
  ];
}

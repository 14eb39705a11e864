import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../config/load.js';
import { silentLog } from '../../core/log.js';
import { packageRoot } from '../../core/paths.js';
import { openGruard, type Gruard } from '../../gruard.js';
import { freePort } from '../servers/free-port.js';
import { findInfluxd } from '../servers/influxd.js';
import { kafkaMissing, KafkaServer } from '../servers/kafka.js';
import { mosquittoPath } from '../servers/mosquitto.js';
import { prometheusPath, startPrometheus } from '../servers/prometheus.js';
import { all, until } from './gruard.js';

interface ComposeService {
  image: string;
  build?: string;
  user?: string;
  command?: string[];
  environment?: Record<string, string>;
  secrets?: string[];
  volumes?: string[];
  ports?: string[];
  profiles?: string[];
  healthcheck?: { test: string[] };
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  restart?: string;
}

const read = (path: string): string => readFileSync(join(packageRoot, path), 'utf8');
const compose = parse(read('docker-compose.yml'), { merge: true }) as { services: Record<string, ComposeService>; volumes: Record<string, unknown>; secrets: Record<string, { file: string }> };
const services = Object.entries(compose.services);
const healthCheck = JSON.parse(/^HEALTHCHECK .*CMD (\[.*\])$/m.exec(read('Dockerfile'))![1]) as string[];

describe('docker-compose.yml', () => {
  it('has the services, and starts only gruard and its broker unless told otherwise', () => {
    expect(Object.keys(compose.services).sort()).toEqual(['grafana', 'gruard', 'influxdb', 'kafka', 'mosquitto', 'prometheus']);
    expect(services.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name).sort()).toEqual(['gruard', 'mosquitto']);
    for (const [, { profiles }] of services) expect(profiles ?? ['full']).toEqual(['full']);
  });

  it.each(services)('%s: pinned, without rights, watched, on loopback only', (name, service) => {
    expect(service.image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+$/);
    expect(service.cap_drop).toEqual(['ALL']);
    expect(service.security_opt).toEqual(['no-new-privileges:true']);
    expect(service.restart).toBe('unless-stopped');
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    if (name !== 'kafka') expect(service.read_only).toBe(true);
    if (name === 'gruard') expect(healthCheck.slice(0, 2)).toEqual(['node', 'bin/gruard.js']);
    else expect(service.healthcheck?.test[0]).toBe('CMD');
  });

  it('keeps secrets in files, names only volumes and secrets that there are, and mounts only files that are in the repository', () => {
    expect(read('.gitignore')).toContain('/secrets/');
    for (const { file } of Object.values(compose.secrets)) expect(file).toMatch(/^\.\/secrets\//);
    for (const [name, { volumes = [], secrets = [], environment = {} }] of services) {
      for (const secret of secrets) expect(Object.keys(compose.secrets), name).toContain(secret);
      for (const [key, value] of Object.entries(environment)) if (/password|token/i.test(key)) expect(value, key).toMatch(/^\/run\/secrets\//);
      for (const [from] of volumes.map((volume) => volume.split(':'))) {
        if (from.startsWith('./')) expect(() => readFileSync(join(packageRoot, from)), from).not.toThrow(/ENOENT/);
        else expect(Object.keys(compose.volumes), name).toContain(from);
      }
    }
  });

  it('has the version of gruard that this is, and what it mounts is where the programs look', () => {
    expect(compose.services.gruard.image).toBe(`gruard:${(JSON.parse(read('package.json')) as { version: string }).version}`);
    const provider = parse(read('config/compose/grafana/provisioning/dashboards/gruard.yaml')) as { providers: { options: { path: string } }[] };
    expect(compose.services.grafana.volumes).toContain(`./dashboards:${provider.providers[0].options.path}:ro`);
    expect(compose.services.gruard.volumes!.map((volume) => volume.split(':')[1])).toContain(compose.services.gruard.environment!.GRUARD_CONFIG);
    const scrape = read('config/compose/prometheus.yml');
    expect(scrape).toContain('credentials_file: /run/secrets/api_token');
    expect(scrape).toContain('gruard:8480');
  });
});

const cli = [['docker', 'compose'], ['docker-compose']].find(([program, ...args]) => spawnSync(program, [...args, 'version']).status === 0);

describe.skipIf(cli === undefined)(`docker-compose.yml, as the command line of compose reads it${cli === undefined ? ' (missing: docker compose)' : ''}`, () => {
  it.each([['small', []], ['full', ['--env-file', join(packageRoot, 'config/compose/full.env'), '--profile', 'full']]])('%s: valid', (_, args) => {
    const dir = mkdtempSync(join(tmpdir(), 'gruard-compose-cli-'));
    try {
      // Version 1 of the command line, the only one that distributions have without an engine, does not know the name of a project yet.
      writeFileSync(join(dir, 'docker-compose.yml'), read('docker-compose.yml').replace(/^name: .*$/m, ''));
      const [program, ...first] = cli!;
      const { status, stdout, stderr } = spawnSync(program, [...first, '--file', join(dir, 'docker-compose.yml'), ...args, 'config'], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const found = Object.keys((parse(stdout) as { services: object }).services).sort();
      expect(found).toEqual(args.length === 0 ? expect.arrayContaining(['gruard', 'mosquitto']) : Object.keys(compose.services).sort());
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe('the Dockerfile', () => {
  it('builds in one stage and runs in another, as a user without rights, with pinned major versions', () => {
    const text = read('Dockerfile');
    expect(text.match(/^FROM \S+/gm)).toEqual(['FROM node:22-bookworm-slim', 'FROM node:22-bookworm-slim']);
    expect(text.slice(text.lastIndexOf('FROM'))).toMatch(/^USER node$/m);
  });

  it('leaves no optional dependency out: the bindings of DuckDB are some', () => {
    const { optionalDependencies } = JSON.parse(read('node_modules/@duckdb/node-bindings/package.json')) as { optionalDependencies?: Record<string, string> };
    expect(Object.keys(optionalDependencies ?? {})).toContain('@duckdb/node-bindings-linux-arm64');
    expect(read('Dockerfile')).not.toContain('omit=optional');
  });
});

const missing = [mosquittoPath === undefined ? 'mosquitto' : '', findInfluxd() === undefined ? 'influxd' : ''].filter((name) => name !== '');

describe.skipIf(missing.length > 0)(`the programs of compose with its configuration files, outside of containers${missing.length > 0 ? ` (missing: ${missing.join(', ')})` : ''}`, () => {
  const TOKEN = 'a-token-of-the-secret-file';
  const children: ChildProcess[] = [];
  let dir: string;
  let gruard: Gruard;
  let mqttUrl: string;
  let influxUrl: string;

  /** The configuration as compose mounts it; only `replaced` differs, and each must be there. */
  function configured(path: string, replaced: [string, string][]): string {
    const text = replaced.reduce((so, [from, to]) => {
      expect(so, `${path} has ${from}`).toContain(from);
      return so.replaceAll(from, to);
    }, read(path));
    const target = join(dir, path.split('/').at(-1)!);
    writeFileSync(target, text);
    return target;
  }

  function run(program: string, args: string[]): void {
    children.push(spawn(program, args, { stdio: 'ignore', cwd: dir }));
  }

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'gruard-compose-'));
    mkdirSync(join(dir, 'mosquitto'));
    const [mqttPort, influxPort, rpcPort] = [await freePort(), await freePort(), await freePort()];
    mqttUrl = `mqtt://127.0.0.1:${mqttPort}`;
    influxUrl = `http://127.0.0.1:${influxPort}`;
    // Started by root mosquitto would become the user `mosquitto`, to whom the directory does not belong.
    const user = process.getuid?.() === 0 ? '\nuser root' : '';
    run(mosquittoPath!, ['-c', configured('config/compose/mosquitto.conf', [['listener 1883', `listener ${mqttPort} 127.0.0.1${user}`], ['/mosquitto/data/', `${join(dir, 'mosquitto')}/`]])]);
    run(findInfluxd()!, ['-config', configured('config/compose/influxdb.conf', [
      ['/var/lib/influxdb', join(dir, 'influxdb')], [':8086', `127.0.0.1:${influxPort}`], ['reporting-disabled = true', `reporting-disabled = true\nbind-address = "127.0.0.1:${rpcPort}"`],
    ])]);
    await until(() => reachable(mqttPort), 'mosquitto listens', 30_000);
    await until(() => fetch(`${influxUrl}/ping`).then(({ ok }) => ok, () => false), 'influxd answers', 30_000);
    writeFileSync(join(dir, 'api_token'), `${TOKEN}\n`);
    const config = loadConfig({
      file: configured('config/compose/gruard.yaml', [['/var/lib/gruard', join(dir, 'gruard')], ['mqtt://mosquitto:1883', mqttUrl], ['http://influxdb:8086', influxUrl], ['host: 0.0.0.0', 'host: 127.0.0.1\n  port: 0']]),
      // As compose sets them with config/compose/full.env.
      environment: { GRUARD_STORE_KIND: /^GRUARD_STORE_KIND=(\w+)$/m.exec(read('config/compose/full.env'))![1], GRUARD_API_TOKEN_FILE: join(dir, 'api_token'), GRUARD_KAFKA_BROKERS: '', GRUARD_KAFKA_TOPICS: '' },
      overrides: { 'model.backend': 'wasm' },
    });
    gruard = await openGruard(config, silentLog);
  }, 90_000);

  afterAll(async () => {
    await gruard?.close();
    for (const child of children) {
      const gone = new Promise((resolve) => { child.once('exit', resolve); });
      if (child.exitCode === null && child.kill('SIGKILL')) await gone;
    }
    rmSync(dir, { recursive: true, force: true });
  });

  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(new URL(path, gruard.addresses.page), { headers: { authorization: `Bearer ${TOKEN}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return await response.json() as T;
  };

  it('what is published over MQTT is in the REST API and in InfluxDB, with its forecast', async () => {
    await until(async () => (await get<{ status: string }>('/v1/health')).status === 'ok', 'gruard is connected');
    const client = await mqtt.connectAsync(mqttUrl);
    const times = Array.from({ length: 40 }, (_, i) => Date.now() - (40 - i) * 60_000);
    for (const [i, timestamp] of times.entries()) await client.publishAsync('plant/oven-3', JSON.stringify({ timestamp, temperature: 200 + Math.sin(i) }), { qos: 1 });
    await client.endAsync();
    interface Point { timestamp: string; actual: number; yhat: number | null; anomaly_score: number | null }
    const points = (): Promise<Point[]> => all<Point>(get, '/v1/devices/oven-3/series/temperature?start=0');
    await until(async () => (await points()).length === times.length, 'all readings over REST');
    expect((await points()).map(({ timestamp }) => Date.parse(timestamp))).toEqual(times);
    const answer = await fetch(`${influxUrl}/query`, { method: 'POST', body: new URLSearchParams({ db: 'gruard', epoch: 'ms', q: 'SELECT "actual", "yhat", "anomaly_score" FROM "gruard_readings" WHERE "device" = \'oven-3\' AND "metric" = \'temperature\'' }) });
    const rows = ((await answer.json()) as { results: { series: { values: unknown[][] }[] }[] }).results[0].series[0].values;
    expect(rows).toEqual((await points()).map(({ timestamp, actual, yhat, anomaly_score }) => [Date.parse(timestamp), actual, yhat, anomaly_score]));
    expect(rows.at(-1)![2]).toEqual(expect.any(Number));
  });

  it('answers nobody without the token, but for whether it is well: that is what the health check of the image asks', async () => {
    expect((await fetch(new URL('v1/devices', gruard.addresses.page))).status).toBe(401);
    expect(await (await fetch(new URL('v1/health', gruard.addresses.page))).json()).toEqual({ status: 'ok' });
  });

  it.skipIf(prometheusPath === undefined)(`is read by Prometheus with the token of the secret file${prometheusPath === undefined ? ' (missing: prometheus)' : ''}`, async () => {
    const path = configured('config/compose/prometheus.yml', [['/run/secrets/api_token', join(dir, 'api_token')], ['gruard:8480', new URL(gruard.addresses.page).host], ['scrape_interval: 15s', 'scrape_interval: 1s']]);
    const prometheus = await startPrometheus(readFileSync(path, 'utf8'));
    try {
      await until(async () => (await prometheus.instant('up{job="gruard"} == 1')).length === 1, 'Prometheus reaches gruard', 30_000);
      expect((await prometheus.instant('sum(gruard_devices)'))[0].value).toBeGreaterThan(0);
    } finally {
      await prometheus.remove();
    }
  }, 60_000);

  it('is found well by the health check of the image, with the variables of compose, and only while it runs', async () => {
    const run = (port: string): Promise<{ code: number | null; out: string }> => new Promise((resolve) => {
      const child = spawn(process.execPath, ['--import', 'tsx', join(packageRoot, 'cli/main.ts'), ...healthCheck.slice(2)], {
        cwd: packageRoot, stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: dir, GRUARD_CONFIG: join(dir, 'gruard.yaml'), GRUARD_API_PORT: port, GRUARD_API_TOKEN_FILE: join(dir, 'api_token') },
      });
      let out = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => { out += data.toString(); });
      child.once('exit', (code) => resolve({ code, out }));
    });
    expect(await run(new URL(gruard.addresses.page).port)).toEqual({ code: 0, out: 'ok\n' });
    expect(await run('1')).toMatchObject({ code: 1, out: expect.stringContaining('SERVER_UNREACHABLE') as string });
  }, 30_000);

  it('keeps what was published while gruard was away: the broker of compose loses nothing', async () => {
    const config = { dataDir: join(dir, 'gruard'), file: join(dir, 'gruard.yaml') };
    await gruard.close();
    const client = await mqtt.connectAsync(mqttUrl);
    const t0 = Date.now();
    // More than the thousand that Mosquitto keeps by default.
    await Promise.all(Array.from({ length: 1500 }, (_, i) => client.publishAsync('plant/press-1', JSON.stringify({ timestamp: t0 - 1_500_000 + i * 1000, force: i % 10 }), { qos: 1 })));
    await client.endAsync();
    gruard = await openGruard(loadConfig({ file: config.file, environment: { GRUARD_STORE_KIND: 'influxdb', GRUARD_API_TOKEN_FILE: join(dir, 'api_token') }, overrides: { 'model.backend': 'wasm' } }), silentLog);
    await until(async () => (await all(get, '/v1/devices/press-1/series/force?start=0').catch(() => [])).length === 1500, 'all of them arrive', 30_000);
  }, 60_000);
});

describe.skipIf(kafkaMissing !== undefined)(`Kafka with the configuration file of compose, outside of a container${kafkaMissing === undefined ? '' : ` (${kafkaMissing})`}`, () => {
  it('hands gruard what is in a topic that is named as compose names it, by environment', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'gruard-compose-kafka-'));
    const [port, inner, controller] = [await freePort(), await freePort(), await freePort()];
    const replaced: [string, string][] = [
      ['HOST://:9092', `HOST://127.0.0.1:${port}`], ['CONTAINERS://:19092', `CONTAINERS://127.0.0.1:${inner}`], ['localhost:9092', `127.0.0.1:${port}`], ['kafka:19092', `127.0.0.1:${inner}`],
      ['localhost:9093', `127.0.0.1:${controller}`], ['/var/lib/kafka/data', dir],
    ];
    const properties = replaced.reduce((text, [from, to]) => {
      expect(text).toContain(from);
      return text.replaceAll(from, to);
    }, read('config/compose/kafka/server.properties'));
    const kafka = await KafkaServer.start({ lines: properties.split('\n'), port });
    let gruard: Gruard | undefined;
    try {
      await kafka.createTopic('readings', 2);
      const producer = kafka.client().producer();
      await producer.connect();
      const t0 = Date.now() - 60_000;
      await producer.send({ topic: 'readings', messages: Array.from({ length: 20 }, (_, i) => ({ key: 'mixer-1', value: JSON.stringify({ device: 'mixer-1', timestamp: t0 + i * 1000, speed: i }) })) });
      await producer.disconnect();
      const environment = { GRUARD_KAFKA_BROKERS: `127.0.0.1:${inner}`, GRUARD_KAFKA_TOPICS: 'readings' };
      for (const name of Object.keys(environment)) expect(compose.services.gruard.environment).toHaveProperty(name);
      const started = gruard = await openGruard(loadConfig({ environment, overrides: { data_dir: join(dir, 'gruard'), 'api.port': 0, 'broker.enabled': 'off', 'model.backend': 'wasm' } }), silentLog);
      const get = async <T>(path: string): Promise<T> => (await fetch(new URL(path, started.addresses.page))).json() as Promise<T>;
      await until(async () => ((await get<{ items?: unknown[] }>('/v1/devices/mixer-1/series/speed?start=0')).items ?? []).length === 20, 'all readings over REST', 60_000);
    } finally {
      await gruard?.close();
      await kafka.remove();
      rmSync(dir, { recursive: true, force: true });
    }
  }, 180_000);
});

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1');
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

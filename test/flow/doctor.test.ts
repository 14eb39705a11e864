import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { doctor } from '../../cli/doctor/doctor.js';
import type { Finding } from '../../cli/doctor/finding.js';
import { freePort } from '../servers/free-port.js';
import { findInfluxd, startInfluxd, type Influxd } from '../servers/influxd.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { WebInbox } from '../servers/web.js';
import { startGruard, until } from './gruard.js';

let dir: string;
let printed: string;
const ending: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-doctor-'));
  printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => { printed += String(text); return true; });
});
afterEach(async () => {
  vi.restoreAllMocks();
  process.exitCode = 0;
  for (const end of ending.splice(0).reverse()) await end();
  rmSync(dir, { recursive: true, force: true });
});

/** What `gruard doctor` finds with these settings, and whether it is content. */
async function examined(settings: Record<string, unknown>, check: string): Promise<Finding & { exitCode: number }> {
  const file = join(dir, 'gruard.yaml');
  writeFileSync(file, JSON.stringify({ data_dir: join(dir, 'data'), api: { port: await freePort() }, broker: { enabled: 'off' }, ...settings }));
  printed = '';
  process.exitCode = 0;
  await doctor({ config: file, json: true });
  const { findings } = JSON.parse(printed) as { findings: Finding[] };
  const finding = findings.find((one) => one.check === check);
  if (!finding) throw new Error(`no check ${check} in ${printed}`);
  return { ...finding, exitCode: Number(process.exitCode) };
}

describe.skipIf(!findInfluxd())('gruard doctor, of InfluxDB', () => {
  const influx = (server: Influxd, more: Record<string, unknown> = {}): Promise<Finding & { exitCode: number }> =>
    examined({ store: { kind: 'influxdb', influxdb: { url: server.url, ...more } } }, 'InfluxDB');
  const started = async (auth: boolean): Promise<Influxd> => {
    const server = await startInfluxd({ auth });
    ending.push(() => server.stop());
    return server;
  };
  const as = async (server: Influxd, login: string, statement: string): Promise<void> => {
    const headers = { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
    const answer = await fetch(`${server.url}/query`, { method: 'POST', headers, body: new URLSearchParams({ q: statement }) });
    expect(await answer.text()).not.toContain('error');
  };

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)('trusts the certificate authority of the settings, and so does the store', async () => {
    const [cert, key] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    const server = await started(false);
    const front = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
      const behind = connect(server.port, '127.0.0.1');
      socket.on('error', () => behind.destroy()).pipe(behind).on('error', () => socket.destroy()).pipe(socket);
    });
    await new Promise<void>((resolve) => { front.listen(0, '127.0.0.1', resolve); });
    ending.push(async () => { front.close(); });
    const url = `https://127.0.0.1:${(front.address() as { port: number }).port}`;
    expect(await influx(server, { url })).toMatchObject({ status: 'problem', next: expect.stringContaining('store.influxdb.ca_file') as string });
    expect(await influx(server, { url, ca_file: cert })).toMatchObject({ status: 'ok', detail: expect.stringMatching(/\(1\..*\), database gruard/) as string });
    expect(await influx(server, { ca_file: cert })).toMatchObject({ status: 'problem', detail: expect.stringContaining('is not https') as string });
    const gruard = await startGruard({ 'store.kind': 'influxdb', 'store.influxdb.url': url, 'store.influxdb.ca_file': cert });
    ending.push(() => gruard.close());
    const sent = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: `m,device=oven3 t=21 ${Date.now()}` };
    expect((await fetch(new URL('v1/readings', gruard.addresses.page), sent)).status).toBe(202);
    await until(async () => (await gruard.get<{ items: unknown[] }>('/v1/devices/oven3/series/t')).items.length === 1, 'the reading is read back through TLS');
  }, 30_000);

  it('finds a server on which gruard may make its database, and one on which it is made', async () => {
    const server = await started(false);
    expect(await influx(server)).toMatchObject({ status: 'ok', detail: expect.stringMatching(/\(1\..*\), database gruard: not there yet; gruard makes it when it starts$/) as string, exitCode: 0 });
    const gruard = await startGruard({ 'store.kind': 'influxdb', 'store.influxdb.url': server.url });
    await gruard.close();
    expect(await influx(server)).toMatchObject({ status: 'ok', detail: expect.stringMatching(/database gruard$/) as string });
  }, 60_000);

  it('says what to do where nothing listens, no host is of that name, or another program answers', async () => {
    const server = { url: `http://127.0.0.1:${await freePort()}` } as Influxd;
    expect(await influx(server)).toMatchObject({ status: 'problem', detail: expect.stringContaining('ECONNREFUSED') as string, next: 'Nothing listens there: start the server, or mend store.influxdb.url (GRUARD_STORE_INFLUXDB_URL).', exitCode: 1 });
    expect(await influx({ url: 'http://no-such-host.invalid:8086' } as Influxd)).toMatchObject({ status: 'problem', next: expect.stringContaining('mend store.influxdb.url') as string });
    const web = new WebInbox();
    web.answer = { status: 404 };
    await web.start();
    ending.push(() => web.stop());
    expect(await influx({ url: web.url } as Influxd)).toMatchObject({ status: 'problem', detail: expect.stringContaining('what answers there is no InfluxDB') as string });
  });

  it('tells a wrong password, a missing database and missing rights apart, and what an administrator has to run is enough', async () => {
    const server = await started(true);
    await as(server, '', `CREATE USER root WITH PASSWORD 'rootpw' WITH ALL PRIVILEGES`);
    await as(server, 'root:rootpw', `CREATE USER gruard WITH PASSWORD 'pw'`);
    const login = { username: 'gruard', password: 'pw' };
    expect(await influx(server, { ...login, password: 'wrong' })).toMatchObject({ status: 'problem', detail: expect.stringContaining('authorization failed') as string, next: expect.stringContaining('mend store.influxdb.username and password_file') as string });

    const absent = await influx(server, login);
    expect(absent).toMatchObject({ status: 'problem', detail: expect.stringContaining('database not found: "gruard"') as string, exitCode: 1 });
    const commands = absent.next!.split('\n').slice(1).map((line) => line.trim());
    expect(commands.map((command) => command.split(' ', 2).join(' '))).toEqual(['CREATE DATABASE', 'CREATE RETENTION', 'CREATE CONTINUOUS', 'GRANT ALL']);
    for (const command of commands.slice(0, 3)) await as(server, 'root:rootpw', command);

    expect(await influx(server, login)).toMatchObject({ status: 'problem', next: expect.stringContaining('GRANT ALL ON "gruard" TO "gruard"') as string });
    await as(server, 'root:rootpw', commands[3]);
    expect(await influx(server, login)).toMatchObject({ status: 'ok', exitCode: 0 });
  }, 30_000);
});

describe.skipIf(mosquittoPath === undefined)('gruard doctor, of an MQTT broker', () => {
  const mqtt = (settings: Record<string, unknown>): Promise<Finding & { exitCode: number }> => examined({ mqtt: settings }, 'MQTT broker');

  it('logs in as gruard would, without throwing a running gruard out', async () => {
    const passwords = join(dir, 'passwords');
    execFileSync('mosquitto_passwd', ['-b', '-c', passwords, 'gruard', 'right'], { stdio: 'ignore' });
    const broker = await Mosquitto.start({ config: ['allow_anonymous false', `password_file ${passwords}`] });
    ending.push(() => broker.remove());
    const login = { url: broker.url, username: 'gruard', password: 'right' };
    const gruard = await startGruard({ 'mqtt.url': login.url, 'mqtt.username': login.username, 'mqtt.password': login.password });
    ending.push(() => gruard.close());
    expect(await mqtt(login)).toMatchObject({ status: 'ok', detail: `${broker.url} lets gruard in and read #`, exitCode: 0 });
    const { sources } = await gruard.get<{ sources: { name: string; state: string }[] }>('/v1/health');
    expect(sources).toContainEqual(expect.objectContaining({ name: 'mqtt', state: 'connected' }));
    expect(await mqtt({ ...login, password: 'wrong' })).toMatchObject({ status: 'problem', next: 'The broker does not let this user in: mend mqtt.username and mqtt.password_file, or the users of the broker.', exitCode: 1 });
    expect(await mqtt({ url: broker.url.replace('mqtt:', 'mqtts:') })).toMatchObject({ status: 'problem', next: expect.stringContaining('mend mqtt.url') as string });
  }, 60_000);

  it('says what to do where nothing listens, or what listens is silent; never shows a password of an address', async () => {
    const port = await freePort();
    const gone = await mqtt({ url: `mqtt://user:secret@127.0.0.1:${port}` });
    expect(gone).toMatchObject({ status: 'problem', detail: expect.stringContaining(`mqtt://127.0.0.1:${port}: `) as string, next: 'Nothing listens there: start the server, or mend mqtt.url (GRUARD_MQTT_URL).' });
    expect(JSON.stringify(gone)).not.toContain('secret');
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => { silent.listen(0, '127.0.0.1', resolve); });
    ending.push(() => new Promise((resolve) => { silent.close(resolve); }));
    expect(await mqtt({ url: `mqtt://127.0.0.1:${(silent.address() as { port: number }).port}` })).toMatchObject({ status: 'problem', next: expect.stringContaining('does not answer') as string });
  }, 30_000);
});

describe('gruard doctor, of Kafka and of where alerts go', () => {
  it('says what to do where nothing listens', async () => {
    const port = await freePort();
    expect(await examined({ kafka: { brokers: [`127.0.0.1:${port}`], topics: ['readings'] } }, 'Kafka')).toMatchObject({ status: 'problem', next: 'Nothing listens there: start the server, or mend kafka.brokers (GRUARD_KAFKA_BROKERS).' });
    expect(await examined({ alerts: { sinks: [{ kind: 'webhook', url: `http://127.0.0.1:${port}/x?token=secret` }] } }, 'alerts to webhook'))
      .toMatchObject({ status: 'problem', detail: `127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`, next: expect.stringContaining('mend url of the sink webhook in alerts.sinks') as string });
  }, 30_000);

  it('reaches a webhook without sending it anything', async () => {
    const web = new WebInbox();
    await web.start();
    ending.push(() => web.stop());
    expect(await examined({ alerts: { sinks: [{ kind: 'webhook', name: 'ops', url: web.url }] } }, 'alerts to ops')).toMatchObject({ status: 'ok', detail: expect.stringContaining('`gruard alert test ops`') as string });
    expect(web.received).toEqual([]);
  });
});

describe('gruard doctor, of this machine', () => {
  it('tells its own server from another program on the port', async () => {
    const gruard = await startGruard();
    ending.push(() => gruard.close());
    expect(await examined({ api: { port: Number(new URL(gruard.addresses.page).port) } }, 'API and page')).toMatchObject({ status: 'ok', detail: expect.stringContaining('gruard is running (ok)') as string });
    const web = new WebInbox();
    await web.start();
    ending.push(() => web.stop());
    expect(await examined({ api: { port: Number(new URL(web.url).port) } }, 'API and page')).toMatchObject({ status: 'problem', detail: expect.stringContaining('in use by another program') as string, exitCode: 1 });
  }, 30_000);

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)('looks at the certificates that gruard shows', async () => {
    const pair = (name: string, days: string): { tls_cert_file: string; tls_key_file: string } => {
      const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', days, '-subj', '/CN=localhost'], { stdio: 'ignore' });
      return { tls_cert_file: cert, tls_key_file: key };
    };
    const port = await freePort();
    const [long, short] = [pair('long', '90'), pair('short', '3')];
    const check = 'certificate of the API';
    expect(await examined({ api: { port, ...long } }, check)).toMatchObject({ status: 'ok' });
    expect(await examined({ api: { port, ...short } }, check)).toMatchObject({ status: 'note', next: expect.stringMatching(/^Renew it within [23] days\.$/) as string, exitCode: 0 });
    expect(await examined({ api: { port, tls_cert_file: long.tls_cert_file, tls_key_file: short.tls_key_file } }, check)).toMatchObject({ status: 'problem', exitCode: 1 });
  });
});

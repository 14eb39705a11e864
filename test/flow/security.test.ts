import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { createToken, revokeToken } from '../../store/tokens.js';
import { Mosquitto, mosquittoPath } from '../servers/mosquitto.js';
import { startGruard, until } from './gruard.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(overrides: Record<string, unknown>): ReturnType<typeof startGruard> {
  const gruard = await startGruard(overrides);
  closing.push(() => gruard.close());
  return gruard;
}

const folder = (): string => mkdtempSync(join(tmpdir(), 'gruard-security-'));
const call = (page: string, path: string, token: string, init: RequestInit = {}): Promise<Response> => fetch(new URL(path, page), { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });

describe('tokens of a running gruard', () => {
  it('are heeded as they come and go; the last one that goes lets nobody in; what was done is in the audit log', async () => {
    const { dataDir, addresses: { page } } = await start({});
    expect((await fetch(new URL('/v1/devices', page))).status).toBe(200);
    const admin = await createToken(dataDir, 'ops', ['admin']);
    await until(async () => (await fetch(new URL('/v1/devices', page))).status === 401, 'a token is needed');
    expect((await call(page, '/v1/devices', admin)).status).toBe(200);
    const reader = await createToken(dataDir, 'grafana', ['read']);
    await until(async () => (await call(page, '/v1/devices', reader)).status === 200, 'the new token is known');
    expect((await call(page, '/v1/readings', reader, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })).status).toBe(403);

    const stream = await call(page, '/v1/stream?overview=false', reader);
    expect((await call(page, '/v1/devices/none', admin, { method: 'DELETE' })).status).toBe(404);
    expect((await call(page, '/v1/devices/none', reader, { method: 'DELETE' })).status).toBe(403);
    await call(page, '/v1/devices/none', 'guess', { method: 'DELETE' });
    await revokeToken(dataDir, 'grafana');
    await expect(stream.body!.pipeTo(new WritableStream())).rejects.toThrow();
    expect((await call(page, '/v1/devices', reader)).status).toBe(401);
    await revokeToken(dataDir, 'ops');
    await until(async () => (await call(page, '/v1/devices', admin)).status === 401, 'the last token is gone');
    expect((await fetch(new URL('/v1/devices', page))).status).toBe(401);

    const audit = readFileSync(join(dataDir, 'audit.log'), 'utf8');
    expect(audit.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { by: 'ops', action: 'DELETE /v1/devices/none', status: 404, at: expect.any(String) as string }, { by: 'grafana', action: 'DELETE /v1/devices/none', status: 403 },
    ]);
    expect(audit).not.toContain(admin.slice(10));
  });

  it('are what lets gruard listen beyond loopback', async () => {
    const dataDir = folder();
    await expect(startGruard({ data_dir: dataDir, 'api.host': '0.0.0.0' })).rejects.toMatchObject({ code: 'TOKEN_REQUIRED' });
    await createToken(dataDir, 'ops', ['admin']);
    const { addresses: { page } } = await start({ data_dir: dataDir, 'api.host': '0.0.0.0' });
    expect((await fetch(new URL('/v1/devices', page.replace('0.0.0.0', '127.0.0.1')))).status).toBe(401);
  });

  it('of the settings must not be easy to guess there, whatever tokens there are besides', async () => {
    const dataDir = folder();
    await createToken(dataDir, 'ops', ['admin']);
    for (const token of ['a', 'hunter2', 'fifteen-letters', 'abcabcabcabcabcabcabc']) {
      const refused: unknown = await startGruard({ data_dir: dataDir, 'api.host': '0.0.0.0', 'api.token': token }).catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject({ code: 'TOKEN_GUESSABLE', next: expect.stringContaining('gruard token create') as string });
      if (token.length > 1) expect((refused as Error).message).not.toContain(token);
    }
    await start({ 'api.token': 'hunter2' });
    const { addresses: { page } } = await start({ 'api.host': '0.0.0.0', 'api.token': '8c1f04d2b96e37a5' });
    expect((await call(page.replace('0.0.0.0', '127.0.0.1'), '/v1/devices', '8c1f04d2b96e37a5')).status).toBe(200);
  });

  it('are not read from a file that somebody broke', async () => {
    const dataDir = folder();
    execFileSync(process.execPath, ['-e', 'require("fs").writeFileSync(process.argv[1], "{}")', join(dataDir, 'tokens.json')]);
    await expect(startGruard({ data_dir: dataDir })).rejects.toMatchObject({ code: 'TOKEN_FILE_INVALID' });
  });
});

const openssl = spawnSync('openssl', ['version']).status === 0;

function pair(dir: string, name: string): { cert: string; key: string } {
  const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'ignore' });
  return { cert, key };
}

describe.skipIf(!openssl)('TLS (needs openssl to make certificates)', () => {
  it('is spoken by API and broker, and nothing else is', async () => {
    const { cert, key } = pair(folder(), 'a');
    const { addresses: { page, mqtt } } = await start({ 'api.tls_cert_file': cert, 'api.tls_key_file': key, 'broker.tls_cert_file': cert, 'broker.tls_key_file': key });
    expect(page).toMatch(/^https:/);
    expect(mqtt).toMatch(/^mqtts:/);
    const ca = readFileSync(cert);
    const hsts = await new Promise((resolve, reject) => {
      request(new URL('/v1/health', page), { ca }, (response) => resolve(response.resume().headers['strict-transport-security'])).on('error', reject).end();
    });
    expect(hsts).toContain('max-age');
    await expect(fetch(page.replace('https:', 'http:'))).rejects.toThrow();
    const device = await connectAsync(mqtt!, { ca, reconnectPeriod: 0 }, false);
    closing.push(() => device.endAsync(true));
    await device.publishAsync('plant/oven3', '{"t":1}', { qos: 1 });
    await expect(connectAsync(mqtt!.replace('mqtts:', 'mqtt:'), { reconnectPeriod: 0, connectTimeout: 2000 }, false)).rejects.toThrow();
  });

  it('is spoken with a renewed certificate without a restart, once both files are there; connections that are open go on', async () => {
    const dir = folder();
    const [old, next] = [pair(dir, 'old'), pair(dir, 'next')];
    const [cert, key] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
    copyFileSync(old.cert, cert);
    copyFileSync(old.key, key);
    const { addresses: { page, mqtt } } = await start({ 'api.tls_cert_file': cert, 'api.tls_key_file': key, 'broker.tls_cert_file': cert, 'broker.tls_key_file': key });
    const shown = (url: string): Promise<string> => new Promise((resolve, reject) => {
      const socket = tlsConnect({ port: Number(new URL(url).port), host: '127.0.0.1', rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate()!.fingerprint256);
        socket.destroy();
      }).on('error', reject);
    });
    const of = (file: string): string => new X509Certificate(readFileSync(file)).fingerprint256;
    const device = await connectAsync(mqtt!, { ca: readFileSync(old.cert), reconnectPeriod: 0 }, false);
    closing.push(() => device.endAsync(true));
    expect([await shown(page), await shown(mqtt!)]).toEqual([of(old.cert), of(old.cert)]);
    // As some renew: one file after the other. In between they do not fit, and the pair before stays.
    copyFileSync(next.cert, cert);
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    expect([await shown(page), await shown(mqtt!)]).toEqual([of(old.cert), of(old.cert)]);
    copyFileSync(next.key, key);
    await until(async () => await shown(page) === of(next.cert) && await shown(mqtt!) === of(next.cert), 'the new certificate is shown');
    await device.publishAsync('plant/oven3', '{"t":1}', { qos: 1 });
    expect(device.connected).toBe(true);
  }, 30_000);

  it('refuses half a pair, a pair of strangers, and rubbish, by name', async () => {
    const dir = folder();
    const [a, b] = [pair(dir, 'a'), pair(dir, 'b')];
    for (const section of ['api', 'broker']) {
      for (const [cert, key] of [[a.cert, ''], ['', a.key], [a.cert, b.key], [a.key, a.key]]) {
        await expect(startGruard({ [`${section}.tls_cert_file`]: cert, [`${section}.tls_key_file`]: key })).rejects.toMatchObject({ code: 'TLS_INVALID', message: expect.stringContaining(`${section}.tls_cert_file`) as string });
      }
    }
    await expect(startGruard({ 'api.tls_cert_file': join(dir, 'none'), 'api.tls_key_file': a.key })).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
  });
});

describe.skipIf(!openssl || mosquittoPath === undefined)('client certificates (needs openssl and mosquitto)', () => {
  it('are shown to a broker that asks for one, by the source and by the sink; without one neither gets in', async () => {
    const dir = folder();
    const [server, own] = [pair(dir, 'server'), pair(dir, 'own')];
    const broker = await Mosquitto.start({ config: [`certfile ${server.cert}`, `keyfile ${server.key}`, `cafile ${own.cert}`, 'require_certificate true'] });
    closing.push(() => broker.remove());
    const url = broker.url.replace('mqtt:', 'mqtts:');
    const files = { ca_file: server.cert, cert_file: own.cert, key_file: own.key };
    const sink = (name: string, more: object): object => ({ kind: 'mqtt', name, url, topic_prefix: 'told', timeout_ms: 1000, ...more });
    const { get } = await start({
      'mqtt.url': url, 'mqtt.ca_file': files.ca_file, 'mqtt.cert_file': files.cert_file, 'mqtt.key_file': files.key_file, 'mqtt.topics': ['plant/#', 'told/#'],
      'detector.overrides': [{ metric: 't', upper_limit: 100 }], 'alerts.sinks': [sink('with', files), sink('without', { ca_file: server.cert })],
    });
    const device = await connectAsync(url, { ca: readFileSync(server.cert), cert: readFileSync(own.cert), key: readFileSync(own.key), reconnectPeriod: 0 }, false);
    closing.push(() => device.endAsync(true));
    const told: string[] = [];
    device.on('message', (topic) => told.push(topic));
    await device.subscribeAsync('told/#');
    const sources = async (): Promise<{ name: string; state: string }[]> => (await get<{ sources: { name: string; state: string }[] }>('/v1/health')).sources;
    await until(async () => (await sources()).some(({ name, state }) => name === 'mqtt' && state === 'connected'), 'the source is let in');
    for (let i = 0; i < 5; i++) await device.publishAsync('plant/oven3', JSON.stringify({ t: 500 + i, timestamp: Date.now() + i }), { qos: 1 });
    await until(() => told.includes('told/events/oven3'), 'the sink is let in');
    await until(async () => JSON.stringify(await get('/v1/health')).includes('the broker is not there'), 'the sink without a certificate is not');
  }, 60_000);
});

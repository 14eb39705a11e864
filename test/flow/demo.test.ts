import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { demo, demoConfig } from '../../cli/demo.js';
import { EmbeddedStore } from '../../store/results/embedded.js';
import { until } from './gruard.js';
import { freePort } from '../servers/free-port.js';

const DEMO = { devices: 4, speed: 60, seed: 1 };
let dir: string;
let printed: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-demo-test-'));
  printed = '';
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, 'write').mockImplementation((text) => { printed += String(text); return true; });
});
afterEach(() => { vi.restoreAllMocks(); });

function settings(content: object): string {
  const file = join(dir, 'gruard.yaml');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

describe('gruard demo with settings of the user', () => {
  it('reads nothing but the simulated fleet, whatever the settings name', () => {
    const config = demoConfig({ ...DEMO, config: settings({ mqtt: { url: 'mqtt://plant' }, kafka: { brokers: ['plant:9092'], topics: ['x'] }, detector: { false_alarms_per_day: 3 } }) }, dir);
    expect(config).toMatchObject({ data_dir: dir, time: 'event', mqtt: { url: '' }, kafka: { brokers: [] }, broker: { enabled: 'on', username: '' }, detector: { false_alarms_per_day: 3 } });
  });

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)('speaks TLS where they say so, and its fleet comes in where only named users may', async () => {
    const [cert, key] = [join(dir, 'a.crt'), join(dir, 'a.key')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=plant.example'], { stdio: 'ignore' });
    writeFileSync(join(dir, 'users.json'), '{"users":[]}');
    const tls = { tls_cert_file: cert, tls_key_file: key };
    const config = settings({ api: tls, broker: { ...tls, users_file: join(dir, 'users.json') }, model: { backend: 'wasm' } });
    const [apiPort, brokerPort] = [await freePort(), await freePort()];
    const dataDir = join(dir, 'data');
    const running = demo({ ...DEMO, config, dataDir, apiPort, brokerPort, for: 4 });
    await until(() => new Promise<boolean>((resolve, reject) => {
      request(`https://127.0.0.1:${apiPort}/v1/overview`, { ca: readFileSync(cert), checkServerIdentity: () => undefined }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => { text += data.toString(); }).on('end', () => resolve((JSON.parse(text) as { devices: number }).devices === DEMO.devices));
      }).on('error', reject).end();
    }), 'the fleet is there');
    await running;
    expect(printed).toContain(`mqtts://127.0.0.1:${brokerPort}`);
    expect(printed).toContain(`--cafile ${cert}`);
    const store = new EmbeddedStore({ path: join(dataDir, 'results.duckdb') });
    await store.open();
    expect(await store.position()).toBeGreaterThan(0);
    await store.close();
  }, 60_000);
});

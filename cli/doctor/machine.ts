import { X509Certificate } from 'node:crypto';
import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Config } from '../../config/schema.js';
import { systemClock } from '../../core/clock.js';
import { GruardError, messageOf } from '../../core/errors.js';
import { openBackend } from '../../model/backends/index.js';
import { readServingWeights } from '../../model/serving.js';
import { readWeights, type Wanted } from '../../model/weights.js';
import { loadDuckDB } from '../../store/results/duckdb.js';
import { TlsFiles } from '../../tls.js';
import { wantedOf, weightsPathOf } from '../../wiring.js';
import { look } from '../client.js';
import { ANSWER_MS, type Finding } from './finding.js';

const GIB = 2 ** 30;
const MIN_FREE_BYTES = GIB;
const DAY_MS = 86_400_000;
/** Certificates that are renewed by a program have this much left when it fails to. */
const SOON_DAYS = 14;

export async function dataDirectory(config: Config): Promise<Finding> {
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

/** The weights of the fleet, and those of devices with their own. */
export function weights(config: Config): Promise<Finding[]> {
  return Promise.all([
    weightsOf('weights', weightsPathOf(config), wantedOf(config)),
    ...config.model.by_device.map((model) => weightsOf(`weights of ${model.devices}`, model.weights)),
  ]);
}

async function weightsOf(check: string, file: string, wanted?: Wanted): Promise<Finding> {
  try {
    const { config: network } = await readServingWeights(file, wanted);
    return { check, status: 'ok', detail: `${network.layers.map(({ cell, units }) => `${cell} ${units}`).join(', ')}; horizons ${network.horizons.join(', ')}` };
  } catch (thrown) {
    return { check, status: 'problem', detail: messageOf(thrown), next: thrown instanceof GruardError ? thrown.next : undefined };
  }
}

/** The embedded store's native part; nobody else needs it. */
export async function embeddedStore(config: Config): Promise<Finding[]> {
  if (config.store.kind !== 'embedded') return [];
  const check = 'embedded store';
  try {
    return [{ check, status: 'ok', detail: `DuckDB ${(await loadDuckDB()).version()}` }];
  } catch (thrown) {
    return [{ check, status: 'problem', detail: messageOf(thrown), next: thrown instanceof GruardError ? thrown.next : undefined }];
  }
}

/** Without it gruard runs on the wasm backend; only a configuration that insists on it has a problem. */
export async function tensorflow(config: Config): Promise<Finding> {
  const check = 'TensorFlow backend';
  try {
    const network = await readWeights(weightsPathOf(config));
    (await openBackend('tensorflow', network)).dispose();
    return { check, status: 'ok', detail: 'loads' };
  } catch (thrown) {
    return {
      check, status: config.model.backend === 'tensorflow' ? 'problem' : 'note', detail: `not available (${messageOf(thrown).split('\n')[0].split(';')[0]}); the wasm backend is used`,
      next: 'From a checkout, `npm run build:tensorflow` builds it from the package registries.',
    };
  }
}

/** The ports that gruard listens on: free, or its own. */
export async function ports(config: Config): Promise<Finding[]> {
  const { api, broker } = config;
  const state = await running(config);
  const findings = [await port('API and page', api.host, api.port, 'api.port (GRUARD_API_PORT)', state)];
  if (broker.enabled === 'on' || (broker.enabled === 'auto' && config.mqtt.url === '' && config.kafka.brokers.length === 0)) {
    findings.push(await port('embedded broker', broker.host, broker.port, 'broker.port (GRUARD_BROKER_PORT)', state));
  }
  return findings;
}

/** The state of the gruard that these settings are of; undefined where none runs. */
async function running(config: Config): Promise<string | undefined> {
  try {
    const { body } = await look(config, '/v1/health', ANSWER_MS);
    const { status } = (body ?? {}) as { status?: unknown };
    return typeof status === 'string' && /^(ok|degraded|failing)$/.test(status) ? status : undefined;
  } catch {
    return undefined;
  }
}

function port(check: string, host: string, number: number, setting: string, state: string | undefined): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') resolve({ check, status: 'problem', detail: messageOf(error), next: `Choose another address or port with ${setting}.` });
      else if (state === undefined) resolve({ check, status: 'problem', detail: `${host}:${number} is in use by another program`, next: `Stop it, or choose another port with ${setting}.` });
      else resolve({ check, status: state === 'ok' ? 'ok' : 'note', detail: `${host}:${number}, gruard is running (${state})`, next: state === 'ok' ? undefined : '`gruard health` says what is wrong.' });
    });
    server.listen(number, host, () => server.close(() => resolve({ check, status: 'ok', detail: `${host}:${number} is free` })));
  });
}

/** The certificates that gruard itself shows. */
export function certificates(config: Config): Finding[] {
  return (['api', 'broker'] as const).flatMap((section) => {
    const { tls_cert_file: cert, tls_key_file: key } = config[section];
    return cert === '' && key === '' ? [] : [certificate(section, cert, key)];
  });
}

function certificate(section: 'api' | 'broker', certFile: string, keyFile: string): Finding {
  const check = `certificate of the ${section === 'api' ? 'API' : 'embedded broker'}`;
  try {
    const { validTo } = new X509Certificate(new TlsFiles(certFile, keyFile, section).cert);
    const daysLeft = Math.floor((Date.parse(validTo) - systemClock.nowMs()) / DAY_MS);
    const detail = `${certFile}, valid until ${new Date(validTo).toISOString().slice(0, 10)}`;
    if (daysLeft < 0) return { check, status: 'problem', detail, next: 'It has expired: renew it. gruard shows the new one as soon as the files are replaced.' };
    return daysLeft < SOON_DAYS ? { check, status: 'note', detail, next: `Renew it within ${daysLeft} days.` } : { check, status: 'ok', detail };
  } catch (thrown) {
    return { check, status: 'problem', detail: messageOf(thrown), next: thrown instanceof GruardError ? thrown.next : undefined };
  }
}

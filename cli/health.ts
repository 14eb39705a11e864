import { GruardError } from '../core/errors.js';
import { look, serverUrl } from './client.js';
import { configOf, type CommonOptions } from './options.js';
import { plain } from './text.js';

export interface HealthOptions extends CommonOptions {
  json?: boolean;
}

interface Health {
  status: 'ok' | 'degraded' | 'failing';
  checks?: { name: string; status: string; detail: string }[];
}

const TIMEOUT_MS = 4000;

/** `gruard health`: asks the server of the settings; exit 0 while it does its work. What the health check of the image runs. */
export async function health(options: HealthOptions): Promise<void> {
  const config = configOf(options);
  const { status, body } = await look(config, '/v1/health', TIMEOUT_MS);
  const found = body as Health | undefined;
  if ((status !== 200 && status !== 503) || typeof found?.status !== 'string') throw new GruardError('SERVER_UNREACHABLE', `what answers at ${serverUrl(config)} is no gruard (status ${status})`);
  if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`);
  else {
    process.stdout.write(`${found.status}\n`);
    for (const check of found.checks ?? []) if (check.status !== 'ok') process.stdout.write(`  ${plain(check.name)}: ${check.status}, ${plain(check.detail)}\n`);
  }
  if (status !== 200) process.exitCode = 1;
}

import type { Config } from '../config/schema.js';
import { GruardError, messageOf } from '../core/errors.js';

/** Asks the running server, which holds the data directory. @throws GruardError SERVER_UNREACHABLE, or what the server answers. */
export async function ask<T>(config: Config, path: string, init: RequestInit = {}): Promise<T> {
  const { host, port, token } = config.api;
  const url = `${config.api.tls_cert_file === '' ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
  const headers = new Headers(init.headers);
  if (token !== '') headers.set('authorization', `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(30_000) });
  } catch (thrown) {
    throw new GruardError('SERVER_UNREACHABLE', `no gruard answers at ${url}: ${messageOf(thrown)}`);
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({})) as { code?: string; detail?: string };
    throw new GruardError(response.status === 401 ? 'UNAUTHORIZED' : response.status === 404 ? 'NOT_FOUND' : 'REQUEST_INVALID', `${url} answered ${response.status}: ${problem.detail ?? ''}`);
  }
  return await response.json() as T;
}

import { readFileSync } from 'node:fs';
import { request as plainRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { X509Certificate } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import type { Config } from '../config/schema.js';
import { ERRORS, GruardError, messageOf, type ErrorCode } from '../core/errors.js';

const TIMEOUT_MS = 30_000;
const MOST_PROBLEM_BYTES = 100_000;

/** Where the server of these settings is asked from this machine. */
export function serverUrl(config: Config): string {
  const { host, port } = config.api;
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  return `${config.api.tls_cert_file === '' ? 'http' : 'https'}://${here}:${port}`;
}

/** Asks the running server, which holds the data directory. @throws GruardError SERVER_UNREACHABLE, or what the server answers. */
export async function ask<T>(config: Config, path: string): Promise<T> {
  const response = await get(config, path, { accept: 'application/json' }, TIMEOUT_MS);
  return JSON.parse(await textOf(response)) as T;
}

/** The status of an answer and its JSON, whatever the status. @throws GruardError SERVER_UNREACHABLE. */
export async function look(config: Config, path: string, timeoutMs: number): Promise<{ status: number; body: unknown }> {
  const response = await open(config, path, { accept: 'application/json' }, timeoutMs);
  const text = await textOf(response);
  return { status: response.statusCode!, body: jsonOf(text) };
}

/** Streams an answer, without an end to how long it may take. Returns its headers. @throws GruardError SERVER_UNREACHABLE, or what the server answers. */
export async function download(config: Config, path: string, to: Writable): Promise<IncomingMessage['headers']> {
  const response = await get(config, path, {}, 0);
  await pipeline(response, to);
  return response.headers;
}

async function get(config: Config, path: string, headers: OutgoingHttpHeaders, timeoutMs: number): Promise<IncomingMessage> {
  const response = await open(config, path, headers, timeoutMs);
  if (response.statusCode === 200) return response;
  const problem = jsonOf(await textOf(response)) as { code?: string; detail?: string } | undefined;
  const code = problem?.code !== undefined && Object.hasOwn(ERRORS, problem.code) ? problem.code as ErrorCode : 'REQUEST_INVALID';
  throw new GruardError(code, `${serverUrl(config)}${path} answered ${response.statusCode}: ${problem?.detail ?? ''}${response.statusCode === 401 ? ' For this command it stands in api.token_file (GRUARD_API_TOKEN_FILE).' : ''}`);
}

function open(config: Config, path: string, headers: OutgoingHttpHeaders, timeoutMs: number): Promise<IncomingMessage> {
  const url = new URL(path, serverUrl(config));
  const { token } = config.api;
  const sent = { ...headers, ...(token !== '' && { authorization: `Bearer ${token}` }) };
  return new Promise((resolve, reject) => {
    const refused = (thrown: unknown): void => reject(new GruardError('SERVER_UNREACHABLE', `no gruard answers at ${url.origin}: ${messageOf(thrown)}`, { cause: thrown }));
    const request = url.protocol === 'http:' ? plainRequest(url, { headers: sent }) : tlsRequest(url, {
      headers: sent,
      createConnection: (_options, done): undefined => void own(config, url).then((socket) => done(null, socket), (thrown: Error) => done(thrown, undefined!)),
    });
    if (timeoutMs > 0) request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', refused).on('response', resolve).end();
  });
}

/**
 * A connection to the server of these settings. Its certificate is in the settings, so it is known by its bytes, whatever name it is made out to and whoever signed it; another one (it has just
 * been renewed) has to be one that this machine trusts. Nothing is sent before that.
 */
function own(config: Config, url: URL): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const expected = new X509Certificate(readFileSync(config.api.tls_cert_file));
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = tlsConnect({ host, port: Number(url.port), servername: /^[\d.:a-f]+$/i.test(host) ? '' : host, rejectUnauthorized: false }, () => {
      if (socket.authorized || socket.getPeerX509Certificate()?.raw.equals(expected.raw)) resolve(socket);
      else {
        socket.destroy();
        reject(new Error(`the server there has another certificate than api.tls_cert_file (${messageOf(socket.authorizationError)})`));
      }
    });
    socket.once('error', reject);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const piece of response) {
    text += piece as string;
    if (response.statusCode !== 200 && text.length > MOST_PROBLEM_BYTES) break;
  }
  return text;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

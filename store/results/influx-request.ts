import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';

export interface Answer {
  status: number;
  version: string | null;
  body: string;
}

export interface Sent {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  timeoutMs: number;
}

/** Sends to one server; what it throws is the connection's own error. */
export type Send = (url: URL, sent: Sent) => Promise<Answer>;

/** Longer than a follower rests, shorter than servers keep a connection that is idle. */
const IDLE_MS = 4000;

/** `fetch`, and where an authority is given `https`, since `fetch` takes none. */
export function senderFor(ca: Buffer | undefined): Send {
  return ca === undefined ? byFetch : byHttps(new Agent({ keepAlive: true, timeout: IDLE_MS, ca }));
}

const byFetch: Send = async (url, { method, headers, body, timeoutMs }) => {
  try {
    const response = await fetch(url, { method, headers, body, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) });
    return { status: response.status, version: response.headers.get('x-influxdb-version'), body: await response.text() };
  } catch (error) {
    throw error instanceof Error && error.cause ? error.cause : error;
  }
};

const byHttps = (agent: Agent): Send => (url, { method, headers, body, timeoutMs }) => new Promise((resolve, reject) => {
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const sending = request(url, { agent, method, headers: { ...headers, ...length }, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
    const status = response.statusCode ?? 0;
    const version = response.headers['x-influxdb-version'];
    text(response).then((said) => {
      // As with `fetch`: what is elsewhere is not gone to.
      if (status >= 300 && status < 400) reject(new Error(`${status}: a redirect is not followed`));
      else resolve({ status, version: typeof version === 'string' ? version : null, body: said });
    }, reject);
  });
  sending.on('error', (error) => reject(error.name === 'AbortError' && error.cause ? error.cause as Error : error));
  sending.end(body);
});

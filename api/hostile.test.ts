import { createConnection, type Socket } from 'node:net';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeService } from '../test/browser/fake-service.js';
import { buildServer, listen } from './server.js';

const OPTIONS = { host: '127.0.0.1', port: 0, payloadBytes: 4096, requestsPerSecond: 1_000_000, requestTimeoutMs: 2000, idleMs: 2500 };
let server: FastifyInstance;
let port: number;
const faults: unknown[] = [];

beforeAll(async () => {
  const service = new FakeService(Date.UTC(2026, 0, 31), 8);
  service.addFault({ device: 'pump-001', metric: 'flow', startMs: service.nowMs - 600_000, endMs: service.nowMs + 1e9, kind: 'shift', size: 2 });
  // What the bytes hold is the decoders' matter, and tested there.
  service.submit = async () => ({ accepted: 0, refused: 0, reasons: [] });
  server = buildServer(service, { ...OPTIONS, onError: (error) => faults.push(error) });
  ({ port } = await listen(server, OPTIONS));
});
afterAll(() => server.close());

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.constantFrom('__proto__', 'constructor', '..', '%00', '\u0000', '\ud800', '*', 'pump-001', 'flow', '1e309', '-1', '9'.repeat(400), 'a'.repeat(5000)));
const segment = text.map((value) => encodeURIComponent(Buffer.from(value).toString()).replaceAll('.', '%2E'));
const path = fc.oneof(
  fc.constantFrom('/v1/devices', '/v1/anomalies', '/v1/verdicts', '/v1/overview', '/v1/health', '/v1/deadletters', '/metrics', '/docs/json', '/v1/readings'),
  segment.map((id) => `/v1/devices/${id}`),
  fc.tuple(segment, segment).map(([id, metric]) => `/v1/devices/${id}/series/${metric}`),
  segment.map((id) => `/v1/anomalies/${id}`),
  segment.map((id) => `/v1/anomalies/${id}/feedback`),
  segment.map((any) => `/${any}`),
);
const field = fc.constantFrom('limit', 'cursor', 'start', 'end', 'order', 'search', 'status', 'severity', 'state', 'open', 'name', 'metric', 'tag.kind', 'tag.__proto__', '__proto__', 'x');
const query = fc.array(fc.tuple(field, segment), { maxLength: 3 }).map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'));
const header = fc.string({ maxLength: 40 }).map((value) => value.replace(/[^\x20-\x7e]/g, '?'));

describe('hostile requests', () => {
  it('are answered with success or with a problem, never with a fault of gruard', async () => {
    await fc.assert(fc.asyncProperty(
      fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS') as fc.Arbitrary<'GET'>, path, query,
      fc.record({ type: fc.oneof(header, fc.constantFrom('application/json', 'text/plain', 'application/x-ndjson')), encoding: fc.option(fc.constantFrom('gzip', 'br', 'identity')), authorization: header }),
      fc.oneof(fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)), fc.json().map((json) => Buffer.from(json)), fc.constant(Buffer.alloc(5000, '[')), fc.constant(Buffer.from('{"__proto__":{"verdict":"accept"}}'))),
      async (method, at, search, sent, body) => {
        const bodied = (method as string) === 'POST' || (method as string) === 'PUT';
        const response = await server.inject({
          method, url: `${at}?${search}`, payload: bodied ? body : undefined,
          headers: { host: 'localhost', authorization: sent.authorization, ...(bodied && { 'content-type': sent.type, ...(sent.encoding && { 'content-encoding': sent.encoding }) }) },
        });
        expect(response.statusCode).toBeLessThan(500);
        if (response.statusCode >= 400 && (method as string) !== 'HEAD') {
          expect(response.json()).toMatchObject({ status: response.statusCode, code: expect.any(String) as string, next: expect.any(String) as string });
        }
      },
    ), { numRuns: 400 });
    expect(faults).toEqual([]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  }, 60_000);

  it('that are not HTTP at all end their connection and nothing else', async () => {
    const samples = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 400 }), { numRuns: 20, seed: 5 }).map((bytes) => Buffer.from(bytes));
    const malformed = ['GET / HTTP/9.9\r\n\r\n', 'GET /v1/devices HTTP/1.1\r\n\r\n', `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 'POST /v1/readings HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n',
      'GET /v1/devices/%zz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n', 'POST /v1/readings HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n'];
    for (const bytes of [...samples, ...malformed.map((lines) => Buffer.from(lines))]) {
      await new Promise<void>((resolve) => {
        const socket = createConnection(port, '127.0.0.1');
        socket.on('error', () => undefined).on('close', () => resolve());
        socket.resume();
        socket.end(bytes);
      });
    }
    expect((await fetch(`http://127.0.0.1:${port}/v1/health`)).status).toBe(200);
    expect(faults).toEqual([]);
  }, 60_000);

  it('whose answer nobody reads end too; a stream, on which something is sent, does not', async () => {
    const theirs = new Promise<Socket>((resolve) => { server.server.once('connection', resolve); });
    const deaf = createConnection({ port, host: '127.0.0.1' });
    deaf.on('error', () => undefined).pause();
    deaf.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(20));
    const socket = await theirs;
    const stream = await fetch(`http://127.0.0.1:${port}/v1/stream`);
    const reader = stream.body!.getReader();
    const until = performance.now() + 3000;
    while (performance.now() < until) expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    await expect.poll(() => socket.destroyed, { timeout: 10_000 }).toBe(true);
    deaf.destroy();
  }, 20_000);

  it('that come too slowly are counted', async () => {
    const slow = createConnection({ port, host: '127.0.0.1' });
    slow.resume().on('error', () => undefined);
    slow.write('GET / HTTP/1.1\r\nhost: localhost\r\n');
    const drip = setInterval(() => slow.write('x: y\r\n'), 200);
    await new Promise((resolve) => { slow.once('close', resolve); });
    clearInterval(drip);
    expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toMatch(/gruard_api_refused_total\{code="request_timeout"\} [1-9]/);
  }, 20_000);

  it('of a page of another site load nothing, though they could not read it; a link to here is followed', async () => {
    const from = async (site: string, mode: string, dest: string): Promise<number> => (await server.inject({ method: 'GET', url: '/v1/overview', headers: { host: 'localhost', 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } })).statusCode;
    for (const [site, mode, dest] of [['cross-site', 'no-cors', 'image'], ['cross-site', 'cors', 'empty'], ['same-site', 'no-cors', 'script'], ['cross-site', 'navigate', 'iframe']]) expect(await from(site, mode, dest), `${site} ${mode} ${dest}`).toBe(403);
    for (const [site, mode, dest] of [['same-origin', 'cors', 'empty'], ['none', 'navigate', 'document'], ['cross-site', 'navigate', 'document']]) expect(await from(site, mode, dest), `${site} ${mode} ${dest}`).toBe(200);
  });
});

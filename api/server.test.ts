import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GruardError } from '../core/errors.js';
import { FakeService } from '../test/browser/fake-service.js';
import type { ApiOptions } from './options.js';
import { buildServer, hashToken, listen } from './server.js';

const NOW = Date.UTC(2026, 0, 31, 12);
let server: FastifyInstance;
let service: FakeService;

function start(options: Partial<ApiOptions> = {}, devices = 8): void {
  service = new FakeService(NOW, devices);
  server = buildServer(service, { host: '127.0.0.1', port: 0, ...options });
}

afterEach(() => server.close());

const headers = { host: '127.0.0.1:8480' };
const get = (url: string, more: Record<string, string> = {}) => server.inject({ method: 'GET', url, headers: { ...headers, ...more } });
const send = (body: string | Buffer, more: Record<string, string> = {}) =>
  server.inject({ method: 'POST', url: '/v1/readings', payload: body, headers: { ...headers, 'content-type': 'application/json', ...more } });

describe('POST /v1/readings', () => {
  it('hands the bytes on as they came and answers with counts', async () => {
    start();
    const body = '{"device":"oven3","metrics":{"temperature":21.4,"humidity":40}}';
    const response = await send(body);
    expect(response.statusCode).toBe(202);
    expect(response.json()).toEqual({ accepted: 2, refused: 0, reasons: [] });
    expect(Buffer.from(service.submitted[0].bytes).toString()).toBe(body);
    expect(service.submitted[0].format).toBe('json');
  });

  it('takes line protocol, NDJSON and gzip', async () => {
    start();
    await send('m,device=a t=1', { 'content-type': 'text/plain; charset=utf-8' });
    expect(service.submitted[0].format).toBe('line');
    expect((await send('{"device":"a","metrics":{"t":1}}\n\n{"device":"b","metrics":{"t":2}}\n', { 'content-type': 'application/x-ndjson' })).json().accepted).toBe(2);
    expect((await send(gzipSync('{"device":"a","metrics":{"t":1}}'), { 'content-encoding': 'gzip' })).json().accepted).toBe(1);
  });

  it('says why something was refused', async () => {
    start();
    expect((await send('{oops')).json()).toEqual({ accepted: 0, refused: 1, reasons: [{ reason: 'unparseable', count: 1, detail: expect.any(String) }] });
  });

  it('refuses what is too large, before and after unfolding, and types that it does not know', async () => {
    start({ payloadBytes: 1000 });
    expect((await send('x'.repeat(1001))).json()).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
    expect((await send(gzipSync(Buffer.alloc(100_000)), { 'content-encoding': 'gzip' })).json()).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
    expect((await send('no gzip', { 'content-encoding': 'gzip' })).json()).toMatchObject({ status: 400, code: 'REQUEST_INVALID' });
    expect((await send('a=1', { 'content-type': 'application/x-www-form-urlencoded' })).json()).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA' });
    expect((await send('x', { 'content-encoding': 'br' })).json()).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA' });
    expect(service.submitted).toHaveLength(0);
  });

  it('tells a client to wait when the engine is busy', async () => {
    start();
    service.submit = async () => {
      throw new GruardError('BUSY', 'The queue is full.');
    };
    const response = await send('{}');
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe('1');
    expect(response.json()).toMatchObject({ code: 'BUSY', next: expect.stringContaining('nothing of it was taken') });
  });
});

describe('limits', () => {
  it('on pages and spans are settings; what is refused is counted by its code', async () => {
    start({ pageItems: 3, querySpanDays: 2, streams: 1 });
    const page = (await get('/v1/devices?limit=1000')).json();
    expect(page.items).toHaveLength(3);
    expect((await get(`/v1/devices?limit=1000&cursor=${encodeURIComponent(page.next_cursor)}`)).json().items).toHaveLength(3);
    const day = 86_400_000;
    const series = (start: number, end?: number) => get(`/v1/devices/pump-001/series/flow?start=${start}${end === undefined ? '' : `&end=${end}`}`);
    expect((await series(NOW - 2 * day, NOW)).statusCode).toBe(200);
    expect((await series(NOW - 2 * day - 1, NOW)).json()).toMatchObject({ status: 400, code: 'QUERY_TOO_WIDE', detail: expect.stringContaining('2 days') });
    expect((await series(0)).json()).toMatchObject({ code: 'QUERY_TOO_WIDE' });
    expect((await get(`/v1/anomalies?start=0&end=${NOW}`)).json()).toMatchObject({ code: 'QUERY_TOO_WIDE' });
    expect((await get(`/v1/export?start=0&end=${NOW}`)).json()).toMatchObject({ code: 'QUERY_TOO_WIDE' });
    // An open start is no way around it, and neither is an export without one.
    const asked = vi.spyOn(service.results, 'queryEvents');
    await get(`/v1/anomalies?end=${NOW}`);
    expect(asked).toHaveBeenLastCalledWith(expect.objectContaining({ startMs: NOW - 2 * day, endMs: NOW }));
    await get('/v1/anomalies');
    expect(asked).toHaveBeenLastCalledWith(expect.objectContaining({ startMs: undefined, endMs: undefined }));
    expect((await get('/v1/nothing')).statusCode).toBe(404);
    const metrics = (await get('/metrics')).body;
    expect(metrics).toContain('gruard_api_refused_total{code="query_too_wide"} 4');
    expect(metrics).toContain('gruard_api_refused_total{code="not_found"} 1');
    expect(metrics).toContain('gruard_api_refused_total{code="too_many_streams"} 0');
  });
});

describe('devices', () => {
  it('lists in pages, with search, status and tags', async () => {
    start({}, 8);
    const first = (await get('/v1/devices?limit=5')).json();
    expect(first.items).toHaveLength(5);
    const second = (await get(`/v1/devices?limit=5&cursor=${first.next_cursor}`)).json();
    expect(second.items).toHaveLength(3);
    expect(second.next_cursor).toBeNull();
    expect((await get('/v1/devices?search=PUMP')).json().items.map((d: { id: string }) => d.id)).toEqual(['pump-001', 'pump-002']);
    expect((await get('/v1/devices?tag.kind=meter')).json().items).toHaveLength(2);
    expect((await get('/v1/devices?status=warming_up')).json().items).toHaveLength(3);
    expect(first.items[0]).toMatchObject({ id: 'cold_store-001', tags: { kind: 'cold_store' }, last_seen_at: '2026-01-31T12:00:00.000Z', warm_up: { ready: true, ready_at: null } });
  });

  it('refuses what it does not know, naming the field that is wrong', async () => {
    start();
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'status=fine', 'statsu=ok', 'limit=1&limit=2']) {
      const response = await get(`/v1/devices?${query}`);
      expect(response.headers['content-type'], query).toContain('application/problem+json');
      expect(response.json(), query).toMatchObject({ status: 400, code: 'REQUEST_INVALID', detail: expect.stringMatching(/limit|status|statsu/), next: expect.any(String) });
    }
  });

  it('finds devices and metrics by any name', async () => {
    start({}, 0);
    const chosen = ['a/b', '50%', 'ü ñ 漢字 🌡', '..', '.', 'a?b#c', '<script>', '__proto__', 'x'.repeat(256), 'a\nb', "'; DROP TABLE", '%2e%2e', 'a+b', '_'];
    const names = [...new Set([...chosen, ...fc.sample(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), { numRuns: 60, seed: 3 })])];
    for (const name of names) {
      await send(JSON.stringify({ device: name, timestamp: NOW, metrics: JSON.parse(`{${JSON.stringify(name)}:7}`), tags: { [`k${name}`]: name } }));
      const dots = name === '.' || name === '..';
      const path = dots ? '/v1/devices/_' : `/v1/devices/${encodeURIComponent(name)}`;
      const query = dots ? `?name=${encodeURIComponent(name)}` : '';
      const device = await get(path + query);
      expect(device.statusCode, name).toBe(200);
      expect(device.json(), name).toMatchObject({ id: name, tags: { [`k${name}`]: name }, series: [{ id: name, last: { actual: 7 } }] });
      const series = await get(dots ? `${path}/series/_${query}&metric=${encodeURIComponent(name)}` : `${path}/series/${encodeURIComponent(name)}`);
      expect(series.json().items, name).toEqual([expect.objectContaining({ id: '2026-01-31T12:00:00.000Z', actual: 7, yhat: null, scored: true })]);
      expect((await server.inject({ method: 'DELETE', url: path + query, headers })).statusCode, name).toBe(204);
      expect((await get(path + query)).json(), name).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    }
  });

  it('answers a path that is no valid percent-encoding with a problem', async () => {
    start();
    const response = await get('/v1/devices/%E0%A4%A');
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('series', () => {
  const path = '/v1/devices/pump-001/series/flow';

  it('takes RFC 3339 and epoch ms, start inclusive and end exclusive, in pages', async () => {
    start();
    const start1 = '2026-01-31T10:00:00%2B00:00';
    const byDate = (await get(`${path}?start=${start1}&end=2026-01-31T11:00:00Z`)).json();
    const byMs = (await get(`${path}?start=${NOW - 7_200_000}&end=${NOW - 3_600_000}`)).json();
    expect(byDate).toEqual(byMs);
    expect(byDate.items).toHaveLength(60);
    expect(byDate.items[0].timestamp).toBe('2026-01-31T10:00:00.000Z');
    expect(byDate.items[59].timestamp).toBe('2026-01-31T10:59:00.000Z');
    const page = (await get(`${path}?start=${start1}&limit=10&order=desc`)).json();
    expect(page.items[0].timestamp).toBe('2026-01-31T12:00:00.000Z');
    expect(page.next_cursor).not.toBeNull();
  });

  it('gives the newest, oldest first, when nothing is asked', async () => {
    start();
    const { items } = (await get(`${path}?limit=2`)).json();
    expect(items.map((p: { timestamp: string }) => p.timestamp)).toEqual(['2026-01-31T11:59:00.000Z', '2026-01-31T12:00:00.000Z']);
    expect(items[0]).toMatchObject({ actual: expect.any(Number), yhat: expect.any(Number), yhat_lower: expect.any(Number), yhat_upper: expect.any(Number), anomaly_score: expect.any(Number), in_event: false });
  });

  it('refuses what is not a time', async () => {
    start();
    for (const query of ['start=yesterday', 'end=2026-13-01T00:00:00Z', 'start=99999999999999999', 'start=2026-01-31']) {
      expect((await get(`${path}?${query}`)).json(), query).toMatchObject({ status: 400, code: 'REQUEST_INVALID', detail: expect.stringContaining('RFC 3339') });
    }
  });

  it('tells an empty range from a series that is not there', async () => {
    start();
    expect((await get(`${path}?end=1000`)).json()).toEqual({ items: [], next_cursor: null });
    expect((await get('/v1/devices/pump-001/series/nothing')).statusCode).toBe(404);
    expect((await get('/v1/devices/nobody/series/flow')).statusCode).toBe(404);
    expect((await get('/v1/devices/pump-001/series/*')).statusCode).toBe(200);
  });
});

describe('anomalies', () => {
  const fault = { device: 'pump-001', metric: 'flow', startMs: NOW - 600_000, endMs: NOW + 1e9, kind: 'shift', size: 2.5 } as const;

  it('lists, filters, shows one and takes feedback', async () => {
    start();
    const { id } = service.addFault(fault, 'critical');
    const { items } = (await get('/v1/anomalies?device=pump-001&metric=flow&severity=critical&state=open&start=2026-01-31T11:00:00Z')).json();
    expect(items).toEqual([expect.objectContaining({ id, state: 'open', opened_at: '2026-01-31T11:50:00.000Z', resolved_at: null, feedback: null })]);
    expect((await get('/v1/anomalies?severity=info')).json().items).toEqual([]);
    expect((await get(`/v1/anomalies/${encodeURIComponent(id)}`)).json().metrics[0]).toEqual({ metric: 'flow', contribution: 0.83 });
    const feedback = await server.inject({ method: 'POST', url: `/v1/anomalies/${encodeURIComponent(id)}/feedback`, headers, payload: { verdict: 'accept' } });
    expect(feedback.json()).toMatchObject({ state: 'resolved', feedback: { verdict: 'accept', by: 'local', at: '2026-01-31T12:00:00.000Z' } });
    const bad = await server.inject({ method: 'POST', url: `/v1/anomalies/${encodeURIComponent(id)}/feedback`, headers, payload: { verdict: 'maybe' } });
    expect(bad.json()).toMatchObject({ status: 400, detail: expect.stringContaining('accept, false_alarm, confirm') });
    expect((await get('/v1/anomalies/none')).json()).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  });

  it('never writes NaN or Infinity', async () => {
    start();
    const event = service.addFault(fault);
    event.peakScore = Infinity;
    event.yhat = NaN;
    expect((await get('/v1/anomalies')).json().items[0]).toMatchObject({ peak_score: 0, yhat: null });
  });
});

describe('the fleet and gruard itself', () => {
  it('shows overview, health, dead letters and metrics', async () => {
    start();
    expect((await get('/v1/overview')).json()).toMatchObject({ devices: 8, warming_up: { devices: 3 }, health: 'ok', brokers: [{ kind: 'mqtt', url: 'mqtt://127.0.0.1:1883' }] });
    expect((await get('/v1/health')).json()).toMatchObject({ status: 'ok', sources: [{ name: 'broker' }] });
    service.addVerdict({ id: 'v', device: 'meter-001', metric: null, kind: 'silent', sinceMs: NOW, untilMs: null, reason: 'gone' });
    expect((await get('/v1/verdicts?open=true')).json().items).toEqual([{ id: 'v', device: 'meter-001', metric: null, kind: 'silent', since: '2026-01-31T12:00:00.000Z', until: null, reason: 'gone' }]);
    expect((await get('/v1/verdicts?open=false')).json().items).toEqual([]);
    service.failing = true;
    expect((await get('/v1/health')).statusCode).toBe(503);
    expect((await get('/v1/deadletters')).json().items[0]).toMatchObject({ id: '1', reason: 'unparseable', payload_bytes: 5 });
    const text = (await get('/metrics')).body;
    expect(text).toContain('gruard_source_waiting{source="a\\"b\\\\c\\nd"} 3\n');
    expect(text).toContain('process_resident_memory_bytes');
    // Of whichever file the route is.
    for (const route of ['/v1/overview', '/v1/verdicts']) expect(text).toContain(`route="${route}"`);
  });

  it('documents itself as OpenAPI 3.1', async () => {
    start();
    const spec = (await get('/docs/json')).json();
    expect(spec.openapi).toBe('3.1.0');
    expect(Object.keys(spec.paths).sort()).toEqual(['/metrics', '/v1/anomalies', '/v1/anomalies/{id}', '/v1/anomalies/{id}/feedback', '/v1/deadletters', '/v1/devices', '/v1/devices/{id}',
      '/v1/devices/{id}/series/{metric}', '/v1/export', '/v1/health', '/v1/overview', '/v1/readings', '/v1/stream', '/v1/verdicts']);
    expect(Object.keys(spec.paths['/v1/readings'].post.requestBody.content)).toEqual(['application/json', 'application/x-ndjson', 'text/plain']);
    expect(spec.paths['/v1/devices/{id}'].get.responses['404'].content['application/problem+json'].schema.required).toContain('code');
    expect((await get('/docs')).statusCode).toBeLessThan(400);
  });

  it('hides what went wrong inside', async () => {
    const seen: unknown[] = [];
    start({ onError: (error) => seen.push(error) });
    service.overview = () => {
      throw new Error('password is hunter2');
    };
    const response = await get('/v1/overview');
    expect(response.json()).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(response.body).not.toMatch(/hunter2|at .*\.ts/);
    expect(seen).toHaveLength(1);
  });

  it('names the setting when its port is taken', async () => {
    start();
    const { port } = await listen(server, { host: '127.0.0.1', port: 0 });
    const second = buildServer(service, { host: '127.0.0.1', port });
    await expect(listen(second, { host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'PORT_TAKEN', message: expect.stringContaining('GRUARD_API_PORT') });
    await second.close();
  });
});

describe('who may do what', () => {
  const tokens = [
    { name: 'reader', sha256: hashToken('r-secret'), scopes: ['read' as const] },
    { name: 'gateway', sha256: hashToken('w-secret'), scopes: ['write' as const] },
    { name: 'boss', sha256: hashToken('a-secret'), scopes: ['admin' as const] },
  ];
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  it('asks for a token and keeps to its scopes', async () => {
    start({ tokens });
    const none = await get('/v1/devices');
    expect(none.json()).toMatchObject({ status: 401, code: 'UNAUTHORIZED' });
    expect(none.headers['www-authenticate']).toContain('Bearer');
    expect((await get('/v1/devices', bearer('wrong'))).statusCode).toBe(401);
    expect((await get('/v1/devices', bearer('r-secret'))).statusCode).toBe(200);
    expect((await get('/v1/devices', bearer('w-secret'))).json()).toMatchObject({ status: 403, code: 'FORBIDDEN' });
    expect((await send('{"device":"a","metrics":{"t":1}}', bearer('w-secret'))).statusCode).toBe(202);
    expect((await send('{}', bearer('r-secret'))).statusCode).toBe(403);
    const retire = (token: string) => server.inject({ method: 'DELETE', url: '/v1/devices/pump-001', headers: { ...headers, ...bearer(token) } });
    expect((await retire('w-secret')).statusCode).toBe(403);
    expect((await retire('a-secret')).statusCode).toBe(204);
  });

  it('tells the audit log who changed what, and who tried', async () => {
    const log: unknown[] = [];
    start({ tokens, onAudit: (entry) => log.push(entry) });
    const retire = (more: Record<string, string>) => server.inject({ method: 'DELETE', url: '/v1/devices/pump-001', headers: { ...headers, ...more } });
    await retire({});
    await retire(bearer('w-secret'));
    await retire(bearer('a-secret'));
    await get('/v1/devices', bearer('r-secret'));
    const call = { method: 'DELETE', url: '/v1/devices/pump-001' };
    expect(log).toEqual([{ ...call, by: 'unknown', status: 401 }, { ...call, by: 'gateway', status: 403 }, { ...call, by: 'boss', status: 204 }]);
  });

  it('tells strangers no more than whether it is well', async () => {
    start({ tokens });
    expect((await get('/v1/health')).json()).toEqual({ status: 'ok' });
    expect((await get('/v1/health', bearer('r-secret'))).json()).toHaveProperty('sources');
    for (const url of ['/metrics', '/v1/overview', '/v1/stream', '/v1/anomalies', '/v1/deadletters']) expect((await get(url)).statusCode, url).toBe(401);
    expect((await get('/docs/json')).statusCode).toBe(200);
  });

  it('signs feedback with the name of the token', async () => {
    start({ tokens });
    const { id } = service.addFault({ device: 'pump-001', metric: 'flow', startMs: NOW - 600_000, endMs: NOW + 1e9, kind: 'shift', size: 2 });
    const response = await server.inject({ method: 'POST', url: `/v1/anomalies/${encodeURIComponent(id)}/feedback`, headers: { ...headers, ...bearer('w-secret') }, payload: { verdict: 'confirm' } });
    expect(response.json().feedback.by).toBe('gateway');
  });

  it('is known on loopback by loopback names only', async () => {
    start({ allowedHosts: ['gruard.lan'] });
    for (const host of ['localhost:8480', '127.0.0.1', '[::1]:8480', 'gruard.lan', 'x.localhost']) expect((await get('/v1/devices', { host })).statusCode, host).toBe(200);
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:8480', '[::2]']) {
      expect((await get('/v1/devices', { host })).json(), host).toMatchObject({ status: 421, code: 'HOST_REFUSED' });
    }
  });

  it('takes nothing that another site sends through a browser', async () => {
    start();
    const line = { 'content-type': 'text/plain' };
    expect((await send('m,device=a t=1', { ...line, origin: 'https://evil.example' })).json()).toMatchObject({ status: 403, code: 'ORIGIN_REFUSED' });
    expect((await send('m,device=a t=1', { ...line, origin: 'null' })).statusCode).toBe(403);
    expect((await send('m,device=a t=1', { ...line, origin: 'http://127.0.0.1:8480' })).statusCode).toBe(202);
    expect((await get('/v1/devices', { origin: 'https://evil.example' })).headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('sends the headers that keep a browser safe', async () => {
    start();
    const { headers: sent } = await get('/v1/overview');
    expect(sent['content-security-policy']).toContain("script-src 'self'");
    expect(sent['content-security-policy']).not.toContain('unsafe');
    expect(sent['x-content-type-options']).toBe('nosniff');
    expect(sent['referrer-policy']).toBe('no-referrer');
  });

  it('limits the rate of a client', async () => {
    start({ requestsPerSecond: 3 });
    const codes = [];
    for (let i = 0; i < 5; i++) codes.push((await get('/v1/overview')).statusCode);
    expect(codes).toEqual([200, 200, 200, 429, 429]);
    const refused = await get('/v1/overview');
    expect(refused.json()).toMatchObject({ code: 'RATE_LIMITED' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('takes a /64 of IPv6 for one client, and a mapped IPv4 address for what it is', async () => {
    start({ requestsPerSecond: 1 });
    const codes: number[] = [];
    for (const remoteAddress of ['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1', '::ffff:203.0.113.7', '203.0.113.7', '::ffff:203.0.113.8']) {
      codes.push((await server.inject({ url: '/v1/overview', headers: { host: 'localhost' }, remoteAddress })).statusCode);
    }
    expect(codes).toEqual([200, 429, 200, 200, 429, 200]);
  });
});

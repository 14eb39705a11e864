import { request, type IncomingMessage } from 'node:http';
import { createConnection } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeService } from '../test/browser/fake-service.js';
import type { ApiOptions } from './options.js';
import { buildServer, listen } from './server.js';

const NOW = Date.UTC(2026, 0, 31, 12);
let server: FastifyInstance;
let service: FakeService;
let port: number;

async function start(options: Partial<ApiOptions> = {}): Promise<void> {
  service = new FakeService(NOW, 8);
  const all = { host: '127.0.0.1', port: 0, ...options };
  server = buildServer(service, all);
  ({ port } = await listen(server, all));
}

afterEach(() => server.close());

interface Frame {
  id?: string;
  data: { event: { device: string; opened_at: string } };
}

/** A reader of one stream: `next(type)` waits for the next message of a type. */
class Reader {
  readonly messages: (Frame & { event: string })[] = [];
  ended = false;
  #text = '';
  #wake: (() => void)[] = [];

  constructor(readonly response: IncomingMessage) {
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#take(chunk));
    response.on('close', () => {
      this.ended = true;
      this.#wake.splice(0).forEach((wake) => wake());
    });
    response.on('error', () => {});
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  async next(type: string): Promise<Frame> {
    await this.until(() => this.ended || this.messages.some((m) => m.event === type));
    const at = this.messages.findIndex((m) => m.event === type);
    if (at < 0) throw new Error('the stream ended');
    return this.messages.splice(at, 1)[0];
  }

  #take(chunk: string): void {
    const frames = (this.#text + chunk).split('\n\n');
    this.#text = frames.pop()!;
    for (const frame of frames) {
      const fields = new Map(frame.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
      if (fields.has('event')) this.messages.push({ event: fields.get('event')!, id: fields.get('id'), data: JSON.parse(fields.get('data')!) as Frame['data'] });
    }
    this.#wake.splice(0).forEach((wake) => wake());
  }
}

function open(path = '/v1/stream', headers: Record<string, string> = {}): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => resolve(new Reader(response)));
    req.on('error', reject);
    req.end();
  });
}

const fault = (device: string, i = 0) => ({ device, metric: device.startsWith('pump') ? 'flow' : 'load_kw', startMs: NOW - 600_000 - i, endMs: NOW + 1e9, kind: 'shift' as const, size: 2.5 });

describe('GET /v1/stream', () => {
  it('sends the overview at once, and anomalies and verdicts as they come', async () => {
    await start();
    const reader = await open();
    expect(reader.response.headers['content-type']).toContain('text/event-stream');
    expect(reader.response.headers['content-security-policy']).toContain("default-src 'none'");
    expect((await reader.next('overview')).data).toMatchObject({ devices: 8, health: 'ok' });
    service.addFault(fault('pump-001'));
    expect(await reader.next('anomaly')).toMatchObject({ id: '1', data: { change: 'opened', event: { device: 'pump-001', opened_at: '2026-01-31T11:50:00.000Z' } } });
    service.addVerdict({ id: 'v', device: 'meter-001', metric: null, kind: 'silent', sinceMs: NOW, untilMs: null, reason: 'gone' });
    expect(await reader.next('verdict')).toMatchObject({ id: '2', data: { verdict: { kind: 'silent', since: '2026-01-31T12:00:00.000Z', until: null } } });
  });

  it('sends the readings of one device, and its anomalies only', async () => {
    await start();
    const reader = await open('/v1/stream?device=pump-001&overview=false');
    service.addFault(fault('meter-001'));
    service.addFault(fault('pump-001'));
    service.advance(1);
    const readings = await reader.next('readings');
    expect(readings.data).toMatchObject({ device: 'pump-001', rows: [{ metric: 'pressure_bar', timestamp: '2026-01-31T12:01:00.000Z' }, { metric: 'flow', in_event: true }, { metric: 'vibration' }] });
    expect((await reader.next('anomaly')).data.event.device).toBe('pump-001');
    expect(reader.messages).toEqual([]);
  });

  it('resumes after the last id that a client has seen, without loss', async () => {
    await start();
    for (let i = 0; i < 5; i++) service.addFault(fault('pump-001', i));
    const reader = await open('/v1/stream', { 'last-event-id': '3' });
    expect([(await reader.next('anomaly')).id, (await reader.next('anomaly')).id]).toEqual(['4', '5']);
    service.addFault(fault('pump-001', 9));
    expect((await reader.next('anomaly')).id).toBe('6');
    const again = await open('/v1/stream?last_event_id=5');
    expect((await again.next('anomaly')).id).toBe('6');
  });

  it('reads the store where the live feed has forgotten, the older events first', async () => {
    await start();
    for (let i = 0; i < 150; i++) service.addFault(fault('pump-001', -i * 1000));
    const reader = await open('/v1/stream', { 'last-event-id': '2' });
    const opened: string[] = [];
    for (let i = 0; i < 150; i++) opened.push((await reader.next('anomaly')).data.event.opened_at);
    expect(new Set(opened).size).toBe(150);
    expect(opened).toEqual([...opened].sort());
  });

  it('drops a client that does not read, and forgets its subscription', async () => {
    await start({ streamBufferBytes: 20_000 });
    const socket = createConnection(port, '127.0.0.1');
    socket.write('GET /v1/stream?overview=false HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    expect(service.listeners).toBe(1);
    const event = service.addFault(fault('pump-001'));
    event.reason = 'x'.repeat(10_000);
    for (let i = 0; i < 20_000 && service.listeners > 0; i++) {
      service.publish({ type: 'anomaly', id: '', change: 'updated', event });
      await new Promise(setImmediate);
    }
    expect(service.listeners).toBe(0);
    socket.destroy();
  });

  it('drops a client for whom the store is too slow, and holds no more than a bounded number of messages for it', async () => {
    await start();
    service.results.queryEvents = () => new Promise(() => undefined);
    const reader = await open('/v1/stream', { 'last-event-id': 'long ago' });
    const event = service.addFault(fault('pump-001'));
    for (let i = 0; i < 1100; i++) service.publish({ type: 'anomaly', id: '', change: 'updated', event });
    await reader.until(() => reader.ended);
    while (service.listeners > 0) await new Promise(setImmediate);
  });

  it('limits how many are open, and frees the place of one that goes', async () => {
    await start({ streams: 2 });
    const first = await open();
    await open();
    const third = await open();
    expect(third.response.statusCode).toBe(429);
    first.response.destroy();
    while (service.listeners > 1) await new Promise(setImmediate);
    expect((await open()).response.statusCode).toBe(200);
  });

  it('ends its streams when the server closes', async () => {
    await start();
    const readers = await Promise.all([open(), open('/v1/stream?device=pump-001')]);
    await Promise.all([server.close(), ...readers.map((reader) => reader.until(() => reader.ended))]);
    expect(service.listeners).toBe(0);
  });
});

describe('slow clients', () => {
  it('answers one that never finishes its request, and closes', async () => {
    await start({ requestTimeoutMs: 300 });
    const socket = createConnection(port, '127.0.0.1');
    socket.write('POST /v1/readings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{');
    let text = '';
    socket.on('data', (data) => (text += data.toString()));
    await new Promise((resolve) => socket.on('close', resolve));
    expect(text).toMatch(/^HTTP\/1\.1 408 .*REQUEST_TIMEOUT/s);
    expect(service.submitted).toEqual([]);
  });
});

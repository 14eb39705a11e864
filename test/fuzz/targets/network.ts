import { strict as assert } from 'node:assert';
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { generate, type Packet } from 'mqtt-packet';
import { Batch } from '../../../core/batch.js';
import { systemClock } from '../../../core/clock.js';
import { hashToken } from '../../../core/token.js';
import type { Random } from '../../../core/random.js';
import type { ApiOptions } from '../../../api/options.js';
import { buildServer, listen } from '../../../api/server.js';
import { BrokerSource } from '../../../ingest/broker.js';
import { FakeService } from '../../browser/fake-service.js';
import { Bench } from '../../conformance/sources.js';
import { below, bytesOf, json, mutate, NASTY, noise, pick, Stream } from '../mutate.js';
import type { FuzzTarget } from '../target.js';

const PAYLOAD_BYTES = 4096;
const OPTIONS = { host: '127.0.0.1', port: 0, payloadBytes: PAYLOAD_BYTES, requestsPerSecond: 1_000_000, requestTimeoutMs: 1500, connections: 64 };
const BOMB = gzipSync(Buffer.alloc(50_000_000, '[{"x":1},'));
const MOST_ANSWER_BYTES = 4_000_000;
const ADMIN = 'the-token-of-the-admin';

function service(): FakeService {
  const fake = new FakeService(Date.UTC(2026, 0, 31), 8);
  fake.addFault({ device: 'pump-001', metric: 'flow', startMs: fake.nowMs - 600_000, endMs: fake.nowMs + 1e9, kind: 'shift', size: 2 });
  return fake;
}

function target(random: Random): string {
  const part = (): string => (below(random, 3) === 0 ? pick(random, ['pump-001', 'flow', '_']) : encodeURIComponent(Buffer.from(pick(random, NASTY)).toString()).replaceAll('.', below(random, 2) ? '.' : '%2E'));
  const path = pick(random, [() => '/v1/devices', () => '/v1/anomalies', () => '/v1/verdicts', () => '/v1/overview', () => '/v1/health', () => '/v1/deadletters', () => '/metrics', () => '/docs/json', () => '/v1/readings', () => '/v1/export', () => '/',
    () => `/v1/devices/${part()}`, () => `/v1/devices/${part()}/series/${part()}`, () => `/v1/anomalies/${part()}`, () => `/v1/anomalies/${part()}/feedback`, () => `/assets/${part()}`, () => `/docs/static/${part()}`, () => `/${part()}`])();
  const fields = Array.from({ length: below(random, 3) }, () => `${pick(random, ['limit', 'cursor', 'start', 'end', 'order', 'search', 'status', 'state', 'open', 'name', 'metric', 'tag.kind', 'tag.__proto__', '__proto__', 'x'])}=${part()}`);
  return fields.length > 0 ? `${path}?${fields.join('&')}` : path;
}

/** Requests: success, or a problem with a code; never a fault of gruard, never a change without a token that allows it, never an answer without end. */
export const httpTarget = (mutant: Partial<ApiOptions> = {}): FuzzTarget => ({
  name: 'HTTP API',
  share: 10,
  open() {
    const fake = service();
    const faults: unknown[] = [];
    let submitted = 0;
    let retired = 0;
    fake.submit = async (payload) => {
      submitted = payload.length;
      return { accepted: 0, refused: 0, reasons: [] };
    };
    fake.retire = async () => {
      retired++;
      return true;
    };
    const tokens = [{ name: 'r', sha256: hashToken('reader'), scopes: ['read' as const] }, { name: 'a', sha256: hashToken(ADMIN), scopes: ['admin' as const] }];
    const server = buildServer(fake, { ...OPTIONS, tokens, onError: (error) => faults.push(error), ...mutant });
    const structured = new Stream(json);
    return {
      async run(random, remember) {
        const method = pick(random, ['GET', 'GET', 'GET', 'POST', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS'] as const);
        const bodied = method === 'POST' || method === 'PUT';
        const plain = below(random, 2) === 0 ? bytesOf(structured.next(random)) : mutate(random, bytesOf('{"device":"a","metrics":{"x":1}}\n{"device":"b","x":2}'), 5000);
        const zipped = below(random, 6);
        const body = zipped === 0 ? BOMB.subarray(0, PAYLOAD_BYTES - 1) : zipped === 1 ? mutate(random, gzipSync(plain), PAYLOAD_BYTES) : zipped === 2 ? gzipSync(Buffer.alloc(below(random, 100_000), ' ')) : plain;
        // Some get past the doors: what is behind them is hostile all the same.
        const inside = below(random, 3) === 0;
        const bearer = inside ? ADMIN : pick(random, ['reader', 'reader', ADMIN, ADMIN.slice(1), '', 'x'.repeat(8000), pick(random, NASTY).replace(/[^\x20-\x7e]/g, '?')]);
        const headers = {
          host: inside ? 'localhost' : pick(random, ['localhost', '127.0.0.1:1', 'evil.example', '']), authorization: `Bearer ${bearer}`, ...(!inside && below(random, 8) === 0 && { origin: pick(random, ['null', 'https://evil.example', 'http://localhost', '://']) }),
          ...(bodied && { 'content-type': inside ? 'application/json' : pick(random, ['application/json', 'text/plain', 'application/x-ndjson', 'application/json; charset=utf-7', 'multipart/form-data', 'x']), ...(zipped < 3 && { 'content-encoding': pick(random, ['gzip', 'gzip', 'br', 'gzip, gzip']) }) }),
        };
        const url = inside && bodied && below(random, 2) === 0 ? '/v1/readings' : target(random);
        remember({ method, url, headers, body: bodied ? Buffer.from(body).toString('base64') : undefined });
        if (url.startsWith('/v1/stream')) return;
        submitted = 0;
        retired = 0;
        const response = await server.inject({ method, url, headers, payload: bodied ? Buffer.from(body) : undefined });
        assert.ok(response.statusCode < 500, `status ${response.statusCode} ${response.body.slice(0, 300)}`);
        assert.ok(response.rawPayload.length < MOST_ANSWER_BYTES, `${response.rawPayload.length} bytes of an answer`);
        if (response.statusCode >= 400 && method !== 'HEAD') assert.match(response.json<{ code: string }>().code, /^[A-Z_]+$/);
        assert.ok(submitted <= PAYLOAD_BYTES + 2, `${submitted} bytes reached the decoder`);
        if (retired > 0 || submitted > 0) assert.equal(bearer, ADMIN, 'a change without a token that allows it');
        assert.deepEqual(faults, []);
      },
      close: () => server.close(),
    };
  },
});

/** Writes bytes in pieces, then goes: at once, after a while, or never properly. */
function stranger(port: number, random: Random, bytes: Uint8Array, open: Set<Socket>): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    open.add(socket);
    const done = (): void => {
      open.delete(socket);
      resolve();
    };
    socket.on('error', () => undefined).on('close', done).resume();
    const cut = below(random, bytes.length + 1);
    const manner = below(random, 4);
    socket.write(bytes.subarray(0, cut), () => {
      if (manner === 0) socket.resetAndDestroy();
      else if (manner === 1) {
        // Half-open: says no more, and does not go.
        resolve();
        return;
      } else socket.end(bytes.subarray(cut));
      setTimeout(() => socket.destroy(), 200).unref();
    });
  });
}

const REQUESTS = ['GET /v1/overview HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n', 'POST /v1/readings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 30\r\nconnection: close\r\n\r\n{"device":"a","metrics":{"x":1', 'POST /v1/readings HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n{', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'].map(bytesOf);

/** Bytes on the API's port, slow and half-open connections among them: somebody honest is still answered. */
export const httpSocketTarget: FuzzTarget = {
  name: 'HTTP connections',
  share: 1,
  async open() {
    const faults: unknown[] = [];
    const server = buildServer(service(), { ...OPTIONS, onError: (error) => faults.push(error) });
    const { port } = await listen(server, OPTIONS);
    const open = new Set<Socket>();
    let runs = 0;
    return {
      async run(random, remember) {
        const bytes = below(random, 10) === 0 ? noise(random, 600) : mutate(random, pick(random, REQUESTS));
        remember(Buffer.from(bytes).toString('base64'));
        // The oldest of the half-open ones makes room, as a time limit would.
        if (open.size > OPTIONS.connections / 2) for (const socket of [...open].slice(0, 8)) socket.destroy();
        await stranger(port, random, bytes, open);
        if (++runs % 20 === 0) assert.equal((await fetch(`http://127.0.0.1:${port}/v1/health`)).status, 200);
        assert.deepEqual(faults, []);
      },
      close: async () => {
        for (const socket of open) socket.destroy();
        await server.close();
      },
    };
  },
};

const CONNECT = generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'fuzz', keepalive: 30 });
const PACKETS: Packet[] = [
  { cmd: 'publish', topic: 'plant/oven3', payload: '{"x":1}', qos: 1, messageId: 1, retain: false, dup: false }, { cmd: 'publish', topic: 'a/b', payload: '', qos: 2, messageId: 2, retain: true, dup: false },
  { cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'a/#', qos: 1 }] }, { cmd: 'unsubscribe', messageId: 4, unsubscriptions: ['a/#'] }, { cmd: 'pingreq' }, { cmd: 'pubrel', messageId: 2 }, { cmd: 'puback', messageId: 9 }, { cmd: 'disconnect' },
];

/** Bytes on the embedded broker's port: it goes on, and what is stored came through the decoders. */
export const brokerTarget: FuzzTarget = {
  name: 'MQTT connections',
  share: 1,
  async open() {
    const bench = new Bench();
    const broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 64 });
    let batch = new Batch(4096);
    await broker.open(() => {
      batch = new Batch(4096);
      bench.sequencer.attach(batch);
      broker.settle(broker.drain(bench.sequencer));
      for (let row = 0; row < batch.n; row++) assert.ok(Number.isFinite(batch.value[row]));
    });
    const open = new Set<Socket>();
    let runs = 0;
    return {
      async run(random, remember) {
        const packets = Buffer.concat(Array.from({ length: 1 + below(random, 3) }, () => generate(pick(random, PACKETS))));
        const bytes = below(random, 10) === 0 ? noise(random, 300) : below(random, 3) === 0 ? mutate(random, Buffer.concat([CONNECT, packets])) : Buffer.concat([CONNECT, mutate(random, packets)]);
        remember(Buffer.from(bytes).toString('base64'));
        if (open.size > 32) for (const socket of [...open].slice(0, 8)) socket.destroy();
        await stranger(broker.port, random, bytes, open);
        if (++runs % 20 === 0) await honest(broker.port);
      },
      close: async () => {
        for (const socket of open) socket.destroy();
        await broker.close();
      },
    };
  },
};

/** Connects, publishes and waits for the PUBACK. */
function honest(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const timer = setTimeout(() => reject(new Error('the broker does not answer any more')), 10_000);
    let got = Buffer.alloc(0);
    socket.on('error', reject).on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
      // CONNACK accepted, then PUBACK of packet 7.
      if (!got.equals(Buffer.from([0x20, 2, 0, 0, 0x40, 2, 0, 7]))) return;
      clearTimeout(timer);
      socket.destroy();
      resolve();
    });
    socket.write(Buffer.concat([generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'honest', keepalive: 30 }), generate({ cmd: 'publish', topic: 'plant/honest', payload: '1', qos: 1, messageId: 7, retain: false, dup: false })]));
  });
}

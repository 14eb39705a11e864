import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeService } from '../test/browser/fake-service.js';
import type { ApiOptions } from './options.js';
import { buildServer, listen } from './server.js';

let server: FastifyInstance;
let port: number;
/** Where the next connections seem to come from. */
let from: string;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.close();
});

async function start(options: Partial<ApiOptions>): Promise<void> {
  const given = { host: '127.0.0.1', port: 0, ...options };
  server = buildServer(new FakeService(0), given);
  server.server.prependListener('connection', (socket: Socket) => Object.defineProperty(socket, 'remoteAddress', { value: from }));
  ({ port } = await listen(server, given));
}

/** A connection from an address; whether it is let in shows by the answer to a request. */
async function opened(address: string, secure = false): Promise<{ socket: Socket; admitted: boolean }> {
  from = address;
  const socket = secure ? tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connect(port, '127.0.0.1');
  sockets.push(socket);
  const answered = new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true)).on('error', () => undefined).once('close', () => resolve(false));
  });
  socket.write('GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n');
  return { socket, admitted: await answered };
}

async function letIn(count: number, address: string, secure = false): Promise<number> {
  let many = 0;
  for (let i = 0; i < count; i++) if ((await opened(address, secure)).admitted) many++;
  return many;
}

async function refused(code: string): Promise<number> {
  const { body } = await server.inject({ url: '/metrics', headers: { host: 'localhost' } });
  return Number(new RegExp(`gruard_api_refused_total\\{code="${code}"\\} (\\d+)`).exec(body)?.[1]);
}

const openssl = spawnSync('openssl', ['version']).status === 0;

describe('connections', () => {
  for (const secure of openssl ? [false, true] : [false]) {
    it(`${secure ? 'with' : 'without'} TLS are bounded for an address, counted where refused, and free again when they end`, async () => {
      await start({ connectionsPerAddress: 3, ...(secure && { tls: pair() }) });
      expect(await refused('too_many_connections')).toBe(0);
      const first = await opened('203.0.113.7', secure);
      expect(await letIn(4, '203.0.113.7', secure)).toBe(2);
      expect(await refused('too_many_connections')).toBe(2);
      expect(await letIn(2, '2001:db8::7', secure)).toBe(2);
      expect(await letIn(2, '2001:db8::8', secure)).toBe(1);
      expect(await letIn(1, '2001:db8:0:1::7', secure)).toBe(1);
      expect(await refused('too_many_connections')).toBe(3);
      first.socket.destroy();
      await expect.poll(async () => (await opened('203.0.113.7', secure)).admitted).toBe(true);
      expect(await letIn(1, '203.0.113.7', secure)).toBe(0);
      for (const socket of sockets.splice(0)) socket.destroy();
      await expect.poll(() => new Promise((resolve) => { server.server.getConnections((_error, open) => resolve(open)); })).toBe(0);
      expect(await letIn(4, '203.0.113.7', secure)).toBe(3);
      expect(await refused('request_invalid')).toBeNaN();
    });
  }

  it('of loopback are a proxy\'s, and not bounded so; 0 bounds nobody', async () => {
    await start({ connectionsPerAddress: 2 });
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) expect(await letIn(3, address), address).toBe(3);
    expect(await letIn(3, '::ffff:203.0.113.7')).toBe(2);
    expect(await letIn(1, '203.0.113.7')).toBe(0);
    expect(await letIn(1, '::ffff:203.0.113.8')).toBe(1);
    await server.close();
    await start({ connectionsPerAddress: 0 });
    expect(await letIn(4, '203.0.113.7')).toBe(4);
  });

  it('beyond those that there may be at all are counted', async () => {
    await start({ connections: 2 });
    expect(await letIn(5, '127.0.0.1')).toBe(2);
    expect(await refused('connections_exhausted')).toBe(3);
    expect(await refused('too_many_connections')).toBe(0);
  });
});

function pair(): { cert: string; key: string } {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-connections-'));
  const [cert, key] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost'], { stdio: 'ignore' });
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

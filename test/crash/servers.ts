import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packageRoot } from '../../core/paths.js';

const MOSQUITTO = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto'].find((path) => existsSync(path));
const GRUARD = join(packageRoot, 'bin', 'gruard.js');

/** Why the crash test cannot run here; undefined where it can. */
export function obstacle(): string | undefined {
  if (!MOSQUITTO) return 'mosquitto is not installed';
  if (!existsSync(join(packageRoot, 'dist', 'cli', 'main.js'))) return 'gruard is not built (npm run build)';
  return undefined;
}

export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A broker that keeps everything for a client that is away, as the settings that ship with gruard have it. */
export async function startMosquitto(dir: string): Promise<{ url: string; process: ChildProcess }> {
  const port = await freePort();
  mkdirSync(dir, { recursive: true });
  const conf = join(dir, 'mosquitto.conf');
  const user = process.getuid?.() === 0 ? 'user root\n' : '';
  writeFileSync(conf, `listener ${port} 127.0.0.1\nallow_anonymous true\n${user}max_queued_messages 0\nmax_inflight_messages 200\nlog_type error\n`);
  const child = spawn(MOSQUITTO!, ['-c', conf], { stdio: 'ignore' });
  for (let tries = 0; !await listens(port); tries++) {
    if (tries > 100) throw new Error('mosquitto does not start');
    await sleep(50);
  }
  return { url: `mqtt://127.0.0.1:${port}`, process: child };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const open = await Promise.race([once(socket, 'connect').then(() => true, () => false), once(socket, 'error').then(() => false)]);
  socket.destroy();
  return open;
}

/** Remembers every alert that was delivered, by its path: the peer of a webhook sink. */
export async function startReceiver(): Promise<{ url: string; received: Map<string, string[]>; close(): void }> {
  const received = new Map<string, string[]>();
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    request.on('end', () => {
      const path = request.url ?? '';
      const key = String(request.headers['idempotency-key'] ?? body);
      received.set(path, [...received.get(path) ?? [], key]);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received, close: () => server.close() };
}

/** A gruard that is started, killed and started again on one data directory. */
export class Gruard {
  readonly api: string;
  readonly #config: string;
  #process: ChildProcess | undefined;
  #log = '';
  readyMs: number[] = [];

  constructor(readonly name: string, dir: string, port: number, settings: object) {
    mkdirSync(dir, { recursive: true });
    this.api = `http://127.0.0.1:${port}`;
    this.#config = join(dir, 'gruard.yaml');
    // JSON is YAML.
    writeFileSync(this.#config, JSON.stringify({ data_dir: join(dir, 'data'), api: { port }, broker: { enabled: 'off' }, ...settings }));
  }

  /** Resolves when the process says that it is ready. */
  start(): Promise<void> {
    const began = performance.now();
    const child = spawn(process.execPath, [GRUARD, 'start', '--config', this.#config], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    this.#log = '';
    return new Promise((resolve, reject) => {
      child.stderr.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-20_000);
        if (!/"ready"|\bready\b/.test(chunk.toString())) return;
        this.readyMs.push(performance.now() - began);
        resolve();
      });
      child.once('exit', (code, signal) => {
        if (signal === 'SIGKILL') resolve();
        else reject(new Error(`gruard ${this.name} ended by itself: code ${code}, signal ${signal}\n${this.#log}`));
      });
    });
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.removeAllListeners('exit');
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  /** All items of a list. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const url: string = `${this.api}${path}${path.includes('?') ? '&' : '?'}limit=1000${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
      const response = await fetch(url);
      if (response.status === 404) return items;
      if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
      const page = await response.json() as { items: T[]; next_cursor: string | null };
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  }
}

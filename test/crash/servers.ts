import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { packageRoot } from '../../core/paths.js';
import { mosquittoPath } from '../servers/mosquitto.js';

const GRUARD = join(packageRoot, 'bin', 'gruard.js');

/** Why the crash test cannot run here; undefined where it can. */
export function obstacle(): string | undefined {
  if (mosquittoPath === undefined) return 'mosquitto is not installed';
  if (!existsSync(join(packageRoot, 'dist', 'cli', 'main.js'))) return 'gruard is not built (npm run build)';
  return undefined;
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
      const keys = received.get(path);
      if (keys) keys.push(key);
      else received.set(path, [key]);
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

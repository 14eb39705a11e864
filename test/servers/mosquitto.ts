import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';

const PLACES = ['/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/usr/bin/mosquitto', '/opt/homebrew/sbin/mosquitto'];

/** Where mosquitto is on this machine; undefined where it is not: tests that need it skip, visibly. */
export const mosquittoPath: string | undefined = PLACES.find((path) => existsSync(path));

export interface MosquittoOptions {
  /** Lines for mosquitto.conf; they win over the ones below. */
  config?: string[];
  /** Kept over restarts: sessions and queued messages are in it. */
  dir?: string;
  port?: number;
}

/** A real mosquitto on a free loopback port with a configuration and a directory of its own. */
export class Mosquitto {
  readonly url: string;

  private constructor(
    readonly port: number,
    readonly dir: string,
    readonly pid: number,
    private readonly child: ChildProcess,
  ) {
    this.url = `mqtt://127.0.0.1:${port}`;
  }

  /** Throws where it is not installed or does not start. */
  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    if (mosquittoPath === undefined) throw new Error('mosquitto is not installed');
    const port = options.port ?? await freePort();
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'gruard-mosquitto-'));
    const config = [
      `listener ${port} 127.0.0.1`, 'allow_anonymous true',
      // Started by root it would become the user `mosquitto`, who cannot write to the directory.
      ...(process.getuid?.() === 0 ? ['user root'] : []),
      'persistence true', `persistence_location ${dir}/`, 'autosave_on_changes true', 'autosave_interval 1000000',
      'max_queued_messages 0', 'max_inflight_messages 0', 'set_tcp_nodelay true', 'log_dest stderr', 'log_type error',
      ...(options.config ?? []),
    ];
    writeFileSync(join(dir, 'mosquitto.conf'), `${config.join('\n')}\n`);
    const child = spawn(mosquittoPath, ['-c', join(dir, 'mosquitto.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => { log += chunk.toString(); });
    await reachable(port, child, () => log);
    return new Mosquitto(port, dir, child.pid!, child);
  }

  /** Ends it by signal; the directory stays, so that it can be started again with its sessions. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function reachable(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}: ${log()}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1');
      socket.once('connect', () => { socket.destroy(); resolve(true); });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => { setTimeout(resolve, 25); });
  }
  throw new Error(`mosquitto does not listen on port ${port}: ${log()}`);
}

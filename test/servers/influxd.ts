import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';

/** A real InfluxDB 1.x for tests and benchmarks: own folder, free loopback ports, ended by its process id. */
export interface Influxd {
  url: string;
  port: number;
  /** CPU time that it has used, in milliseconds; NaN where the system does not tell (no /proc). */
  cpuMs(): number;
  /** Stops it and removes its folder. */
  stop(): Promise<void>;
  /** Kills it as a crash would; the folder stays. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and port. */
  start(): Promise<void>;
}

/** The program's path, or undefined where it is not installed: then the tests that need it skip, and say so. */
export function findInfluxd(): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/sbin'].map((dir) => join(dir, 'influxd')).find((path) => existsSync(path));
}

export async function startInfluxd(options: { auth?: boolean; index?: 'inmem' | 'tsi1' } = {}): Promise<Influxd> {
  const program = findInfluxd();
  if (!program) throw new Error('influxd is not installed');
  for (let tries = 1; ; tries++) {
    try {
      return await startOnFreePorts(program, options);
    } catch (error) {
      // A port that was free may be taken by another test before influxd listens on it.
      if (tries === 3) throw error;
    }
  }
}

async function startOnFreePorts(program: string, options: { auth?: boolean; index?: 'inmem' | 'tsi1' }): Promise<Influxd> {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-influxd-'));
  const port = await freePort();
  writeFileSync(join(dir, 'influxdb.conf'), configuration(dir, port, await freePort(), options));
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    child = spawn(program, ['run', '-config', join(dir, 'influxdb.conf')], { stdio: 'ignore' });
    for (let i = 0; i < 300; i++) {
      if (child.exitCode !== null) throw new Error(`influxd ended with ${child.exitCode}`);
      if (await fetch(`${url}/ping`).then((response) => response.ok, () => false)) return;
      await sleep(100);
    }
    throw new Error('influxd did not answer within 30 s');
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child!.once('exit', resolve));
    child.kill(signal);
    await exited;
  };
  const stop = async (): Promise<void> => {
    await end('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url, port, start,
    kill: () => end('SIGKILL'),
    cpuMs: () => cpuMsOf(child!.pid!),
    stop,
  };
}

/** User and system time of a process, from fields 14 and 15 of /proc/PID/stat, which count hundredths of a second. */
function cpuMsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return NaN;
  }
}

function configuration(dir: string, port: number, rpcPort: number, options: { auth?: boolean; index?: string }): string {
  return `reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${dir}/meta"
[data]
  dir = "${dir}/data"
  wal-dir = "${dir}/wal"
  index-version = "${options.index ?? 'inmem'}"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  auth-enabled = ${options.auth ?? false}
  log-enabled = false
  max-body-size = 25000000
[continuous_queries]
  enabled = true
  run-interval = "1s"
  log-enabled = false
[logging]
  level = "error"
[monitor]
  store-enabled = false
`;
}

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';

const PLACES = ['/usr/bin/prometheus', '/usr/local/bin/prometheus', '/opt/homebrew/bin/prometheus'];

/** Where Prometheus is on this machine; undefined where it is not: tests that need it skip, visibly. */
export const prometheusPath: string | undefined = PLACES.find((path) => existsSync(path));

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** A real Prometheus on a free loopback port with a configuration and a directory of its own. */
/** Samples in time order, as [seconds, value]. */
export interface SampleSeries {
  metric: Record<string, string>;
  values: [number, string][];
}

export interface Prometheus {
  /** The newest values of an expression. Throws what the server says. */
  instant(expression: string): Promise<Sample[]>;
  /** Series of an expression over the last `seconds`. Throws what the server says. */
  range(expression: string, seconds: number): Promise<SampleSeries[]>;
  /** Ends it by its process id and removes its directory. */
  remove(): Promise<void>;
}

/** `config`: prometheus.yml. Throws where it is not installed, or does not take the configuration. */
export async function startPrometheus(config: string): Promise<Prometheus> {
  if (prometheusPath === undefined) throw new Error('prometheus is not installed');
  const dir = mkdtempSync(join(tmpdir(), 'gruard-prometheus-'));
  const url = `http://127.0.0.1:${await freePort()}`;
  writeFileSync(join(dir, 'prometheus.yml'), config);
  const child = spawn(prometheusPath, [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=${url.slice('http://'.length)}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => { log = (log + chunk.toString()).slice(-10_000); });

  const remove = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(dir, { recursive: true, force: true });
  };
  const ask = async <T>(path: string, parameters: Record<string, string>): Promise<T[]> => {
    const answer = await (await fetch(`${url}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) })).json() as { status: string; error?: string; data?: { result: T[] } };
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters.query}`);
    return answer.data!.result;
  };
  for (let i = 0; !await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false); i++) {
    if (i < 300 && child.exitCode === null) await sleep(100);
    else {
      await remove();
      throw new Error(`prometheus did not answer:\n${log}`);
    }
  }
  return {
    remove,
    async instant(query) {
      const found = await ask<{ metric: Record<string, string>; value: [number, string] }>('query', { query });
      return found.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    range: (query, seconds) => {
      const end = Date.now() / 1000;
      return ask('query_range', { query, start: String(end - seconds), end: String(end), step: '1' });
    },
  };
}

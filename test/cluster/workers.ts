import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../core/paths.js';

export interface LogLine {
  atMs: number;
  worker: number;
  level: number;
  msg: string;
  partition?: string;
  page?: string;
  [field: string]: unknown;
}

interface Running {
  number: number;
  child: ChildProcess;
  gone: Promise<unknown>;
  /** Partitions that it has taken and not left. */
  owned: Set<string>;
  page: string | undefined;
}

/** `gruard start` processes of one cluster, each with a data directory of its own; what they log is kept. */
export class Workers {
  readonly #dir = mkdtempSync(join(tmpdir(), 'gruard-cluster-'));
  readonly #running: Running[] = [];
  readonly log: LogLine[] = [];
  #numbers = 0;

  /** `logFile` is where every line goes as well; `built` starts what `npm run build` made, as users do, instead of the sources. */
  constructor(private readonly settings: Record<string, unknown>, private readonly logFile?: string, private readonly built = false) {}

  start(overrides: Record<string, unknown> = {}): void {
    const number = this.#numbers++;
    const file = join(this.#dir, `worker-${number}.json`);
    writeFileSync(file, JSON.stringify({ ...this.settings, ...overrides, mode: 'cluster', data_dir: join(this.#dir, `data-${number}`), api: { port: 0 }, log: { level: 'info', format: 'json' } }));
    const child = spawn(process.execPath, [...(this.built ? [join(packageRoot, 'bin/gruard.js')] : ['--import', 'tsx', join(packageRoot, 'cli/main.ts')]), 'start', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    const running: Running = { number, child, gone: new Promise((resolve) => { child.once('exit', resolve); }), owned: new Set(), page: undefined };
    this.#running.push(running);
    createInterface(child.stderr).on('line', (line) => this.#logged(running, line));
  }

  #logged(running: Running, line: string): void {
    let fields: Partial<LogLine>;
    try {
      fields = JSON.parse(line) as Partial<LogLine>;
    } catch {
      fields = { msg: line, level: 50 };
    }
    const entry = { level: 30, msg: '', ...fields, atMs: performance.now(), worker: running.number };
    this.log.push(entry);
    if (this.logFile !== undefined) appendFileSync(this.logFile, `${JSON.stringify({ ...entry, atMs: Math.round(entry.atMs) })}\n`);
    if (entry.msg === 'partition taken') running.owned.add(entry.partition!);
    if (entry.msg === 'partition left') running.owned.delete(entry.partition!);
    if (entry.msg === 'ready') running.page = entry.page;
  }

  get count(): number {
    return this.#running.length;
  }

  get owned(): string[] {
    return this.#running.flatMap(({ owned }) => [...owned]);
  }

  /** Addresses of the APIs that are up. */
  get pages(): string[] {
    return this.#running.flatMap(({ page }) => page ?? []);
  }

  /** Resolves once so many are up. */
  async ready(count: number): Promise<void> {
    while (this.pages.length < count) {
      const dead = this.#running.find(({ child }) => child.exitCode !== null);
      if (dead) throw new Error(`worker ${dead.number} ended: ${JSON.stringify(this.log.filter(({ worker }) => worker === dead.number))}`);
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  /** kill -9 of the one that is named, else of the one that has most. Returns what it owned. */
  async kill(holding?: string): Promise<{ atMs: number; owned: string[] }> {
    const victim = [...this.#running].sort((a, b) => b.owned.size - a.owned.size).find(({ owned }) => holding === undefined || owned.has(holding)) ?? this.#running[0];
    this.#running.splice(this.#running.indexOf(victim), 1);
    const atMs = performance.now();
    victim.child.kill('SIGKILL');
    await victim.gone;
    return { atMs, owned: [...victim.owned] };
  }

  /** When each of these was first read on by another worker after `atMs`. */
  takenAfter(atMs: number, partitions: readonly string[]): LogLine[] {
    return partitions.flatMap((partition) => this.log.find((line) => line.msg === 'partition taken' && line.partition === partition && line.atMs > atMs) ?? []);
  }

  async stopAll(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    for (const { child } of this.#running) child.kill(signal);
    await Promise.all(this.#running.splice(0).map(({ gone }) => gone));
  }

  async remove(): Promise<void> {
    await this.stopAll('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

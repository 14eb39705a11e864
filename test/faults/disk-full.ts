import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, pause, Publisher, Target, until } from './bench.js';

const ZEROS = Buffer.alloc(256 * 1024);
const LEAST_BYTES = 4096;

export interface DiskFull {
  readings: number;
  lost: number;
  twice: number;
  /** From the first commit that failed, as health says it, to the last acknowledgement; below 0 where that came before. */
  last_ack_after_ms: number;
  health: string;
  /** Acknowledged after that, before the ballast went: gruard gives segments free that everybody has passed, and goes on where it gets their room before the ballast does. */
  acknowledged_while_full: number;
  resumed_after_ms: number;
}

/** A small file system in memory; undefined where it cannot be mounted. */
export function mountTmpfs(megabytes: number): { dir: string; unmount(): void } | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-full-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    rmSync(dir, { recursive: true });
    return undefined;
  }
  return {
    dir,
    unmount: () => {
      execFileSync('umount', ['-l', dir]);
      rmSync(dir, { recursive: true });
    },
  };
}

/** The file system of the data directory is full for a while. */
export async function diskFull(dir: string, seconds: number): Promise<DiskFull> {
  const dataDir = join(dir, 'data');
  mkdirSync(dataDir);
  const target = await Target.start({ data_dir: dataDir, 'broker.enabled': 'on', 'journal.segment_bytes': 131_072, 'journal.snapshot_interval_ms': 1000 });
  try {
    const publisher = await Publisher.start(target.addresses.mqtt!, 20, 20);
    await pause(1500);
    const ballast = new Ballast(join(dir, 'ballast'));
    await until('the journal says that the disk is full', async () => (await target.look()).journal.status === 'failing');
    const failingMs = performance.now();
    const health = (await target.look()).journal.detail;
    await pause(1000);
    const before = publisher.acknowledgements;
    const lastAckMs = publisher.lastAckMs;
    await pause(seconds * 1000);
    const acknowledged = publisher.acknowledgements - before;
    ballast.remove();
    const freedMs = performance.now();
    await until('it is acknowledging again', async () => publisher.acknowledgements > before);
    const resumedMs = performance.now() - freedMs;
    await pause(1000);
    await publisher.finish();
    await until('the store has everything', async () => (await target.look()).lag === 0);
    const { lost, twice } = await audit(target, publisher);
    return {
      readings: publisher.sent, lost, twice, last_ack_after_ms: Math.round(lastAckMs - failingMs), health, acknowledged_while_full: acknowledged, resumed_after_ms: Math.round(resumedMs),
    };
  } finally {
    await target.end();
  }
}

/** Fills the file system, and fills it again where gruard gives something free (segments that everybody has passed). */
class Ballast {
  readonly #file: number;
  readonly #timer: NodeJS.Timeout;

  constructor(private readonly path: string) {
    this.#file = openSync(path, 'w');
    this.#fill();
    this.#timer = setInterval(() => this.#fill(), 5);
  }

  remove(): void {
    clearInterval(this.#timer);
    closeSync(this.#file);
    unlinkSync(this.path);
  }

  #fill(): void {
    // Full already, nearly always: then this is one write that fails.
    for (let bytes = LEAST_BYTES; bytes >= LEAST_BYTES;) {
      try {
        writeSync(this.#file, ZEROS, 0, bytes);
        bytes = Math.min(ZEROS.length, bytes * 2);
      } catch {
        bytes /= 2;
      }
    }
  }
}

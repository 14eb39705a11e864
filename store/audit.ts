import fs from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, type Clock } from '../core/clock.js';

/** Who did what to what the detector knows, and what became of it. Never a body, never a token. */
export interface AuditEntry {
  /** The name of a token; `local` where none is needed; `command line` for `gruard token`. */
  by: string;
  action: string;
  /** The HTTP status of the answer, where there was one. */
  status?: number;
}

const FILE = 'audit.log';
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_ACTION_CHARS = 2048;
/** Refused calls of one token that are written: it must not push what was done out of a file of bounded size. All are in the log. */
const REFUSED_A_MINUTE = 60;
const MINUTE_MS = 60_000;

/**
 * Appends JSON lines to audit.log in the data directory, readable by its owner only. At 16 MiB it becomes audit.log.1, which replaces the one before.
 * One at a time and in order; JSON escapes whatever could begin a new line.
 */
export class AuditLog {
  readonly #path: string;
  #last: Promise<void> = Promise.resolve();
  /** Refused calls of this minute, by who sent them. */
  readonly #refused = new Map<string, number>();
  #minute = 0;

  constructor(dataDir: string, private readonly onError: (thrown: unknown) => void, private readonly clock: Clock = systemClock) {
    this.#path = join(dataDir, FILE);
  }

  write({ by, action, status }: AuditEntry): Promise<void> {
    if (status !== undefined && status >= 400 && this.#tooMany(by)) return this.#last;
    const line = `${JSON.stringify({ at: new Date(this.clock.nowMs()).toISOString(), by, action: action.slice(0, MAX_ACTION_CHARS), status })}\n`;
    this.#last = this.#last.then(() => this.#append(line)).catch(this.onError);
    return this.#last;
  }

  #tooMany(by: string): boolean {
    const minute = Math.floor(this.clock.nowMs() / MINUTE_MS);
    if (minute !== this.#minute) this.#refused.clear();
    this.#minute = minute;
    const count = (this.#refused.get(by) ?? 0) + 1;
    this.#refused.set(by, count);
    return count > REFUSED_A_MINUTE;
  }

  async #append(line: string): Promise<void> {
    const size = await fs.stat(this.#path).then((found) => found.size, () => 0);
    if (size + line.length > MAX_FILE_BYTES) await fs.rename(this.#path, `${this.#path}.1`);
    await fs.appendFile(this.#path, line, { mode: 0o600 });
  }
}

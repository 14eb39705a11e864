import { systemClock, type Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { Reason } from '../core/reasons.js';
import type { DeadLetter } from '../core/service.js';
import { readWhole, type Disk, type DiskFile } from './disk/disk.js';
import { systemSleep, type Sleep } from './sleep.js';

export interface DeadLetterOptions {
  disk: Disk;
  /** The newest so many are kept; 0: none. */
  most?: number;
  mostBytes?: number;
  clock?: Clock;
  sleep?: Sleep;
}

interface LetterFile {
  number: number;
  letters: number;
  bytes: number;
}

const FOLDER = 'deadletter';
/** The bounds are kept by removing whole files, so a bound is overshot by no more than one part in `FILES`. */
const FILES = 8;
const PAYLOAD_BYTES_KEPT = 1024;
const TEXT_KEPT = 512;
/** Waiting for the disk; what comes beyond is counted and not kept, since nothing may wait for a dead letter. */
const MOST_WAITING_BYTES = 1024 * 1024;
const FLUSH_MS = 200;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What was refused, for people to look at: JSON lines in a bounded set of files. Never on the data path: `add` only puts a line into a bounded queue. */
export class DeadLetters {
  readonly #disk: Disk;
  readonly #mostLetters: number;
  readonly #mostBytes: number;
  readonly #clock: Clock;
  readonly #sleep: Sleep;
  readonly #files: LetterFile[] = [];
  #file: DiskFile | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #flushing: Promise<void> | undefined;
  readonly #closing = new AbortController();
  /** Not kept: too many at once, or the disk did not take them. */
  dropped = 0;
  error: string | null = null;

  constructor(options: DeadLetterOptions) {
    this.#disk = options.disk;
    this.#mostLetters = options.most ?? 10_000;
    this.#mostBytes = options.mostBytes ?? 16 * 1024 * 1024;
    this.#clock = options.clock ?? systemClock;
    this.#sleep = options.sleep ?? systemSleep;
  }

  async open(): Promise<void> {
    for (const { name, bytes } of await this.#disk.list(FOLDER)) {
      const match = /^deadletter\/(\d{10})\.jsonl$/.exec(name);
      if (!match) continue;
      const text = await readWhole(this.#disk, name);
      this.#files.push({ number: Number(match[1]), bytes, letters: text?.reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0) ?? 0 });
    }
    this.#files.sort((a, b) => a.number - b.number);
    await this.#trim();
  }

  add(source: string, origin: string, reason: Reason, detail: string, payload: Uint8Array): void {
    if (this.#mostLetters === 0) return;
    const kept = { atMs: this.#clock.nowMs(), source, origin: origin.slice(0, TEXT_KEPT), reason, detail: detail.slice(0, TEXT_KEPT), payload: printable(payload), payloadBytes: payload.length };
    const line = encoder.encode(`${JSON.stringify(kept)}\n`);
    if (this.#waitingBytes + line.length > MOST_WAITING_BYTES || this.#closing.signal.aborted) {
      this.dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#flushing ??= this.#flushLater();
  }

  async #flushLater(): Promise<void> {
    await this.#sleep(FLUSH_MS, this.#closing.signal);
    await this.#flush();
    this.#flushing = this.#waiting.length > 0 ? this.#flushLater() : undefined;
  }

  async #flush(): Promise<void> {
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (lines.length === 0) return;
    try {
      let current = this.#files.at(-1);
      if (!current || !this.#file || current.letters * FILES >= this.#mostLetters || current.bytes * FILES >= this.#mostBytes) {
        await this.#file?.close();
        current = { number: (current?.number ?? 0) + 1, letters: 0, bytes: 0 };
        this.#file = await this.#disk.open(fileName(current.number));
        this.#files.push(current);
      }
      await this.#file.write(lines, current.bytes);
      current.bytes += lines.reduce((sum, { length }) => sum + length, 0);
      current.letters += lines.length;
      await this.#trim();
      this.error = null;
    } catch (error) {
      this.dropped += lines.length;
      this.error = messageOf(error);
      await this.#file?.close().catch(() => undefined);
      this.#file = undefined;
    }
  }

  async #trim(): Promise<void> {
    const total = (key: 'letters' | 'bytes'): number => this.#files.slice(1).reduce((sum, file) => sum + file[key], 0);
    while (this.#files.length > 1 && (total('letters') >= this.#mostLetters || total('bytes') >= this.#mostBytes)) {
      await this.#disk.remove(fileName(this.#files.shift()!.number));
    }
  }

  /** The newest first. Lines that a crash left half written are left out. */
  async list(limit: number): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = [];
    const waiting = this.#waiting.map((line) => decoder.decode(line).trimEnd());
    addNewest(letters, waiting, 'w', limit);
    for (const { number } of [...this.#files].reverse()) {
      if (letters.length >= limit) break;
      const bytes = await readWhole(this.#disk, fileName(number));
      if (bytes) addNewest(letters, decoder.decode(bytes).split('\n').slice(0, -1), String(number), limit);
    }
    return letters;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#flushing;
    await this.#file?.close();
    this.#file = undefined;
  }
}

function addNewest(letters: DeadLetter[], lines: readonly string[], file: string, limit: number): void {
  for (let i = lines.length - 1; i >= 0 && letters.length < limit; i--) {
    try {
      letters.push({ id: `${file}-${i}`, ...JSON.parse(lines[i]) as Omit<DeadLetter, 'id'> });
    } catch {
      continue;
    }
  }
}

const fileName = (number: number): string => `${FOLDER}/${String(number).padStart(10, '0')}.jsonl`;

const text = new TextDecoder('utf-8', { fatal: true });

/** The first bytes: UTF-8 as it stands, with control characters escaped; other bytes as \\xNN. */
function printable(payload: Uint8Array): string {
  const kept = payload.subarray(0, PAYLOAD_BYTES_KEPT);
  // A cut may go through the middle of a character: up to three bytes less are then whole.
  const mostCut = kept.length < payload.length ? 3 : 0;
  for (let cut = 0; cut <= mostCut; cut++) {
    try {
      return text.decode(kept.subarray(0, kept.length - cut)).replace(/[\p{Cc}\p{Cf}]/gu, (c) => (c === '\n' || c === '\t' ? c : escaped(c.codePointAt(0)!)));
    } catch {
      continue;
    }
  }
  return [...kept].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : escaped(byte))).join('');
}

const escaped = (code: number): string => (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`);

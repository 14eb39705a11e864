import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { hashToken, SCOPES, type ApiToken, type Scope } from '../core/token.js';
import { readWhole, replaceFile } from './disk/disk.js';
import { RealDisk } from './disk/real.js';
import { withFileLock } from './file-lock.js';

/** A token of the file; the token itself is nowhere: only its hash is kept. */
export interface TokenRecord extends ApiToken {
  /** RFC 3339. */
  created_at: string;
}

const FILE = 'tokens.json';
const MAX_FILE_BYTES = 1_048_576;
const MAX_TOKENS = 1000;
const RELOAD_MS = 1000;
const NAME = /^[A-Za-z0-9._@-]{1,64}$/;

/** The tokens of a data directory; undefined where none was ever created. Throws TOKEN_FILE_INVALID. */
export async function readTokens(dataDir: string): Promise<TokenRecord[] | undefined> {
  const bytes = await readWhole(new RealDisk(dataDir), FILE, MAX_FILE_BYTES + 1);
  return bytes && parseTokens(bytes, join(dataDir, FILE));
}

/** Adds a token and returns it: the only time that it can be seen. Throws USAGE, TOKEN_EXISTS, TOKEN_FILE_INVALID. */
export async function createToken(dataDir: string, name: string, scopes: Scope[], clock: Clock = systemClock): Promise<string> {
  if (!NAME.test(name)) throw new GruardError('USAGE', 'the name of a token is 1 to 64 letters, digits or . _ @ -');
  const token = `gruard_${randomBytes(32).toString('base64url')}`;
  await change(dataDir, (records) => {
    if (records.some((record) => record.name === name)) throw new GruardError('TOKEN_EXISTS', `there is already a token ${name}`);
    if (records.length >= MAX_TOKENS) throw new GruardError('USAGE', `there are already ${MAX_TOKENS} tokens`);
    return [...records, { name, sha256: hashToken(token), scopes, created_at: new Date(clock.nowMs()).toISOString() }];
  });
  return token;
}

/** Throws TOKEN_UNKNOWN, TOKEN_FILE_INVALID. */
export async function revokeToken(dataDir: string, name: string): Promise<void> {
  await change(dataDir, (records) => {
    const left = records.filter((record) => record.name !== name);
    if (left.length === records.length) throw new GruardError('TOKEN_UNKNOWN', `there is no token ${JSON.stringify(name)}`);
    return left;
  });
}

/** Checks every field: a file that somebody edited must not let anybody in by accident. Throws TOKEN_FILE_INVALID. */
export function parseTokens(bytes: Uint8Array, path: string): TokenRecord[] {
  const refuse = (what: string): GruardError => new GruardError('TOKEN_FILE_INVALID', `${path}: ${what}`);
  if (bytes.length > MAX_FILE_BYTES) throw refuse(`larger than ${MAX_FILE_BYTES} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw refuse('not JSON');
  }
  const list = (document as { tokens?: unknown } | null)?.tokens;
  if (!Array.isArray(list) || list.length > MAX_TOKENS) throw refuse('a list `tokens` is expected');
  const names = new Set<string>();
  return list.map((item: unknown, i) => {
    const { name, sha256, scopes, created_at: createdAt } = (item ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || !NAME.test(name) || names.has(name)) throw refuse(`token ${i + 1} has no name of its own`);
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) throw refuse(`the hash of token ${name} is no SHA-256 in lower-case hex`);
    if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every(isScope)) throw refuse(`the scopes of token ${name} are not of ${SCOPES.join(', ')}`);
    names.add(name);
    return { name, sha256, scopes, created_at: typeof createdAt === 'string' ? createdAt : '' };
  });
}

export function isScope(value: unknown): value is Scope {
  return SCOPES.includes(value as Scope);
}

/**
 * The tokens as a running server sees them. Looks every second whether the file was replaced, so what `gruard token` changes holds without a restart.
 * A file that became unreadable, or went away, lets nobody new in and takes nobody's token: that needs a restart.
 */
export class LiveTokens {
  #tokens: readonly ApiToken[] = [];
  #seen = '';
  #exists = false;
  #timer: NodeJS.Timeout | undefined;
  #error = '';

  private constructor(private readonly dataDir: string, private readonly log: Log) {}

  /** Throws TOKEN_FILE_INVALID. */
  static async open(dataDir: string, log: Log): Promise<LiveTokens> {
    const tokens = new LiveTokens(dataDir, log);
    await tokens.#load();
    tokens.#timer = setInterval(() => void tokens.#reload(), RELOAD_MS).unref();
    return tokens;
  }

  /** True once a token was ever created here: from then on every call needs one, also when all are revoked. */
  get exist(): boolean {
    return this.#exists;
  }

  /** The same array until something changes. */
  current(): readonly ApiToken[] {
    return this.#tokens;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #reload(): Promise<void> {
    try {
      await this.#load();
      this.#error = '';
    } catch (thrown) {
      const error = messageOf(thrown);
      if (error !== this.#error) this.log.error('tokens not read again', { error });
      this.#error = error;
    }
  }

  async #load(): Promise<void> {
    const stamp = await stampOf(join(this.dataDir, FILE));
    if (stamp === undefined || stamp === this.#seen) return;
    const records = await readTokens(this.dataDir);
    if (records === undefined) return;
    this.#tokens = records;
    if (this.#seen !== '') this.log.info('tokens changed', { tokens: records.map(({ name }) => name) });
    this.#seen = stamp;
    this.#exists = true;
  }
}

/** Every replacement is another inode or another time. */
async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeMs, size } = await fs.stat(path);
    return `${ino} ${mtimeMs} ${size}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** One at a time, each on what the one before it left. */
async function change(dataDir: string, edit: (records: TokenRecord[]) => TokenRecord[]): Promise<void> {
  try {
    await fs.mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new GruardError('DATA_DIR_UNUSABLE', `${dataDir}: ${messageOf(cause)}`, { cause });
  }
  await withFileLock(join(dataDir, FILE), async () => {
    const records = edit(await readTokens(dataDir) ?? []);
    await replaceFile(new RealDisk(dataDir), FILE, [new TextEncoder().encode(`${JSON.stringify({ tokens: records }, null, 2)}\n`)]);
  });
}

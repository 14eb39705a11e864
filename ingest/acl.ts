import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { GruardError, messageOf } from '../core/errors.js';

/** What people choose: fewer could be tried out from a network, at one connection a guess. */
export const PASSWORD_CHARACTERS = 8;

/** A user of the embedded broker as the users file keeps it. */
export interface BrokerUser {
  name: string;
  /** `scrypt$N$r$p$SALT$HASH`, salt and hash in base64url. */
  password: string;
  /** Topic filters that the user may publish to; a level `%u` is the user's name, `%c` the client id. */
  publish: string[];
  /** Topic filters that the user may subscribe to, or to a part of. */
  subscribe: string[];
  /** `own`: what the user sends is of the device called like the user, whatever the payload says. `any`: a gateway, which names its devices itself. */
  devices: 'own' | 'any';
}

/** Who is on the other side of a connection: what `%u` and `%c` stand for. */
export interface Identity {
  user: string;
  client: string;
}

const MAX_FILE_BYTES = 64 * 1024 * 1024;
const MAX_USERS = 1_000_000;
const HASH_BYTES = 32;
const HASH = /^scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]{1,128})\$([\w-]{43})$/;
/** A random password of 256 bits has no dictionary: a fleet that comes back after a restart need not wait for a slow hash. One that a person chose gets it. */
const COST = { generated: 16, chosen: 16_384 };
const MAX_WAITING_CHECKS = 2000;
const RELOAD_MS = 1000;

/** Throws BROKER_USERS_INVALID: what cannot be read lets nobody in. */
export function parseUsers(text: string, path: string): BrokerUser[] {
  const refuse = (what: string): GruardError => new GruardError('BROKER_USERS_INVALID', `${path}: ${what}`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw refuse('not JSON');
  }
  const list = (document as { users?: unknown } | null)?.users;
  if (!Array.isArray(list) || list.length > MAX_USERS) throw refuse('a list `users` is expected');
  const names = new Set<string>();
  return list.map((item: unknown, i) => {
    const { name, password, publish, subscribe = [], devices = 'own' } = (item ?? {}) as Record<string, unknown>;
    if (!isUserName(name) || names.has(name)) throw refuse(`user ${i + 1} has no name of its own (text without /, +, # and control characters)`);
    names.add(name);
    if (typeof password !== 'string' || !HASH.test(password)) throw refuse(`the password of ${name} is no scrypt hash`);
    if (!areFilters(publish) || !areFilters(subscribe)) throw refuse(`publish and subscribe of ${name} are lists of topic filters`);
    if (devices !== 'own' && devices !== 'any') throw refuse(`devices of ${name} is own or any`);
    return { name, password, publish, subscribe, devices };
  });
}

export function isUserName(name: unknown): name is string {
  // eslint-disable-next-line no-control-regex -- they are what it looks for
  return typeof name === 'string' && /^[^/+#\u0000-\u001f\u007f-\u009f]{1,256}$/.test(name);
}

function areFilters(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= 1000 && value.every(isFilter);
}

/** MQTT 4.7.1: + takes a whole level, # a whole level at the end. */
export function isFilter(filter: unknown): filter is string {
  if (typeof filter !== 'string' || filter === '' || filter.length > 65_535 || filter.includes('\0')) return false;
  const levels = filter.split('/');
  return levels.every((level, i) => (level === '#' ? i === levels.length - 1 : level === '+' || !/[+#]/.test(level)));
}

/**
 * Whether `filter` admits all that `asked` (a topic, or a filter) can stand for. Level by level as text: a name that holds a wildcard stands for itself only.
 * Topics that begin with $ are the broker's own and never admitted.
 */
export function admits(filter: string, asked: string, identity: Identity): boolean {
  if (asked.startsWith('$')) return false;
  const allowed = filter.split('/');
  const levels = asked.split('/');
  for (let i = 0; i < allowed.length; i++) {
    if (allowed[i] === '#') return true;
    if (i >= levels.length || levels[i] === '#') return false;
    if (allowed[i] === '+') continue;
    const text = allowed[i] === '%u' ? identity.user : allowed[i] === '%c' ? identity.client : allowed[i];
    if (text === '' && allowed[i] !== '' || text !== levels[i] || text === '+') return false;
  }
  return allowed.length === levels.length;
}

/** The hash of a password for the users file. */
export async function hashPassword(password: string, origin: keyof typeof COST): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST[origin], 8, 1);
  return ['scrypt', COST[origin], 8, 1, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/**
 * The users of the embedded broker, read again when their file changes. Checks one password at a time: a slow hash takes a thread that the journal needs too. A password that
 * was right is remembered (as a hash, in memory), so that a fleet's reconnecting costs nothing.
 */
export class BrokerUsers {
  #users = new Map<string, BrokerUser>();
  /** By user: SHA-256 of the stored hash and the password that fitted it. */
  readonly #known = new Map<string, Buffer>();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();
  #stamp = '';
  #error = '';
  #timer: NodeJS.Timeout | undefined;

  /** Throws BROKER_USERS_INVALID. `onChange` is told of every later change, `onError` of a file that could not be read again: then the users stay as they are. */
  constructor(private readonly path: string, private readonly onError: (thrown: unknown) => void = () => undefined) {
    this.#load();
  }

  watch(onChange: () => void): void {
    this.#timer = setInterval(() => {
      try {
        if (this.#load()) onChange();
        this.#error = '';
      } catch (thrown) {
        if (messageOf(thrown) !== this.#error) this.onError(thrown);
        this.#error = messageOf(thrown);
      }
    }, RELOAD_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  get(name: string): BrokerUser | undefined {
    return this.#users.get(name);
  }

  /** Takes as long for a user that does not exist. False too where too many wait to be checked. */
  async check(name: string, password: string): Promise<boolean> {
    const user = this.#users.get(name);
    const stored = user?.password ?? NOBODY;
    const fingerprint = createHash('sha256').update(stored).update('\0').update(password).digest();
    const known = this.#known.get(name);
    if (user && known && timingSafeEqual(known, fingerprint)) return true;
    if (this.#waiting >= MAX_WAITING_CHECKS) return false;
    this.#waiting++;
    const turn = this.#last.then(() => fits(password, stored));
    this.#last = turn.catch(() => undefined);
    try {
      const good = await turn && user !== undefined && this.#users.get(name)?.password === stored;
      if (good) this.#known.set(name, fingerprint);
      return good;
    } finally {
      this.#waiting--;
    }
  }

  /** True where something changed. */
  #load(): boolean {
    let text: string;
    try {
      const { ino, mtimeMs, size } = statSync(this.path);
      const stamp = `${ino} ${mtimeMs} ${size}`;
      if (stamp === this.#stamp) return false;
      if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
      text = readFileSync(this.path, 'utf8');
      this.#stamp = stamp;
    } catch (cause) {
      throw new GruardError('BROKER_USERS_INVALID', `broker.users_file: ${this.path}: ${messageOf(cause)}`, { cause });
    }
    this.#users = new Map(parseUsers(text, this.path).map((user) => [user.name, user]));
    for (const name of this.#known.keys()) if (!this.#users.has(name)) this.#known.delete(name);
    return true;
  }
}

/** A hash that no password has. */
const NOBODY = ['scrypt', COST.chosen, 8, 1, 'AAAAAAAAAAAAAAAAAAAAAA', 'A'.repeat(43)].join('$');

async function fits(password: string, stored: string): Promise<boolean> {
  const [, n, r, p, salt, hash] = HASH.exec(stored)!;
  try {
    return timingSafeEqual(await derive(password, Buffer.from(salt, 'base64url'), Number(n), Number(r), Number(p)), Buffer.from(hash, 'base64url'));
  } catch {
    // Parameters that scrypt does not take.
    return false;
  }
}

function derive(password: string, salt: Buffer, cost: number, blockSize: number, parallelization: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, { cost, blockSize, parallelization, maxmem: 64 * 1024 * 1024 }, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

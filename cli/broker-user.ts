import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Config } from '../config/schema.js';
import { GruardError, messageOf } from '../core/errors.js';
import { hashPassword, isFilter, isUserName, parseUsers, PASSWORD_CHARACTERS, type BrokerUser } from '../ingest/acl.js';
import { readWhole, replaceFile } from '../store/disk/disk.js';
import { RealDisk } from '../store/disk/real.js';
import { withFileLock } from '../store/file-lock.js';
import { audit } from './audit.js';
import { configOf, type CommonOptions } from './options.js';
import { plain, table } from './text.js';

export interface BrokerUserOptions extends CommonOptions {
  publish: string[];
  subscribe: string[];
  gateway?: boolean;
  passwordFile?: string;
}

/** `gruard broker-user add`: replaces a user of the same name. A password that gruard makes is shown once, on stdout. */
export async function addUser(name: string, options: BrokerUserOptions): Promise<void> {
  const config = configOf(options);
  const path = usersFileOf(config);
  if (!isUserName(name)) throw new GruardError('USAGE', 'a user\'s name is 1 to 256 characters without /, + and #');
  const publish = options.publish.length > 0 ? options.publish : ['%u/#'];
  const wrong = [...publish, ...options.subscribe].find((filter) => !isFilter(filter));
  if (wrong !== undefined) throw new GruardError('USAGE', `${JSON.stringify(wrong)} is no topic filter`);
  const chosen = options.passwordFile === undefined ? undefined : readPassword(options.passwordFile);
  const password = chosen ?? randomBytes(32).toString('base64url');
  const user: BrokerUser = { name, password: await hashPassword(password, chosen === undefined ? 'generated' : 'chosen'), publish, subscribe: options.subscribe, devices: options.gateway ? 'any' : 'own' };
  await change(path, (users) => [...users.filter((other) => other.name !== name), user]);
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  await audit(config.data_dir, `broker-user add ${name}`);
  if (chosen === undefined) process.stdout.write(`${password}\n`);
  process.stderr.write(`${plain(name)} may publish to ${plain(publish.join(', '))}. A running gruard takes it within a second or two.\n`);
}

export async function removeUser(name: string, options: CommonOptions): Promise<void> {
  const config = configOf(options);
  await change(usersFileOf(config), (users) => {
    const left = users.filter((user) => user.name !== name);
    if (left.length === users.length) throw new GruardError('USAGE', `there is no user ${JSON.stringify(name)}`);
    return left;
  });
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  await audit(config.data_dir, `broker-user remove ${name}`);
  process.stdout.write(`${plain(name)} is removed; a running gruard cuts its connections within a second or two\n`);
}

export async function listUsers(options: CommonOptions): Promise<void> {
  const users = await read(usersFileOf(configOf(options)));
  process.stdout.write(users.length === 0 ? 'there is no user\n' : `${table(['NAME', 'DEVICES', 'PUBLISH', 'SUBSCRIBE'], users.map(({ name, devices, publish, subscribe }) => [name, devices, publish.join(' '), subscribe.join(' ')]))}\n`);
}

function usersFileOf(config: Config): string {
  if (config.broker.users_file === '') throw new GruardError('CONFIG_INVALID', 'broker.users_file (GRUARD_BROKER_USERS_FILE) is not set: it names the file that holds the users');
  return config.broker.users_file;
}

async function read(path: string): Promise<BrokerUser[]> {
  const bytes = await readWhole(new RealDisk(dirname(path)), basename(path));
  return bytes === undefined ? [] : parseUsers(new TextDecoder().decode(bytes), path);
}

/** Two commands at once do not undo each other. */
function change(path: string, edit: (users: BrokerUser[]) => BrokerUser[]): Promise<void> {
  return withFileLock(path, async () => {
    const users = edit(await read(path));
    await replaceFile(new RealDisk(dirname(path)), basename(path), [new TextEncoder().encode(`${JSON.stringify({ users }, null, 2)}\n`)]);
  });
}

function readPassword(path: string): string {
  let password: string;
  try {
    password = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new GruardError('FILE_UNREADABLE', `${path}: ${messageOf(cause)}`, { cause });
  }
  if (password === '') throw new GruardError('USAGE', `${path} holds no password`);
  if (password.length < PASSWORD_CHARACTERS) throw new GruardError('BROKER_PASSWORD_GUESSABLE', `the password in ${path} has fewer than ${PASSWORD_CHARACTERS} characters`);
  return password;
}

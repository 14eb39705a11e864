import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { parseUsers } from '../ingest/acl.js';
import { addUser, removeUser } from './broker-user.js';

let dir: string;
let config: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gruard-users-'));
  config = join(dir, 'gruard.yaml');
  writeFileSync(config, JSON.stringify({ data_dir: join(dir, 'data'), broker: { users_file: join(dir, 'users.json') } }));
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, 'write').mockReturnValue(true);
});
afterEach(() => { vi.restoreAllMocks(); });

const names = (): string[] => parseUsers(readFileSync(join(dir, 'users.json'), 'utf8'), 'x').map(({ name }) => name).sort();

it('commands at once do not undo each other, and leave nothing but the file', async () => {
  const all = Array.from({ length: 12 }, (_, i) => `device-${String(i).padStart(2, '0')}`);
  await Promise.all(all.map((name) => addUser(name, { config, publish: [], subscribe: [] })));
  expect(names()).toEqual(all);
  await Promise.all(all.slice(0, 6).map((name) => removeUser(name, { config })));
  expect(names()).toEqual(all.slice(6));
  expect(readdirSync(dir).sort()).toEqual(['data', 'gruard.yaml', 'users.json']);
  expect(readFileSync(join(dir, 'data', 'audit.log'), 'utf8').trimEnd().split('\n')).toHaveLength(18);
});

it('a command that is refused changes nothing and lets the next one in', async () => {
  await addUser('a', { config, publish: [], subscribe: [] });
  await expect(removeUser('b', { config })).rejects.toMatchObject({ code: 'USAGE' });
  await expect(addUser('c', { config, publish: ['a/#/b'], subscribe: [] })).rejects.toMatchObject({ code: 'USAGE' });
  await removeUser('a', { config });
  expect(names()).toEqual([]);
  expect(readFileSync(join(dir, 'data', 'audit.log'), 'utf8').trimEnd().split('\n').map((line) => (JSON.parse(line) as { action: string }).action)).toEqual(['broker-user add a', 'broker-user remove a']);
});

it('a chosen password has some length', async () => {
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, 'seven77\n');
  await expect(addUser('a', { config, publish: [], subscribe: [], passwordFile })).rejects.toMatchObject({ code: 'BROKER_PASSWORD_GUESSABLE', message: expect.not.stringContaining('seven77') as string });
  writeFileSync(passwordFile, 'eight888\n');
  await addUser('a', { config, publish: [], subscribe: [], passwordFile });
  expect(names()).toEqual(['a']);
});

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GruardError } from '../core/errors.js';
import { silentLog } from '../core/log.js';
import { hashToken } from '../core/token.js';
import { AuditLog } from './audit.js';
import { createToken, LiveTokens, parseTokens, readTokens, revokeToken } from './tokens.js';

const folder = (): string => mkdtempSync(join(tmpdir(), 'gruard-tokens-'));
const settled = { timeout: 10_000 };

describe('tokens', () => {
  it('are kept as hashes, in a file for its owner only', async () => {
    const dir = folder();
    const token = await createToken(dir, 'grafana', ['read']);
    const path = join(dir, 'tokens.json');
    expect(token.length).toBeGreaterThan(40);
    expect(readFileSync(path, 'utf8')).not.toContain(token.slice(8));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await readTokens(dir)).toMatchObject([{ name: 'grafana', scopes: ['read'], sha256: hashToken(token) }]);
  });

  it('are added and revoked by name, each change on top of the other', async () => {
    const dir = folder();
    await Promise.all(Array.from({ length: 8 }, (_, i) => createToken(dir, `t${i}`, ['write'])));
    await expect(createToken(dir, 't3', ['read'])).rejects.toMatchObject({ code: 'TOKEN_EXISTS' });
    await expect(createToken(dir, '../x y', ['read'])).rejects.toMatchObject({ code: 'USAGE' });
    await revokeToken(dir, 't3');
    await expect(revokeToken(dir, 't3')).rejects.toMatchObject({ code: 'TOKEN_UNKNOWN' });
    expect((await readTokens(dir))!.map(({ name }) => name).sort()).toEqual(['t0', 't1', 't2', 't4', 't5', 't6', 't7']);
  });

  it('are seen by a running server, and a file that breaks changes nothing', async () => {
    const dir = folder();
    const live = await LiveTokens.open(dir, silentLog);
    expect([live.exist, live.current()]).toEqual([false, []]);
    await createToken(dir, 'a', ['read']);
    await expect.poll(() => live.current().map(({ name }) => name), settled).toEqual(['a']);
    writeFileSync(join(dir, 'tokens.json'), '{"tokens":[{"name":"evil"');
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(live.current().map(({ name }) => name)).toEqual(['a']);
    rmSync(join(dir, 'tokens.json'));
    await createToken(dir, 'b', ['read']);
    await expect.poll(() => live.current().map(({ name }) => name), settled).toEqual(['b']);
    await revokeToken(dir, 'b');
    await expect.poll(() => live.current(), settled).toEqual([]);
    expect(live.exist).toBe(true);
    live.close();
  });

  it('are refused as a whole where a field is not what it should be', () => {
    const good = { name: 'a', sha256: 'a'.repeat(64), scopes: ['read'] };
    const parse = (tokens: unknown): unknown => parseTokens(Buffer.from(JSON.stringify({ tokens })), 'x');
    expect(parse([good])).toHaveLength(1);
    for (const bad of [{ ...good, scopes: ['root'] }, { ...good, scopes: [] }, { ...good, sha256: 'A'.repeat(64) }, { ...good, sha256: '' }, { ...good, name: '' }, null, 7]) {
      expect(() => parse([bad]), JSON.stringify(bad)).toThrow(GruardError);
    }
    expect(() => parse([good, good])).toThrow(GruardError);
    expect(() => parseTokens(Buffer.from('[]'), 'x')).toThrow(GruardError);
  });
});

describe('the audit log', () => {
  it('is a line of JSON an entry, in order, whatever the names hold', async () => {
    const dir = folder();
    const log = new AuditLog(dir, (thrown) => { throw thrown; });
    void log.write({ by: 'ops', action: 'DELETE /v1/devices/a%0Ab', status: 204 });
    await log.write({ by: 'x\n{"by":"root"}', action: 'y'.repeat(10_000), status: 403 });
    const lines = readFileSync(join(dir, 'audit.log'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { by: string; action: string });
    expect(lines).toMatchObject([{ by: 'ops', action: 'DELETE /v1/devices/a%0Ab', status: 204 }, { by: 'x\n{"by":"root"}', status: 403 }]);
    expect(lines[1].action).toHaveLength(2048);
    expect(statSync(join(dir, 'audit.log')).mode & 0o777).toBe(0o600);
  });
});

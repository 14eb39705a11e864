import { GruardError } from '../core/errors.js';
import { SCOPES, type Scope } from '../core/token.js';
import { createToken, isScope, readTokens, revokeToken } from '../store/tokens.js';
import { audit } from './audit.js';
import { configOf, type CommonOptions } from './options.js';
import { plain, table } from './text.js';

export interface TokenOptions extends CommonOptions {
  scope?: string;
  json?: boolean;
}

/** `gruard token create`: the token goes to stdout, so that it can be piped into a file, and what is to be known of it to stderr. */
export async function newToken(name: string, options: TokenOptions): Promise<void> {
  const config = configOf(options);
  const scopes = scopesOf(options.scope ?? 'read');
  const token = await createToken(config.data_dir, name, scopes);
  await audit(config.data_dir, `token create ${name} ${scopes.join(',')}`);
  if (options.json) process.stdout.write(`${JSON.stringify({ name, scopes, token })}\n`);
  else {
    process.stdout.write(`${token}\n`);
    process.stderr.write('This is the only time that the token is shown. A running gruard takes it within a second or two; from now on every call needs a token.\n');
  }
}

export async function listTokens(options: TokenOptions): Promise<void> {
  const records = await readTokens(configOf(options).data_dir) ?? [];
  if (options.json) for (const { name, scopes, created_at } of records) process.stdout.write(`${JSON.stringify({ name, scopes, created_at })}\n`);
  else if (records.length === 0) process.stdout.write('there is no token\n');
  else process.stdout.write(`${table(['NAME', 'SCOPES', 'CREATED'], records.map(({ name, scopes, created_at }) => [name, scopes.join(','), created_at]))}\n`);
}

export async function dropToken(name: string, options: TokenOptions): Promise<void> {
  const { data_dir: dataDir } = configOf(options);
  await revokeToken(dataDir, name);
  await audit(dataDir, `token revoke ${name}`);
  process.stdout.write(`${plain(name)} is revoked; a running gruard refuses it within a second or two\n`);
}

function scopesOf(text: string): Scope[] {
  const scopes = [...new Set(text.split(',').map((scope) => scope.trim()))];
  if (!scopes.every(isScope)) throw new GruardError('USAGE', `--scope ${text}: one or several of ${SCOPES.join(',')} expected`);
  return scopes;
}

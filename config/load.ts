import { readFileSync } from 'node:fs';
import { Value } from 'typebox/value';
import { parse, YAMLParseError } from 'yaml';
import { GruardError, messageOf } from '../core/errors.js';
import { configSchema, type Config } from './schema.js';
import { assign, environmentName, expectation, lookUp, settingsOf, type Setting, type SettingSchema } from './walk.js';

const SETTINGS = settingsOf(configSchema);

export interface ConfigSources {
  /** Path of a YAML file. */
  file?: string;
  environment: Record<string, string | undefined>;
  /** Settings given on the command line, by dotted path: the last word. */
  overrides?: Record<string, unknown>;
}

/** Defaults, then the file, then the environment, then the command line; validated; secrets read from their files. Throws CONFIG_*. */
export function loadConfig(sources: ConfigSources): Config {
  const given: Record<string, unknown> = sources.file === undefined ? {} : readFile(sources.file);
  for (const setting of SETTINGS) {
    const name = environmentName(setting.path);
    const value = sources.environment[name];
    if (value !== undefined && value !== '') assign(given, setting.path, fromText(value, setting, name));
  }
  for (const [path, value] of Object.entries(sources.overrides ?? {})) {
    if (value !== undefined) assign(given, path.split('.'), value);
  }
  return withSecrets(validate(given, sources.file ?? 'the environment'));
}

/** What a container platform sets for a service that is called gruard: an address, not a setting. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT(?:_.*)?)$|_PORT_\d+_/;
const OTHER_NAMES = new Set(['GRUARD_CONFIG']);

/** Names in the environment that look like a setting and are none: a typo changes nothing, and would go unseen. */
export function unknownNames(environment: Record<string, string | undefined>): string[] {
  const known = new Set(SETTINGS.map(({ path }) => environmentName(path)));
  return Object.entries(environment)
    .filter(([name, value]) => name.startsWith('GRUARD_') && !known.has(name) && !OTHER_NAMES.has(name) && !SERVICE_LINK.test(name) && !(name.endsWith('_PORT') && value?.includes('://') === true))
    .map(([name]) => name)
    .sort();
}

function readFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    throw new GruardError('CONFIG_UNREADABLE', `${path}: ${messageOf(thrown)}`);
  }
  let parsed: unknown;
  try {
    // Aliases are bounded by the parser: a "billion laughs" file is an error, not a full memory.
    // Settings are plain values: `!!binary`, `!!set` and the like would be objects that pass for mappings.
    parsed = parse(text, { maxAliasCount: 100, logLevel: 'error', resolveKnownTags: false });
  } catch (thrown) {
    // Without `cause`, and not in the parser's own words: they show the line, which may hold a secret.
    throw new GruardError('CONFIG_UNREADABLE', `${path}: ${yamlProblem(thrown)}`);
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) throw new GruardError('CONFIG_INVALID', `${path}: a mapping of settings is expected`);
  return parsed as Record<string, unknown>;
}

function yamlProblem(thrown: unknown): string {
  if (!(thrown instanceof YAMLParseError)) return 'an alias that cannot be resolved, or far too many of them';
  const [at] = thrown.linePos ?? [];
  return `${thrown.code.toLowerCase().replaceAll('_', ' ')}${at === undefined ? '' : ` at line ${at.line}, column ${at.col}`}`;
}

function validate(given: Record<string, unknown>, origin: string): Config {
  const complete = Value.Default(configSchema, given);
  if (Value.Check(configSchema, complete)) return complete;
  const lines = new Set<string>();
  for (const error of Value.Errors(configSchema, complete)) {
    const path = error.instancePath.slice(1).replaceAll('/', '.') || '(top)';
    if (error.keyword === 'additionalProperties' || error.keyword === 'const') continue;
    if (error.keyword === 'boolean') lines.add(`${path}: there is no such setting`);
    else lines.add(`${path}: ${expected(path) ?? error.message}`);
  }
  throw new GruardError('CONFIG_INVALID', `${origin}: ${[...lines].join('; ')}`);
}

function expected(path: string): string | undefined {
  const setting = SETTINGS.find((s) => s.path.join('.') === path);
  return setting && `${expectation(setting.schema)} expected`;
}

/** An environment value in the type of its setting; arrays are comma-separated, arrays of objects are JSON. */
function fromText(value: string, { schema }: Setting, name: string): unknown {
  switch (schema.type) {
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(value)) return true;
      if (/^(false|0|no|off)$/i.test(value)) return false;
      throw new GruardError('CONFIG_INVALID', `${name}: true or false expected`);
    case 'integer':
    case 'number':
      return numeric(value, name);
    case 'array':
      return value.trimStart().startsWith('[') ? json(value, name) : value.split(',').map((item) => item.trim());
    default:
      return isNumericUnion(schema) ? numeric(value, name) : value;
  }
}

function isNumericUnion(schema: SettingSchema): boolean {
  return schema.anyOf !== undefined && schema.anyOf.every((option) => typeof option.const === 'number');
}

function numeric(value: string, name: string): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number)) throw new GruardError('CONFIG_INVALID', `${name}: a number expected`);
  return number;
}

function json(value: string, name: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    throw new GruardError('CONFIG_INVALID', `${name}: a JSON array or a comma-separated list expected`);
  }
}

function withSecrets(config: Config): Config {
  const tree = config as unknown as Record<string, unknown>;
  for (const { path, schema } of SETTINGS) {
    if (!schema.secret) continue;
    const twin = [...path.slice(0, -1), `${path[path.length - 1]}_file`];
    const file = lookUp(tree, twin);
    if (typeof file !== 'string' || file === '') continue;
    let secret: string;
    try {
      secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    } catch (thrown) {
      throw new GruardError('CONFIG_UNREADABLE', `${twin.join('.')}: ${messageOf(thrown)}`);
    }
    // Whoever names a file wants what it guards to be guarded: an empty one must not mean "none needed".
    if (secret === '') throw new GruardError('CONFIG_INVALID', `${twin.join('.')}: ${file} is empty`);
    assign(tree, path, secret);
  }
  return config;
}

import { readFileSync } from 'node:fs';
import { GruardError, messageOf } from '../core/errors.js';
import type { KafkaConnection } from '../core/kafka.js';
import type { AnomalyKind, Severity, VerdictKind } from '../core/event.js';
import type { Telling } from './changes.js';
import type { Change } from './notification.js';
import { bodyOf, testNotification } from './notification.js';
import type { Json } from './template.js';
import { unknownFields } from './template.js';

/** What every sink has, whatever its kind. */
export interface CommonSettings {
  name: string;
  telling: Telling;
  /** 0: no limit. */
  maxPerMinute: number;
}

export interface WebhookSettings extends CommonSettings {
  kind: 'webhook';
  url: string;
  /** Signs each request; never logged. */
  secret?: string;
  headers: Record<string, string>;
  template?: Json;
  timeoutMs: number;
}

export interface MqttSinkSettings extends CommonSettings {
  kind: 'mqtt';
  url: string;
  username?: string;
  password?: string;
  clientId?: string;
  tls: { ca?: Buffer; cert?: Buffer; key?: Buffer };
  topicPrefix: string;
  homeAssistant: boolean;
  timeoutMs: number;
}

export interface AlertmanagerSettings extends CommonSettings {
  kind: 'alertmanager';
  url: string;
  headers: Record<string, string>;
  /** Added to the labels of every alert. */
  labels: Record<string, string>;
  timeoutMs: number;
}

export interface KafkaSinkSettings extends CommonSettings {
  kind: 'kafka';
  connection: KafkaConnection;
  topic: string;
  timeoutMs: number;
}

export interface LogSettings extends CommonSettings {
  kind: 'log';
}

export type SinkSettings = WebhookSettings | MqttSinkSettings | AlertmanagerSettings | KafkaSinkSettings | LogSettings;

const SEVERITIES: readonly Severity[] = ['info', 'warning', 'critical'];
const CHANGES: readonly Change[] = ['opened', 'updated', 'resolved'];
const KINDS: readonly (AnomalyKind | VerdictKind)[] = [
  'spike', 'shift', 'drift', 'variance', 'stuck', 'pattern', 'limit', 'correlation', 'unusual', 'silent', 'flapping', 'clock_skewed', 'impossible',
];
const COMMON = ['name', 'kind', 'min_severity', 'devices', 'exclude_devices', 'metrics', 'kinds', 'changes', 'update_interval_ms', 'cooldown_ms', 'max_per_minute'];
const OWN: Record<SinkSettings['kind'], readonly string[]> = {
  webhook: ['url', 'secret', 'secret_file', 'headers', 'template', 'timeout_ms'],
  mqtt: ['url', 'username', 'password', 'password_file', 'client_id', 'ca_file', 'cert_file', 'key_file', 'topic_prefix', 'home_assistant', 'timeout_ms'],
  alertmanager: ['url', 'headers', 'labels', 'timeout_ms'],
  kafka: ['brokers', 'topic', 'client_id', 'tls', 'ca_file', 'cert_file', 'key_file', 'sasl', 'username', 'password', 'password_file', 'timeout_ms'],
  log: [],
};

/** Reads the sinks of the configuration (`alerts.sinks`, field names as in the file). Throws CONFIG_INVALID with the path of the first field that is wrong. */
export function readSinks(raw: readonly Record<string, unknown>[], path = 'alerts.sinks'): SinkSettings[] {
  const sinks = raw.map((sink, i) => readSink(new Fields(sink, `${path}[${i}]`)));
  const names = new Set<string>();
  for (const { name } of sinks) {
    if (names.has(name)) throw new GruardError('CONFIG_INVALID', `${path}: two sinks are called ${name}: what was sent is remembered by name`);
    names.add(name);
  }
  return sinks;
}

function readSink(fields: Fields): SinkSettings {
  const kind = fields.oneOf('kind', Object.keys(OWN) as SinkSettings['kind'][]);
  if (kind === undefined) throw fields.wrong('kind', `one of ${Object.keys(OWN).join(', ')}`);
  fields.only([...COMMON, ...OWN[kind]]);
  const name = fields.text('name') ?? kind;
  // It names files and metrics.
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw fields.wrong('name', 'letters, digits, _ and -, 64 at the most');
  const common: CommonSettings = {
    name,
    telling: {
      route: {
        minSeverity: fields.oneOf('min_severity', SEVERITIES), devices: fields.texts('devices'), excludeDevices: fields.texts('exclude_devices'),
        metrics: fields.texts('metrics'), kinds: fields.someOf('kinds', KINDS),
      },
      changes: fields.someOf('changes', CHANGES) ?? CHANGES,
      updateIntervalMs: fields.count('update_interval_ms') ?? 3_600_000,
      cooldownMs: fields.count('cooldown_ms') ?? 0,
    },
    maxPerMinute: fields.count('max_per_minute') ?? 60,
  };
  const timeoutMs = fields.count('timeout_ms') ?? 10_000;
  switch (kind) {
    case 'webhook': {
      const url = fields.required('url');
      httpAddress(url, fields.at('url'));
      const template = fields.json('template');
      const unknown = unknownFields(template ?? null, Object.keys(bodyOf(testNotification(0))));
      if (unknown.length > 0) throw fields.wrong('template', `fields of a notification (docs/alerts.md); there is no {{${unknown[0]}}}`);
      return { ...common, kind, url, secret: fields.secret('secret'), headers: fields.headers('headers'), template, timeoutMs };
    }
    case 'mqtt':
      return {
        ...common, kind, url: fields.required('url'), username: fields.text('username'), password: fields.secret('password'), clientId: fields.text('client_id'),
        tls: { ca: fields.file('ca_file'), cert: fields.file('cert_file'), key: fields.file('key_file') }, topicPrefix: topicPrefix(fields), homeAssistant: fields.flag('home_assistant') ?? false, timeoutMs,
      };
    case 'alertmanager': {
      const url = fields.required('url');
      httpAddress(url, fields.at('url'));
      return { ...common, kind, url, headers: fields.headers('headers'), labels: fields.record('labels'), timeoutMs };
    }
    case 'kafka':
      return { ...common, kind, connection: kafkaConnection(fields), topic: kafkaTopic(fields), timeoutMs };
    case 'log':
      return { ...common, kind };
  }
}

function kafkaConnection(fields: Fields): KafkaConnection {
  const brokers = fields.texts('brokers') ?? [];
  if (brokers.length === 0) throw fields.wrong('brokers', 'a list of HOST:PORT');
  const mechanism = fields.oneOf('sasl', ['plain', 'scram-sha-256', 'scram-sha-512']);
  return {
    brokers, clientId: fields.text('client_id') ?? 'gruard-alerts', tls: fields.flag('tls') ?? false, ca: fields.file('ca_file'), cert: fields.file('cert_file'), key: fields.file('key_file'),
    sasl: mechanism && { mechanism, username: fields.required('username'), password: fields.secret('password') ?? '' },
  };
}

function kafkaTopic(fields: Fields): string {
  const topic = fields.text('topic') ?? 'gruard.alerts';
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(topic)) throw fields.wrong('topic', 'letters, digits, ., _ and -');
  return topic;
}

/** https, or http on loopback: a notification tells what a plant does, and its headers may hold a token. Throws CONFIG_INVALID. */
export function httpAddress(text: string, at: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Told below.
  }
  const loopback = url !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  if (!url || !(url.protocol === 'https:' || (url.protocol === 'http:' && loopback))) throw new GruardError('CONFIG_INVALID', `${at}: expected an https:// address, or http:// on loopback`);
  if (url.username !== '' || url.password !== '') throw new GruardError('CONFIG_INVALID', `${at}: put credentials into headers, not into the address`);
  return url;
}

function topicPrefix(fields: Fields): string {
  const prefix = fields.text('topic_prefix') ?? 'gruard';
  if (!/^[^+#\0$/][^+#\0]{0,200}$/.test(prefix) || prefix.endsWith('/')) throw fields.wrong('topic_prefix', 'a topic without wildcards and without a / at its ends');
  return prefix;
}

/** The fields of one sink as they stand in the configuration file; absent ones are undefined. */
class Fields {
  constructor(readonly raw: Record<string, unknown>, readonly path: string) {}

  at(key: string): string {
    return `${this.path}.${key}`;
  }

  wrong(key: string, expected: string): GruardError {
    return new GruardError('CONFIG_INVALID', `${this.at(key)}: expected ${expected}`);
  }

  only(known: readonly string[]): void {
    const unknown = Object.keys(this.raw).find((key) => !known.includes(key));
    if (unknown !== undefined) throw new GruardError('CONFIG_INVALID', `${this.at(unknown)}: no such setting here; there are ${known.join(', ')}`);
  }

  text(key: string): string | undefined {
    const value = this.raw[key];
    if (value === undefined || typeof value === 'string') return value;
    throw this.wrong(key, 'text');
  }

  required(key: string): string {
    const value = this.text(key);
    if (value === undefined || value === '') throw this.wrong(key, 'a value');
    return value;
  }

  /** The value, or the content of the file that `KEY_file` names. */
  secret(key: string): string | undefined {
    const file = this.text(`${key}_file`);
    if (file === undefined) return this.text(key);
    let secret: string;
    try {
      secret = readFileSync(file, 'utf8').trim();
    } catch (error) {
      throw new GruardError('CONFIG_UNREADABLE', `${this.at(`${key}_file`)}: ${messageOf(error)}`, { cause: error });
    }
    // What it guards would be signed with nothing, or open.
    if (secret === '') throw this.wrong(`${key}_file`, 'a file that is not empty');
    return secret;
  }

  /** Checked here: what `fetch` says of a header that it refuses holds the value, which may be a token. */
  headers(key: string): Record<string, string> {
    const headers = this.record(key);
    for (const [name, value] of Object.entries(headers)) {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw this.wrong(key, `names of headers, and ${JSON.stringify(name)} is none`);
      if (!/^[\t\u0020-\u007e\u00a0-\u00ff]*$/.test(value)) throw this.wrong(`${key}.${name}`, 'one line of text (latin1)');
    }
    return headers;
  }

  /** The bytes of the file that the setting names. */
  file(key: string): Buffer | undefined {
    const path = this.text(key);
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (error) {
      throw new GruardError('CONFIG_UNREADABLE', `${this.at(key)}: ${messageOf(error)}`, { cause: error });
    }
  }

  flag(key: string): boolean | undefined {
    const value = this.raw[key];
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.wrong(key, 'true or false');
  }

  count(key: string): number | undefined {
    const value = this.raw[key];
    if (value === undefined || (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 31)) return value as number | undefined;
    throw this.wrong(key, 'a whole number of at least 0');
  }

  texts(key: string): string[] | undefined {
    const value = this.raw[key];
    if (value === undefined || (Array.isArray(value) && value.every((item) => typeof item === 'string'))) return value;
    throw this.wrong(key, 'a list of texts');
  }

  oneOf<T extends string>(key: string, of: readonly T[]): T | undefined {
    const value = this.text(key);
    if (value === undefined || of.includes(value as T)) return value as T | undefined;
    throw this.wrong(key, `one of ${of.join(', ')}`);
  }

  someOf<T extends string>(key: string, of: readonly T[]): T[] | undefined {
    const values = this.texts(key);
    if (values === undefined || values.every((value) => of.includes(value as T))) return values as T[] | undefined;
    throw this.wrong(key, `a list of ${of.join(', ')}`);
  }

  record(key: string): Record<string, string> {
    const value = this.raw[key] ?? {};
    if (typeof value === 'object' && !Array.isArray(value) && Object.values(value).every((item) => typeof item === 'string')) return value as Record<string, string>;
    throw this.wrong(key, 'names with texts');
  }

  json(key: string): Json | undefined {
    const value = this.raw[key];
    if (value === undefined || (typeof value === 'object' && value !== null)) return value as Json | undefined;
    throw this.wrong(key, 'a JSON object or list');
  }
}

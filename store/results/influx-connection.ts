import { InfluxDB } from 'influx';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { GruardError, messageOf } from '../../core/errors.js';
import { senderFor, type Answer, type Send } from './influx-request.js';

export interface InfluxOptions {
  /** e.g. `http://127.0.0.1:8086`. */
  url: string;
  database: string;
  username?: string;
  password?: string;
  /** For InfluxDB 2 and 3, instead of a user. */
  token?: string;
  /** Authority of the server's certificate (PEM), instead of those that Node knows. */
  ca?: Buffer;
  /** Keeps the journal position and what cannot be upserted twice; beside the journal. */
  cursorPath: string;
  timeoutMs?: number;
  /** Requests under way at once; lines of one series always go one after another. */
  parallel?: number;
  linesPerRequest?: number;
  /** Default: everywhere but on loopback, where it costs more than it saves. */
  gzip?: boolean;
  /** How long readings are kept by the server; null or absent: for ever. */
  retentionDays?: number | null;
  /** Make hourly aggregates by a continuous query, where the server has them. */
  downsample?: boolean;
}

/** Rows of a query: a record a row, `time` in epoch ms. */
export type InfluxRow = Record<string, string | number | boolean | null>;

interface QueryAnswer {
  error?: string;
  /** A series without a row has no `values`. */
  results?: { error?: string; series?: { columns: string[]; values?: (string | number | boolean | null)[][]; tags?: Record<string, string> }[] }[];
}

const gzipped = promisify(gzip);

/** InfluxDB's v1 HTTP API: lines in by one POST each, queries and administration through the `influx` client. */
export class InfluxConnection {
  readonly address: string;
  readonly #client: InfluxDB;
  readonly #send: Send;
  readonly #writeUrl: URL;
  readonly #pingUrl: URL;
  readonly #headers: Record<string, string>;
  readonly #gzip: boolean;
  readonly #timeoutMs: number;
  /** Points that the server refused since they are older than its retention. */
  beyondRetention = 0;

  constructor(readonly options: InfluxOptions) {
    const url = parsedUrl(options.url);
    if (options.ca && url.protocol !== 'https:') throw new GruardError('CONFIG_INVALID', 'store.influxdb.ca_file is set, and store.influxdb.url is not https://HOST:PORT');
    this.#send = senderFor(options.ca);
    this.address = `${url.protocol}//${url.host}`;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#gzip = options.gzip ?? !/^(localhost|127\.|\[::1\])/.test(url.hostname);
    const basePath = url.pathname.replace(/\/$/, '');
    this.#writeUrl = new URL(`${basePath}/write`, url);
    this.#pingUrl = new URL(`${basePath}/ping`, url);
    this.#writeUrl.searchParams.set('db', options.database);
    this.#writeUrl.searchParams.set('precision', 'ms');
    const authorization = authorizationOf(options);
    this.#headers = { 'content-type': 'text/plain; charset=utf-8', ...(authorization === undefined ? {} : { authorization }) };
    this.#client = new InfluxDB({
      host: url.hostname,
      port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
      protocol: url.protocol === 'https:' ? 'https' : 'http',
      path: basePath,
      database: options.database,
      // The client would send root:root where there is no user, over the token's header; null, unlike undefined, is taken as none.
      username: options.token === undefined ? options.username ?? noUser : noUser,
      password: options.password,
      options: { headers: options.token === undefined ? {} : { authorization: `Token ${options.token}` }, ...(options.ca && { ca: options.ca }) },
      // The client takes a host that once refused a connection out of its pool for a while: the follower has its own patience.
      pool: { requestTimeout: this.#timeoutMs, maxRetries: 0, backoff: noBackoff },
    });
  }

  /** The server's version, e.g. `1.8.10`. Throws STORE_UNAVAILABLE where none answers. */
  async version(): Promise<string> {
    let answer: Answer;
    try {
      answer = await this.#send(this.#pingUrl, { method: 'GET', headers: this.#headers, timeoutMs: this.#timeoutMs });
    } catch (error) {
      throw this.#unavailable(error);
    }
    const { status, version } = answer;
    // A proxy may keep the header back; a program that knows no /ping is another one.
    if (version === null && status === 404) throw this.#unavailable(new Error('404 for /ping: what answers there is no InfluxDB'));
    return version ?? '1.x';
  }

  /** Resolves once the server has the lines. Throws STORE_UNAVAILABLE. */
  async write(lines: string): Promise<void> {
    const body = this.#gzip ? new Uint8Array(await gzipped(lines, { level: 1 })) : lines;
    const { status, said } = await this.#post(body, this.#gzip);
    if (status < 300) return;
    const dropped = /points beyond retention policy dropped=(\d+)/.exec(said);
    if (status === 400 && dropped) {
      // The rest of the lines was taken; sending these again can never succeed.
      this.beyondRetention += Number(dropped[1]);
      return;
    }
    throw this.#unavailable(new Error(`${status} ${said}`));
  }

  /** What a write would meet, found by one without lines: 204; 401, the user is not known; 403, he may not; 404, there is no such database. Throws STORE_UNAVAILABLE. */
  probe(): Promise<{ status: number; said: string }> {
    return this.#post('', false);
  }

  /** The rows of one statement, of all its series. Throws STORE_UNAVAILABLE. */
  async query(statement: string): Promise<InfluxRow[]> {
    let answer: QueryAnswer;
    try {
      answer = await this.#client.queryRaw(statement, { precision: 'ms', database: this.options.database, method: 'POST' }) as QueryAnswer;
    } catch (error) {
      throw this.#unavailable(refusal(error));
    }
    const error = answer.error ?? answer.results?.find((result) => result.error !== undefined)?.error;
    if (error !== undefined) throw this.#unavailable(new Error(error));
    const rows: InfluxRow[] = [];
    for (const series of answer.results?.flatMap((result) => result.series ?? []) ?? []) {
      for (const values of series.values ?? []) rows.push(Object.assign(Object.create(null) as InfluxRow, series.tags, Object.fromEntries(series.columns.map((column, i) => [column, values[i]]))));
    }
    return rows;
  }

  async #post(body: string | Uint8Array<ArrayBuffer>, gzip: boolean): Promise<{ status: number; said: string }> {
    const headers = gzip ? { ...this.#headers, 'content-encoding': 'gzip' } : this.#headers;
    try {
      const { status, body: said } = await this.#send(this.#writeUrl, { method: 'POST', headers, body, timeoutMs: this.#timeoutMs });
      return { status, said: errorIn(said) };
    } catch (error) {
      throw this.#unavailable(error);
    }
  }

  #unavailable(cause: unknown): GruardError {
    return new GruardError('STORE_UNAVAILABLE', `InfluxDB at ${this.address}, database ${this.options.database}: ${messageOf(cause)}`, { cause });
  }
}

const noUser = null as unknown as undefined;
const noBackoff = { getDelay: () => 0, next: () => noBackoff, reset: () => noBackoff };

/** What an answer says is wrong: of 1.x `{"error": ...}`, of 2.x `{"message": ...}`. */
function errorIn(answer: string): string {
  try {
    const { error, message } = JSON.parse(answer) as { error?: unknown; message?: unknown };
    if (typeof (error ?? message) === 'string') return String(error ?? message);
  } catch {
    // Not JSON: as it is.
  }
  return answer.trim().slice(0, 300);
}

/** The client's error for a status, with what the server said and not its JSON. */
function refusal(error: unknown): unknown {
  const found = /^A (\d+) .*? error occurred: ([\s\S]*)$/.exec(messageOf(error));
  return found ? new Error(`${found[1]} ${errorIn(found[2])}`, { cause: error }) : error;
}

function parsedUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Told below.
  }
  if (!url || !/^https?:$/.test(url.protocol)) throw new GruardError('CONFIG_INVALID', 'store.influxdb.url: expected http://HOST:PORT or https://HOST:PORT');
  if (url.username !== '' || url.password !== '') throw new GruardError('CONFIG_INVALID', 'store.influxdb.url: the user and password have settings of their own');
  return url;
}

function authorizationOf(options: InfluxOptions): string | undefined {
  if (options.token !== undefined) return `Token ${options.token}`;
  if (options.username !== undefined) return `Basic ${Buffer.from(`${options.username}:${options.password ?? ''}`).toString('base64')}`;
  return undefined;
}

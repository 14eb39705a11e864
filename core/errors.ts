/**
 * The one table of coded errors. A message says what happened; `next` says what the reader can do about it.
 * `status` is the HTTP status the API answers with (RFC 9457), where the error can reach the API.
 */
export const ERRORS = {
  INTERNAL: { status: 500, next: 'This is a defect in gruard: please report it with the log.' },
  CONFIG_INVALID: { status: 500, next: 'Mend the setting named here; `gruard config --print` shows what is in force.' },
  CONFIG_UNREADABLE: { status: 500, next: 'Check the path and that the file is YAML.' },
  USAGE: { status: 400, next: 'Run the command with --help.' },
  PORT_TAKEN: { status: 500, next: 'Stop the other process or choose another port with the setting named here.' },
  TOKEN_REQUIRED: { status: 500, next: 'Listen on 127.0.0.1, or create a token with `gruard token create`, or set one (api.token_file or GRUARD_API_TOKEN_FILE).' },
  TOKEN_GUESSABLE: { status: 500, next: 'Leave api.token unset and make one with `gruard token create`, or put one that a machine drew into the file of api.token_file (`openssl rand -hex 24`); or listen on 127.0.0.1.' },
  BROKER_CREDENTIALS_REQUIRED: { status: 500, next: 'Listen on 127.0.0.1, or set broker.users_file, or broker.username and broker.password_file.' },
  BROKER_PASSWORD_GUESSABLE: { status: 500, next: 'Give each device a user with `gruard broker-user add`, which makes the password; or draw one (`openssl rand -hex 24`); or listen on 127.0.0.1.' },
  TOKEN_FILE_INVALID: { status: 500, next: 'Mend the file named here, or move it away and create the tokens again with `gruard token create`.' },
  TOKEN_EXISTS: { status: 400, next: 'Choose another name, or revoke that token first with `gruard token revoke`.' },
  TOKEN_UNKNOWN: { status: 404, next: '`gruard token list` shows the names.' },
  TLS_INVALID: { status: 500, next: 'Give a PEM certificate (with its chain) and the PEM key that belongs to it, both or none; docs/security.md shows how to make a pair.' },
  BROKER_USERS_INVALID: { status: 500, next: 'Mend the file named here; `gruard broker-user add` writes a user into it.' },
  UNAUTHORIZED: { status: 401, next: 'Send the header `Authorization: Bearer TOKEN`.' },
  FORBIDDEN: { status: 403, next: 'Use a token whose scope covers this call.' },
  HOST_REFUSED: { status: 421, next: 'Open gruard as localhost or 127.0.0.1, or add the name to api.allowed_hosts.' },
  ORIGIN_REFUSED: { status: 403, next: 'Send this from a program, or from the page that gruard itself serves.' },
  RATE_LIMITED: { status: 429, next: 'Wait for the time in Retry-After, send larger batches, or raise api.requests_per_second.' },
  TOO_MANY_STREAMS: { status: 429, next: 'Close a stream that is not needed, or raise api.streams.' },
  TOO_MANY_CONNECTIONS: { status: 429, next: 'Use connections again (keep-alive), or raise api.connections_per_address.' },
  CONNECTIONS_EXHAUSTED: { status: 503, next: 'Find out who holds the connections; lower api.connections_per_address.' },
  REQUEST_TIMEOUT: { status: 408, next: 'Send the request faster, or in smaller pieces.' },
  NOT_FOUND: { status: 404, next: 'Check the name; the lists are at /v1/devices and /v1/anomalies.' },
  REQUEST_INVALID: { status: 400, next: 'Mend the field named in `detail`; /docs describes every field.' },
  PAYLOAD_TOO_LARGE: { status: 413, next: 'Send smaller batches, or raise limits.payload_bytes.' },
  QUERY_TOO_WIDE: { status: 400, next: 'Ask for less at once, or raise api.query_span_days.' },
  UNSUPPORTED_MEDIA: { status: 415, next: 'Send application/json or text/plain (line protocol).' },
  BUSY: { status: 429, next: 'Wait for the time in Retry-After and send the same request again: nothing of it was taken.' },
  SHUTTING_DOWN: { status: 503, next: 'Send the same request again when gruard is back: nothing of it was taken.' },
  STORE_UNAVAILABLE: { status: 503, next: 'See /v1/health for the reason; readings are still journaled.' },
  STORE_DAMAGED: { status: 500, next: 'Move the file named here away and start again: gruard makes a new one and fills it from the journal; or restore a backup.' },
  STORE_BINDING_MISSING: { status: 500, next: 'Install again with optional dependencies (`npm ci --include=optional`, or `npm install` without --omit=optional and on the machine that runs gruard), or set store.kind: influxdb.' },
  DATA_DIR_LOCKED: { status: 500, next: 'Another gruard owns this data directory: stop it, or set data_dir (GRUARD_DATA_DIR).' },
  DATA_DIR_UNUSABLE: { status: 500, next: 'Check that data_dir exists, is writable and has space.' },
  JOURNAL_DAMAGED: { status: 500, next: 'Run `gruard journal verify`; the damaged segment was set aside, not deleted.' },
  JOURNAL_FULL: { status: 503, next: 'Free disk space, raise journal.max_bytes, or mend the store that is behind.' },
  JOURNAL_IO: { status: 503, next: 'Check the disk under data_dir; gruard tries again and loses nothing.' },
  FORMAT_VERSION: { status: 500, next: 'This data was written by another version of gruard: upgrade gruard, or restore a backup.' },
  WEIGHTS_INVALID: { status: 500, next: 'Use another weights file, or train one with `gruard train`.' },
  WEIGHTS_MISMATCH: { status: 500, next: 'Give a weights file whose configuration matches the one named here.' },
  MODEL_MEMORY: { status: 503, next: 'Lower limits.series, use smaller layers, or split the fleet over several gruards.' },
  BACKEND_UNAVAILABLE: { status: 500, next: 'Run `gruard doctor`; set model.backend to auto, wasm or js.' },
  BROKER_UNREACHABLE: { status: 503, next: 'Check that the broker runs, its address and the credentials.' },
  KAFKA_BATCH_UNREADABLE: { status: 500, next: 'Nothing of this partition is read until the batch is gone: find out who wrote it, and remove it with `kafka-delete-records.sh` up to the offset behind it.' },
  CLUSTER_NEEDS_KAFKA: { status: 500, next: 'Set kafka.brokers and kafka.topics, or mode: single; MQTT comes in by `gruard bridge`.' },
  CLUSTER_NEEDS_INFLUXDB: { status: 500, next: 'Set store.kind: influxdb, which all workers share; the embedded store belongs to one process.' },
  CLUSTER_NO_VIEW: { status: 503, next: 'Ask a worker whose cluster.view is true; history and single events are answered by all.' },
  CLUSTER_TOPIC_MISSING: { status: 500, next: 'Run `gruard kafka setup` with these settings.' },
  FILE_UNREADABLE: { status: 400, next: 'Check the path and the file.' },
  FILE_EXISTS: { status: 400, next: 'Choose another name, or overwrite it with --force.' },
  CSV_INVALID: { status: 400, next: 'The file needs a `timestamp` column and at least one metric column.' },
  SERVER_UNREACHABLE: { status: 503, next: 'Start it with `gruard start`, or give --api URL.' },
} as const satisfies Record<string, { status: number; next: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a code of the table. `detail` is for people and must not hold a secret. */
export class GruardError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(detail, options);
    this.name = 'GruardError';
    this.code = code;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get next(): string {
    return ERRORS[this.code].next;
  }
}

/** The text of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

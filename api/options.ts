import { systemClock, type Clock } from '../core/clock.js';
import { DEFAULT_LIMITS } from '../core/limits.js';
import { shippedFile } from '../core/paths.js';
import type { TlsIdentity } from '../core/tls.js';
import type { ApiToken } from '../core/token.js';

export type { ApiToken, Scope } from '../core/token.js';

export interface ApiOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  /** None: every call is allowed (for loopback only; the caller refuses to listen elsewhere without one). */
  tokens?: ApiToken[];
  /** More of them, asked at every call, so that one that is revoked ends at once. The same array until something changes. */
  liveTokens?: () => readonly ApiToken[];
  /** True: a call needs a token even while there is none. */
  tokenRequired?: boolean;
  /** Names, besides loopback ones, that a request's Host header may carry while listening on loopback. */
  allowedHosts?: string[];
  /** Open /v1/stream connections at the most. */
  streams?: number;
  /** Unsent bytes a stream may have before it is dropped. */
  streamBufferBytes?: number;
  /** Items of a page at the most. */
  pageItems?: number;
  /** Days between start and end of a query at the most. */
  querySpanDays?: number;
  /** Requests a client address (of IPv6: its /64) may send. */
  requestsPerSecond?: number;
  /** Of a request body, as sent and after decompression. */
  payloadBytes?: number;
  /** Time a client has to send a whole request. */
  requestTimeoutMs?: number;
  /** Time without a byte in either direction after which a connection is closed: one that asks and does not read. */
  idleMs?: number;
  /** Open connections at the most. */
  connections?: number;
  /** Of one client address (of IPv6: its /64), loopback aside; 0: no limit. */
  connectionsPerAddress?: number;
  /** Where the built page lies. */
  pageDir?: string;
  tls?: TlsIdentity;
  clock?: Clock;
  /** Told of every call that changes what the detector knows (retiring a device, feedback), refused ones too: who, what, and the answer's status. */
  onAudit?: (entry: { by: string; method: string; url: string; status: number }) => void;
  /** Told why a renewed certificate is not in use. */
  onTlsError?: (thrown: unknown) => void;
  /** Told of errors that are gruard's own fault (status 500 and above). */
  onError?: (error: unknown, request: { method: string; url: string }) => void;
}

const NO_TOKENS: readonly ApiToken[] = [];

/** Options that have no default. */
type Unset = 'tls' | 'onTlsError' | 'onError' | 'onAudit';
export type ResolvedOptions = Required<Omit<ApiOptions, Unset>> & Pick<ApiOptions, Unset>;

export function resolveOptions(options: ApiOptions): ResolvedOptions {
  return {
    tokens: [],
    liveTokens: () => NO_TOKENS,
    tokenRequired: false,
    allowedHosts: [],
    streams: 200,
    streamBufferBytes: 1_048_576,
    pageItems: 1000,
    querySpanDays: 36_500,
    requestsPerSecond: 2000,
    payloadBytes: DEFAULT_LIMITS.payloadBytes,
    requestTimeoutMs: 30_000,
    idleMs: 120_000,
    connections: 4096,
    connectionsPerAddress: 256,
    pageDir: shippedFile('dist/page'),
    clock: systemClock,
    ...options,
  };
}

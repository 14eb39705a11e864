import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { GruardError } from '../core/errors.js';
import type { ApiToken, Scope } from '../core/token.js';
import type { ResolvedOptions } from './options.js';

export { hashToken } from '../core/token.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller must be allowed to do; without it the route needs no token. */
    scope?: Scope;
    /** Calls of this route go into the audit log. */
    audit?: boolean;
  }
  interface FastifyRequest {
    /** The name of the token that the call came with; `local` where none is needed, `unknown` where a valid one is missing. */
    caller: string;
  }
}

/** Compares with every token, each in constant time, so that timing tells neither which one nor how much of it matched. */
export class TokenCheck {
  readonly #options: Pick<ResolvedOptions, 'tokens' | 'liveTokens' | 'tokenRequired'>;
  #known: { token: ApiToken; hash: Buffer }[] = [];
  #live: readonly ApiToken[] | undefined;
  #everRequired: boolean;

  constructor(options: Pick<ResolvedOptions, 'tokens' | 'liveTokens' | 'tokenRequired'>) {
    this.#options = options;
    this.#everRequired = options.tokenRequired;
    this.#tokens();
  }

  /** Stays true: revoking the last token locks everybody out, and lets nobody in. */
  get required(): boolean {
    this.#everRequired ||= this.#tokens().length > 0;
    return this.#everRequired;
  }

  find(presented: string): ApiToken | undefined {
    const hash = createHash('sha256').update(presented, 'utf8').digest();
    let found: ApiToken | undefined;
    for (const candidate of this.#tokens()) if (timingSafeEqual(candidate.hash, hash)) found = candidate.token;
    return found;
  }

  #tokens(): { token: ApiToken; hash: Buffer }[] {
    const live = this.#options.liveTokens();
    if (live === this.#live) return this.#known;
    this.#known = [...this.#options.tokens, ...live].map((token) => ({ token, hash: Buffer.from(token.sha256, 'hex') }));
    for (const { token, hash } of this.#known) {
      if (hash.length !== 32) throw new GruardError('CONFIG_INVALID', `the hash of token ${JSON.stringify(token.name)} is not a SHA-256 in hex`);
    }
    this.#live = live;
    return this.#known;
  }
}

/** The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1), if there is one. */
function bearerOf(request: FastifyRequest): string | undefined {
  const match = /^bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? '');
  return match?.[1];
}

/** The caller of a request, or undefined where it carries no valid token. */
export function callerOf(request: FastifyRequest, tokens: TokenCheck): ApiToken | undefined {
  const bearer = bearerOf(request);
  return bearer === undefined ? undefined : tokens.find(bearer);
}

/** Throws UNAUTHORIZED or FORBIDDEN unless the request may do what its route does; names the caller. */
export function authorize(request: FastifyRequest, tokens: TokenCheck): void {
  const { scope } = request.routeOptions.config;
  if (!tokens.required || !scope) return;
  const caller = callerOf(request, tokens);
  request.caller = caller?.name ?? 'unknown';
  if (!caller) {
    throw new GruardError('UNAUTHORIZED', bearerOf(request) === undefined ? 'This call needs a token.' : 'The token is not known.');
  }
  if (!caller.scopes.includes(scope) && !caller.scopes.includes('admin')) {
    throw new GruardError('FORBIDDEN', `This call needs the scope ${scope}; the token ${JSON.stringify(caller.name)} has ${caller.scopes.join(', ') || 'none'}.`);
  }
}

/** Whether a call that goes on for long would still be let in. */
export function mayStill(request: FastifyRequest, tokens: TokenCheck): boolean {
  try {
    authorize(request, tokens);
    return true;
  } catch {
    return false;
  }
}

export const isLoopback = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost') || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

/** The name in a Host header, in lower case, without port, brackets and final dot. */
function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(header);
  return (bracketed ? bracketed[1] : header.replace(/:\d*$/, '')).toLowerCase().replace(/\.$/, '');
}

/**
 * Throws where a browser is being used against its user. A name that a stranger points at 127.0.0.1 (DNS rebinding) shows in the Host header;
 * another site's page that sends to gruard shows in Origin, one that loads from it in Sec-Fetch-Site. Programs send neither and are not concerned.
 */
export function guardBrowsers(request: FastifyRequest, options: ResolvedOptions): void {
  const host = request.headers.host ?? '';
  if (isLoopback(options.host)) {
    const name = hostName(host);
    if (!isLoopback(name) && !options.allowedHosts.some((allowed) => allowed.toLowerCase() === name)) {
      throw new GruardError('HOST_REFUSED', `gruard is not known as ${JSON.stringify(name)}.`);
    }
  }
  // An image or a script of another page cannot read the answer, but it can have an export made, or hold streams open. A link to here is followed.
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = request.headers;
  if ((site === 'cross-site' || site === 'same-site') && !(mode === 'navigate' && dest === 'document')) {
    throw new GruardError('ORIGIN_REFUSED', 'A page of another site may not load anything from gruard.');
  }
  const { origin } = request.headers;
  if (origin === undefined || request.method === 'GET' || request.method === 'HEAD') return;
  if (!URL.canParse(origin) || new URL(origin).host !== host.toLowerCase()) {
    throw new GruardError('ORIGIN_REFUSED', `The page at ${JSON.stringify(origin)} may not send to gruard.`);
  }
}

import { createHash } from 'node:crypto';

/** What a caller of the API may do; `admin` covers the other two, `write` does not cover `read`. */
export const SCOPES = ['read', 'write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** A bearer token as it is kept: its name for logs and feedback, its hash, and what it may do. */
export interface ApiToken {
  name: string;
  /** SHA-256 of the token, in lower-case hex. */
  sha256: string;
  scopes: Scope[];
}

/** Tokens are random and long, so one round of SHA-256 is enough: there is no dictionary to try. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

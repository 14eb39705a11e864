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

const MIN_LENGTH = 16;
const MIN_DIFFERENT = 5;

/** What makes a token easy to guess, or undefined. A length is no proof of chance, but what is shorter can be tried out over a network, hash or no hash. */
export function guessable(token: string): string | undefined {
  if (token.length < MIN_LENGTH) return `has fewer than ${MIN_LENGTH} characters`;
  return new Set(token).size < MIN_DIFFERENT ? `has fewer than ${MIN_DIFFERENT} different characters` : undefined;
}

/** Tokens are random and long, so one round of SHA-256 is enough: there is no dictionary to try. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

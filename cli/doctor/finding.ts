import { messageOf } from '../../core/errors.js';
import { withoutPassword } from '../../ingest/mqtt.js';

/** What one check found. */
export interface Finding {
  check: string;
  status: 'ok' | 'note' | 'problem';
  detail: string;
  /** What to do about it; lines of their own are commands. */
  next?: string;
}

/** Settings, by the names that a person finds them under. */
export interface Settings {
  address: string;
  login: string;
  /** Where the authority that signed the server's certificate is given. */
  authority: string;
}

/** How long a server may take to answer a check. */
export const ANSWER_MS = 5000;

const UNREACHABLE: Record<string, string> = {
  ECONNREFUSED: 'Nothing listens there: start the server, or mend',
  ENOTFOUND: 'There is no host of that name: mend',
  EAI_AGAIN: 'The name of the host cannot be looked up now: check the name service, or mend',
  EHOSTUNREACH: 'There is no way to that host: check the network, or mend',
  ENETUNREACH: 'There is no way to that network: check the network, or mend',
  ETIMEDOUT: 'It does not answer: check the firewall, or mend',
  ECONNRESET: 'The server hung up: does it speak another protocol there, TLS perhaps? Else mend',
};

const CERTIFICATE = /self-signed|self signed|unable to (verify|get)|certificate|altname/i;
const NO_TLS = /wrong version number|packet length too long|EPROTO|disconnected before secure TLS/i;

/** What a person can do where a connection could not be made. */
export function remedy(thrown: unknown, { address, authority }: Settings): string {
  const message = messageOf(thrown);
  for (const [code, start] of Object.entries(UNREACHABLE)) if (message.includes(code) || (thrown as { code?: unknown }).code === code) return `${start} ${address}.`;
  if (NO_TLS.test(message)) return `No TLS is spoken there: mend ${address}.`;
  if (CERTIFICATE.test(message)) return `Its certificate is not one that this machine trusts for that name: give its authority in ${authority}, or mend ${address}.`;
  if (/timed? ?out|timeout/i.test(message)) return `It does not answer: check the firewall, or mend ${address}.`;
  return `Check ${address}.`;
}

/** An error in one line; never with a password of an address. */
export function told(thrown: unknown): string {
  const own = messageOf(thrown).split('\n', 1)[0];
  const inner = thrown instanceof AggregateError ? thrown.errors.map((error) => messageOf(error)).join('; ') : '';
  const { code } = thrown as { code?: unknown };
  return withoutPassword(own || inner || (typeof code === 'string' ? code : 'no answer'));
}

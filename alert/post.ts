import { messageOf } from '../core/errors.js';
import { SinkRefusal } from './sink.js';

/** Answers that say: this notification, never. Others (no access, too many, trouble there) can pass once someone has mended them. */
const REFUSALS = new Set([400, 405, 406, 409, 413, 415, 422]);

/**
 * One POST of JSON to an address of the configuration. Redirects are not followed: they could lead the notification, and its headers, to a host that nobody configured.
 * Errors name the host alone, since paths and queries of webhooks hold secrets.
 */
export async function postJson(url: URL, body: string, headers: Record<string, string>, timeoutMs: number): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
  } catch (error) {
    const cause = error instanceof Error && error.cause ? error.cause : error;
    // No `cause`: it would carry the whole address into the log.
    // eslint-disable-next-line preserve-caught-error
    throw new Error(`${url.host}: ${withoutSecrets(messageOf(cause), url)}`);
  }
  if (response.ok) return;
  const redirected = response.status >= 300 && response.status < 400 ? ' (redirects are not followed: configure the address that it points to)' : '';
  const message = `${url.host} answered ${response.status}${redirected}`;
  throw REFUSALS.has(response.status) ? new SinkRefusal(message) : new Error(message);
}

function withoutSecrets(message: string, url: URL): string {
  return message.replaceAll(url.href, url.host);
}

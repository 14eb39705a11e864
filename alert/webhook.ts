import { createHmac } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { systemClock } from '../core/clock.js';
import type { Notification } from './notification.js';
import { bodyOf } from './notification.js';
import { postJson } from './post.js';
import type { WebhookSettings } from './settings.js';
import { httpAddress } from './settings.js';
import type { AlertSink } from './sink.js';
import { filled } from './template.js';

/** `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`, so that a receiver can tell that it is ours, unchanged and recent. */
export function signatureOf(secret: string, timestampS: number, body: string): string {
  return `t=${timestampS},v1=${createHmac('sha256', secret).update(`${timestampS}.${body}`).digest('hex')}`;
}

export class WebhookSink implements AlertSink {
  readonly name: string;
  readonly #url: URL;

  constructor(readonly settings: WebhookSettings, readonly clock: Clock = systemClock) {
    this.name = settings.name;
    this.#url = httpAddress(settings.url, `alerts sink ${settings.name}: url`);
  }

  async deliver(notification: Notification): Promise<void> {
    const { secret, headers, template, timeoutMs } = this.settings;
    const fields = bodyOf(notification);
    const body = JSON.stringify(template === undefined ? fields : filled(template, fields));
    const signed: Record<string, string> = { 'idempotency-key': headerSafe(notification.key) };
    if (secret !== undefined) signed['gruard-signature'] = signatureOf(secret, Math.floor(this.clock.nowMs() / 1000), body);
    await postJson(this.#url, body, { ...headers, ...signed }, timeoutMs);
  }

  async close(): Promise<void> {}
}

/** A header holds neither newlines nor characters beyond latin1, and an event's id may come from a device's name. (encodeURI throws on half of a surrogate pair: the buffer replaces it.) */
function headerSafe(key: string): string {
  return encodeURI(Buffer.from(key).toString());
}

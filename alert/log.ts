import type { Notification } from './notification.js';
import { bodyOf } from './notification.js';
import type { LogSettings } from './settings.js';
import type { AlertSink } from './sink.js';

/** Writes a line a notification into gruard's own log. */
export class LogSink implements AlertSink {
  readonly name: string;

  constructor(settings: LogSettings, readonly write: (message: string, fields: object) => void) {
    this.name = settings.name;
  }

  async deliver(notification: Notification): Promise<void> {
    const body = bodyOf(notification);
    this.write(body.summary, body);
  }

  async close(): Promise<void> {}
}

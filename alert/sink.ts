import type { Notification } from './notification.js';

/** Where notifications go. A sink knows nothing of routing, retries or what was sent before. */
export interface AlertSink {
  /** Names the sink in the log and in /metrics. */
  readonly name: string;
  /**
   * Resolves once the peer has taken it. May be called again with the same notification (same `key`) after a failure or a crash.
   * Throws SinkRefusal where the peer will never take it, anything else where it may take it later.
   */
  deliver(notification: Notification): Promise<void>;
  close(): Promise<void>;
}

/** The peer is there and says that it does not want this notification. */
export class SinkRefusal extends Error {
  override readonly name = 'SinkRefusal';
}

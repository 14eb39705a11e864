import type { Route } from './topics.js';

/** One message as it came over the wire. */
export interface Message {
  route: Route;
  payload: Uint8Array;
  /** Epoch ms. */
  receivedMs: number;
  /** A broker kept it from before the subscription: without its own timestamp nobody knows how old it is. */
  retained: boolean;
}

/** What a source knows of a message beside its topic, e.g. from a Kafka key and headers. It stands in for what the topic would say; a rule of the configuration still wins. */
export interface Named {
  /** The device of a payload that names none. */
  device: string | undefined;
  /** The payload's own name for the device does not count. */
  deviceIsFixed: boolean;
  tags: Record<string, string> | undefined;
}

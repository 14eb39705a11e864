import type { Limits } from '../../core/limits.js';
import type { Intake } from '../intake.js';
import type { Output } from './output.js';
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

/** A way to write readings down. Dialects are asked in the order of `decode/index.ts`; the first that matches decodes. */
export interface Dialect {
  readonly name: string;
  /** A look at the first bytes; `first` is the first that is no white space. */
  matches(payload: Uint8Array, first: number): boolean;
  /** Writes the readings to the output, and to the intake what it cannot read. Never throws, whatever the bytes are. */
  decode(message: Message, output: Output): void;
}

export type DialectMaker = (intake: Intake, limits: Limits) => Dialect;

import type { Limits } from '../../core/limits.js';
import type { Intake } from '../intake.js';
import type { Message } from './message.js';
import type { Output } from './output.js';

/** A way to write readings down. Dialects are asked in the order of `decode/index.ts`; the first that matches decodes. */
export interface Dialect {
  readonly name: string;
  /** A look at the first bytes; `first` is the first that is no white space. */
  matches(payload: Uint8Array, first: number): boolean;
  /** Writes the readings to the output, and to the intake what it cannot read. Never throws, whatever the bytes are. */
  decode(message: Message, output: Output): void;
}

export type DialectMaker = (intake: Intake, limits: Limits) => Dialect;

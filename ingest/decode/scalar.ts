import type { Intake } from '../intake.js';
import { printable } from '../names.js';
import type { Dialect } from './dialect.js';
import type { Message } from './message.js';
import type { Output } from './output.js';
import { textValue } from './values.js';

/** A payload that is one bare number, boolean or on/off: the topic ends in device/metric. */
export class ScalarDialect implements Dialect {
  readonly name = 'scalar';
  readonly #intake: Intake;

  constructor(intake: Intake) {
    this.#intake = intake;
  }

  /** The last dialect to be asked: what is no bare value is not readable at all. */
  matches(): boolean {
    return true;
  }

  decode(message: Message, output: Output): void {
    const { payload } = message;
    const text = Buffer.from(payload.buffer, payload.byteOffset, Math.min(payload.length, 64)).toString('latin1').trim();
    const value = payload.length > 64 ? undefined : textValue(text.replace(/^"(.*)"$/, '$1'));
    if (value !== undefined) output.scalar(value);
    else this.#intake.refuse(payload.length === 0 ? 'no_metrics' : 'unparseable', payload.length === 0 ? 'an empty payload' : `${printable(text)} is no message`);
  }
}

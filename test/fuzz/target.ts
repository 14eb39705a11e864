import { strict as assert } from 'node:assert';
import type { Random } from '../../core/random.js';

/** Something that takes bytes from strangers. */
export interface Fuzzed {
  /** Takes one hostile input made from the random numbers; throws where a promise is broken. `remember` keeps the input, to be shown then. */
  run(random: Random, remember: (input: unknown) => void): Promise<void> | void;
  close?(): Promise<void>;
}

export interface FuzzTarget {
  name: string;
  /** Runs of a hundred that are this target's. */
  share: number;
  open(): Promise<Fuzzed> | Fuzzed;
}

const BUILT_IN = [Object.prototype, Array.prototype, String.prototype, Number.prototype, Function.prototype, Map.prototype, Set.prototype, Promise.prototype, RegExp.prototype, Uint8Array.prototype];
const ownNames = (): string => BUILT_IN.map((prototype) => Reflect.ownKeys(prototype).length).join();
const before = ownNames();

/** That nobody has added to what every object inherits. */
export function checkPrototypes(): void {
  assert.equal(ownNames(), before, 'a built-in prototype was changed');
}

import { setFlagsFromString } from 'node:v8';

/**
 * A major collection comes once the heap has doubled. V8 by itself goes by how long the main thread stands still, which is hardly at all: it collects whenever the heap
 * has grown by a tenth, and its four helper threads mark all of it each time, which is a tenth to a fifth of what a reading costs.
 */
export function collectSeldom(): void {
  setFlagsFromString('--heap-growing-percent=100');
}

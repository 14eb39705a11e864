import { basename, dirname } from 'node:path';
import { GruardError, messageOf } from '../core/errors.js';
import { readWhole, replaceFile, type Disk } from './disk/disk.js';
import { RealDisk } from './disk/real.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A small JSON document that is replaced whole: after a kill it is the old one or the new one. A line with its sum follows it, so that a flipped bit does not pass for another position. */
export class CursorFile<T> {
  constructor(private readonly disk: Disk, private readonly name: string, readonly path = name) {}

  static at<T>(path: string): CursorFile<T> {
    return new CursorFile<T>(new RealDisk(dirname(path)), basename(path), path);
  }

  /** undefined where there is none yet. Throws STORE_DAMAGED where it is not what was written: to begin anew would send everything again. */
  async read(): Promise<T | undefined> {
    const bytes = await this.#io(() => readWhole(this.disk, this.name));
    if (!bytes) return undefined;
    const [json, sum, rest] = decoder.decode(bytes).split('\n');
    if (sum === check(json) && rest === '') return JSON.parse(json) as T;
    throw new GruardError('STORE_DAMAGED', `${this.path} is not what gruard wrote there; without the file, what the journal still holds is sent again`);
  }

  /** Durable when resolved. Throws STORE_UNAVAILABLE. */
  async write(document: T): Promise<void> {
    const json = JSON.stringify(document);
    await this.#io(() => replaceFile(this.disk, this.name, [encoder.encode(`${json}\n${check(json)}\n`)]));
  }

  async #io<R>(work: () => Promise<R>): Promise<R> {
    try {
      return await work();
    } catch (error) {
      throw new GruardError('STORE_UNAVAILABLE', `${this.path}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** FNV-1a, 32 bits, of UTF-16 units: enough for a file of one line. */
function check(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

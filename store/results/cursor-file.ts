import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GruardError, messageOf } from '../../core/errors.js';

/** A small JSON document that is replaced whole: after a kill it is the old one or the new one. */
export class CursorFile<T> {
  constructor(readonly path: string) {}

  /** undefined where there is none yet. Throws STORE_DAMAGED where it cannot be read. */
  async read(): Promise<T | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new GruardError('STORE_UNAVAILABLE', `${this.path}: ${messageOf(error)}`, { cause: error });
    }
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new GruardError('STORE_DAMAGED', `${this.path} is not the JSON that gruard writes`, { cause: error });
    }
  }

  /** Durable when resolved: file synced, renamed, directory synced. */
  async write(document: T): Promise<void> {
    const temporary = `${this.path}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      await synced(temporary, 'w', JSON.stringify(document));
      await rename(temporary, this.path);
      await synced(dirname(this.path), 'r');
    } catch (error) {
      throw new GruardError('STORE_UNAVAILABLE', `${this.path}: ${messageOf(error)}`, { cause: error });
    }
  }
}

async function synced(path: string, flags: string, content?: string): Promise<void> {
  const file = await open(path, flags);
  try {
    if (content !== undefined) await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

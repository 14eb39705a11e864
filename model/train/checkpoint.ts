import { readFile, rename, writeFile } from 'node:fs/promises';
import v8 from 'node:v8';
import { GruardError, messageOf } from '../../core/errors.js';
import type { Checkpoint } from './trainer.js';

const FORMAT = 1;

/** Replaces the file whole: a crash leaves the one before. Read back by the same program, so in V8's own serialisation. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  await writeFile(`${path}.tmp`, v8.serialize({ format: FORMAT, checkpoint }));
  await rename(`${path}.tmp`, path);
}

/** @throws GruardError FILE_UNREADABLE or FORMAT_VERSION. Only for a file of one's own: it is not checked further. */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  let read: unknown;
  try {
    read = v8.deserialize(await readFile(path));
  } catch (error) {
    throw new GruardError('FILE_UNREADABLE', `checkpoint ${path}: ${messageOf(error)}`, { cause: error });
  }
  const { format, checkpoint } = read as { format?: number; checkpoint: Checkpoint };
  if (format !== FORMAT) throw new GruardError('FORMAT_VERSION', `checkpoint ${path} is of format ${String(format)}, and ${FORMAT} is read`);
  return checkpoint;
}

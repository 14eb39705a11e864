import { readFile, rename, writeFile } from 'node:fs/promises';
import v8 from 'node:v8';
import { GruardError, messageOf } from '../../core/errors.js';
import type { Checkpoint } from './trainer.js';

const FORMAT = 2;

/** A checkpoint and the command line that led to it, for the metadata of what comes out in the end. */
export interface SavedRun {
  command: string;
  checkpoint: Checkpoint;
}

/** Replaces the file whole: a crash leaves the one before. Read back by the same program, so in V8's own serialisation. */
export async function writeCheckpoint(path: string, { command, checkpoint }: SavedRun): Promise<void> {
  await writeFile(`${path}.tmp`, v8.serialize({ format: FORMAT, command, checkpoint }));
  await rename(`${path}.tmp`, path);
}

/** @throws GruardError FILE_UNREADABLE or FORMAT_VERSION. Only for a file of one's own: it is not checked further. */
export async function readCheckpoint(path: string): Promise<SavedRun> {
  let read: unknown;
  try {
    read = v8.deserialize(await readFile(path));
  } catch (error) {
    throw new GruardError('FILE_UNREADABLE', `checkpoint ${path}: ${messageOf(error)}`, { cause: error });
  }
  const { format, command, checkpoint } = read as SavedRun & { format?: number };
  if (format !== FORMAT) throw new GruardError('FORMAT_VERSION', `checkpoint ${path} is of format ${String(format)}, and ${FORMAT} is read`);
  return { command, checkpoint };
}

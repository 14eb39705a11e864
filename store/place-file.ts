import { link, lstat, rename, rm, unlink } from 'node:fs/promises';
import { GruardError, messageOf } from '../core/errors.js';

/** Of file systems that know no hard links. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Writes a file that appears whole or not at all, by way of another beside it; it takes the place of one that is there only with `force`.
 *
 * @param write writes the file at the path that it is given; @returns what it returns
 * @throws GruardError FILE_EXISTS, FILE_UNREADABLE where it cannot be written, and those of `write`
 */
export async function writeWhole<T>(path: string, force: boolean, write: (temporary: string) => Promise<T>): Promise<T> {
  if (!force) await refuseExisting(path);
  const temporary = `${path}.part`;
  try {
    const result = await write(temporary);
    await placeFile(temporary, path, force);
    return result;
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof GruardError) throw error;
    throw new GruardError('FILE_UNREADABLE', `${path}: ${messageOf(error).split('\n', 1)[0]}`, { cause: error });
  }
}

/** @throws GruardError FILE_EXISTS where there is anything at `path`. */
export async function refuseExisting(path: string): Promise<void> {
  if (await lstat(path).catch(() => undefined)) throw exists(path);
}

/**
 * Gives a file that is whole the name that it was made for; it takes the place of another one only with `force`.
 *
 * @throws GruardError FILE_EXISTS; then `temporary` is still there
 */
export async function placeFile(temporary: string, path: string, force: boolean): Promise<void> {
  if (force) return rename(temporary, path);
  try {
    // Unlike a rename it never takes the place of a file that came in the meantime.
    await link(temporary, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw exists(path);
    if (!NO_LINKS.has(code)) throw error;
    await refuseExisting(path);
    return rename(temporary, path);
  }
  await unlink(temporary);
}

function exists(path: string): GruardError {
  return new GruardError('FILE_EXISTS', `${path} is there already`);
}

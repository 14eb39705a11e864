import { link, lstat, rename, unlink } from 'node:fs/promises';
import { GruardError } from '../core/errors.js';

/** Of file systems that know no hard links. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

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

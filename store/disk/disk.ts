/**
 * All that journal, snapshots and cursors need of a file system: five calls, so that a simulated disk can stand in for the real one
 * and fail at every one of them. Names are relative to the disk's root, with `/` between folders. Errors are those of Node (`code`: ENOSPC, EIO, ...).
 */
export interface Disk {
  /** The files directly in a folder; none where the folder does not exist. In no particular order. */
  list(folder: string): Promise<DiskEntry[]>;
  /** Up to `bytes` bytes from `at`, fewer at the end of the file. The buffer starts at offset 0 of an ArrayBuffer of its own. Throws ENOENT. */
  read(name: string, at: number, bytes: number): Promise<Uint8Array>;
  /** Opens for writing and creates where needed, with its folder. That the file *exists* is durable only after a `rename`. */
  open(name: string): Promise<DiskFile>;
  /** Puts the file at its new name in one step, replacing what was there; durable when resolved (the folder is synced). Same folder only. */
  rename(from: string, to: string): Promise<void>;
  /** No error where there is no such file. */
  remove(name: string): Promise<void>;
}

export interface DiskEntry {
  /** With the folder. */
  name: string;
  bytes: number;
}

/**
 * An open file. A write is durable when it is resolved (written with O_DSYNC, or followed by fdatasync). When it is rejected, nothing is known
 * about the bytes from `at` on: the kernel may have dropped them and called the pages clean, so a later success says nothing about them.
 * Whoever writes must then write them again, somewhere else.
 */
export interface DiskFile {
  write(buffers: readonly Uint8Array[], at: number): Promise<void>;
  close(): Promise<void>;
}

/** Replaces a small file whole: readers see the old bytes or the new ones, also after a power cut. */
export async function replaceFile(disk: Disk, name: string, buffers: readonly Uint8Array[]): Promise<void> {
  const temporary = `${name}.new`;
  await disk.remove(temporary);
  const file = await disk.open(temporary);
  try {
    await file.write(buffers, 0);
  } finally {
    await file.close();
  }
  await disk.rename(temporary, name);
}

/** A whole file, or undefined where there is none. */
export async function readWhole(disk: Disk, name: string, maxBytes = 2 ** 31): Promise<Uint8Array | undefined> {
  try {
    return await disk.read(name, 0, maxBytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

import { backUp, restoreBackup } from '../store/backup.js';
import { RealDisk } from '../store/disk/real.js';
import { lockDataDir } from '../store/lock.js';
import { configOf, type CommonOptions } from './options.js';

/** `gruard backup FOLDER`: state and journal, while gruard runs or not. */
export async function backup(folder: string, options: CommonOptions): Promise<void> {
  const { files, bytes, lastSequence } = await backUp(new RealDisk(configOf(options).data_dir), new RealDisk(folder));
  process.stdout.write(`${files} files (${bytes} bytes) copied to ${folder}: the state up to record ${lastSequence}\n`);
}

/** `gruard restore FOLDER`: into an empty data directory that no gruard owns. */
export async function restore(folder: string, options: CommonOptions): Promise<void> {
  const { data_dir: dataDir } = configOf(options);
  const lock = await lockDataDir(dataDir);
  try {
    const { files, lastSequence } = await restoreBackup(new RealDisk(folder), new RealDisk(dataDir));
    process.stdout.write(`${files} files restored to ${dataDir}: the state up to record ${lastSequence}\n`);
  } finally {
    await lock.release();
  }
}

import { GruardError, messageOf } from '../core/errors.js';
import { readWhole, replaceFile, type Disk } from './disk/disk.js';
import { inspectJournal } from './inspect.js';
import { listSegments } from './segment.js';
import { SNAPSHOT_FOLDER } from './snapshot.js';

export interface BackupReport {
  files: number;
  bytes: number;
  /** The last record that is in it. */
  lastSequence: number;
}

const FOLDERS = [SNAPSHOT_FOLDER, 'cursors', 'poison'];
/** A running gruard may remove a segment between listing and copying; then the copy is begun again. */
const ATTEMPTS = 5;
const EMPTY_FOLDERS = ['', 'journal', ...FOLDERS];

/**
 * Copies state and journal into an empty folder, also while a gruard runs on them: files are only appended to or replaced whole. The snapshots are copied before
 * the journal, so the journal reaches at least as far as they do; its end may be a commit under way, which a start cuts off as after a crash.
 * The result store is not part of it: what the journal still holds is carried to the store again, the rest is in the store's own backup.
 * Throws DATA_DIR_UNUSABLE, JOURNAL_DAMAGED.
 */
export async function backUp(from: Disk, to: Disk): Promise<BackupReport> {
  await mustBeEmpty(to);
  for (let attempt = 1; ; attempt++) {
    const report = await copyAll(from, to);
    const copy = await inspectJournal(to);
    if (copy.segments.length === 0) throw new GruardError('DATA_DIR_UNUSABLE', 'there is no journal in data_dir (GRUARD_DATA_DIR): nothing to back up');
    if (copy.problems.length === 0) return { ...report, lastSequence: copy.last };
    if (attempt === ATTEMPTS) throw new GruardError('JOURNAL_DAMAGED', `the copy does not hold together: ${copy.problems[0]}`);
    await removeAll(to);
  }
}

/** Puts a backup into an empty data directory. Nothing may run on it: hold its lock. Throws DATA_DIR_UNUSABLE, JOURNAL_DAMAGED. */
export async function restoreBackup(from: Disk, to: Disk): Promise<BackupReport> {
  const { problems, last, segments } = await inspectJournal(from);
  // A wrong folder, most often: nothing would be restored, and nothing be said.
  if (segments.length === 0) throw new GruardError('DATA_DIR_UNUSABLE', 'there is no journal in the folder: it is no backup');
  if (problems.length > 0) throw new GruardError('JOURNAL_DAMAGED', `the backup does not hold together: ${problems[0]}`);
  await mustBeEmpty(to);
  return { ...await copyAll(from, to), lastSequence: last };
}

async function copyAll(from: Disk, to: Disk): Promise<BackupReport> {
  const report: BackupReport = { files: 0, bytes: 0, lastSequence: -1 };
  const copy = async (name: string): Promise<void> => {
    const bytes = await readWhole(from, name);
    if (!bytes) return;
    await replaceFile(to, name, [bytes]);
    report.files++;
    report.bytes += bytes.length;
  };
  try {
    for (const folder of FOLDERS) {
      for (const { name } of await from.list(folder)) if (!name.endsWith('.new')) await copy(name);
    }
    for (const { name } of await listSegments(from)) await copy(name);
  } catch (cause) {
    throw new GruardError('DATA_DIR_UNUSABLE', `cannot be copied: ${messageOf(cause)}`, { cause });
  }
  return report;
}

async function mustBeEmpty(disk: Disk): Promise<void> {
  for (const folder of EMPTY_FOLDERS) {
    const found = (await disk.list(folder)).find(({ name }) => !name.startsWith('gruard.lock'));
    if (found) throw new GruardError('DATA_DIR_UNUSABLE', `the target is not empty: it has ${found.name}; name a folder that is new or empty`);
  }
}

async function removeAll(disk: Disk): Promise<void> {
  for (const folder of EMPTY_FOLDERS) for (const { name } of await disk.list(folder)) await disk.remove(name);
}

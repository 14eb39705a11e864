import type { Disk } from './disk/disk.js';
import { SegmentReader, type Damage, type Segment } from './segment.js';

/** How a journal ended. */
export interface Tail {
  /** The sequence to give out next. */
  next: number;
  /**
   * The records of the last commit. That they can be read does not say that they are durable: the process may have died between write and fsync, or after a failed
   * fsync that left them in the page cache alone. The journal commits them anew before anyone may rely on them. Every earlier commit is durable,
   * because a commit is begun only after the one before it was.
   */
  uncertain: Uint8Array[];
  torn: boolean;
  damage: Damage[];
}

/** Reads the last segment that holds a record; removes (from disk and list) later ones, which hold none. */
export async function recoverTail(disk: Disk, segments: Segment[]): Promise<Tail> {
  let torn = false;
  for (;;) {
    const last = segments.at(-1);
    if (!last) return { next: 0, uncertain: [], torn, damage: [] };
    const tail = await readTail(disk, last);
    if (tail.next > last.first) return { ...tail, torn: torn || tail.torn };
    if (segments.length === 1) return { next: last.first, uncertain: [], torn: true, damage: [] };
    // Nothing was ever acknowledged from it: its first commit is torn, or was written once more elsewhere.
    torn ||= tail.torn;
    await disk.remove(last.name);
    segments.pop();
  }
}

async function readTail(disk: Disk, segment: Segment): Promise<Tail> {
  const found: { sequence: number; commitFirst: number; record: Uint8Array }[] = [];
  const reader = new SegmentReader(disk, segment);
  let lastCommit = segment.first;
  let gaps: Damage[] = [];
  let expected = segment.first;
  for (let read = await reader.next(); read; read = await reader.next()) {
    const { sequence, commitFirst, record } = read.frame;
    if (sequence < expected) continue;
    if (sequence > expected) gaps.push({ from: expected, to: sequence - 1, segment: segment.name });
    expected = sequence + 1;
    if (commitFirst > lastCommit) {
      lastCommit = commitFirst;
      found.length = 0;
    }
    found.push({ sequence, commitFirst, record: record.slice() });
  }
  // A hole in the last commit: a power cut wrote some of its sectors. Nobody was told that it is durable, so it ends at the hole.
  const hole = gaps.find(({ to }) => to >= lastCommit);
  const rubbish = (await disk.read(segment.name, reader.at, 8)).some((byte) => byte !== 0);
  const end = hole ? Math.max(hole.from, lastCommit) : expected;
  gaps = gaps.filter(({ from }) => from < end).map((gap) => ({ ...gap, to: Math.min(gap.to, end - 1) }));
  return { next: end, uncertain: found.filter(({ sequence }) => sequence < end).map(({ record }) => record), torn: hole !== undefined || rubbish, damage: gaps };
}

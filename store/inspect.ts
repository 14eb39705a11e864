import { Batch } from '../core/batch.js';
import { messageOf } from '../core/errors.js';
import type { Disk } from './disk/disk.js';
import { readWhole } from './disk/disk.js';
import { decodeRecord, rowsOf, type Frame } from './record.js';
import { listSegments, SegmentReader, type Segment } from './segment.js';
import { openFile, type ShardHead } from './shard.js';
import { SNAPSHOT_FOLDER } from './snapshot.js';

/** A journal as it lies on disk, whether or not a gruard runs on it: nothing here writes. */

export interface SegmentReport {
  name: string;
  bytes: number;
  /** Of its own: records that stand once more in the next segment are not counted. */
  records: number;
  rows: number;
  first: number;
  /** first - 1 where there is none. */
  last: number;
}

export interface JournalReport {
  segments: SegmentReport[];
  records: number;
  rows: number;
  /** -1 where there is none. */
  first: number;
  last: number;
  bytes: number;
  /** What is wrong, in words; empty where nothing is. The last commit may be incomplete while a gruard runs. */
  problems: string[];
}

export interface DumpedRecord {
  sequence: number;
  nowMs: number;
  batch: Batch;
}

/** Reads everything, checks every sum and that no sequence is missing: `gruard journal info` and `verify`. Throws FORMAT_VERSION. */
export async function inspectJournal(disk: Disk): Promise<JournalReport> {
  const segments = await listSegments(disk);
  const report: JournalReport = { segments: [], records: 0, rows: 0, first: -1, last: -1, bytes: 0, problems: [] };
  let expected: number | undefined;
  for (const [i, segment] of segments.entries()) {
    const part: SegmentReport = { name: segment.name, bytes: segment.bytes, records: 0, rows: 0, first: segment.first, last: segment.first - 1 };
    expected ??= segment.first;
    for await (const { sequence, record } of recordsOf(disk, segment, segments[i + 1])) {
      if (sequence > expected) report.problems.push(missing(expected, sequence - 1, segment.name));
      expected = sequence + 1;
      part.records++;
      part.rows += rowsOf(record);
      part.last = sequence;
    }
    const next = segments[i + 1];
    if (next && expected < next.first) {
      report.problems.push(missing(expected, next.first - 1, segment.name));
      expected = next.first;
    }
    report.segments.push(part);
    report.records += part.records;
    report.rows += part.rows;
    report.bytes += part.bytes;
    if (part.records > 0) {
      if (report.first < 0) report.first = part.first;
      report.last = part.last;
    }
  }
  report.problems.push(...await snapshotProblems(disk));
  return report;
}

/** Records from a sequence on, decoded, each batch its own: `gruard journal dump`. */
export async function* dumpJournal(disk: Disk, from = 0): AsyncGenerator<DumpedRecord> {
  const segments = await listSegments(disk);
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1];
    if (next && next.first <= from) continue;
    for await (const { sequence, record } of recordsOf(disk, segment, next)) {
      if (sequence < from) continue;
      const batch = new Batch(Math.max(1, rowsOf(record)));
      decodeRecord(record, batch);
      yield { sequence, nowMs: batch.nowMs, batch };
    }
  }
}

async function* recordsOf(disk: Disk, segment: Segment, next: Segment | undefined): AsyncGenerator<Frame> {
  const reader = new SegmentReader(disk, segment);
  let expected = segment.first;
  for (let read = await reader.next(); read; read = await reader.next()) {
    if (next && read.frame.sequence >= next.first) return;
    if (read.frame.sequence < expected) continue;
    expected = read.frame.sequence + 1;
    yield read.frame;
  }
}

const missing = (from: number, to: number, segment: string): string => `records ${from} to ${to} cannot be read (${segment})`;

async function snapshotProblems(disk: Disk): Promise<string[]> {
  const problems: string[] = [];
  for (const { name } of await disk.list(SNAPSHOT_FOLDER)) {
    if (!name.endsWith('.shard') && !name.endsWith('/index')) continue;
    try {
      const file = openFile(name, await readWhole(disk, name) ?? new Uint8Array(0));
      if (!file) problems.push(`${name} is damaged`);
      else if (!file.body) problems.push(`the state in ${name} is damaged (${(file.head as ShardHead).devices.length} devices)`);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return problems;
}

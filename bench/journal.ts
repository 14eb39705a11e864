import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Batch } from '../core/batch.js';
import { RealDisk } from '../store/disk/real.js';
import { Journal } from '../store/journal.js';
import { JournalReader } from '../store/reader.js';
import { decodeRecord, rowsOf } from '../store/record.js';

/**
 * `npm run bench:journal -- [--dir DIR] [--seconds S] [--json]`: durable commits a second by readings a commit, one commit after the other and with 64 batches under
 * way (group commit); and how fast a follower reads them back, from memory and from disk. Medians of interleaved rounds.
 */
const { values } = parseArgs({ options: { dir: { type: 'string', default: tmpdir() }, seconds: { type: 'string', default: '2' }, json: { type: 'boolean', default: false } } });
const roundMs = Number(values.seconds) * 1000;
const ROUNDS = 3;
const SIZES = [10, 1000, 10_000];
const AT_ONCE = 64;

interface Figures {
  commits_per_second: number;
  batches_per_second: number;
  readings_per_second: number;
  p50_ms: number;
  p99_ms: number;
}

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1];

async function withJournal<T>(recentBytes: number, work: (journal: Journal) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(values.dir, 'gruard-bench-'));
  const journal = new Journal({ disk: new RealDisk(dir), segmentBytes: 64 * 1024 * 1024, recentBytes });
  try {
    await journal.open();
    return await work(journal);
  } finally {
    await journal.close();
    rmSync(dir, { recursive: true });
  }
}

function filled(rows: number): Batch {
  const batch = new Batch(rows);
  for (let row = 0; row < rows; row++) batch.push(row + 1, row, 1_700_000_000_000 + row, Math.sin(row), 0);
  return batch;
}

/** So many batches on their way at once, for a while. */
function commits(rows: number, atOnce: number): Promise<Figures> {
  return withJournal(8 * 1024 * 1024, async (journal) => {
    const batch = filled(rows);
    journal.retain('bench', -1);
    journal.startRemoving();
    await journal.append(batch);
    const commitsBefore = journal.status().commits;
    const latencies: number[] = [];
    const began = performance.now();
    const one = async (): Promise<void> => {
      while (performance.now() - began < roundMs) {
        const sent = performance.now();
        journal.retain('bench', await journal.append(batch));
        latencies.push(performance.now() - sent);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    const seconds = (performance.now() - began) / 1000;
    latencies.sort((a, b) => a - b);
    return {
      commits_per_second: (journal.status().commits - commitsBefore) / seconds, batches_per_second: latencies.length / seconds, readings_per_second: latencies.length * rows / seconds,
      p50_ms: latencies[latencies.length >> 1], p99_ms: latencies[Math.floor(latencies.length * 0.99)],
    };
  });
}

/** Readings a second that a follower decodes. */
function reading(recentBytes: number): Promise<number> {
  return withJournal(recentBytes, async (journal) => {
    const batch = filled(1000);
    const records = 400;
    await Promise.all(Array.from({ length: records }, () => journal.append(batch)));
    const target = new Batch(16_384);
    const began = performance.now();
    const reader = new JournalReader(journal, 0);
    let rows = 0;
    while (reader.position <= journal.committed) {
      target.reset();
      for (const { record } of await reader.take(journal.committed, target.capacity, 8 * 1024 * 1024)) {
        decodeRecord(record, target);
        rows += rowsOf(record);
      }
    }
    return rows / ((performance.now() - began) / 1000);
  });
}

const rounds = new Map<string, Figures[]>();
for (let round = 0; round < ROUNDS; round++) {
  for (const rows of SIZES) {
    for (const atOnce of [1, AT_ONCE]) {
      const key = `${rows} ${atOnce}`;
      rounds.set(key, [...rounds.get(key) ?? [], await commits(rows, atOnce)]);
    }
  }
}
const flat: Record<string, number> = {};
process.stdout.write(`${'readings a commit'.padEnd(20)}${'under way'.padStart(10)}${'commits/s'.padStart(12)}${'readings/s'.padStart(14)}${'p50 ms'.padStart(10)}${'p99 ms'.padStart(10)}\n`);
for (const [key, figures] of rounds) {
  const [rows, atOnce] = key.split(' ');
  const of = (field: keyof Figures): number => median(figures.map((one) => one[field]));
  process.stdout.write(`${rows.padEnd(20)}${atOnce.padStart(10)}${of('commits_per_second').toFixed(0).padStart(12)}${of('readings_per_second').toFixed(0).padStart(14)}${of('p50_ms').toFixed(2).padStart(10)}${of('p99_ms').toFixed(2).padStart(10)}\n`);
  flat[`commits_per_second_${rows}_x${atOnce}`] = Math.round(of('commits_per_second'));
  flat[`readings_per_second_${rows}_x${atOnce}`] = Math.round(of('readings_per_second'));
}
for (const [name, recentBytes] of [['memory', 256 * 1024 * 1024], ['disk', 0]] as const) {
  const speeds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) speeds.push(await reading(recentBytes));
  flat[`follower_readings_per_second_${name}`] = Math.round(median(speeds));
  process.stdout.write(`a follower reads from ${name}: ${median(speeds).toFixed(0)} readings/s\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(flat)}\n`);

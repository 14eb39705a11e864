import type { Batch } from '../core/batch.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError } from '../core/errors.js';
import { readWhole, replaceFile, type Disk } from './disk/disk.js';
import type { FollowerTarget } from './follower.js';

const FOLDER = 'cursors';
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The journal position of a follower whose target cannot keep it: a small file, replaced whole. */
export class CursorFile {
  constructor(private readonly disk: Disk, private readonly name: string) {}

  /** -1 where there is none yet. Throws JOURNAL_DAMAGED where the file does not hold a position: to begin anew would send everything again. */
  async load(): Promise<number> {
    const bytes = await readWhole(this.disk, `${FOLDER}/${this.name}`);
    if (!bytes) return -1;
    const match = /^(-?\d{1,16}) ([0-9a-f]{8})\n$/.exec(decoder.decode(bytes));
    if (!match || check(match[1]) !== match[2]) {
      throw new GruardError('JOURNAL_DAMAGED', `the cursor cursors/${this.name} is damaged: remove it to send again what the journal still holds`);
    }
    return Number(match[1]);
  }

  async save(position: number): Promise<void> {
    const text = String(position);
    await replaceFile(this.disk, `${FOLDER}/${this.name}`, [encoder.encode(`${text} ${check(text)}\n`)]);
  }

  async remove(): Promise<void> {
    await this.disk.remove(`${FOLDER}/${this.name}`);
  }
}

/** FNV-1a, 32 bits: a position is a few digits. */
function check(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

const IDLE_SAVE_MS = 1000;

/**
 * A target whose position is a cursor file. `send` returns whether it did anything that must not be done again: then the cursor is saved at once, else
 * (nothing in the batch concerned it) once a second.
 */
export function withCursor(options: {
  disk: Disk;
  name: string;
  send: (batch: Batch) => Promise<boolean>;
  reachable?: () => Promise<boolean>;
  clock?: Clock;
}): FollowerTarget & { flush(): Promise<void> } {
  const cursor = new CursorFile(options.disk, options.name);
  const clock = options.clock ?? systemClock;
  let saved = -1;
  let reached = -1;
  let savedMs = 0;
  const save = async (): Promise<void> => {
    if (saved === reached) return;
    await cursor.save(reached);
    saved = reached;
    savedMs = clock.nowMs();
  };
  return {
    position: async () => (saved = reached = await cursor.load()),
    apply: async (batch, position) => {
      const sent = await options.send(batch);
      reached = position;
      if (sent || clock.nowMs() - savedMs >= IDLE_SAVE_MS) await save();
    },
    reachable: options.reachable,
    flush: save,
  };
}

import type { Batch } from '../../core/batch.js';
import { systemClock, type Clock } from '../../core/clock.js';
import { CursorFile } from '../../store/cursor.js';
import type { Disk } from '../../store/disk/disk.js';
import type { FollowerTarget } from '../../store/follower.js';

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
  const cursor = new CursorFile<{ position: number }>(options.disk, `cursors/${options.name}`);
  const clock = options.clock ?? systemClock;
  let saved = -1;
  let reached = -1;
  let savedMs = 0;
  const save = async (): Promise<void> => {
    if (saved === reached) return;
    await cursor.write({ position: reached });
    saved = reached;
    savedMs = clock.nowMs();
  };
  return {
    position: async () => (saved = reached = (await cursor.read())?.position ?? -1),
    apply: async (batch, position) => {
      const sent = await options.send(batch);
      reached = position;
      if (sent || clock.nowMs() - savedMs >= IDLE_SAVE_MS) await save();
    },
    reachable: options.reachable,
    flush: save,
  };
}

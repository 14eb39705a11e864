import { Batch, FLAG, type Declaration } from '../core/batch.js';
import type { Journal } from './journal.js';
import { JournalReader } from './reader.js';
import { decodeRecord, rowsOf } from './record.js';
import type { Snapshots } from './snapshot.js';

export interface ReplayOptions {
  journal: Journal;
  snapshots: Snapshots;
  /** Carries out declarations, as when they were new: makes room in the arenas, forgets what is retired. */
  declare: (declarations: readonly Declaration[]) => void;
}

export interface Replayed {
  sequence: number;
  /**
   * What the state has not seen yet, as it was before the detector's step: no results, no device rows. Declarations are carried out already. Rows of a series that
   * nobody knows any more (retired later, or lost with a damaged file) are left out. Used again for the next record.
   */
  batch: Batch;
  /** The record as it was committed, with results and events: what the step must find again. Used again for the next record. */
  recorded: Batch;
  /** Whether the state of a device has seen this record: a control of the whole fleet (a tick) must leave such a device alone. */
  seen: (deviceId: number) => boolean;
}

const ROWS = 65_536;
const BYTES = 16 * 1024 * 1024;

/** What the journal holds and the snapshots have not seen, up to the last record; followers are not concerned. */
export async function* replay({ journal, snapshots, declare }: ReplayOptions): AsyncGenerator<Replayed> {
  const reader = new JournalReader(journal, snapshots.floor + 1);
  const last = journal.appended;
  let recorded = new Batch(1024);
  let batch = new Batch(1024);
  for (;;) {
    const records = await reader.take(last, ROWS, BYTES);
    if (records.length === 0) return;
    for (const { sequence, record } of records) {
      const rows = rowsOf(record);
      if (rows > recorded.capacity) recorded = new Batch(rows);
      recorded.reset();
      decodeRecord(record, recorded);
      // As large again: the detector appends the device rows anew.
      if (batch.capacity < rows * 2) batch = new Batch(rows * 2);
      batch.reset();
      const seen = (deviceId: number): boolean => snapshots.hasSeen(deviceId, sequence);
      takeUnseen(recorded, batch, snapshots, seen, declare);
      if (batch.empty) continue;
      yield { sequence, batch, recorded, seen };
      snapshots.touched(batch);
    }
  }
}

function takeUnseen(recorded: Batch, batch: Batch, snapshots: Snapshots, seen: (deviceId: number) => boolean, declare: ReplayOptions['declare']): void {
  const { fleet } = snapshots.state;
  batch.nowMs = recorded.nowMs;
  batch.positions = recorded.positions;
  batch.declarations = recorded.declarations.filter(({ deviceId }) => !seen(deviceId));
  declare(batch.declarations);
  for (let row = 0; row < recorded.n; row++) {
    if ((recorded.flags[row] & FLAG.DEVICE) !== 0) continue;
    const slot = fleet.slotOfId(recorded.seriesId[row]);
    const device = slot === undefined ? undefined : fleet.deviceOfSlot(slot);
    if (slot === undefined || !device || seen(device.id)) continue;
    batch.push(recorded.seriesId[row], slot, recorded.timestampMs[row], recorded.value[row], recorded.flags[row] & FLAG.LATE);
  }
  // The event that a feedback is on stands in the same record, changed by it.
  batch.controls = recorded.controls.filter((control) => {
    if (control.kind !== 'feedback') return true;
    const event = recorded.events.find(({ id }) => id === control.eventId);
    const device = event && fleet.get(event.device);
    return !device || !seen(device.id);
  });
}

import { createHash } from 'node:crypto';
import type { Batch, Control } from './core/batch.js';

/**
 * The detector's settings that the journal knows of. A change of the configuration is a record like any other: a replay applies to each reading the settings that were in
 * force when it came.
 */
export class SettingsInForce {
  #current: Extract<Control, { kind: 'settings' }> | null = null;

  /** For the snapshot; null before the first start. */
  get current(): Control | null {
    return this.#current;
  }

  /** Follows what is stepped. */
  apply(batch: Batch): void {
    for (const control of batch.controls) if (control.kind === 'settings') this.#current = control;
  }

  /** What brings the detector to these settings; undefined where they are in force already. JSON has no Infinity: it is written as null. */
  changeTo(settings: unknown): Control | undefined {
    const text = JSON.stringify(settings);
    const hash = createHash('sha256').update(text).digest('hex');
    return hash === this.#current?.hash ? undefined : { kind: 'settings', hash, settings: JSON.parse(text) as unknown };
  }
}

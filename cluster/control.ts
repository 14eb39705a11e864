import type { KafkaMessage, Message } from 'kafkajs';
import type { Control } from '../core/batch.js';

/** What a person or a worker tells the fleet of a partition: a record of its log, so that it is in order with the readings. `clock` says only that time has passed. */
export type PartitionControl = Exclude<Control, { kind: 'tick' }> | { kind: 'retire'; device: string } | { kind: 'clock' };

const HEADER = 'gruard-control';
const VERDICTS: ReadonlySet<unknown> = new Set(['accept', 'false_alarm', 'confirm']);

export function controlMessage(control: PartitionControl, atMs: number, partition: number): Message {
  return { key: null, partition, timestamp: String(atMs), headers: { [HEADER]: '1' }, value: JSON.stringify(control) };
}

/** undefined for a message that is none: a reading. */
export function controlOf(message: KafkaMessage): PartitionControl | 'unreadable' | undefined {
  const { headers } = message;
  if (headers === undefined || headers[HEADER] === undefined) return undefined;
  try {
    const control = JSON.parse(message.value?.toString() ?? '') as Partial<Record<string, unknown>> | null;
    return isControl(control) ? control : 'unreadable';
  } catch {
    return 'unreadable';
  }
}

function isControl(control: Partial<Record<string, unknown>> | null): control is PartitionControl {
  switch (control?.kind) {
    case 'clock': return true;
    case 'retire': return typeof control.device === 'string';
    case 'settings': return typeof control.hash === 'string' && typeof control.settings === 'object' && control.settings !== null;
    case 'feedback': return typeof control.eventId === 'string' && typeof control.by === 'string' && Number.isFinite(control.atMs) && VERDICTS.has(control.verdict);
    default: return false;
  }
}

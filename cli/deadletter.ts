import { ask } from './client.js';
import { configOf, type CommonOptions } from './options.js';
import { plain } from './text.js';

interface Letter {
  at: string;
  source: string;
  origin: string;
  reason: string;
  detail: string;
  payload: string;
  payload_bytes: number;
}

export interface DeadLetterOptions extends CommonOptions {
  limit: number;
  json?: boolean;
}

/** `gruard deadletter list`. */
export async function listDeadLetters(options: DeadLetterOptions): Promise<void> {
  const { items } = await ask<{ items: Letter[] }>(configOf(options), `/v1/deadletters?limit=${Math.min(1000, Math.max(1, Math.trunc(options.limit)))}`);
  for (const letter of items) {
    if (options.json) process.stdout.write(`${JSON.stringify(letter)}\n`);
    else process.stdout.write(`${letter.at}  ${letter.reason}  ${letter.source} ${plain(letter.origin)}\n    ${plain(letter.detail)}\n    ${plain(letter.payload.slice(0, 200))} (${letter.payload_bytes} bytes)\n`);
  }
  if (items.length === 0 && !options.json) process.stdout.write('nothing was refused\n');
}

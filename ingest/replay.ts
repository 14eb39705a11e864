import { basename, extname } from 'node:path';
import type { Clock } from '../core/clock.js';
import { CsvFile, type CsvRow } from './file.js';
import { Publisher, type PublisherSettings } from './publisher.js';

export interface ReplayOptions {
  broker: PublisherSettings;
  clock: Clock;
  /** How many times as fast as it happened; Infinity: as fast as the broker takes it. */
  speed: number;
  /** Topic prefix; the device is the file's name without its ending. */
  topicPrefix?: string;
  onProgress?: (progress: ReplayProgress) => void;
  /** Ends the replay early; what was published stays published. */
  signal?: AbortSignal;
}

export interface ReplayProgress {
  rows: number;
  bytesRead: number;
  bytes: number;
  /** The file's time. Epoch ms. */
  timestampMs: number;
}

/** Publishes a CSV file row by row to an MQTT broker. Resolves when the broker has acknowledged every row. Throws CSV_INVALID, FILE_UNREADABLE, BROKER_UNREACHABLE. */
export async function replayCsv(path: string, options: ReplayOptions): Promise<ReplayProgress> {
  const file = await CsvFile.open(path);
  const publisher = await Publisher.connect(options.broker);
  const topic = `${options.topicPrefix ?? 'replay'}/${deviceOf(path)}`;
  const progress: ReplayProgress = { rows: 0, bytesRead: 0, bytes: file.bytes, timestampMs: NaN };
  const startedMs = options.clock.nowMs();
  let firstMs = NaN;
  try {
    reading: for await (const chunk of file.chunks()) {
      for (const row of chunk) {
        if (options.signal?.aborted) break reading;
        if (firstMs !== firstMs) firstMs = row.timestampMs;
        await sleep(startedMs + (row.timestampMs - firstMs) / options.speed - options.clock.nowMs(), options.signal);
        const payload = payloadOf(file.metrics, row);
        if (payload !== undefined) await publisher.publish(topic, payload);
        progress.rows++;
        progress.timestampMs = row.timestampMs;
        progress.bytesRead = file.bytesRead;
        options.onProgress?.(progress);
      }
    }
    await publisher.flush();
    return progress;
  } finally {
    await publisher.close();
  }
}

export function deviceOf(path: string): string {
  return basename(path, extname(path));
}

/** undefined for a row without a value. JSON writes a double with all its digits, so the same value arrives. */
function payloadOf(metrics: string[], row: CsvRow): string | undefined {
  const values = new Map<string, number>();
  metrics.forEach((metric, i) => {
    if (Number.isFinite(row.values[i])) values.set(metric, row.values[i]);
  });
  return values.size === 0 ? undefined : JSON.stringify({ timestamp: row.timestampMs, metrics: Object.fromEntries(values) });
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (!(ms >= 1)) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, 0x7fffffff));
    signal?.addEventListener('abort', end, { once: true });
  });
}

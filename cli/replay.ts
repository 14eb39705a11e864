import { processEnvironment } from '../config/environment.js';
import { systemClock } from '../core/clock.js';
import { GruardError } from '../core/errors.js';
import { ADDRESS } from '../ingest/mqtt.js';
import { replayCsv } from '../ingest/replay.js';
import { readFileSync } from 'node:fs';
import { Progress } from './progress.js';

export interface ReplayOptions {
  to: string;
  speed: number;
  topicPrefix?: string;
  username?: string;
  json?: boolean;
}

/** `gruard replay FILE --to mqtt://...`: the file's readings over a real broker, in time. */
export async function replay(file: string, options: ReplayOptions): Promise<void> {
  if (!(options.speed >= 0)) throw new GruardError('USAGE', '--speed: a number, 0 or more, expected');
  if (!ADDRESS.test(options.to)) throw new GruardError('USAGE', `--to ${withoutUser(options.to)}: an address that begins with mqtt://, mqtts://, ws:// or wss:// expected`);
  const progress = new Progress('publishing');
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const done = await replayCsv(file, {
    broker: { url: options.to, username: options.username, password: password() },
    clock: systemClock,
    speed: options.speed === 0 ? Infinity : options.speed,
    topicPrefix: options.topicPrefix,
    onProgress: ({ bytesRead, bytes, rows }) => progress.update(bytesRead / Math.max(1, bytes), `${rows} rows`),
    signal: stop.signal,
  }).finally(() => progress.end());
  process.stdout.write(options.json ? `${JSON.stringify({ file, to: withoutUser(options.to), rows: done.rows })}\n` : `${done.rows} rows published to ${withoutUser(options.to)}\n`);
}

function password(): string | undefined {
  const { GRUARD_MQTT_PASSWORD: direct, GRUARD_MQTT_PASSWORD_FILE: file } = processEnvironment();
  return file ? readFileSync(file, 'utf8').replace(/\r?\n$/, '') : direct;
}

function withoutUser(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//');
}

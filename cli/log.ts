import { pino } from 'pino';
import { build as pretty } from 'pino-pretty';
import type { Config } from '../config/schema.js';
import type { Log } from '../core/log.js';
import { plain } from './text.js';

const DEPTH = 8;

/** The log on stderr: text for people, JSON lines for programs. */
export function openLog(settings: Config['log']): Log {
  const text = settings.format === 'text' || (settings.format === 'auto' && process.stderr.isTTY);
  const options = { level: settings.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = text
    ? pino(options, pretty({ destination: 2, colorize: process.stderr.isTTY, translateTime: 'HH:MM:ss', ignore: 'pid,hostname', singleLine: true, sync: true }))
    : pino(options, pino.destination({ fd: 2, sync: true }));
  // JSON escapes what could begin a line; text is for a terminal, whose cursor no name may move.
  const shown = text ? (value: unknown) => visible(value) : (value: unknown) => value;
  const write = (level: 'debug' | 'info' | 'warn' | 'error') => (message: string, fields: Record<string, unknown> = {}) => logger[level](shown(fields), shown(message) as string);
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

/** Without control characters, in keys too. */
export function visible(value: unknown, depth = DEPTH): unknown {
  if (typeof value === 'string') return plain(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '...';
  if (Array.isArray(value)) return value.map((item) => visible(item, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [plain(key), visible(item, depth - 1)]));
}

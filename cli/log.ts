import { pino } from 'pino';
import { build as pretty } from 'pino-pretty';
import type { Config } from '../config/schema.js';
import type { Log } from '../core/log.js';

/** The log on stderr: text for people, JSON lines for programs. */
export function openLog(settings: Config['log']): Log {
  const text = settings.format === 'text' || (settings.format === 'auto' && process.stderr.isTTY);
  const options = { level: settings.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = text
    ? pino(options, pretty({ destination: 2, colorize: process.stderr.isTTY, translateTime: 'HH:MM:ss', ignore: 'pid,hostname', singleLine: true, sync: true }))
    : pino(options, pino.destination({ fd: 2, sync: true }));
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}

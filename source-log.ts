import type { Log } from './core/log.js';
import type { Source, SourceStatus } from './core/source.js';

const LOOK_MS = 1000;

/** Says in the log when a source comes or goes: whoever starts gruard sees that it reads, and later since when it does not. */
export function logSources(sources: readonly Pick<Source, 'name' | 'status'>[], log: Log, lookMs = LOOK_MS): () => void {
  const told = new Map<string, SourceStatus['state']>();
  const look = (): void => {
    for (const source of sources) {
      const { state, address, detail } = source.status();
      if (state === told.get(source.name)) continue;
      // A connection that is being made is worth a line only once it is there, or is not.
      if (state === 'connected') log.info('source connected', { source: source.name, address });
      else if (state === 'disconnected') log.warn('source not connected; gruard keeps trying', { source: source.name, address, reason: detail });
      else continue;
      told.set(source.name, state);
    }
  };
  look();
  const timer = setInterval(look, lookMs);
  timer.unref();
  return () => clearInterval(timer);
}

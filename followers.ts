import { join } from 'node:path';
import { Alerts } from './alert/alerts.js';
import { openSink } from './alert/open.js';
import { readSinks } from './alert/settings.js';
import type { Config } from './config/schema.js';
import { Batch } from './core/batch.js';
import type { Fleet } from './core/fleet.js';
import type { Log } from './core/log.js';
import type { ResultStore } from './core/results.js';
import { Follower, type FollowerTarget } from './store/follower.js';
import type { Journal } from './store/journal.js';
import type { KafkaOutput } from './store/kafka/output.js';
import { CursorFile } from './store/cursor.js';

/** Commits are written to the store together; what was acknowledged is to be seen there within a second. */
const STORE_LINGER_MS = 200;
/** Several of the pipeline's largest batches: a store that takes them one by one falls behind at a high rate, and then reads the journal from disk. */
const STORE_ROWS = 65_536;

/** Carries what is committed to the result store. */
export function followStore(store: ResultStore, journal: Journal, fleet: Fleet): Follower {
  const target = { position: () => store.position(), apply: (batch: Batch, position: number) => store.write(batch, fleet, position) };
  return new Follower({ name: store.name, journal, target, lingerMs: STORE_LINGER_MS, rows: STORE_ROWS });
}

/** Carries what is committed to topics. */
export function followKafka(output: KafkaOutput, journal: Journal): Follower {
  return new Follower({ name: 'kafka', journal, target: output, lingerMs: STORE_LINGER_MS });
}

/** A follower for each alert sink of the configuration. @throws GruardError CONFIG_INVALID. */
export function followAlerts(config: Config, journal: Journal, log: Log): { alerts: Alerts[]; followers: Follower[] } {
  const alerts = readSinks(config.alerts.sinks).map((settings) => new Alerts({
    sink: openSink(settings, (message, fields) => log.warn(message, { ...fields })),
    telling: settings.telling,
    maxPerMinute: settings.maxPerMinute,
    memory: CursorFile.at(join(config.data_dir, 'cursors', `alert-${settings.name}.json`)),
    sentMemory: CursorFile.at(join(config.data_dir, 'cursors', `alert-${settings.name}.sent.json`)),
    log: (message) => log.info(message, { sink: settings.name }),
  }));
  return { alerts, followers: alerts.map((one) => new Follower({ name: `alert-${one.name}`, journal, target: fromNow(one, journal) })) };
}

/** A sink that is new begins at the end of the journal: nobody wants to be told of what is over. That it has begun is remembered at once, so that a kill misses nothing. */
function fromNow(alerts: Alerts, journal: Journal): FollowerTarget {
  return {
    position: async () => {
      const position = await alerts.position();
      if (position >= 0 || journal.committed < 0) return position;
      const end = journal.committed;
      await alerts.apply(new Batch(0), end);
      return end;
    },
    apply: (batch, position) => alerts.apply(batch, position),
  };
}

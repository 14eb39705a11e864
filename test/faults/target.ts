import { loadConfig } from '../../config/load.js';
import { silentLog } from '../../core/log.js';
import { openGruard } from '../../gruard.js';
import { EmbeddedStore } from '../../store/results/embedded.js';

/** What a target is asked, by message; it answers each with its `Look`. */
export type Order = { stall: boolean } | { look: true } | { end: true };

export interface Look {
  rssBytes: number;
  /** The journal's line of the health report. */
  journal: { status: string; detail: string };
  /** The store's line of the health report. */
  store: { status: string; detail: string };
  /** Messages between their arrival and their acknowledgement, all sources together. */
  unacknowledged: number;
  /** Records that the store has not taken yet. */
  lag: number;
}

/** A gruard in a process of its own, so that its memory is its own, with a store that can be made to stand still. `argv[2]`: overrides of the configuration. */
const gruard = await openGruard(loadConfig({ environment: {}, overrides: JSON.parse(process.argv[2]) as Record<string, unknown> }), silentLog);

let released: Promise<void> = Promise.resolve();
let release: () => void = () => undefined;
const write = Object.getOwnPropertyDescriptor(EmbeddedStore.prototype, 'write')!.value as EmbeddedStore['write'];
EmbeddedStore.prototype.write = async function stalled(...args): Promise<void> {
  await released;
  return write.apply(this, args);
};

function look(): Look {
  const measures = gruard.service.measures();
  const sum = (name: string): number => measures.find((measure) => measure.name === name)!.values.reduce((total, { value }) => total + value, 0);
  const { checks } = gruard.service.health();
  const check = (part: string): { status: string; detail: string } => {
    const { status, detail } = checks.find(({ name }) => name.includes(part))!;
    return { status, detail };
  };
  return { rssBytes: process.memoryUsage.rss(), journal: check('journal'), store: check('embedded'), unacknowledged: sum('gruard_source_waiting'), lag: sum('gruard_follower_lag_records') };
}

process.on('message', (order: Order) => {
  if ('end' in order) void gruard.close().finally(() => process.exit(0));
  else if ('stall' in order) {
    if (order.stall) released = new Promise((resolve) => { release = resolve; });
    else release();
  }
  process.send!(look());
});
process.send!({ ready: gruard.addresses });

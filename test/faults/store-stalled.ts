import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, pause, Publisher, Target, until } from './bench.js';

export interface StoreStalled {
  seconds: number;
  readings: number;
  /** Acknowledged while the store stood still. */
  acknowledged_while_stalled: number;
  lost: number;
  twice: number;
  most_lag_records: number;
  rss_before_mib: number;
  rss_most_mib: number;
  rss_growth_percent: number;
}

/** The embedded store takes nothing for a while, under traffic; memory is compared with the same time of the same traffic before. */
export async function storeStalled(seconds: number): Promise<StoreStalled> {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-stalled-'));
  const target = await Target.start({ data_dir: dir, 'broker.enabled': 'on' });
  try {
    const publisher = await Publisher.start(target.addresses.mqtt!, 50, 20);
    const before = await most(target, seconds);
    const acknowledged = publisher.acknowledgements;
    await target.stall(true);
    const during = await most(target, seconds);
    const acknowledgedNow = publisher.acknowledgements;
    await target.stall(false);
    const after = await most(target, Math.min(seconds, 10));
    await publisher.finish();
    await until('the store has everything', async () => (await target.look()).lag === 0);
    const { lost, twice } = await audit(target, publisher);
    const rss = Math.max(during.rss, after.rss);
    return {
      seconds, readings: publisher.sent, acknowledged_while_stalled: acknowledgedNow - acknowledged, lost, twice, most_lag_records: during.lag,
      rss_before_mib: Math.round(before.rss / 2 ** 20), rss_most_mib: Math.round(rss / 2 ** 20), rss_growth_percent: Number((100 * (rss / before.rss - 1)).toFixed(1)),
    };
  } finally {
    await target.end();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function most(target: Target, seconds: number): Promise<{ rss: number; lag: number }> {
  const found = { rss: 0, lag: 0 };
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    await pause(100);
    const { rssBytes, lag } = await target.look();
    found.rss = Math.max(found.rss, rssBytes);
    found.lag = Math.max(found.lag, lag);
  }
  return found;
}

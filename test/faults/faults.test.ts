import { afterAll, describe, expect, it } from 'vitest';
import { mosquittoPath } from '../servers/mosquitto.js';
import { brokerKilled } from './broker-killed.js';
import { diskFull, mountTmpfs } from './disk-full.js';
import { storeStalled } from './store-stalled.js';

const tmpfs = mountTmpfs(32);
afterAll(() => tmpfs?.unmount());

/** Short pieces of `npm run test:faults`. */
describe('faults of a whole gruard', () => {
  it.skipIf(tmpfs === undefined)(`a full disk ends acknowledging, with a reason, and nothing is lost${tmpfs ? '' : ' (skipped: a tmpfs cannot be mounted here)'}`, async () => {
    const report = await diskFull(tmpfs!.dir, 2);
    expect(report).toMatchObject({ lost: 0, twice: 0 });
    expect(report.health).toContain('JOURNAL_FULL');
  }, 60_000);

  it.skipIf(mosquittoPath === undefined)(`a broker that is killed and comes back loses nothing${mosquittoPath ? '' : ' (skipped: mosquitto is not installed)'}`, async () => {
    const report = await brokerKilled(1, 1000);
    expect(report.readings).toBeGreaterThan(500);
    expect(report).toMatchObject({ lost: 0, twice: 0 });
  }, 60_000);

  it('a store that stands still holds nothing back', async () => {
    const report = await storeStalled(1);
    expect(report.acknowledged_while_stalled).toBeGreaterThan(0);
    expect(report.most_lag_records).toBeGreaterThan(0);
    expect(report).toMatchObject({ lost: 0, twice: 0 });
  }, 60_000);
});

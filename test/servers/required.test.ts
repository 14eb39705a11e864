import { describe, expect, it } from 'vitest';
import { chromiumPath } from '../browser/browser.js';
import { findInfluxd } from './influxd.js';
import { kafkaMissing } from './kafka.js';
import { mosquittoPath } from './mosquitto.js';
import { prometheusPath } from './prometheus.js';

/** Tests that need a server skip where it is not installed; where all have to be there, GRUARD_REQUIRE_SERVERS=1 makes an absent one a failure. */
describe.skipIf(process.env.GRUARD_REQUIRE_SERVERS !== '1')('the servers of the integration tests (required with GRUARD_REQUIRE_SERVERS=1)', () => {
  it.each([
    ['mosquitto', mosquittoPath], ['influxd', findInfluxd()], ['prometheus', prometheusPath], ['chromium', chromiumPath], ['kafka', kafkaMissing === undefined ? 'found' : undefined],
  ])('%s', (name, found) => {
    expect(found, `${name} is not installed`).toBeDefined();
  });
});

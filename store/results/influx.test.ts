import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { resultStoreConformance } from '../../test/conformance/results.js';
import type { Influxd } from '../../test/servers/influxd.js';
import { findInfluxd, startInfluxd } from '../../test/servers/influxd.js';
import { InfluxStore } from './influx.js';

describe.skipIf(!findInfluxd())('with a real influxd (skipped where it is not installed)', () => {
  let server: Influxd;
  let dir: string;
  let places = 0;

  beforeAll(async () => {
    server = await startInfluxd();
    dir = mkdtempSync(join(tmpdir(), 'gruard-influx-'));
  });
  afterAll(async () => {
    await server.stop();
    rmSync(dir, { recursive: true });
  });

  resultStoreConformance('influxdb', async () => {
    const database = `place ${places++} "'`;
    return {
      async open() {
        const store = new InfluxStore({ url: server.url, database, cursorPath: join(dir, `${places}.cursor`) });
        await store.open();
        return store;
      },
      async remove() {},
    };
  }, { seesSameValue: false });
});

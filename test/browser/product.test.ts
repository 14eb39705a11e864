import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot, shippedFile } from '../../core/paths.js';
import { gaussian, seededRandom } from '../../core/random.js';
import { chromiumPath, cleanUp, launch } from './browser.js';
import { freePort } from '../servers/free-port.js';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 31, 12);
const READINGS = 2000;
/** A strange device name on purpose. */
const DEVICE = 'Öfen 3/β';

/** The whole way: `gruard start`, a fault published over MQTT, and what a person sees of it. */
describe.skipIf(chromiumPath === undefined)('gruard start', () => {
  let browser: Browser;
  let gruard: ChildProcess;
  let log = '';
  const dataDir = mkdtempSync(join(tmpdir(), 'gruard-browser-'));
  const ports = { api: 0, broker: 0 };

  beforeAll(async () => {
    if (!existsSync(shippedFile('dist/page/index.html'))) {
      await build({ root: join(packageRoot, 'api/page'), configFile: join(packageRoot, 'api/page/vite.config.ts'), logLevel: 'error' });
    }
    ports.api = await freePort();
    ports.broker = await freePort();
    gruard = spawn(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'start'], {
      cwd: packageRoot, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, GRUARD_API_PORT: String(ports.api), GRUARD_BROKER_PORT: String(ports.broker), GRUARD_DATA_DIR: dataDir, GRUARD_TIME: 'event' },
    });
    for (const stream of [gruard.stdout!, gruard.stderr!]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    browser = await launch();
    while (!(await healthy(ports.api))) {
      if (gruard.exitCode !== null) throw new Error(`gruard ended: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }, 120_000);

  afterAll(async () => {
    await cleanUp(browser);
    if (gruard?.exitCode === null) {
      const ended = new Promise((resolve) => gruard.once('exit', resolve));
      gruard.kill('SIGTERM');
      await ended;
    }
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('shows on the page a fault that was published over MQTT', async () => {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${ports.api}/`);
    await page.getByText('Waiting for the first reading').waitFor();
    expect(await page.locator('main pre').textContent()).toContain(`-p ${ports.broker}`);

    const random = seededRandom(11);
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${ports.broker}`);
    const publish = (i: number, offset: number): Promise<unknown> => {
      const temperature = 180 + 6 * Math.sin((2 * Math.PI * i) / 1440) + 0.5 * gaussian(random) + offset;
      return client.publishAsync('plant/line1', JSON.stringify({ device: DEVICE, timestamp: NOW + i * MINUTE, temperature: Number(temperature.toFixed(2)) }), { qos: 1 });
    };
    await Promise.all(Array.from({ length: READINGS }, (_, i) => publish(i, 0)));
    await page.getByRole('link', { name: DEVICE }).first().waitFor();

    for (let i = READINGS; i < READINGS + 40; i++) await publish(i, 40);
    await client.endAsync();
    const item = page.locator('.item.open', { hasText: 'temperature' }).first();
    await item.waitFor();
    expect(await item.textContent()).toMatch(/expected .* got 2\d\d/);
    await page.locator('.tile.anomalous', { hasText: DEVICE }).waitFor();

    await item.getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: DEVICE }).waitFor();
    await page.locator('.chart[aria-label^="Chart of temperature"] canvas').first().waitFor();
    await page.getByRole('button', { name: 'Confirm fault' }).click();
    await page.getByText('Confirmed as a fault by local.').waitFor();
    await page.close();
  }, 120_000);
});

async function healthy(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/v1/health`)).ok;
  } catch {
    return false;
  }
}

import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { shippedFile } from '../core/paths.js';
import { chromiumPath, cleanUp, launch } from '../test/browser/browser.js';

/**
 * Pictures of the page for README and docs, from a gruard that runs (`npm run demo`, once it says "live"):
 *   npx tsx scripts/screenshot.ts [--url http://127.0.0.1:8480/] [--out docs/images]
 */

interface Event {
  id: string;
  device: string;
  state: string;
  severity: string;
  readings: number;
  peak_score: number;
}

const { values } = parseArgs({ options: { url: { type: 'string', default: 'http://127.0.0.1:8480/' }, out: { type: 'string', default: shippedFile('docs/images') } } });
if (chromiumPath === undefined) throw new Error('no Chromium found: set CHROMIUM_PATH to one');
mkdirSync(values.out, { recursive: true });

const WIDE = { width: 1400, height: 900 };
const PHONE = { width: 400, height: 800 };
const browser = await launch();

async function shoot(name: string, hash: string, viewport: typeof WIDE, colorScheme: 'light' | 'dark', ready: (page: Page) => Promise<unknown>): Promise<void> {
  const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: viewport === PHONE ? 2 : 1, reducedMotion: 'reduce' });
  await page.goto(new URL(hash, values.url).href);
  await ready(page);
  // Charts are drawn a frame after their readings came.
  await page.waitForTimeout(800);
  await page.screenshot({ path: `${values.out}/${name}.png` });
  await page.close();
  console.log(`${values.out}/${name}.png`);
}

/** The plainest fault there is: one that has lasted for some readings, open if there is one, with the highest peak. */
async function showpiece(): Promise<Event> {
  const { items } = await (await fetch(new URL('v1/anomalies?limit=500', values.url))).json() as { items: Event[] };
  const rank = (event: Event): number => (event.readings >= 8 ? 1000 : 0) + (event.state === 'open' ? 500 : 0) + Math.min(event.peak_score, 100);
  const [best] = items.sort((a, b) => rank(b) - rank(a));
  if (!best) throw new Error(`no anomaly event at ${values.url} yet: wait for one`);
  return best;
}

const event = await showpiece();
const eventHash = `#/device/${encodeURIComponent(event.device)}?event=${encodeURIComponent(event.id)}`;
const fleet = (page: Page): Promise<unknown> => Promise.all([page.locator('.tile').first().waitFor(), page.locator('.item').first().waitFor({ state: 'attached' })]);
const device = (page: Page): Promise<unknown> => page.locator('.chart:not([aria-label*=": 0 readings"]) canvas').first().waitFor();

await shoot('fleet', '#/', WIDE, 'light', fleet);
await shoot('fleet-dark', '#/', WIDE, 'dark', fleet);
await shoot('event', eventHash, WIDE, 'light', device);
await shoot('event-dark', eventHash, WIDE, 'dark', device);
await shoot('phone', '#/', PHONE, 'light', fleet);
await cleanUp(browser);

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { createServer } from 'vite';
import { packageRoot } from '../core/paths.js';
import { chromiumPath, cleanUp, launch } from '../test/browser/browser.js';
import { runFleet, type FleetRun } from '../test/flow/fleet-run.js';
import { panelsOf } from './generate.js';
import { deviceDashboard } from './device.js';
import { fleetDashboard } from './fleet.js';
import { interpolate } from './interpolate.js';
import { PAGE } from './links.js';
import type { InfluxQuery } from './queries.js';

/**
 * `npm run preview:dashboards [-- --out DIR --width PIXELS]`: what a person would see in the panels of the Fleet and Device dashboards, for a look at the data
 * without a Grafana. Runs a fleet with faults into a real InfluxDB, asks it the panels' own queries, and draws the answers with the charts of gruard's page.
 */
const { values } = parseArgs({ options: { out: { type: 'string', default: join(packageRoot, 'docs', 'images') }, width: { type: 'string', default: '1200' } } });
if (chromiumPath === undefined) throw new Error('no Chromium found: set CHROMIUM_PATH to one');

const DAY_MS = 86_400_000;
const VARIABLES = { device: 'press-2', metric: 'temperature', devices: ['oven-1', 'press-2', 'pump-3'] };

/** Titles, columns and rows: what dashboards/preview.html draws. */
async function answered(run: FleetRun, dashboard: Dashboard): Promise<unknown> {
  const context = { fromMs: run.toMs - DAY_MS, toMs: run.toMs, intervalMs: 300_000, variables: VARIABLES };
  const panels = await Promise.all(panelsOf(dashboard).map(async ({ title, type, gridPos, fieldConfig, targets = [], transformations }) => ({
    title: title!.replace('$metric', VARIABLES.metric).replace('$device', VARIABLES.device), type, width: gridPos!.w, empty: fieldConfig!.defaults.noValue,
    columns: fieldConfig!.overrides.filter(({ properties }) => properties.some(({ id }) => id === 'displayName'))
      .map(({ matcher, properties }) => ({ name: matcher.options as string, head: properties.find(({ id }) => id === 'displayName')!.value as string })),
    answers: await Promise.all(targets.map(async (target) => {
      const { alias, query } = target as InfluxQuery;
      return { alias: alias?.replace('$metric', VARIABLES.metric), rows: sorted(await run.query(interpolate(query, context)), transformations) };
    })),
  })));
  return { range: { minMs: context.fromMs, maxMs: context.toMs }, panels };
}

function sorted(rows: Record<string, unknown>[], transformations: Panel['transformations']): Record<string, unknown>[] {
  const by = (transformations?.find(({ id }) => id === 'sortBy')?.options as { sort: { field: string }[] } | undefined)?.sort[0].field;
  return by === undefined ? rows : rows.sort((a, b) => (b[by] as number) - (a[by] as number));
}

mkdirSync(values.out, { recursive: true });
const cacheDir = mkdtempSync(join(tmpdir(), 'gruard-preview-'));
const run = await runFleet();
const web = await createServer({ root: packageRoot, configFile: false, cacheDir, logLevel: 'error', server: { host: '127.0.0.1', port: 0 }, optimizeDeps: { noDiscovery: true } });
await web.listen();
const browser = await launch();
try {
  for (const [name, dashboard] of [['fleet', fleetDashboard(PAGE)], ['device', deviceDashboard(PAGE)]] as const) {
    const page = await browser.newPage({ viewport: { width: Number(values.width), height: 600 }, colorScheme: 'light', reducedMotion: 'reduce', timezoneId: 'UTC' });
    page.on('pageerror', (error) => console.error(error));
    await page.goto(new URL('dashboards/preview.html', web.resolvedUrls!.local[0]).href);
    await page.waitForFunction('window.draw !== undefined');
    await page.evaluate(`draw(${JSON.stringify(await answered(run, dashboard))})`);
    // Charts are drawn a frame after their points came.
    await page.waitForTimeout(800);
    const path = join(values.out, `dashboard-${name}.png`);
    await page.screenshot({ path, fullPage: true });
    console.log(path);
  }
} finally {
  await cleanUp(browser);
  await web.close();
  await run.close();
  rmSync(cacheDir, { recursive: true, force: true });
}

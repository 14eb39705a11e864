import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { createServer } from 'vite';
import { systemClock } from '../core/clock.js';
import { packageRoot } from '../core/paths.js';
import { chromiumPath, cleanUp, launch } from '../test/browser/browser.js';
import { runFleet, type FleetRun } from '../test/flow/fleet-run.js';
import { prometheusPath, startPrometheus, type Prometheus } from '../test/servers/prometheus.js';
import { dashboards, panelsOf } from './generate.js';
import { ALL, interpolate, type Interpolation } from './interpolate.js';
import { UID } from './links.js';
import type { InfluxQuery } from './queries.js';

/**
 * `npm run preview:dashboards [-- --out DIR --width PIXELS --dark]`: what a person would see in the panels of the dashboards, for a look at the data without a
 * Grafana. Runs a fleet with faults into a real InfluxDB, has a real Prometheus read gruard meanwhile, asks both the panels' own queries, and draws the answers with
 * the charts of gruard's page.
 */
const { values } = parseArgs({ options: { out: { type: 'string', default: join(packageRoot, 'docs', 'images') }, width: { type: 'string', default: '1200' }, dark: { type: 'boolean', default: false } } });
if (chromiumPath === undefined) throw new Error('no Chromium found: set CHROMIUM_PATH to one');

const DAY_MS = 86_400_000;
/** How long Prometheus watches a gruard at work. */
const WATCHED_S = 40;
const VARIABLES = { device: 'press-2', metric: 'temperature', devices: ['oven-1', 'press-2', 'pump-3'] };

interface Answer {
  alias: string | undefined;
  rows: Record<string, unknown>[];
}

/** Titles, columns and rows: what dashboards/preview.html draws. */
async function answered(dashboard: Dashboard, ask: (target: NonNullable<Panel['targets']>[number]) => Promise<Answer[]>, range: { minMs: number; maxMs: number }): Promise<unknown> {
  const panels = await Promise.all(panelsOf(dashboard).map(async ({ title, type, gridPos, fieldConfig, targets = [], transformations }) => ({
    title: named(title!), type, width: gridPos!.w, empty: fieldConfig!.defaults.noValue,
    columns: fieldConfig!.overrides.filter(({ properties }) => properties.some(({ id }) => id === 'displayName'))
      .map(({ matcher, properties }) => ({ name: matcher.options as string, head: properties.find(({ id }) => id === 'displayName')!.value as string })),
    answers: (await Promise.all(targets.map(ask))).flat().map(({ alias, rows }) => ({ alias: alias && named(alias), unit: unitOf(fieldConfig!, alias), rows: sorted(rows, transformations) })),
  })));
  return { range, panels };
}

const named = (text: string): string => text.replace('$metric', VARIABLES.metric).replace('$device', VARIABLES.device);

/** Of a series: its own, where an override of its name has one. */
function unitOf({ defaults, overrides }: NonNullable<Panel['fieldConfig']>, alias = ''): string | undefined {
  const own = overrides.find(({ matcher, properties }) => properties.some(({ id }) => id === 'unit')
    && (matcher.id === 'byName' ? matcher.options === alias : matcher.id === 'byRegexp' && new RegExp(String(matcher.options).replace(/^\/(.*)\/$/, '$1')).test(alias)));
  return (own?.properties.find(({ id }) => id === 'unit')?.value as string | undefined) ?? defaults.unit;
}

function sorted(rows: Record<string, unknown>[], transformations: Panel['transformations']): Record<string, unknown>[] {
  const by = (transformations?.find(({ id }) => id === 'sortBy')?.options as { sort: { field: string }[] } | undefined)?.sort[0].field;
  return by === undefined ? rows : rows.sort((a, b) => (b[by] as number) - (a[by] as number));
}

function influxPanels(run: FleetRun, dashboard: Dashboard): Promise<unknown> {
  const explorer = dashboard.uid === UID.explorer;
  const variables: Interpolation['variables'] = explorer ? { device: ALL, metric: ALL, severity: ALL, state: ALL, kind: ALL } : VARIABLES;
  const context = { fromMs: explorer ? run.fromMs : run.toMs - DAY_MS, toMs: run.toMs, intervalMs: explorer ? 3_600_000 : 300_000, variables };
  return answered(dashboard, async (target) => {
    const { alias, query } = target as InfluxQuery;
    return [{ alias, rows: await run.query(interpolate(query, context)) }];
  }, { minMs: context.fromMs, maxMs: context.toMs });
}

async function prometheusPanels(server: Prometheus, dashboard: Dashboard): Promise<unknown> {
  const nowMs = systemClock.nowMs();
  return await answered(dashboard, async (target) => {
    const { expr, legendFormat = '' } = target as unknown as { expr: string; legendFormat?: string };
    const found = await server.range(expr.replaceAll('$__rate_interval', '10s'), WATCHED_S);
    return found.map(({ metric, values: samples }) => ({
      alias: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
      rows: samples.map(([time, value]) => ({ time: time * 1000, value: Number(value) })).filter(({ value }) => Number.isFinite(value)),
    }));
  }, { minMs: nowMs - WATCHED_S * 1000, maxMs: nowMs });
}

/** Readings and questions, so that there is something to be measured; some of the readings cannot be read. */
async function keepBusy(run: FleetRun): Promise<void> {
  for (let second = 0; second < WATCHED_S; second++) {
    const rows = Array.from({ length: 50 + 20 * (second % 10) }, (_, i) => ({ device: `mill-${i % 20}`, timestamp: run.toMs + second * 60_000 + i, metrics: { speed: 900 + (i % 7) } }));
    await fetch(new URL('v1/readings', run.gruard.addresses.page), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(second % 5 === 0 ? [...rows, { device: 'mill-1', timestamp: 'never', metrics: {} }] : rows) });
    await run.gruard.get('/v1/devices?limit=50');
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

mkdirSync(values.out, { recursive: true });
const cacheDir = mkdtempSync(join(tmpdir(), 'gruard-preview-'));
const run = await runFleet();
const web = await createServer({ root: packageRoot, configFile: false, cacheDir, logLevel: 'error', server: { host: '127.0.0.1', port: 0 }, optimizeDeps: { noDiscovery: true } });
await web.listen();
const browser = await launch();
let prometheus: Prometheus | undefined;
try {
  const all = dashboards();
  const drawn = new Map(await Promise.all(all.filter(({ uid }) => uid !== UID.operations).map(async (dashboard) => [dashboard.uid!, await influxPanels(run, dashboard)] as const)));
  if (prometheusPath === undefined) {
    console.error('no Prometheus found: the Operations dashboard is left out');
  } else {
    prometheus = await startPrometheus(`global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: gruard, static_configs: [{ targets: ['${new URL(run.gruard.addresses.page).host}'] }] }]\n`);
    await keepBusy(run);
    drawn.set(UID.operations, await prometheusPanels(prometheus, all.find(({ uid }) => uid === UID.operations)!));
  }
  for (const [uid, panels] of drawn) {
    const page = await browser.newPage({ viewport: { width: Number(values.width), height: 600 }, colorScheme: values.dark ? 'dark' : 'light', reducedMotion: 'reduce', timezoneId: 'UTC' });
    page.on('pageerror', (error) => console.error(error));
    await page.goto(new URL('dashboards/preview.html', web.resolvedUrls!.local[0]).href);
    await page.waitForFunction('window.draw !== undefined');
    await page.evaluate(`draw(${JSON.stringify(panels)})`);
    // Charts are drawn a frame after their points came.
    await page.waitForTimeout(800);
    const path = join(values.out, `${uid.replace('gruard-', 'dashboard-')}.png`);
    await page.screenshot({ path, fullPage: true });
    console.log(path);
  }
} finally {
  await cleanUp(browser);
  await web.close();
  await prometheus?.remove();
  await run.close();
  rmSync(cacheDir, { recursive: true, force: true });
}

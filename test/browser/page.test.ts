import type { FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApiOptions } from '../../api/options.js';
import { buildServer, hashToken, listen } from '../../api/server.js';
import { buildPage, chromiumPath, cleanUp, launch } from './browser.js';
import { tooFaint } from './contrast.js';
import { FakeService } from './fake-service.js';

const NOW = Date.UTC(2026, 0, 31, 12);
const HOSTILE = '<img src=x onerror=alert(1)>/../%2e"\'';

describe.skipIf(chromiumPath === undefined)('the page', () => {
  let browser: Browser;
  let pageDir: string;
  let server: FastifyInstance;
  let service: FakeService;
  let page: Page;
  let url: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    [browser, pageDir] = await Promise.all([launch(), buildPage()]);
  });
  afterAll(() => cleanUp(browser));

  beforeEach(async () => {
    complaints.length = 0;
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.setDefaultTimeout(25_000);
    // What a content policy refuses, and any exception, comes to the console.
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
  });
  afterEach(async () => {
    await page.close();
    await server.close();
  });

  async function serve(devices: number, options: Partial<ApiOptions> = {}): Promise<void> {
    service = new FakeService(NOW, devices);
    await serveAgain(options);
  }
  async function serveAgain(options: Partial<ApiOptions>): Promise<void> {
    const all = { host: '127.0.0.1', port: 0, pageDir, ...options };
    server = buildServer(service, all);
    url = `http://127.0.0.1:${(await listen(server, all)).port}/`;
  }
  /** Waits until the first chart's label says this, and returns the label. */
  async function chartSays(what: RegExp): Promise<string> {
    for (;;) {
      const label = (await page.locator('.chart').first().getAttribute('aria-label')) ?? '';
      if (what.test(label)) return label;
      await page.waitForTimeout(30);
    }
  }
  const fault = (device: string, metric: string) => ({ device, metric, startMs: NOW - 600_000, endMs: NOW + 1e9, kind: 'shift' as const, size: 3 });

  it('shows a fault as it happens, and follows it to the chart, its event and a verdict', async () => {
    await serve(12);
    await page.goto(url);
    await page.getByRole('link', { name: /pump-001/ }).waitFor();
    await page.locator('.link.live').waitFor();
    expect(await page.locator('.item').count()).toBe(0);

    service.addFault(fault('pump-001', 'flow'), 'critical');
    const item = page.locator('.item.critical.open');
    await item.waitFor();
    expect(await item.textContent()).toContain('the highest value in 9 days');
    await page.locator('.tile.anomalous', { hasText: 'pump-001' }).waitFor();

    await item.getByRole('link').click();
    await page.getByRole('heading', { name: 'pump-001' }).waitFor();
    await page.getByText('Shift on flow').waitFor();
    // The metric of the event comes first, with its readings and the event's span.
    await chartSays(/^Chart of flow: [1-9]\d* readings, 1 events/);

    await page.getByRole('button', { name: 'Accept as new normal' }).click();
    await page.getByText('Accepted as the new normal by local.').waitFor();
    expect([...service.events.values()][0].feedback?.verdict).toBe('accept');
    await page.keyboard.press('Escape');
    await page.locator('.event').waitFor({ state: 'detached' });
    expect(complaints).toEqual([]);
  });

  it('adds live readings to the chart of the device in view', async () => {
    await serve(4);
    await page.goto(`${url}#/device/meter-001`);
    const before = Number(/[1-9]\d*/.exec(await chartSays(/[1-9]\d* readings/))![0]);
    while (service.listeners < 2) await page.waitForTimeout(20);
    service.advance(3);
    await chartSays(new RegExp(`: ${before + 3} readings`));
  });

  it('resumes after the server was away, with what happened meanwhile', async () => {
    await serve(4);
    await page.goto(url);
    await page.locator('.link.live').waitFor();
    service.addFault(fault('pump-001', 'flow'));
    await page.locator('.item').waitFor();
    const port = Number(new URL(url).port);
    await server.close();
    await page.locator('.link.offline, .link.connecting').first().waitFor();
    service.addFault(fault('meter-001', 'load_kw'));
    await serveAgain({ port });
    await page.locator('.item', { hasText: 'meter-001' }).waitFor();
    expect(await page.locator('.item').count()).toBe(2);
  });

  it('shows hostile names as text', async () => {
    await serve(0);
    await service.submit(Buffer.from(JSON.stringify({ device: HOSTILE, metrics: { [HOSTILE]: 1 }, tags: { [HOSTILE]: HOSTILE } })), 'json');
    await service.submit(Buffer.from(JSON.stringify({ device: '..', metrics: { '.': 1 } })), 'json');
    await page.goto(url);
    await page.getByRole('link', { name: new RegExp('onerror') }).click();
    await page.getByRole('heading', { level: 1, name: HOSTILE }).waitFor();
    await chartSays(/: 1 readings/);
    expect(await page.locator('img').count()).toBe(0);
    await page.goto(`${url}#/device/..`);
    await page.getByRole('heading', { level: 1, name: '..' }).waitFor();
    await chartSays(/of \.: 1 readings/);
    expect(complaints).toEqual([]);
  });

  it('asks for a token where one is needed, and keeps it for the tab', async () => {
    await serve(4, { tokens: [{ name: 'me', sha256: hashToken('s3cret'), scopes: ['admin'] }] });
    await page.goto(url);
    await page.getByLabel('Token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Token').fill('s3cret');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: /pump-001/ }).waitFor();
    await page.locator('.link.live').waitFor();
    await page.reload();
    await page.getByRole('link', { name: /pump-001/ }).waitFor();
  });

  it('tells a newcomer what to send, for this very address', async () => {
    await serve(0);
    await page.goto(url);
    await page.getByText('Waiting for the first reading').waitFor();
    await page.locator('main').getByRole('button', { name: 'curl' }).click();
    const command = await page.locator('main pre').textContent();
    expect(command).toContain(`curl ${url}v1/readings`);
    await service.submit(Buffer.from('{"device":"oven3","metrics":{"temperature":21.4}}'), 'json');
    await page.getByRole('link', { name: /oven3/ }).waitFor();
  });

  it('names the day since when a device has been silent, where that is not today', async () => {
    await serve(12);
    service.addVerdict({ id: 'v', device: 'meter-002', metric: null, kind: 'silent', sinceMs: NOW - 16 * 86_400_000, untilMs: null, reason: 'no message for 16 days' });
    await page.goto(`${url}#/device/meter-002`);
    const day = await page.evaluate((ms) => new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }).format(ms), NOW - 16 * 86_400_000);
    expect(await page.locator('p.verdict').textContent()).toContain(`since ${day} `);
  });

  it('can be read, light and dark', async () => {
    await serve(12);
    const { id } = service.addFault(fault('pump-001', 'flow'), 'critical');
    service.addFault(fault('pump-002', 'flow'), 'warning');
    service.addFault(fault('meter-001', 'load_kw'), 'info');
    service.addVerdict({ id: 'v', device: 'meter-002', metric: null, kind: 'silent', sinceMs: NOW, untilMs: null, reason: 'no reading for 47 min' });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [hash, ready] of [['#/', '.tile.unhealthy'], [`#/device/pump-001?event=${encodeURIComponent(id)}`, '.event'], ['#/device/meter-002', 'p.verdict']]) {
        await page.goto(url + hash);
        await page.locator(ready).waitFor();
        expect(await tooFaint(page), `${colorScheme} ${hash}`).toEqual([]);
      }
    }
  });

  it('fits 400 pixels and works by keyboard alone', async () => {
    await serve(12);
    service.addFault(fault('pump-001', 'flow'));
    await page.setViewportSize({ width: 400, height: 800 });
    for (const hash of ['', '#/device/pump-001']) {
      await page.goto(url + hash);
      await page.locator(hash ? '.chart canvas' : '.tile').first().waitFor();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(400);
    }
    await page.goto(url);
    await page.locator('.tile').first().waitFor();
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').textContent()).toBe('Skip to content');
    await page.keyboard.press('Enter');
    for (let i = 0; i < 40 && (await page.locator('.tile:focus').count()) === 0; i++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.locator('.chart').first().focus();
    await page.keyboard.press('ArrowLeft');
    await page.getByRole('button', { name: 'Back to live' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('Following').waitFor();
  });
});

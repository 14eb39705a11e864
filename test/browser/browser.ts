import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { build } from 'vite';
import { packageRoot } from '../../core/paths.js';

/** A Chromium of the system's, driven by playwright-core; tests are skipped, visibly, where there is none. */

const PLACES = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];
export const chromiumPath = PLACES.find((path) => path !== undefined && existsSync(path));

if (chromiumPath === undefined) console.warn('skipped: no Chromium found (set CHROMIUM_PATH to one)');

const made: string[] = [];

function tempDir(prefix: string): string {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  made.push(dir);
  return dir;
}

/** Ends the browser and removes every folder made here. */
export async function cleanUp(browser: Browser | undefined): Promise<void> {
  await browser?.close();
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** A profile of its own, and no calls home. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath, env: { ...process.env, HOME: tempDir('gruard-chromium-') },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** The page as it is in the source now, built into a folder of its own. */
export async function buildPage(): Promise<string> {
  const outDir = tempDir('gruard-page-');
  await build({ root: join(packageRoot, 'api/page'), configFile: join(packageRoot, 'api/page/vite.config.ts'), logLevel: 'error', build: { outDir, emptyOutDir: true } });
  return outDir;
}

#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
if (!existsSync(main)) {
  console.error('gruard is not built: run `npm run build` (npm ci does it unless --ignore-scripts was given).');
  process.exit(1);
}
await import(main);

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../core/paths.js';
import { generated } from './generate.js';

/** `npm run build:dashboards`: writes the dashboards and alert rules. `--page URL`: address of gruard's page for people; `--out DIR`: another place. */
const { values } = parseArgs({ options: { page: { type: 'string' }, out: { type: 'string', default: packageRoot } } });

for (const [path, text] of generated(values.page)) {
  const target = join(values.out, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
  console.error(target);
}

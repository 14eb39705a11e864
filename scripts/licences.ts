import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { shippedFile } from '../core/paths.js';

/**
 * `npm run licences`: writes the table of direct dependencies in docs/security.md anew from what is installed; with `--check` exits 1 where it differs.
 * Optional ones that are not installed keep the row that they had.
 */
const BEGIN = '<!-- licences: made by npm run licences -->';
const END = '<!-- end of licences -->';

interface Package {
  version: string;
  license?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const read = (path: string): Package => JSON.parse(readFileSync(shippedFile(path), 'utf8')) as Package;

/** Of what gruard runs with, and of what is in the page: the tools that build and test it are not given to anybody. */
export function licenceTable(before: string): string {
  const own = read('package.json');
  const bundled = Object.keys(own.devDependencies ?? {}).filter((name) => /^(preact|@preact\/|uplot)/.test(name));
  const names = [...Object.keys(own.dependencies ?? {}), ...Object.keys(own.optionalDependencies ?? {}), ...bundled].sort();
  const rows = names.map((name) => {
    const path = `node_modules/${name}/package.json`;
    const old = before.split('\n').find((line) => line.startsWith(`| ${name} |`));
    if (!existsSync(shippedFile(path))) return old ?? `| ${name} | ? |`;
    const use = own.optionalDependencies?.[name] ? ' (optional)' : bundled.includes(name) ? ' (in the page)' : '';
    return `| ${name} | ${read(path).license ?? '?'}${use} |`;
  });
  return ['| dependency | licence |', '| --- | --- |', ...rows].join('\n');
}

export function withTable(text: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/security.md has no ${BEGIN}`);
  return `${text.slice(0, begin + BEGIN.length)}\n${licenceTable(text.slice(begin, end))}\n${text.slice(end)}`;
}

if (process.argv[1]?.endsWith('licences.ts')) {
  const path = shippedFile('docs/security.md');
  const text = readFileSync(path, 'utf8');
  const next = withTable(text);
  if (!process.argv.includes('--check')) writeFileSync(path, next);
  else if (next !== text) {
    process.stderr.write('the licences in docs/security.md are not those that are installed: npm run licences\n');
    process.exitCode = 1;
  }
}

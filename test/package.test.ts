import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packageRoot, shippedFile } from '../core/paths.js';
import { withTable } from '../scripts/licences.js';

describe('the package', () => {
  it('holds what gruard needs to run, and nothing that it does not', () => {
    const output = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const [{ files, size }] = JSON.parse(output) as [{ files: { path: string }[]; size: number }];
    const paths = files.map(({ path }) => path);
    for (const needed of ['package.json', 'LICENSE', 'README.md', 'CHANGELOG.md', 'bin/gruard.js', 'model/weights/default.safetensors', 'config/gruard.example.yaml', 'docs/security.md', 'dashboards/gruard-fleet.json']) expect(paths).toContain(needed);
    if (existsSync(shippedFile('dist'))) for (const built of ['dist/cli/main.js', 'dist/page/index.html']) expect(paths).toContain(built);
    expect(paths.filter((path) => /\.test\.|\.map$|\.ts$|\.png$|tsbuildinfo|^dist\/(test|bench|scripts)\/|^(test|bench|scripts|deploy|secrets|data)\/|\.env|\.pem$|\.key$/.test(path))).toEqual([]);
    expect(size).toBeLessThan(2_000_000);
  });

  it('names the licences of what it depends on', () => {
    const text = readFileSync(shippedFile('docs/security.md'), 'utf8');
    expect(withTable(text)).toBe(text);
    expect(text).not.toContain('| ? |');
  });
});

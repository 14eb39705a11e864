// Compiles model/kernel/kernel.c and writes it as model/kernel/module.ts.
//   npm run build:wasm            rebuild
//   npm run build:wasm -- --check fail when the committed module is not what the source gives (skipped without clang 14,
//                                 because other versions give other bytes)
// The module is committed as TypeScript and not as a .wasm file, so that it is compiled, packed, bundled and found like any
// other source file, and so that a drift is a text diff.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const kernel = join(dirname(fileURLToPath(import.meta.url)), '..', 'model', 'kernel');
const target = join(kernel, 'module.ts');
const check = process.argv.includes('--check');
const clang = process.env.CLANG ?? 'clang-14';

if (spawnSync(clang, ['--version']).error) {
  console.error(`build:wasm: ${clang} was not found (Debian: apt-get install clang-14 lld-14; or set CLANG).`);
  process.exit(check ? 0 : 1);
}

const folder = mkdtempSync(join(tmpdir(), 'gruard-wasm-'));
try {
  const wasm = join(folder, 'kernel.wasm');
  execFileSync(clang, [
    '--target=wasm32', '-msimd128', '-O3', '-std=c11', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-nostdlib',
    // Loop strength reduction hides constant offsets from V8, and V8 unrolls by itself: without them B=1 gains a third.
    '-fno-unroll-loops', '-mllvm', '-disable-lsr',
    '-ffp-contract=off', '-fno-vectorize', '-fno-slp-vectorize', '-fno-math-errno', '-Wl,--no-entry', '-Wl,--import-memory', '-Wl,--export=__heap_base',
    '-Wl,--strip-all', '-Wl,-z,stack-size=16384', '-o', wasm, join(kernel, 'kernel.c'),
  ], { stdio: 'inherit' });
  const lines = readFileSync(wasm).toString('base64').match(/.{1,140}/g) ?? [];
  const text = [
    '// Generated from kernel.c by `npm run build:wasm`: do not edit.',
    'export const KERNEL_WASM_BASE64 =',
    lines.map((line) => `  '${line}'`).join(' +\n') + ';',
    '',
  ].join('\n');
  if (!check) {
    writeFileSync(target, text);
    console.error(`build:wasm: ${readFileSync(wasm).length} bytes`);
  } else if (readFileSync(target, 'utf8') !== text) {
    console.error('build:wasm: model/kernel/module.ts is not what kernel.c gives; run `npm run build:wasm` and commit it.');
    process.exit(1);
  } else {
    console.error('build:wasm: model/kernel/module.ts is up to date');
  }
} finally {
  rmSync(folder, { recursive: true });
}

// Compiles the kernels and writes each as module.ts beside its source: model/kernel/kernel.c, the network; model/judge-kernel/judge.c, the judge;
// model/season-kernel/season.c, what the season compares.
//   npm run build:wasm            rebuild
//   npm run build:wasm -- --check fail when a committed module is not what its source gives (skipped without clang 14,
//                                 because other versions give other bytes)
// The modules are committed as TypeScript and not as .wasm files, so that they are compiled, packed, bundled and found like any
// other source file, and so that a drift is a text diff.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Kernel {
  folder: string;
  source: string;
  flags: string[];
}

const KERNELS: Kernel[] = [
  // Loop strength reduction hides constant offsets from V8, and V8 unrolls by itself: without them B=1 gains a third.
  { folder: 'kernel', source: 'kernel.c', flags: ['-msimd128', '-fno-unroll-loops', '-mllvm', '-disable-lsr'] },
  // A record is zeroed as integers, and its floats are written after that.
  { folder: 'judge-kernel', source: 'judge.c', flags: ['-fno-strict-aliasing'] },
  { folder: 'season-kernel', source: 'season.c', flags: ['-msimd128'] },
];

const model = join(dirname(fileURLToPath(import.meta.url)), '..', 'model');
const check = process.argv.includes('--check');
const clang = process.env.CLANG ?? 'clang-14';

if (spawnSync(clang, ['--version']).error) {
  console.error(`build:wasm: ${clang} was not found (Debian: apt-get install clang-14 lld-14; or set CLANG).`);
  process.exit(check ? 0 : 1);
}

const work = mkdtempSync(join(tmpdir(), 'gruard-wasm-'));
try {
  for (const kernel of KERNELS) build(kernel);
} finally {
  rmSync(work, { recursive: true });
}

function build({ folder, source, flags }: Kernel): void {
  const target = join(model, folder, 'module.ts');
  const wasm = join(work, `${folder}.wasm`);
  execFileSync(clang, [
    '--target=wasm32', '-O3', '-std=c11', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-nostdlib', ...flags,
    '-ffp-contract=off', '-fno-vectorize', '-fno-slp-vectorize', '-fno-math-errno', '-Wl,--no-entry', '-Wl,--import-memory', '-Wl,--export=__heap_base',
    '-Wl,--strip-all', '-Wl,-z,stack-size=16384', '-o', wasm, join(model, folder, source),
  ], { stdio: 'inherit' });
  const bytes = readFileSync(wasm);
  const lines = bytes.toString('base64').match(/.{1,140}/g) ?? [];
  const text = [
    `// Generated from ${source} by \`npm run build:wasm\`: do not edit.`,
    'export const KERNEL_WASM_BASE64 =',
    lines.map((line) => `  '${line}'`).join(' +\n') + ';',
    '',
  ].join('\n');
  if (!check) {
    writeFileSync(target, text);
    console.error(`build:wasm: ${folder}: ${bytes.length} bytes`);
  } else if (readFileSync(target, 'utf8') !== text) {
    console.error(`build:wasm: model/${folder}/module.ts is not what ${source} gives; run \`npm run build:wasm\` and commit it.`);
    process.exitCode = 1;
  } else {
    console.error(`build:wasm: model/${folder}/module.ts is up to date`);
  }
}

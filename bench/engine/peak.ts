import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wasmApi } from '../../model/kernel/webassembly.js';

const SUMS = 12;

/**
 * A WebAssembly module of one loop: a_i = a_i * x + y on twelve independent vectors of four floats (WebAssembly has no
 * fused multiply-add that is the same everywhere, so it is two instructions).
 */
function loopModule(): Uint8Array {
  const F32X4_ADD = [0xfd, 0xe4, 0x01];
  const F32X4_MUL = [0xfd, 0xe6, 0x01];
  const splat = (value: number): number[] => [0x43, ...new Uint8Array(Float32Array.of(value).buffer), 0xfd, 0x13];
  // locals: 0 the count, 1 x, 2 y, 3.. the sums
  const step = Array.from({ length: SUMS }, (_, i) => [0x20, 3 + i, 0x20, 1, ...F32X4_MUL, 0x20, 2, ...F32X4_ADD, 0x21, 3 + i]).flat();
  const body = [
    1, 2 + SUMS, 0x7b,
    ...splat(0.999), 0x21, 1, ...splat(0.001), 0x21, 2,
    0x03, 0x40, ...step, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b,
    ...Array.from({ length: SUMS }, (_, i) => [0x20, 3 + i, ...(i > 0 ? F32X4_ADD : [])]).flat(),
    0xfd, 0x1f, 0, 0x0b,
  ];
  const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)]);
  const section = (id: number, content: number[]): number[] => [id, ...leb(content.length), ...content];
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 1, 0x7f, 1, 0x7d]), ...section(3, [1, 0]), ...section(7, [1, 4, 0x6c, 0x6f, 0x6f, 0x70, 0, 0]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ]);
}

/** Floating-point operations a second of one core through WebAssembly's 128-bit vectors: the best of some rounds. */
export function wasmPeak(): number {
  const { exports } = new wasmApi.Instance(new wasmApi.Module(loopModule()), {});
  const loop = exports.loop as (n: number) => number;
  // Rounds of about a millisecond, so that some of them are not interrupted.
  const n = 500_000;
  let best = 0;
  for (let round = 0; round < 200; round++) {
    const began = performance.now();
    loop(n);
    best = Math.max(best, (2 * 4 * SUMS * n * 1000) / (performance.now() - began));
  }
  return best;
}

/** The same by native code on the widest vectors; undefined without a C compiler. */
export function nativePeak(): { flops: number; lanes: number } | undefined {
  const compiler = ['cc', 'clang', 'gcc'].find((name) => !spawnSync(name, ['--version']).error);
  if (!compiler) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'gruard-peak-'));
  try {
    const program = join(folder, 'peak');
    execFileSync(compiler, ['-O3', '-march=native', '-ffp-contract=fast', '-o', program, join(dirname(fileURLToPath(import.meta.url)), 'peak.c')]);
    const [flops, lanes] = execFileSync(program, { encoding: 'utf8' }).split(' ').map(Number);
    return { flops, lanes };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

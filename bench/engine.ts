/**
 * npm run bench:engine [-- --rounds 7] [--millis 150] [--json]
 *
 * What the engine does against tutorial-style tfjs-node, onnxruntime-node and its own float64 reference, on this machine.
 * Ratios are medians over rounds in which the candidates take turns; rates are medians in readings a second. Beside each
 * ratio stand the same by CPU time of all threads and the one of the fastest single runs, which other work on the machine disturbs less.
 */
import { parseArgs } from 'node:util';
import { openBackend, type Backend, type BackendName } from '../model/backends/index.js';
import { tensorFlowStatus } from '../model/backends/tensorflow.js';
import { flopsPerStep, initialise, type CellKind, type Network } from '../model/network.js';
import { bytesPerSeries, eventLoopDelayP99Ms, growthMiB, restoreSeconds } from './engine/footprint.js';
import { interleave, ratio, ratioAtBest, typical, type Candidate, type Rates } from './engine/measure.js';
import { OnnxStepper } from './engine/onnx.js';
import { nativePeak, wasmPeak } from './engine/peak.js';
import { tutorialModel } from './engine/tutorial.js';
import { jsonLine, table } from './table.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '7' }, millis: { type: 'string', default: '150' },
    series: { type: 'string', default: '1000000' }, steps: { type: 'string', default: '10000000' }, parts: { type: 'string', default: 'memory,against,sizes' },
  },
});
const rounds = Number(options.rounds);
const millis = Number(options.millis);
const figures: Record<string, number | string> = {};
const tensorflow = tensorFlowStatus();
const native: BackendName[] = tensorflow.available ? ['wasm', 'tensorflow'] : ['wasm'];

function say(text: string): void {
  if (options.json) console.error(text);
  else console.log(text);
}

function network(layers: [CellKind, number][], skip = true): Network {
  return initialise({
    features: 'v1', inputs: 7, layers: layers.map(([cell, units]) => ({ cell, units })), head: { outputs: 9, skip }, horizons: [1, 8, 32],
  }, 1);
}

function candidate(name: string, backend: Backend, batch: number): Candidate {
  backend.reserve(batch);
  const slots = Uint32Array.from({ length: batch }, (_, i) => i);
  const x = new Float32Array(batch * backend.network.config.inputs).fill(0.3);
  const y = new Float32Array(batch * backend.network.config.head.outputs);
  return { name, readings: batch, run: () => backend.step(slots, batch, x, y) };
}

async function againstOthers(): Promise<string[][]> {
  const rows: string[][] = [['against (GRU, H=32)', 'batch', 'this, /s', 'other, /s', 'ratio', 'by CPU', 'at best', 'wanted']];
  const add = (what: string, key: string, batch: number, rates: Map<string, Rates>, a: string, b: string, wanted: string): void => {
    const [usual, byCpu, best] = [ratio(rates, a, b), ratio(rates, a, b, 'cpu'), ratioAtBest(rates, a, b)];
    figures[key] = usual;
    figures[`${key}_by_cpu`] = byCpu;
    figures[`${key}_at_best`] = best;
    rows.push([what, String(batch), rate(typical(rates, a)), rate(typical(rates, b)), times(usual), times(byCpu), times(best), wanted]);
  };
  // The layers API has no skip connection, so here neither side has one.
  const plain = network([['gru', 32]], false);
  const whole = network([['gru', 32]]);
  if (tensorflow.available) {
    const message = tutorialModel(plain, 1);
    const window = tutorialModel(plain, 32);
    const one = new Float32Array(7).fill(0.3);
    const many = new Float32Array(7 * 32).fill(0.3);
    const rates = await interleave([
      ...await Promise.all(native.map(async (name) => candidate(name, await openBackend(name, plain), 4096))),
      { name: 'message', readings: 1, run: () => message(one) }, { name: 'window', readings: 1, run: () => window(many) },
    ], rounds, millis);
    for (const name of native) {
      add(`${name} / tfjs-node, a predict a message`, `${name}_vs_tutorial_b4096`, 4096, rates, name, 'message', name === 'tensorflow' ? '1000' : '');
      add(`${name} / tfjs-node, a predict over 32 readings`, `${name}_vs_window_b4096`, 4096, rates, name, 'window', name === 'tensorflow' ? '20000' : '');
    }
    figures.best_vs_tutorial_b4096 = Math.max(...native.map((name) => Number(figures[`${name}_vs_tutorial_b4096`])));
    figures.best_vs_window_b4096 = Math.max(...native.map((name) => Number(figures[`${name}_vs_window_b4096`])));
  }
  for (const batch of [1024, 8192]) {
    const x = new Float32Array(batch * 7).fill(0.3);
    const slots = Uint32Array.from({ length: batch }, (_, i) => i);
    const opponents = await Promise.all((['gru', 'basic'] as const).flatMap((how) => [1, 0].map(async (threads) => {
      const onnx = await OnnxStepper.open(whole, batch, batch, how, threads);
      return { name: `${how} ${threads}`, how, readings: batch, run: () => onnx.step(slots, x) };
    })));
    const own = await Promise.all(native.map(async (name) => candidate(name, await openBackend(name, whole), batch)));
    const rates = await interleave([...own, ...opponents], rounds, millis);
    for (const how of ['gru', 'basic'] as const) {
      // With one thread or with all: whichever is faster here.
      const [single, all] = opponents.filter((opponent) => opponent.how === how).map(({ name }) => name);
      const best = typical(rates, single) >= typical(rates, all) ? single : all;
      const what = `onnxruntime-node, ${how === 'gru' ? 'its GRU operator' : 'basic operators by hand'}, ${best === single ? '1 thread' : 'all threads'}`;
      for (const name of native) {
        const key = `${name}_vs_onnx_${how === 'gru' ? '' : 'basic_'}b${batch}`;
        add(`${name} / ${what}`, key, batch, rates, name, best, how === 'basic' ? '' : name === 'wasm' ? '1.3' : '2');
      }
    }
  }
  const js = await openBackend('js', whole);
  for (const batch of [1024, 8192]) {
    const rates = await interleave([candidate('wasm', await openBackend('wasm', whole), batch), candidate('js', js, batch)], rounds, millis);
    add('wasm / js, the float64 reference', `wasm_vs_js_b${batch}`, batch, rates, 'wasm', 'js', '15');
  }
  const wasm = await openBackend('wasm', whole);
  const rates = await interleave([candidate('one', wasm, 1), candidate('many', wasm, 1024)], rounds, millis);
  add('wasm at batches of 1 / of 1024', 'wasm_b1_vs_b1024', 1, rates, 'one', 'many', '0.4');
  return rows;
}

async function bySizeAndBatch(peak: { wasm: number; native: number | undefined }): Promise<string[][]> {
  const batches = [1, 64, 1024, 8192];
  const rows: string[][] = [['readings/s', 'backend', ...batches.map((b) => `batch ${b}`), 'GFLOP/CPU-s', 'of peak']];
  const shapes: Record<string, [CellKind, number][]> = {
    gru32: [['gru', 32]], gru64: [['gru', 64]], gru128: [['gru', 128]], lstm32: [['lstm', 32]], gru32x2: [['gru', 32], ['gru', 32]],
    elman32: [['elman', 32]], jordan32: [['jordan', 32]], recurrent32: [['recurrent', 32]],
  };
  for (const [title, layers] of Object.entries(shapes)) {
    const net = network(layers);
    const backends = await Promise.all(native.map((name) => openBackend(name, net)));
    const medians: Record<string, number[]> = {};
    for (const batch of batches) {
      const rates = await interleave(backends.map((backend) => candidate(backend.name, backend, batch)), Math.min(rounds, 5), millis / 2);
      for (const { name } of backends) {
        (medians[name] ??= []).push(typical(rates, name));
        figures[`${name}_${title}_b${batch}_per_s`] = Math.round(typical(rates, name));
      }
      if (backends.length > 1) figures[`tensorflow_vs_wasm_${title}_b${batch}`] = ratio(rates, 'tensorflow', 'wasm');
    }
    for (const backend of backends) {
      // By CPU time, because TensorFlow uses every core.
      const flops = perCpuSecond(candidate(backend.name, backend, 8192), millis) * flopsPerStep(net.config);
      const share = flops / (peak.native ?? peak.wasm);
      figures[`${backend.name}_${title}_of_peak`] = share;
      if (backend.name === 'wasm') figures[`wasm_${title}_of_wasm_peak`] = flops / peak.wasm;
      rows.push([title, backend.name, ...medians[backend.name].map(rate), (flops / 1e9).toFixed(1), share.toFixed(2)]);
      backend.dispose();
    }
  }
  return rows;
}

function perCpuSecond({ run, readings }: Candidate, forMillis: number): number {
  let best = 0;
  for (let round = 0; round < 5; round++) {
    const began = process.cpuUsage();
    const until = performance.now() + forMillis;
    let done = 0;
    for (; performance.now() < until; done += readings) run();
    const { user, system } = process.cpuUsage(began);
    best = Math.max(best, (done * 1e6) / (user + system));
  }
  return best;
}

async function memoryAndTime(): Promise<string[][]> {
  const net = network([['gru', 32]]);
  const rows: string[][] = [['memory and time', 'figure', 'wanted']];
  const steps = Number(options.steps);
  for (const [name, batch] of [['wasm', 1], ['wasm', 1024], ...(tensorflow.available ? [['tensorflow', 1024] as const] : [])] as [BackendName, number][]) {
    const growth = await growthMiB(name, net, batch, steps);
    figures[`${name}_growth_mib_b${batch}`] = growth;
    rows.push([`growth of memory over ${steps} steps, ${name}, batches of ${batch}, MiB`, growth.toFixed(1), '~0']);
  }
  const series = Number(options.series);
  const parts = await bytesPerSeries(net, series);
  for (const [part, bytes] of Object.entries(parts)) {
    figures[`bytes_per_series_${part}`] = bytes;
    rows.push([`bytes a series, ${part.replaceAll('_', ' ')} (${series} series)`, bytes.toFixed(0), part === 'total' ? '< 1074' : '']);
  }
  const { write, read } = await restoreSeconds(net, series);
  figures.snapshot_write_s = write;
  figures.restore_s = read;
  rows.push([`states of ${series} series to a file, and back, s`, `${write.toFixed(2)}, ${read.toFixed(2)}`, '']);
  for (const name of native) {
    for (const batch of [1024, 8192]) {
      const p99 = await eventLoopDelayP99Ms(await openBackend(name, net), batch, 1500);
      figures[`${name}_loop_delay_p99_ms_b${batch}`] = p99;
      rows.push([`p99 event-loop delay while ${name} steps batches of ${batch} without pause, ms`, p99.toFixed(1), '']);
    }
  }
  return rows;
}

const rate = (perSecond: number): string => (perSecond >= 1e5 ? `${(perSecond / 1e6).toFixed(2)} M` : perSecond >= 1e4 ? `${(perSecond / 1e3).toFixed(0)} k` : perSecond.toFixed(0));
const times = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));

if (!tensorflow.available) say(`without tensorflow: ${tensorflow.detail}\n`);
const peak = { wasm: wasmPeak(), native: nativePeak() };
figures.peak_wasm_gflops = peak.wasm / 1e9;
if (peak.native) figures.peak_native_gflops = peak.native.flops / 1e9;
say(`peak of one core: ${(peak.wasm / 1e9).toFixed(1)} GFLOP/s in WebAssembly (4 floats wide, no fused multiply-add)` +
  (peak.native ? `, ${(peak.native.flops / 1e9).toFixed(1)} native (${peak.native.lanes} floats wide, fused)` : '') + '\n');
// Memory first: what it measures is the resident set, which the other parts leave swollen.
const parts: Record<string, () => Promise<string[][]>> = {
  memory: memoryAndTime, against: againstOthers, sizes: () => bySizeAndBatch({ wasm: peak.wasm, native: peak.native?.flops }),
};
for (const [name, measure] of Object.entries(parts)) {
  if (options.parts.split(',').includes(name)) say(`${table(await measure())}\n`);
}
if (options.json) console.log(jsonLine(figures));
// TensorFlow's and onnxruntime's threads would keep the process.
process.exit(0);

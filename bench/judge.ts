/**
 * npm run bench:judge [-- --readings 200000] [--warm-up 1500] [--backend wasm] [--json]
 *
 * What it costs to judge a reading, beside the network's step of the same batch, for fleets of several shapes: means over
 * batches (some of what is looked for, like a season, is looked for now and then, and by all of this fleet at once), in nanoseconds a reading, on one thread. The parts: `normalise` makes the features, `network` is the backend's step (on `wasm` the
 * whole kernel: normalise, step, decode), `forecast` decodes and keeps its outputs, `judge` is all the rest (calibrated novelty, conditions, events, the device as a
 * whole, health, splitting the batch into rounds of distinct series). `judge / network` above 1: judging is what a batch waits for.
 */
import { parseArgs } from 'node:util';
import { Batch } from '../core/batch.js';
import { Fleet, type Device } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import { gaussian, seededRandom } from '../core/random.js';
import { BACKEND_NAMES, openBackend, type BackendName } from '../model/backends/index.js';
import { openDetector, type StreamDetector } from '../model/detector.js';
import { readWeights } from '../model/weights.js';
import { jsonLine, table } from './table.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false }, backend: { type: 'string', default: 'wasm' },
    readings: { type: 'string', default: '200000' }, 'warm-up': { type: 'string', default: '1500' }, profile: { type: 'string', default: 'default' },
  },
});

interface Shape {
  title: string;
  key: string;
  devices: number;
  metrics: number;
  /** Messages of each device in a batch: above 1, a series is stepped several times. */
  messages: number;
  /** Share of readings that are far off. */
  spikes: number;
  /** Readings of each series before those that count, where that is not --warm-up: a young series is looked through for a cycle again and again. */
  warmUp?: number;
}

const SHAPES: Shape[] = [
  { title: '1,024 devices of 1 metric', key: 'd1024_m1', devices: 1024, metrics: 1, messages: 1, spikes: 0.0002 },
  { title: '1,024 devices of 1 metric, new', key: 'd1024_m1_new', devices: 1024, metrics: 1, messages: 1, spikes: 0.0002, warmUp: 200 },
  { title: '8,192 devices of 1 metric', key: 'd8192_m1', devices: 8192, metrics: 1, messages: 1, spikes: 0.0002 },
  { title: '256 devices of 4 metrics', key: 'd256_m4', devices: 256, metrics: 4, messages: 1, spikes: 0.0002 },
  { title: '64 devices of 16 metrics', key: 'd64_m16', devices: 64, metrics: 16, messages: 1, spikes: 0.0002 },
  { title: '8 devices of 4 metrics', key: 'd8_m4', devices: 8, metrics: 4, messages: 1, spikes: 0.0002 },
  { title: '16 devices of 4 metrics, 16 messages each', key: 'd16_m4_x16', devices: 16, metrics: 4, messages: 16, spikes: 0.0002 },
  { title: '256 devices of 4 metrics, 1 % far off', key: 'd256_m4_spikes', devices: 256, metrics: 4, messages: 1, spikes: 0.01 },
];

const PARTS = ['normalise', 'network', 'forecast', 'judge'] as const;
type Part = (typeof PARTS)[number];
const PERIOD_MS = 60_000;

/** Milliseconds that calls of a method take, summed since the last reading of it. */
class Stopwatch {
  #ms = 0;

  /** Puts the watch around an object's method. */
  around<K extends string>(object: Record<K, (...args: never[]) => unknown>, name: K): void {
    const method = object[name].bind(object) as (...args: unknown[]) => unknown;
    object[name] = ((...args: unknown[]) => {
      const began = performance.now();
      const result = method(...args);
      this.#ms += performance.now() - began;
      return result;
    });
  }

  take(): number {
    const ms = this.#ms;
    this.#ms = 0;
    return ms;
  }
}

/** Fills batches with what a fleet of a shape sends: a daily wave and correlated noise, now and then far off. */
class Traffic {
  readonly batch: Batch;
  readonly #random = seededRandom(7);
  readonly #devices: Device[] = [];
  readonly #noise: Float64Array;
  #minute = 0;

  constructor(readonly shape: Shape, private readonly fleet: Fleet) {
    this.batch = new Batch(2 * shape.devices * (shape.metrics + 1) * shape.messages);
    this.#noise = new Float64Array(shape.devices * shape.metrics);
  }

  next(): void {
    const { shape: { devices, metrics, messages, spikes }, batch } = this;
    batch.reset();
    for (let message = 0; message < messages; message++) {
      const atMs = 1.7e12 + this.#minute++ * PERIOD_MS;
      for (let d = 0; d < devices; d++) {
        const device = (this.#devices[d] ??= this.#declare(d, atMs));
        for (let m = 0; m < metrics; m++) {
          const i = d * metrics + m;
          this.#noise[i] = 0.7 * this.#noise[i] + gaussian(this.#random);
          const wave = 5 * Math.sin((2 * Math.PI * (this.#minute + 90 * i)) / 1440);
          const value = 20 + wave + 0.5 * this.#noise[i] + (this.#random() < spikes ? 30 : 0);
          const slot = this.fleet.slotOf(device, `metric-${m}`);
          batch.push(this.fleet.idOfSlot(slot), slot, atMs, value, 0);
        }
        device.lastSeenMs = atMs;
      }
      batch.nowMs = atMs;
    }
  }

  #declare(d: number, atMs: number): Device {
    const { device, declaration } = this.fleet.addDevice(`device-${d}`, {}, atMs);
    this.batch.declarations.push(declaration);
    for (let m = 0; m < this.shape.metrics; m++) this.batch.declarations.push(this.fleet.addSeries(device, `metric-${m}`).declaration);
    return device;
  }
}

async function open(fleet: Fleet): Promise<{ detector: StreamDetector; watches: Record<'normalise' | 'network' | 'advance', Stopwatch> }> {
  const network = await readWeights(shippedFile('model/weights/default.safetensors'));
  const name = BACKEND_NAMES.find((one) => one === options.backend) ?? ('wasm' satisfies BackendName);
  const backend = await openBackend(name, network);
  const watches = { normalise: new Stopwatch(), network: new Stopwatch(), advance: new Stopwatch() };
  if (backend.fused) watches.network.around(backend.fused, 'advance');
  else watches.network.around(backend, 'step');
  const detector = await openDetector(fleet, { opened: backend, profile: options.profile === 'compact' ? 'compact' : 'default' });
  watches.normalise.around(detector.predictor, 'observe');
  watches.advance.around(detector.predictor, 'advance');
  return { detector, watches };
}

/** Nanoseconds a reading, by part. */
async function measure(shape: Shape): Promise<Record<Part, number> & { events: number }> {
  const fleet = new Fleet();
  const { detector, watches } = await open(fleet);
  const fused = detector.predictor.backend?.fused !== undefined;
  const traffic = new Traffic(shape, fleet);
  const rows = shape.devices * shape.metrics * shape.messages;
  for (let done = 0; done < (shape.warmUp ?? Number(options['warm-up'])); done += shape.messages) {
    traffic.next();
    detector.step(traffic.batch);
  }
  for (const watch of Object.values(watches)) watch.take();
  const ms: Record<Part, number> = { normalise: 0, network: 0, forecast: 0, judge: 0 };
  let events = 0;
  let done = 0;
  for (; done < Math.max(Number(options.readings), 20 * rows); done += rows) {
    traffic.next();
    const began = performance.now();
    detector.step(traffic.batch);
    const whole = performance.now() - began;
    const [observe, network, advance] = [watches.normalise.take(), watches.network.take(), watches.advance.take()];
    events += traffic.batch.events.length;
    // The kernel runs within `observe`, a step alone within `advance`.
    const [normalise, forecast] = fused ? [observe - network, advance] : [observe, advance - network];
    const of: Record<Part, number> = { normalise, network, forecast, judge: whole - observe - advance };
    for (const part of PARTS) ms[part] += of[part];
  }
  const ns = (part: Part): number => (ms[part] * 1e6) / done;
  return { normalise: ns('normalise'), network: ns('network'), forecast: ns('forecast'), judge: ns('judge'), events };
}

const lines: (string | number)[][] = [['ns a reading', 'a batch', ...PARTS, 'together', 'judge / network', 'news of events']];
const figures: Record<string, number> = {};
for (const shape of SHAPES) {
  const cost = await measure(shape);
  const together = PARTS.reduce((sum, part) => sum + cost[part], 0);
  lines.push([shape.title, shape.devices * shape.metrics * shape.messages, ...PARTS.map((part) => Math.round(cost[part])), Math.round(together), cost.judge / cost.network, cost.events]);
  for (const part of PARTS) figures[`${part}_ns_${shape.key}`] = cost[part];
  figures[`judge_vs_network_${shape.key}`] = cost.judge / cost.network;
  figures[`readings_per_s_${shape.key}`] = 1e9 / together;
}
if (options.json) console.error(table(lines));
else console.log(table(lines));
if (options.json) console.log(jsonLine(figures));
// TensorFlow's threads would keep the process.
process.exit(0);

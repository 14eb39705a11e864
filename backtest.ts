import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DEVICE_METRIC, FLAG, type Batch } from './core/batch.js';
import { systemClock } from './core/clock.js';
import type { Detector } from './core/detector.js';
import { GruardError, messageOf } from './core/errors.js';
import type { AnomalyEvent } from './core/event.js';
import { Fleet } from './core/fleet.js';
import { DEFAULT_LIMITS } from './core/limits.js';
import { ReasonCounters } from './core/reasons.js';
import type { ReadingSink, Source, SourceStatus } from './core/source.js';
import { CsvFile, type CsvLimits, type CsvRow } from './ingest/file.js';
import { Intake } from './ingest/intake.js';
import { Sequencer } from './ingest/sequence.js';
import { Pipeline } from './pipeline.js';

export interface BacktestSummary {
  rows: number;
  readings: number;
  duplicates: number;
  late: number;
  anomalousReadings: number;
  events: AnomalyEvent[];
  metrics: string[];
}

export interface BacktestOptions {
  device: string;
  openDetector: (fleet: Fleet) => Promise<Detector>;
  /** Limits on the file. */
  csv?: CsvLimits;
  onProgress?: (done: { fraction: number; rows: number }) => void;
}

/**
 * Runs a CSV file through the very pipeline that `start` runs, reading by reading, and writes what it made of each row (see the Backtest CSV contract in docs/backtest.md).
 * The file is read twice: once to judge, once to write in its order; the results in between are kept in memory, about 60 bytes a reading.
 */
export async function backtest(path: string, out: string, options: BacktestOptions): Promise<BacktestSummary> {
  await checkOut(path, out);
  const judged = await judge(path, options);
  const rows = await writeScores(path, out, judged.results, options);
  return { ...judged.summary, rows };
}

/** Before hours are spent on the file: the scores have somewhere to go, and it is not the file itself. @throws GruardError USAGE, FILE_UNREADABLE. */
async function checkOut(path: string, out: string): Promise<void> {
  const found = (of: string) => stat(of, { bigint: true }).catch(() => undefined);
  const [input, output, folder] = await Promise.all([found(path), found(out), found(dirname(out))]);
  if (folder?.isDirectory() !== true) throw new GruardError('FILE_UNREADABLE', `${out}: there is no folder ${dirname(out)}`);
  if (input && output && input.dev === output.dev && input.ino === output.ino) throw new GruardError('USAGE', `--out ${out}: is the file to be judged, which would be overwritten; name another one`);
}

async function judge(path: string, options: BacktestOptions): Promise<{ results: Results; summary: Omit<BacktestSummary, 'rows'> }> {
  const file = await CsvFile.open(path, options.csv);
  const fleet = new Fleet();
  const reasons = new ReasonCounters();
  const limits = { ...DEFAULT_LIMITS, metricsPerDevice: Math.max(DEFAULT_LIMITS.metricsPerDevice, file.metrics.length + 1), clockSkewMs: Number.MAX_SAFE_INTEGER };
  const sequencer = new Sequencer(fleet, new Intake(reasons, () => undefined), { limits, clock: systemClock, time: 'event', earliestMs: 0 });
  const results = new Results();
  const events = new Map<string, AnomalyEvent>();
  let sequence = 0;
  const pipeline = new Pipeline({
    fleet, sequencer, clock: systemClock,
    detector: await options.openDetector(fleet),
    journal: { append: () => Promise.resolve(sequence++) },
    commitDelayMs: 0,
    ticks: false,
    onStepped: (batch) => {
      results.take(batch, fleet);
      for (const event of batch.events) events.set(event.id, event);
    },
    onCommitted: () => undefined,
    onRetire: () => undefined,
  });
  const source = new CsvSource(options.device, file.metrics);
  pipeline.addSource(source);
  await source.open(pipeline.wake);
  pipeline.start();
  let rows = 0;
  for await (const chunk of file.chunks()) {
    await Promise.race([source.put(chunk), pipeline.failed]);
    rows += chunk.length;
    options.onProgress?.({ fraction: (0.9 * file.bytesRead) / Math.max(1, file.bytes), rows });
  }
  await pipeline.stop();
  if (pipeline.failure !== undefined) await pipeline.failed;
  return {
    results,
    summary: {
      readings: results.readings, anomalousReadings: results.anomalous, metrics: file.metrics,
      duplicates: reasons.get('duplicate') + reasons.get('duplicate_differs'), late: reasons.get('late'),
      events: [...events.values()].sort((a, b) => a.openedMs - b.openedMs),
    },
  };
}

/** The rows of a file as a source: taken as fast as the pipeline takes them. */
class CsvSource implements Source {
  readonly name = 'file';
  #rows: CsvRow[] = [];
  #next = 0;
  #drained = 0;
  #wake: () => void = () => undefined;
  #empty: () => void = () => undefined;

  constructor(private readonly device: string, private readonly metrics: readonly string[]) {}

  open(wake: () => void): Promise<void> {
    this.#wake = wake;
    return Promise.resolve();
  }

  /** Resolves once the pipeline has taken them all. */
  put(rows: CsvRow[]): Promise<void> {
    this.#rows = rows;
    this.#next = 0;
    return new Promise((resolve) => {
      this.#empty = resolve;
      this.#wake();
    });
  }

  drain(sink: ReadingSink): number {
    while (this.#next < this.#rows.length && !sink.full) {
      const { timestampMs, values } = this.#rows[this.#next++];
      this.#drained++;
      if (!sink.begin(this.device, timestampMs, timestampMs)) continue;
      for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i])) sink.add(this.metrics[i], values[i]);
      sink.end();
    }
    if (this.waiting === 0) this.#empty();
    return this.#drained;
  }

  get waiting(): number {
    return this.#rows.length - this.#next;
  }

  settle(): void {}

  status(): SourceStatus {
    return { state: 'connected', address: 'file', detail: null, received: this.#drained };
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** yhat, yhatLower, yhatUpper, anomalyScore, in_event. */
const WIDTH = 5;

/** What became of each reading, by metric and timestamp; the first reading of a timestamp counts. */
class Results {
  readonly #rowOf = new Map<string, Map<number, number>>();
  /** [rows, 5] doubles, grown by doubling. */
  #columns = new Float64Array(WIDTH * 4096);
  #rows = 0;
  readings = 0;
  anomalous = 0;

  take(batch: Batch, fleet: Fleet): void {
    for (let row = 0; row < batch.n; row++) {
      const metric = fleet.nameOf(batch.seriesId[row])!.metric;
      let rows = this.#rowOf.get(metric);
      if (!rows) this.#rowOf.set(metric, (rows = new Map<number, number>()));
      if (rows.has(batch.timestampMs[row])) continue;
      rows.set(batch.timestampMs[row], this.#rows);
      this.#put(batch, row);
      if (metric !== DEVICE_METRIC) {
        this.readings++;
        if (batch.anomalyScore[row] > 1) this.anomalous++;
      }
    }
  }

  /** [yhat, yhatLower, yhatUpper, anomalyScore, in_event], or undefined where nothing was judged at that time. */
  at(metric: string, timestampMs: number): Float64Array | undefined {
    const row = this.#rowOf.get(metric)?.get(timestampMs);
    return row === undefined ? undefined : this.#columns.subarray(row * WIDTH, (row + 1) * WIDTH);
  }

  #put(batch: Batch, row: number): void {
    if ((this.#rows + 1) * WIDTH > this.#columns.length) {
      const grown = new Float64Array(this.#columns.length * 2);
      grown.set(this.#columns);
      this.#columns = grown;
    }
    const at = this.#rows++ * WIDTH;
    this.#columns[at] = batch.yhat[row];
    this.#columns[at + 1] = batch.yhatLower[row];
    this.#columns[at + 2] = batch.yhatUpper[row];
    this.#columns[at + 3] = batch.anomalyScore[row];
    this.#columns[at + 4] = (batch.flags[row] & FLAG.IN_EVENT) !== 0 ? 1 : 0;
  }
}

async function writeScores(path: string, out: string, results: Results, options: BacktestOptions): Promise<number> {
  const file = await CsvFile.open(path, options.csv);
  const metrics = file.metrics.map(cell);
  const stream = createWriteStream(out);
  const failed = once(stream, 'error').then(([error]) => { throw new GruardError('FILE_UNREADABLE', `${out}: ${messageOf(error)}`); });
  failed.catch(() => undefined);
  let rows = 0;
  await Promise.race([write(stream, 'timestamp,metric,actual,yhat,yhat_lower,yhat_upper,anomaly_score,in_event\n'), failed]);
  for await (const chunk of file.chunks()) {
    const lines: string[] = [];
    for (const row of chunk) addLines(lines, row, file.metrics, metrics, results);
    await Promise.race([write(stream, lines.join('')), failed]);
    rows += chunk.length;
    options.onProgress?.({ fraction: 0.9 + (0.1 * file.bytesRead) / Math.max(1, file.bytes), rows });
  }
  stream.end();
  await Promise.race([once(stream, 'finish'), failed]);
  return rows;
}

function addLines(lines: string[], row: CsvRow, names: readonly string[], cells: readonly string[], results: Results): void {
  const timestamp = cell(row.timestamp);
  for (let i = 0; i < names.length; i++) {
    if (Number.isFinite(row.values[i])) lines.push(line(timestamp, cells[i], String(row.values[i]), results.at(names[i], row.timestampMs)));
  }
  if (names.length > 1) lines.push(line(timestamp, DEVICE_METRIC, '', results.at(DEVICE_METRIC, row.timestampMs)));
}

function line(timestamp: string, metric: string, actual: string, r: Float64Array | undefined): string {
  if (r === undefined) return `${timestamp},${metric},${actual},,,,0,0\n`;
  return `${timestamp},${metric},${actual},${number(r[0])},${number(r[1])},${number(r[2])},${r[3]},${r[4]}\n`;
}

function number(value: number): string {
  return Number.isFinite(value) ? String(value) : '';
}

/** RFC 4180, 2.6: a field with a comma, a quote or a line break is quoted. Scores are read by programs, so the text stays verbatim. */
function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function write(stream: WriteStream, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, 'drain');
}

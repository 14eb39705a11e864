import { backtest as run } from '../backtest.js';
import { deviceOf } from '../ingest/replay.js';
import { detectorOptionsOf } from '../wiring.js';
import { openDetector } from '../model/detector.js';
import { configOf, type CommonOptions } from './options.js';
import { Progress } from './progress.js';

export interface BacktestOptions extends CommonOptions {
  out: string;
  json?: boolean;
}

/** `gruard backtest FILE --out SCORES`. */
export async function backtest(file: string, options: BacktestOptions): Promise<void> {
  const config = configOf(options);
  const progress = new Progress('judging');
  const summary = await run(file, options.out, {
    device: deviceOf(file),
    csv: { lineBytes: config.limits.csv_line_bytes, nameBytes: config.limits.name_bytes },
    openDetector: (fleet) => openDetector(fleet, detectorOptionsOf(config, () => 'wasm')),
    onProgress: ({ fraction, rows }) => progress.update(fraction, `${rows} rows`),
  }).finally(() => progress.end());
  const { events } = summary;
  if (options.json) {
    const { rows, readings, duplicates, late, anomalousReadings } = summary;
    process.stdout.write(`${JSON.stringify({ file, out: options.out, rows, readings, duplicates, late, anomalous_readings: anomalousReadings, events: events.length })}\n`);
    return;
  }
  const lines = [
    `${summary.rows} rows, ${summary.readings} readings of ${summary.metrics.length} ${summary.metrics.length === 1 ? 'metric' : 'metrics'}; ${summary.duplicates} duplicates, ${summary.late} late`,
    `${summary.anomalousReadings} anomalous readings in ${events.length} ${events.length === 1 ? 'event' : 'events'}${events.length === 0 ? '' : ':'}`,
    ...events.slice(0, 20).map((event) => `  ${new Date(event.openedMs).toISOString()}  ${event.severity.padEnd(8)} ${event.metric}: ${event.reason}`),
    ...(events.length > 20 ? [`  and ${events.length - 20} more`] : []),
    `scores: ${options.out}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

import { RealDisk } from '../store/disk/real.js';
import { dumpJournal, inspectJournal, type JournalReport } from '../store/inspect.js';
import { configOf, type CommonOptions } from './options.js';
import { plain, table } from './text.js';

export interface JournalOptions extends CommonOptions {
  json?: boolean;
  from?: number;
  limit?: number;
}

/** `gruard journal info`: reads files only, so gruard may be running. */
export async function journalInfo(options: JournalOptions): Promise<void> {
  const report = await inspectJournal(new RealDisk(configOf(options).data_dir));
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  if (report.segments.length === 0) {
    process.stdout.write(`no journal in ${plain(configOf(options).data_dir)} (data_dir): gruard was not started with it yet\n`);
    return;
  }
  const rows = report.segments.map(({ name, bytes, records, rows: readings, first, last }) => [name, bytes, records, readings, first, last].map(String));
  process.stdout.write(`${table(['segment', 'bytes', 'records', 'rows', 'first', 'last'], rows)}\n${summary(report)}\n`);
}

/** `gruard journal verify`: exit 1 where something is missing or damaged. */
export async function journalVerify(options: JournalOptions): Promise<void> {
  const report = await inspectJournal(new RealDisk(configOf(options).data_dir));
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : `${[summary(report), ...report.problems].join('\n')}\n`);
  if (report.problems.length > 0) process.exitCode = 1;
}

/** `gruard journal dump`: a line of JSON a record. */
export async function journalDump(options: JournalOptions): Promise<void> {
  let left = options.limit ?? Infinity;
  for await (const { sequence, nowMs, batch } of dumpJournal(new RealDisk(configOf(options).data_dir), options.from ?? 0)) {
    if (left-- <= 0) return;
    const rows = Array.from({ length: batch.n }, (_, row) => ({
      series_id: batch.seriesId[row], timestamp_ms: batch.timestampMs[row], value: batch.value[row], flags: batch.flags[row],
      yhat: batch.yhat[row], yhat_lower: batch.yhatLower[row], yhat_upper: batch.yhatUpper[row], anomaly_score: batch.anomalyScore[row],
    }));
    const { declarations, controls, events, verdicts, positions } = batch;
    process.stdout.write(`${JSON.stringify({ sequence, now_ms: nowMs, declarations, controls, rows, events, verdicts, positions })}\n`);
  }
}

function summary({ records, rows, first, last, bytes, problems }: JournalReport): string {
  return plain(`${records} records (${first} to ${last}) with ${rows} rows in ${bytes} bytes; ${problems.length === 0 ? 'whole' : `${problems.length} problems`}`);
}

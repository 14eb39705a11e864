import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { detectorNamed } from './detectors.js';
import { defaultCorpusDir, readBacktests, readCorpus } from './nab/corpus.js';
import type { NabReport } from './nab/evaluate.js';
import { evaluateNab, scoreNab } from './nab/evaluate.js';
import { jsonLine, table } from './table.js';

const USAGE = `Scores the detector on the Numenta Anomaly Benchmark (v1.1).
  npm run bench:nab -- --data DIR [--windows FILE] [--scores DIR] [--files] [--json]
  --data DIR      the corpus: folders of files with the columns timestamp,value
  --windows FILE  the labelled windows (default: DIR/windows.json)
  --scores DIR    score these outputs of gruard backtest (same names as the data) and run nothing
  --detector NAME shipped (default), an ablation or a baseline: see bench/detectors.ts
  --files         a line a file, the largest loss first
  --json          figures as one JSON object on the last line`;

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      data: { type: 'string' }, windows: { type: 'string' }, scores: { type: 'string' },
      detector: { type: 'string', default: 'shipped' }, files: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' },
    },
  });
  const dir = options.data ?? defaultCorpusDir();
  if (options.help || !dir) {
    process.stdout.write(`${USAGE}\n`);
    process.exitCode = options.help ? 0 : 2;
    return;
  }
  const { files, missing } = readCorpus(dir, options.windows ?? join(dir, 'windows.json'));
  if (missing.length > 0) process.stderr.write(`${missing.length} labelled files are not in ${dir}: they are left out\n`);
  const report = options.scores
    ? scoreNab(files, readBacktests(options.scores, files))
    : await evaluateNab(detectorNamed(options.detector), files);
  process.stdout.write(`${describe(report, options.files ?? false)}\n`);
  if (options.json) process.stdout.write(`${jsonLine(flatten(report))}\n`);
}

function describe(report: NabReport, perFile: boolean): string {
  const parts = [
    table([['NAB v1.1', 'at threshold 1', 'optimised', 'its threshold'], ...report.profiles.map((p) => [p.name, p.atProduct, p.optimised, p.bestThreshold])]),
    table([['folder', 'files', 'standard', 'caught', 'windows', 'false detections'],
      ...report.folders.map((f) => [f.name, f.files, f.standard, f.caught, f.windows, f.falseDetections])]),
    table([['at threshold 1', ''], ['windows caught', `${report.atProduct.windowsCaught} of ${report.windows}`],
      ['false alarms a series and day', report.falseAlarmsPerSeriesDay], ['false rows a series and day', report.falseRowsPerSeriesDay],
      ['readings within the 99 % band', report.bandCoverage]]),
  ];
  if (perFile) parts.push(table([['file', 'points', 'caught', 'windows', 'false detections'], ...report.perFile.map((f) => [f.name, f.points, f.caught, f.windows, f.falseDetections])]));
  return parts.join('\n\n');
}

function flatten(report: NabReport): Record<string, number> {
  const figures: Record<string, number> = { files: report.files, windows: report.windows };
  for (const p of report.profiles) {
    figures[p.name] = p.atProduct;
    figures[`${p.name}_optimised`] = p.optimised;
    figures[`${p.name}_threshold`] = p.bestThreshold;
  }
  figures.windows_caught = report.atProduct.windowsCaught;
  figures.false_detections = report.atProduct.falseDetections;
  figures.false_alarms_per_series_day = report.falseAlarmsPerSeriesDay;
  figures.false_rows_per_series_day = report.falseRowsPerSeriesDay;
  figures.band_coverage = report.bandCoverage;
  return figures;
}

await main();

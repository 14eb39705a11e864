import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packageRoot } from '../../core/paths.js';
import { parseTimeMs, readColumns } from '../csv.js';

export interface CorpusFile {
  /** As the labels name it, e.g. `realTweets/Twitter_volume_FB.csv`. */
  name: string;
  timestampMs: Float64Array;
  values: Float64Array;
  windows: [number, number][];
}

/** What a detector gave for a file, from a run in process or from a backtest. */
export interface FileScores {
  /** [rows] */
  scores: ArrayLike<number>;
  yhatLower: ArrayLike<number>;
  yhatUpper: ArrayLike<number>;
}

/** Where this project keeps the corpus beside the repository; undefined where it is not there. */
export function defaultCorpusDir(): string | undefined {
  const dir = join(packageRoot, '..', 'shared', 'data', 'nab');
  return existsSync(join(dir, 'windows.json')) ? dir : undefined;
}

/** The files of `dir` that the labels know. `missing` are those with labels and no data. */
export function readCorpus(dir: string, windowsPath: string): { files: CorpusFile[]; missing: string[] } {
  const labels = JSON.parse(readFileSync(windowsPath, 'utf8')) as Record<string, [string, string][]>;
  const files: CorpusFile[] = [];
  const missing: string[] = [];
  for (const name of Object.keys(labels).sort()) {
    const path = join(dir, name);
    if (!existsSync(path)) {
      missing.push(name);
      continue;
    }
    const columns = readColumns(path);
    files.push({
      name,
      timestampMs: Float64Array.from(columns.text('timestamp'), parseTimeMs),
      values: columns.numbers('value'),
      windows: labels[name].map(([start, end]) => [parseTimeMs(start), parseTimeMs(end)]),
    });
  }
  return { files, missing };
}

/** The outputs of `gruard backtest` for the corpus: `DIR/folder/file.csv`, or all of them flat in DIR. */
export function readBacktests(dir: string, files: readonly CorpusFile[]): FileScores[] {
  const flat = new Set(readdirSync(dir));
  return files.map((file) => {
    const path = existsSync(join(dir, file.name)) ? join(dir, file.name) : join(dir, basename(file.name));
    if (!existsSync(path) && !flat.has(basename(file.name))) throw new Error(`${dir} has no backtest of ${file.name}`);
    return readBacktest(path, file);
  });
}

function readBacktest(path: string, file: CorpusFile): FileScores {
  const columns = readColumns(path);
  const metric = columns.text('metric');
  const keep = metric.map((name, row) => (name === '*' ? -1 : row)).filter((row) => row >= 0);
  if (keep.length !== file.timestampMs.length) {
    throw new Error(`${path} has ${keep.length} rows of the metric, ${file.name} has ${file.timestampMs.length}`);
  }
  const pick = (column: string): Float64Array => {
    const all = columns.numbers(column);
    return Float64Array.from(keep, (row) => all[row]);
  };
  return { scores: pick('anomaly_score'), yhatLower: pick('yhat_lower'), yhatUpper: pick('yhat_upper') };
}

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { backtest } from '../../backtest.js';
import { deviceOf } from '../../ingest/replay.js';
import { openDetector } from '../../model/detector.js';
import { all, until, type startGruard } from './gruard.js';

type Gruard = Awaited<ReturnType<typeof startGruard>>;

const dir = mkdtempSync(join(tmpdir(), 'gruard-backtested-'));

interface Point {
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  yhat_lower: number | null;
  yhat_upper: number | null;
  anomaly_score: number | null;
  in_event: boolean;
}

/** By metric and timestamp (epoch ms), from the file that `gruard backtest` writes; the first row of a timestamp counts. */
export async function backtested(path: string): Promise<Map<string, string[]>> {
  const out = join(dir, `${deviceOf(path)}.scores.csv`);
  await backtest(path, out, { device: deviceOf(path), openDetector: (fleet) => openDetector(fleet, { backend: 'wasm' }) });
  const rows = new Map<string, string[]>();
  for (const line of readFileSync(out, 'utf8').trim().split('\n').slice(1)) {
    const cells = line.split(',');
    const ms = /Z$/.test(cells[0]) ? Date.parse(cells[0]) : Date.parse(`${cells[0].replace(' ', 'T')}Z`);
    const key = `${cells[1]} ${ms}`;
    if (!rows.has(key)) rows.set(key, cells);
  }
  return rows;
}

/** What REST serves of a device is what `gruard backtest` says of its file; returns the number of points. */
export async function servedEqualsBacktest(gruard: Gruard, path: string, metrics: string[]): Promise<number> {
  const expected = await backtested(path);
  const served: Point[][] = [];
  for (const metric of metrics) {
    await until(async () => {
      const points = await all<Point>(gruard.get, `/v1/devices/${deviceOf(path)}/series/${encodeURIComponent(metric)}?start=0`);
      const wanted = [...expected.keys()].filter((key) => key.startsWith(`${metric} `)).length;
      if (points.length === wanted) served.push(points);
      return points.length === wanted;
    }, `every timestamp of ${metric} over REST`);
  }
  served.forEach((points, i) => {
    for (const point of points) {
      const [, , actual, yhat, lower, upper, score, inEvent] = expected.get(`${metrics[i]} ${Date.parse(point.timestamp)}`)!;
      const given = [point.actual, point.yhat, point.yhat_lower, point.yhat_upper].map((value) => (value === null ? '' : String(value)));
      expect([...given, point.in_event ? '1' : '0'], point.timestamp).toEqual([actual, yhat, lower, upper, inEvent]);
      expect(point.anomaly_score ?? 0).toBeCloseTo(Number(score), 5);
    }
  });
  return served.reduce((sum, points) => sum + points.length, 0);
}

import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChartPoint } from '../chart.js';
import { LiveStream } from '../stream.js';
import type { LivePoint } from '../types.js';

/** Readings of a metric that are held from the live feed; a page that hangs on a wall for weeks keeps the newest. */
const MOST_ROWS = 20_000;

/** What came live for one device since its page was opened. */
export interface LiveRows {
  /** By metric, oldest first. */
  rows: Map<string, ChartPoint[]>;
  /** Readings received: changes with each, which the length of a full list does not. */
  received: number;
  stream: LiveStream | null;
}

/** Readings of the device as they come; the newest of each message wakes the page. */
export function useLiveRows(name: string): { rows: LiveRows; newestMs: number } {
  const live = useRef<LiveRows>({ rows: new Map(), received: 0, stream: null }).current;
  const [newestMs, setNewestMs] = useState(0);
  useEffect(() => {
    live.rows.clear();
    const stream = new LiveStream(`v1/stream?device=${encodeURIComponent(name)}`, (type, data) => {
      if (type !== 'readings') return;
      for (const row of (data as { rows: LivePoint[] }).rows) {
        const point = pointOf(row);
        const held = live.rows.get(row.metric);
        if (!held) live.rows.set(row.metric, [point]);
        else if (held.push(point) > MOST_ROWS) held.shift();
        live.received++;
        setNewestMs((newest) => Math.max(newest, point.timestampMs));
      }
    });
    live.stream = stream;
    return () => stream.close();
  }, [name]);
  return { rows: live, newestMs };
}

const pointOf = (row: LivePoint): ChartPoint => ({
  timestampMs: Date.parse(row.timestamp), actual: row.actual, yhat: row.yhat, yhatLower: row.yhat_lower, yhatUpper: row.yhat_upper, anomalyScore: row.anomaly_score,
});

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { LiveRows } from './live-rows.js';
import { call, seriesPath } from '../client.js';
import { SeriesChart, type ChartGroup, type ChartPoint, type ChartSpan, type Range } from '../chart.js';
import { itemsOf, nowMs } from '../fleet-state.js';
import { clockSeconds, duration, near, quantity, score } from '../format.js';
import { deviceHref } from '../route.js';
import { isDark } from '../theme.js';
import type { DeviceDetail, List, Point } from '../types.js';

const PAGE = 1000;
/** Readings shown at the most; of a longer range, the newest. */
const MOST_PAGES = 10;

interface Props {
  device: string;
  metric: string;
  series: DeviceDetail['series'][number] | null;
  range: Range;
  group: ChartGroup;
  live: LiveRows;
  openFirst: boolean;
  selected: string | null;
  onZoom: (range: Range | null) => void;
}

/** A metric of a device: its last reading in a line, and its chart while it is open. */
export function SeriesPanel(props: Props) {
  const { metric, series, openFirst } = props;
  const [open, setOpen] = useState(openFirst);
  const [cursor, setCursor] = useState<ChartPoint | null>(null);
  const whole = metric === '*';
  const last = series?.last ?? null;
  const hot = (cursor ? cursor.anomalyScore ?? 0 : last?.anomaly_score ?? 0) > 1;
  return (
    <section class="card series" aria-label={whole ? 'The device as a whole' : metric}>
      <div class="series-head">
        <h2><button type="button" class="plain" aria-expanded={open} onClick={() => setOpen(!open)}><span class="chevron" aria-hidden="true" />{whole ? 'Device as a whole' : metric}</button></h2>
        <p class="num readout">
          {cursor ? <Reading point={cursor} whole={whole} /> : last && <><span>{!whole && <b>{quantity(last.actual)}</b>}</span><span class={hot ? 'hot' : 'quiet'}>score {score(last.anomaly_score)}</span></>}
          {!cursor && series && !series.warm_up.ready && <span class="quiet">{series.warm_up.ready_at ? `ready ${near(Date.parse(series.warm_up.ready_at), nowMs.value)}` : `${series.warm_up.readings_left} readings to go`}</span>}
          {!cursor && series?.period_ms && <span class="quiet wide-only">every {duration(series.period_ms)}</span>}
        </p>
      </div>
      {open && <Chart {...props} whole={whole} onCursor={setCursor} />}
    </section>
  );
}

function Reading({ point, whole }: { point: ChartPoint; whole: boolean }) {
  return (
    <>
      <span class="quiet">{near(point.timestampMs, nowMs.value).replace(/\d\d:\d\d$/, '')}{clockSeconds(point.timestampMs)}</span>
      {!whole && <span><b>{quantity(point.actual)}</b></span>}
      {!whole && point.yhatLower !== null && <span class="quiet">expected {quantity(point.yhatLower)} to {quantity(point.yhatUpper)}</span>}
      <span class={(point.anomalyScore ?? 0) > 1 ? 'hot' : 'quiet'}>score {score(point.anomalyScore)}</span>
    </>
  );
}

function Chart({ device, metric, range, group, live, selected, onZoom, whole, onCursor }: Props & { whole: boolean; onCursor: (point: ChartPoint | null) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<SeriesChart | null>(null);
  const { points, problem, cut } = usePoints(device, metric, range, live);
  const spans = useSpans(device, metric, selected);
  const dark = isDark.value;

  useEffect(() => {
    const made = new SeriesChart(host.current!, {
      group, label: metric, values: !whole, onCursor, onSpan: (id) => { location.hash = deviceHref(device, id); },
    });
    chart.current = made;
    made.setPoints(points);
    made.setSpans(spans);
    made.show(range);
    return () => made.destroy();
  }, [dark]);
  useEffect(() => chart.current?.setPoints(points), [points]);
  useEffect(() => chart.current?.setSpans(spans), [spans]);

  const onKey = (event: KeyboardEvent): void => {
    const next = keyed(event.key, range);
    if (next === undefined) return;
    event.preventDefault();
    onZoom(next);
  };
  return (
    <>
      <div class={`chart${whole ? ' whole' : ''}`} ref={host} tabIndex={0} role="img" onKeyDown={onKey}
        aria-label={`Chart of ${whole ? 'the scores of the device as a whole' : metric}: ${points.length} readings, ${spans.length} events. Arrow keys move, plus and minus zoom, 0 goes back to live.`} />
      {problem !== '' && <p class="note problem">{problem}</p>}
      {problem === '' && points.length === 0 && <p class="note">No readings in this range.</p>}
      {cut && <p class="note">Showing the newest {PAGE * MOST_PAGES} readings; zoom in for the earlier ones.</p>}
    </>
  );
}

/** undefined: not a key of ours; null: back to live. */
function keyed(key: string, { minMs, maxMs }: Range): Range | null | undefined {
  const width = maxMs - minMs;
  switch (key) {
    case 'ArrowLeft': return { minMs: minMs - width / 4, maxMs: maxMs - width / 4 };
    case 'ArrowRight': return { minMs: minMs + width / 4, maxMs: maxMs + width / 4 };
    case '+': case '=': return { minMs: minMs + width / 4, maxMs: maxMs - width / 4 };
    case '-': return { minMs: minMs - width / 2, maxMs: maxMs + width / 2 };
    case '0': return null;
    default: return undefined;
  }
}

/** The stored readings of the range and, after them, those that came live. Loaded again when the range leaves what is held. */
function usePoints(device: string, metric: string, range: Range, live: LiveRows): { points: ChartPoint[]; problem: string; cut: boolean } {
  const [held, setHeld] = useState<{ points: ChartPoint[]; fromMs: number; cut: boolean }>({ points: [], fromMs: Infinity, cut: false });
  const [problem, setProblem] = useState('');
  const wanted = range.minMs < held.fromMs ? range.minMs : held.fromMs;
  // Rounded, so that a range that follows the clock does not load at every step.
  const key = held.fromMs <= range.minMs ? held.fromMs : wanted;
  const zoomedIntoCut = held.cut && held.points.length > 0 && range.minMs < held.points[0].timestampMs;
  const loadKey = zoomedIntoCut ? `${range.minMs} ${range.maxMs}` : String(key);
  useEffect(() => {
    if (held.fromMs <= range.minMs && !zoomedIntoCut) return;
    const abort = new AbortController();
    const endMs = zoomedIntoCut ? range.maxMs : undefined;
    loadSeries(device, metric, range.minMs, endMs, abort.signal).then(({ points, cut }) => {
      setProblem('');
      setHeld((before) => ({ points: zoomedIntoCut ? merge(points, before.points) : points, fromMs: range.minMs, cut }));
    }, (error: Error) => {
      if (!abort.signal.aborted) setProblem(error.message);
    });
    return () => abort.abort();
  }, [device, metric, loadKey]);
  // After a lost connection: what came meanwhile.
  const connections = live.stream?.connections.value ?? 0;
  useEffect(() => {
    if (connections < 2) return;
    const abort = new AbortController();
    const last = held.points.length > 0 ? held.points[held.points.length - 1].timestampMs : range.minMs;
    loadSeries(device, metric, last, undefined, abort.signal).then(({ points }) => setHeld((before) => ({ ...before, points: merge(before.points, points) })), () => {});
    return () => abort.abort();
  }, [connections]);
  const fresh = live.rows.get(metric);
  const points = useMemo(() => (fresh ? merge(held.points, fresh) : held.points), [held.points, live.received, range.maxMs]);
  return { points, problem, cut: held.cut };
}

async function loadSeries(device: string, metric: string, startMs: number, endMs: number | undefined, abort: AbortSignal): Promise<{ points: ChartPoint[]; cut: boolean }> {
  const newestFirst: Point[] = [];
  let cursor: string | null = null;
  for (let i = 0; i < MOST_PAGES; i++) {
    const query: Record<string, string> = { start: String(Math.floor(startMs)), limit: String(PAGE), order: 'desc' };
    if (endMs !== undefined) query.end = String(Math.ceil(endMs));
    if (cursor !== null) query.cursor = cursor;
    const page: List<Point> = await call<List<Point>>(seriesPath(device, metric, query), { signal: abort });
    newestFirst.push(...page.items);
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  const points = newestFirst.reverse().map((p) => ({
    timestampMs: Date.parse(p.timestamp), actual: p.actual, yhat: p.yhat, yhatLower: p.yhat_lower, yhatUpper: p.yhat_upper, anomalyScore: p.anomaly_score,
  }));
  return { points, cut: cursor !== null };
}

/** Oldest first, each time once. */
function merge(a: ChartPoint[], b: ChartPoint[]): ChartPoint[] {
  const lastA = a.length > 0 ? a[a.length - 1].timestampMs : -Infinity;
  if (b.length === 0) return a;
  if (b[0].timestampMs > lastA) return [...a, ...b];
  const byTime = new Map(a.map((point) => [point.timestampMs, point]));
  for (const point of b) byTime.set(point.timestampMs, point);
  return [...byTime.values()].sort((p, q) => p.timestampMs - q.timestampMs);
}

/** Events that touch this metric. */
function useSpans(device: string, metric: string, selected: string | null): ChartSpan[] {
  const spans = itemsOf(device).flatMap((item) => {
    if (item.kind !== 'anomaly') return [];
    const { event } = item;
    const touched = event.metric === metric || event.metric === '*' || event.metrics.some((m) => m.metric === metric && m.contribution >= 0.25);
    return touched ? [{ id: event.id, startMs: item.atMs, endMs: event.resolved_at ? Date.parse(event.resolved_at) : null, severity: event.severity, selected: event.id === selected }] : [];
  });
  return useMemo(() => spans, [JSON.stringify(spans)]);
}

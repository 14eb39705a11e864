import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './chart.css';

/** The chart of a series: readings over the expected band, a strip of scores below, events as shaded spans. Knows nothing of the page around it. */

export interface ChartPoint {
  timestampMs: number;
  actual: number | null;
  yhat: number | null;
  yhatLower: number | null;
  yhatUpper: number | null;
  anomalyScore: number | null;
}

export interface ChartSpan {
  id: string;
  startMs: number;
  /** null while it is open. */
  endMs: number | null;
  severity: 'info' | 'warning' | 'critical';
  selected: boolean;
}

export interface ChartOptions {
  /** Charts of the same key share cursor and zoom. */
  group: ChartGroup;
  label: string;
  /** False for the device as a whole (metric `*`), which has scores and no values. */
  values: boolean;
  /** False for what has no scores. Default: true. */
  scores?: boolean;
  onCursor: (point: ChartPoint | null) => void;
  onSpan: (id: string) => void;
}

export interface Range {
  minMs: number;
  maxMs: number;
}

const VALUE_HEIGHT = 170;
const SCORE_HEIGHT = 64;
const GUTTER = 58;
/** Scores above this are drawn at the top of the strip. */
const SCORE_CAP = 4;
const GAP_FACTOR = 4;

/** What the charts of one device share: the visible range, which all move together. */
export class ChartGroup {
  readonly key = `gruard-${++groups}`;
  readonly #charts = new Set<SeriesChart>();

  constructor(private readonly onZoom: (range: Range | null) => void) {}

  add(chart: SeriesChart): void {
    this.#charts.add(chart);
  }

  delete(chart: SeriesChart): void {
    this.#charts.delete(chart);
  }

  show(range: Range): void {
    for (const chart of this.#charts) chart.show(range);
  }

  /** A person chose a range (null: back to the whole). */
  zoom(range: Range | null): void {
    this.onZoom(range);
  }
}
let groups = 0;

type Columns = [number[], ...(number | null)[][]];

export class SeriesChart {
  readonly #plots: uPlot[] = [];
  readonly #resize: ResizeObserver;
  #points: ChartPoint[] = [];
  #columns: Columns = [[], [], [], [], [], []];
  #spans: ChartSpan[] = [];
  #range: Range = { minMs: 0, maxMs: 1 };
  #frame = 0;

  constructor(host: HTMLElement, private readonly options: ChartOptions) {
    const colors = colorsOf(host);
    const width = Math.max(200, host.clientWidth);
    const scores = options.scores ?? true;
    if (options.values) this.#plots.push(new uPlot(this.#valueOptions(width, colors, !scores), this.#columns, host));
    if (scores) this.#plots.push(new uPlot(this.#scoreOptions(width, colors), [[], []], host));
    this.#resize = new ResizeObserver(() => {
      const next = Math.max(200, host.clientWidth);
      for (const plot of this.#plots) if (plot.width !== next) plot.setSize({ width: next, height: plot.height });
    });
    this.#resize.observe(host);
    options.group.add(this);
  }

  /** Oldest first. */
  setPoints(points: ChartPoint[]): void {
    this.#points = points;
    this.#redraw();
  }

  setSpans(spans: ChartSpan[]): void {
    this.#spans = spans;
    this.#redraw();
  }

  show(range: Range): void {
    this.#range = range;
    this.#redraw();
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
    this.#resize.disconnect();
    this.options.group.delete(this);
    for (const plot of this.#plots) plot.destroy();
  }

  /** At most once a frame, whatever came in. */
  #redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#columns = columnsOf(this.#points);
      const [x, actual, yhat, lower, upper, score] = this.#columns;
      const limits = { min: this.#range.minMs / 1000, max: this.#range.maxMs / 1000 };
      const data = this.options.values ? [[x, lower, upper, yhat, actual], [x, score]] : [[x, score]];
      this.#plots.forEach((plot, i) => plot.batch(() => {
        plot.setData(data[i] as uPlot.AlignedData, false);
        plot.setScale('x', limits);
      }));
    });
  }

  #shared(width: number, height: number, colors: Colors, last: boolean): Pick<uPlot.Options, 'width' | 'height' | 'cursor' | 'legend' | 'padding' | 'axes' | 'hooks'> {
    return {
      width, height,
      padding: [6, 22, last ? 0 : 2, 0],
      legend: { show: false },
      cursor: {
        sync: { key: this.options.group.key, setSeries: false, scales: ['x', null] },
        drag: { x: true, y: false, setScale: false },
        points: { size: 7, fill: colors.actual, stroke: colors.panel, width: 1.5, show: !last },
        y: false,
        bind: {
          dblclick: () => () => {
            this.options.group.zoom(null);
            return null;
          },
          click: (plot) => (event: MouseEvent) => {
            this.#click(plot, event.offsetX);
            return null;
          },
        },
      },
      axes: [
        {
          show: last, size: last ? 24 : 0, stroke: colors.muted, font: colors.font, gap: 4, space: 74,
          grid: { stroke: colors.grid, width: 1 }, ticks: { show: false }, values: (_plot, splits, _axis, _space, incr) => timeLabels(splits, incr),
        },
      ],
      hooks: {
        drawClear: [(plot) => this.#drawSpans(plot, colors, 'shade')],
        setCursor: [(plot) => this.options.onCursor(this.#pointAt(plot.cursor.idx ?? null))],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
  }

  #valueOptions(width: number, colors: Colors, last: boolean): uPlot.Options {
    const shared = this.#shared(width, VALUE_HEIGHT, colors, last);
    const line = (stroke: string, thickness: number, dash?: number[]): uPlot.Series => ({ stroke, width: thickness, dash, points: { show: false } });
    return {
      ...shared,
      scales: { x: { time: true }, y: { range: () => valueRange(this.#points, this.#range) } },
      series: [{}, line('transparent', 0), line('transparent', 0), line(colors.yhat, 1, [4, 3]), { ...line(colors.actual, 1.2), points: { show: true, size: 4, filter: sparse } }],
      bands: [{ series: [2, 1], fill: colors.band }],
      axes: [shared.axes![0], { size: GUTTER, stroke: colors.muted, font: colors.font, gap: 6, space: 34, grid: { stroke: colors.grid, width: 1 }, ticks: { show: false }, values: (_plot, splits) => splits.map(valueLabel) }],
      hooks: { ...shared.hooks, draw: [(plot) => this.#drawSpans(plot, colors, 'cap'), (plot) => this.#drawAnomalous(plot, colors)] },
    };
  }

  #scoreOptions(width: number, colors: Colors): uPlot.Options {
    const shared = this.#shared(width, SCORE_HEIGHT + 24, colors, true);
    return {
      ...shared,
      scales: { x: { time: true }, y: { range: [0, SCORE_CAP] } },
      series: [{}, { stroke: 'transparent', width: 0, points: { show: false } }],
      axes: [shared.axes![0], { size: GUTTER, stroke: colors.muted, font: colors.font, gap: 6, grid: { show: false }, ticks: { show: false }, splits: [0, 1, SCORE_CAP], values: ['0', '1', `≥${SCORE_CAP}`] }],
      hooks: { ...shared.hooks, draw: [(plot) => drawScores(plot, colors), ...(this.options.values ? [] : [(plot: uPlot) => this.#drawSpans(plot, colors, 'cap')])] },
    };
  }

  #pointAt(index: number | null): ChartPoint | null {
    if (index === null) return null;
    const ms = Math.round(this.#columns[0][index] * 1000);
    return this.#points.find((point) => point.timestampMs === ms) ?? null;
  }

  #select(plot: uPlot): void {
    const { left, width } = plot.select;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width < 6) return;
    this.options.group.zoom({ minMs: plot.posToVal(left, 'x') * 1000, maxMs: plot.posToVal(left + width, 'x') * 1000 });
  }

  #click(plot: uPlot, x: number): void {
    const ms = plot.posToVal(x, 'x') * 1000;
    const slack = (this.#range.maxMs - this.#range.minMs) * 0.004;
    const hit = this.#spans.filter((span) => ms >= span.startMs - slack && ms <= (span.endMs ?? Infinity) + slack);
    if (hit.length > 0) this.options.onSpan(hit[hit.length - 1].id);
  }

  /** The shade lies below the readings, the cap above the band. */
  #drawSpans(plot: uPlot, colors: Colors, part: 'shade' | 'cap'): void {
    const { ctx, bbox } = plot;
    const newestMs = this.#points.length > 0 ? this.#points[this.#points.length - 1].timestampMs : 0;
    ctx.save();
    for (const span of this.#spans) {
      const from = Math.max(bbox.left, plot.valToPos(span.startMs / 1000, 'x', true));
      const to = Math.min(bbox.left + bbox.width, plot.valToPos((span.endMs ?? Math.max(newestMs, span.startMs)) / 1000, 'x', true));
      if (to < bbox.left || from > bbox.left + bbox.width) continue;
      ctx.fillStyle = colors[span.severity];
      if (part === 'shade') ctx.globalAlpha = span.selected ? 0.15 : 0.08;
      ctx.fillRect(from, bbox.top, Math.max(to - from, 2 * uPlot.pxRatio), part === 'shade' ? bbox.height : (span.selected ? 4 : 2) * uPlot.pxRatio);
    }
    ctx.restore();
  }

  #drawAnomalous(plot: uPlot, colors: Colors): void {
    const { ctx, bbox } = plot;
    const [x, actual, , , , score] = this.#columns;
    const radius = 2.6 * uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = colors.anomalous;
    for (let i = 0; i < x.length; i++) {
      const y = actual[i];
      if (y === null || (score[i] ?? 0) <= 1) continue;
      ctx.beginPath();
      ctx.arc(plot.valToPos(x[i], 'x', true), plot.valToPos(y, 'y', true), radius, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.restore();
  }
}

/** A bar a reading; above the threshold in the color of trouble, and a line at 1. */
function drawScores(plot: uPlot, colors: Colors): void {
  const { ctx, bbox } = plot;
  const [x, score] = plot.data as unknown as [number[], (number | null)[]];
  const bottom = bbox.top + bbox.height;
  const perPoint = x.length > 1 ? bbox.width / Math.max(1, (plot.scales.x.max! - plot.scales.x.min!) / medianStep(x)) : 4;
  const wide = Math.max(uPlot.pxRatio, Math.min(6 * uPlot.pxRatio, perPoint * 0.7));
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (let i = 0; i < x.length; i++) {
    const value = score[i];
    if (value === null || value <= 0) continue;
    const top = plot.valToPos(Math.min(value, SCORE_CAP), 'y', true);
    ctx.fillStyle = value > 1 ? colors.anomalous : colors.quiet;
    ctx.fillRect(plot.valToPos(x[i], 'x', true) - wide / 2, top, wide, bottom - top);
  }
  const threshold = plot.valToPos(1, 'y', true);
  ctx.strokeStyle = colors.muted;
  ctx.lineWidth = uPlot.pxRatio;
  ctx.setLineDash([3 * uPlot.pxRatio, 3 * uPlot.pxRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, threshold);
  ctx.lineTo(bbox.left + bbox.width, threshold);
  ctx.stroke();
  ctx.restore();
}

/** Columns x [s], actual, yhat, lower, upper, score; a row of nulls where readings are missing, so that no line bridges a gap. */
function columnsOf(points: ChartPoint[]): Columns {
  const columns: Columns = [[], [], [], [], [], []];
  const push = (seconds: number, ...values: (number | null)[]): void => {
    columns[0].push(seconds);
    values.forEach((value, i) => (columns[i + 1] as (number | null)[]).push(value));
  };
  const step = medianStep(points.map((point) => point.timestampMs));
  let before = NaN;
  for (const p of points) {
    if (p.timestampMs - before > GAP_FACTOR * step) push((before + 1) / 1000, null, null, null, null, null);
    push(p.timestampMs / 1000, p.actual, p.yhat, p.yhatLower, p.yhatUpper, p.anomalyScore);
    before = p.timestampMs;
  }
  return columns;
}

function medianStep(times: number[]): number {
  const steps: number[] = [];
  const stride = Math.max(1, Math.floor(times.length / 200));
  for (let i = 1; i < times.length; i += stride) steps.push(times[i] - times[i - 1]);
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] || 1;
}

/** Points are drawn only where few readings are in view. */
const sparse: uPlot.Series.Points.Filter = (plot, _series, show) => {
  if (!show) return [];
  const [from, to] = plot.series[0].idxs ?? [0, 0];
  const all: number[] = [];
  if (to - from < 60) for (let i = from; i <= to; i++) all.push(i);
  return all;
};

/**
 * Room for the readings and their forecasts, and for the usual band: where the band is much wider than what happens (after a shock, say),
 * it runs out of the picture and does not flatten the readings.
 */
function valueRange(points: ChartPoint[], { minMs, maxMs }: Range): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  const lowers: number[] = [];
  const uppers: number[] = [];
  for (const point of points) {
    if (point.timestampMs < minMs || point.timestampMs > maxMs) continue;
    for (const value of [point.actual, point.yhat]) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (point.yhatLower !== null) lowers.push(point.yhatLower);
    if (point.yhatUpper !== null) uppers.push(point.yhatUpper);
  }
  if (low > high) return [0, 1];
  const reach = (high - low) * 1.2 || Infinity;
  const usual = (values: number[], share: number): number => values.sort((a, b) => a - b)[Math.floor((values.length - 1) * share)];
  if (lowers.length > 0) low = Math.min(low, Math.max(usual(lowers, 0.1), low - reach));
  if (uppers.length > 0) high = Math.max(high, Math.min(usual(uppers, 0.9), high + reach));
  // What never changes lies in the middle of a scale that a person can read.
  const pad = high > low ? Math.max((high - low) * 0.08, Math.abs(high) * 1e-6, 1e-9) : Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

const valueLabel = (value: number): string => {
  const abs = Math.abs(value);
  if (abs !== 0 && (abs >= 1e5 || abs < 1e-3)) return value.toExponential(1);
  return String(Number(value.toPrecision(6))).replace('-', '−');
};

const DAY_LABEL = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const CLOCK_LABEL = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const SECOND_LABEL = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

function timeLabels(splits: number[], incr: number): string[] {
  return splits.map((seconds) => {
    const at = new Date(seconds * 1000);
    const midnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
    if (incr >= 86_400 || midnight) return DAY_LABEL.format(at);
    return (incr < 60 ? SECOND_LABEL : CLOCK_LABEL).format(at);
  });
}

type Colors = ReturnType<typeof colorsOf>;

/** The canvas needs plain colors: those that the style sheet gives at this place, light or dark. */
function colorsOf(host: HTMLElement) {
  const probe = document.createElement('span');
  host.append(probe);
  const color = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    actual: color('chart-actual'), yhat: color('chart-yhat'), band: color('chart-band'), grid: color('chart-grid'), quiet: color('chart-quiet'), anomalous: color('critical'),
    muted: color('muted'), panel: color('panel'), info: color('info'), warning: color('warning'), critical: color('critical'),
    font: `11px ${getComputedStyle(host).fontFamily}`,
  };
  probe.remove();
  return colors;
}

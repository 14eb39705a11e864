import { ForecastDecoder, Forecasts, HORIZONS } from '../forecast.js';
import { Reference, referenceParameters } from '../cells/reference.js';
import { stateSize, type Network } from '../network.js';
import { FEATURES, Normaliser } from '../normaliser.js';
import type { TrainingSeries } from './examples.js';
import type { TrainingResult } from './run.js';
import { bars, escape, lines, type Line } from './plot.js';

/** Readings drawn of a series, the last ones. */
const WINDOW = 300;

/** One self-contained HTML page: losses, calibration, results by family, forecasts on series never trained on. */
export function renderReport(result: TrainingResult): string {
  const { network, test } = result;
  const rows = Object.entries(network.metadata).map(([key, value]) => `<tr><th>${escape(key)}</th><td><code>${escape(value)}</code></td></tr>`);
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gruard training report</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e3e7ec; vertical-align: top }
code { overflow-wrap: anywhere } svg { max-width: 100%; height: auto } figure { margin: 1.2rem 0 } figcaption { color: #566 }
td.n { text-align: right; font-variant-numeric: tabular-nums } .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(28rem, 1fr)); gap: 1rem }
</style>
<h1>Training report</h1>
<p>Loss on the test series <b>${test.loss.toFixed(4)}</b>; inside the 99 % band at horizons ${HORIZONS.join(', ')}: <b>${test.coverage.map(percent).join(', ')}</b>.</p>
<h2>Loss</h2>
${lossPlot(result)}
<h2>Calibration</h2>
<p>How often the target fell in each twentieth of the forecast distribution. Flat is calibrated; a hump in the middle is a forecast too wide, tails are one too narrow.</p>
<div class="plots">${test.pit.map((shares, i) => bars(shares, 1 / shares.length, `horizon ${HORIZONS[i]}`)).join('\n')}</div>
<h2>By family</h2>
${familyTable(result)}
<h2>Forecasts on test series</h2>
<p>Black: readings. Blue: the forecast made one reading before, with its 99 % band.</p>
<div class="plots">${result.plotted.map((series) => forecastPlot(network, series)).join('\n')}</div>
<h2>Weights</h2>
<table>${rows.join('\n')}</table>
</html>
`;
}

function percent(x: number): string {
  return `${(100 * x).toFixed(2)} %`;
}

function lossPlot({ trained }: TrainingResult): string {
  if (trained.curve.length === 0) return '<p>Nothing was trained.</p>';
  let smooth = trained.curve[0].train;
  const training = trained.curve.map(({ step, train }) => ({ x: step, y: (smooth += 0.05 * (train - smooth)) }));
  const heldOut = trained.curve.flatMap(({ step, heldOut: y }) => (y === undefined ? [] : [{ x: step, y }]));
  return lines([{ points: training, colour: '#9aa7b5' }, { points: heldOut, colour: '#1668c7' }], 'grey: training (smoothed); blue: held-out series; x: step');
}

function familyTable({ test }: TrainingResult): string {
  const families = new Map<string, typeof test.series>();
  for (const series of test.series) families.set(series.name, [...(families.get(series.name) ?? []), series]);
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const body = [...families].map(([name, list]) => {
    const cells = HORIZONS.flatMap((_, i) => [mean(list.map((s) => s.horizonLosses[i])).toFixed(3), percent(mean(list.map((s) => s.coverage[i])))]);
    return `<tr><th>${escape(name)}</th>${cells.map((cell) => `<td class="n">${cell}</td>`).join('')}</tr>`;
  });
  const head = HORIZONS.map((h) => `<th>loss ${h}</th><th>in band ${h}</th>`).join('');
  return `<table><tr><th>series</th>${head}</tr>${body.join('\n')}</table>`;
}

/** The last readings of a series with the forecasts that were made of them. */
function forecastPlot(network: Network, series: TrainingSeries): string {
  const { yhat, lower, upper } = forecastsOf(network, series);
  const from = Math.max(1, series.value.length - WINDOW);
  const points = (values: ArrayLike<number>): Line['points'] => Array.from({ length: series.value.length - from }, (_, i) => ({ x: from + i, y: values[from + i] }));
  return lines(
    [{ points: points(yhat), colour: '#1668c7', band: { lower: points(lower), upper: points(upper) } }, { points: points(series.value), colour: '#1c2430' }],
    series.name, series.value.subarray(from),
  );
}

/** [n] each: the forecast of every reading, made at the one before; NaN for the first. */
export function forecastsOf(network: Network, series: TrainingSeries): { yhat: Float64Array; lower: Float64Array; upper: Float64Array } {
  const n = series.value.length;
  const result = { yhat: new Float64Array(n).fill(NaN), lower: new Float64Array(n).fill(NaN), upper: new Float64Array(n).fill(NaN) };
  const normaliser = new Normaliser();
  normaliser.reserve(1);
  const reference = new Reference(network.config, referenceParameters(network));
  const decoder = new ForecastDecoder(network.metadata);
  const into = new Forecasts(1);
  const slots = new Uint32Array(1);
  const features = new Float32Array(FEATURES);
  const state = new Float64Array(stateSize(network.config));
  const outputs = new Float64Array(network.config.head.outputs);
  for (let t = 0; t + 1 < n; t++) {
    normaliser.step(slots, 1, series.timestampMs.subarray(t, t + 1), series.value.subarray(t, t + 1), features);
    reference.step(Float64Array.from(features), state, outputs);
    decoder.decode(normaliser, slots, 1, Float32Array.from(outputs), into);
    result.yhat[t + 1] = into.yhat[0];
    result.lower[t + 1] = into.yhatLower[0];
    result.upper[t + 1] = into.yhatUpper[0];
  }
  return result;
}

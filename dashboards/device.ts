import { GraphDrawStyle, GraphThresholdsStyleConfigBuilder, GraphThresholdsStyleMode, LineStyleBuilder, VisibilityMode } from '@grafana/grafana-foundation-sdk/common';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, eventMarks, tagVariable } from './layout.js';
import { eventLink, UID } from './links.js';
import { fixedColor, seriesPanel, statPanel, steps, tablePanel } from './panels.js';
import { isChosen, rows, series, within } from './queries.js';

const READINGS = `FROM "gruard_readings" WHERE ${within(isChosen('device'), isChosen('metric'))}`;
const BY_TIME = 'GROUP BY time($__interval) fill(none)';
const WHOLE_DEVICE = `FROM "gruard_readings" WHERE ${within(isChosen('device'), '"metric" = \'*\'')}`;

/** One series in its expected band, and what was found on its device. */
export function deviceDashboard(page: string): Dashboard {
  return dashboard(
    { uid: UID.device, title: 'gruard: device', description: 'One metric of one device in the band that gruard expected, its score, and the events of the device.', from: 'now-24h', refresh: '30s', page },
    [
      tagVariable({ name: 'device', label: 'Device', description: 'Device.' }, 'SHOW TAG VALUES FROM "gruard_readings" WITH KEY = "device"'),
      // `*` is the device as a whole, which has a score and no value.
      tagVariable({ name: 'metric', label: 'Metric', description: 'Metric of the device.' }, `SHOW TAG VALUES FROM "gruard_readings" WITH KEY = "metric" WHERE ${isChosen('device')}`).regex('/^(?!\\*$).+/'),
    ],
    [
      eventMarks('Open events', 'red', `SELECT "reason", "severity", "metric" FROM "gruard_events" WHERE ${within(isChosen('device'), '"state" = \'open\'')}`),
      eventMarks('Resolved events', 'orange', `SELECT "reason", "severity", "metric", "resolved_ms" FROM "gruard_events" WHERE ${within(isChosen('device'), '"state" = \'resolved\'')}`, 'resolved_ms'),
    ],
    [
      { height: 4, panels: [[lastValue(), 6], [lastScore(), 6], [openEvents(), 6], [openVerdicts(), 6]] },
      { height: 11, panels: [[values(), 24]] },
      { height: 7, panels: [[scores(), 24]] },
      { height: 9, panels: [[events(), 24]] },
      { height: 6, panels: [[health(), 24]] },
    ],
  );
}

const lastValue = () => statPanel(
  { title: '$metric now', description: 'The newest reading, in the unit in which the device sends it.', empty: 'No reading' },
  series(['$metric', `SELECT last("actual") ${READINGS}`]), 'none',
).thresholds(steps());

const lastScore = () => statPanel(
  { title: 'Score now', description: 'Of the newest reading; above 1 it is anomalous.', empty: 'No score' },
  series(['score', `SELECT last("anomaly_score") ${READINGS}`]), 'none',
).decimals(2).thresholds(steps([1, 'red']));

const openEvents = () => statPanel(
  { title: 'Open anomalies', description: 'Of the whole device, whenever they began.', empty: 'None' },
  series(['open', `SELECT count("id") FROM "gruard_events" WHERE "state" = 'open' AND ${isChosen('device')}`]), 'short',
).thresholds(steps([1, 'red']));

const openVerdicts = () => statPanel(
  { title: 'Health', description: 'Health verdicts that hold now, of the whole device.', empty: 'Well' },
  series(['verdicts', `SELECT count("id") FROM "gruard_health" WHERE "open" = true AND ${isChosen('device')}`]), 'short',
).thresholds(steps([1, 'orange']));

const values = () => seriesPanel(
  { title: '$metric of $device', description: 'The readings (their mean where the range is long) over the band in which gruard expected them. Red points: readings with a score above 1, each one, however long the range.', empty: 'No readings in this time range.' },
  series(
    ['lowest expected', `SELECT min("yhat_lower") ${READINGS} ${BY_TIME}`],
    ['highest expected', `SELECT max("yhat_upper") ${READINGS} ${BY_TIME}`],
    ['expected', `SELECT mean("yhat") ${READINGS} ${BY_TIME}`],
    ['actual', `SELECT mean("actual") ${READINGS} ${BY_TIME}`],
    ['anomalous', `SELECT "actual" ${READINGS} AND "anomaly_score" > 1 LIMIT 5000`],
  ), 'none',
).fillOpacity(0)
  .overrideByName('lowest expected', [{ id: 'custom.lineWidth', value: 0 }, { id: 'custom.hideFrom', value: { legend: true, tooltip: false, viz: false } }, fixedColor('blue')])
  .overrideByName('highest expected', [{ id: 'custom.lineWidth', value: 0 }, { id: 'custom.fillBelowTo', value: 'lowest expected' }, { id: 'custom.fillOpacity', value: 18 }, fixedColor('blue')])
  .overrideByName('expected', [{ id: 'custom.lineStyle', value: new LineStyleBuilder().fill('dash').dash([6, 4]).build() }, fixedColor('blue')])
  .overrideByName('actual', [{ id: 'custom.lineWidth', value: 2 }, fixedColor('green')])
  .overrideByName('anomalous', [{ id: 'custom.drawStyle', value: GraphDrawStyle.Points }, { id: 'custom.showPoints', value: VisibilityMode.Always }, { id: 'custom.pointSize', value: 6 }, fixedColor('red')]);

const scores = () => seriesPanel(
  { title: 'Score', description: 'The highest in each step. Above 1, the line, a reading is anomalous. Device: all its metrics together, where it has several.', empty: 'No scores in this time range.' },
  series(['$metric', `SELECT max("anomaly_score") ${READINGS} ${BY_TIME}`], ['device', `SELECT max("anomaly_score") ${WHOLE_DEVICE} ${BY_TIME}`]), 'none',
).decimals(2).min(0).axisSoftMax(2).thresholds(steps([1, 'red'])).thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.LineAndArea));

const events = () => tablePanel(
  { title: 'Events', description: 'Of the whole device in the time range, the newest first. A click on a reason leads to the explanation on the gruard page.', empty: 'No anomaly in this time range.' },
  rows(`SELECT "severity", "state", "device", "metric", "kind", "peak_score", "reason", "id" FROM "gruard_events" WHERE ${within(isChosen('device'))} ORDER BY time DESC LIMIT 200`),
  {
    severity: { head: 'Severity', width: 90, colored: true }, reason: { head: 'Why', links: [eventLink()] }, metric: { head: 'Metric', width: 130 }, kind: { head: 'Kind', width: 90 },
    peak_score: { head: 'Peak score', decimals: 1, width: 100 }, state: { head: 'State', width: 90, colored: true }, Time: { head: 'Opened', width: 170 }, device: { hidden: true }, id: { hidden: true },
  },
);

const health = () => tablePanel(
  { title: 'Health verdicts', description: 'What was wrong with the device as a device, the newest first, whenever it was.', empty: 'The device was always well.' },
  rows(`SELECT "kind", "metric", "open", "until_ms", "reason" FROM "gruard_health" WHERE ${isChosen('device')} ORDER BY time DESC LIMIT 50`),
  { kind: { head: 'Verdict', width: 110 }, reason: { head: 'Why' }, metric: { head: 'Metric', width: 110 }, open: { head: 'Still so', width: 90 }, Time: { head: 'Since', width: 170 }, until_ms: { hidden: true } },
);

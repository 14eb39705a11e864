import { HeatmapColorMode, HeatmapColorOptionsBuilder, PanelBuilder as HeatmapPanel, YAxisConfigBuilder } from '@grafana/grafana-foundation-sdk/heatmap';
import { VisibilityMode } from '@grafana/grafana-foundation-sdk/common';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { anyOf, dashboard, tagVariable } from './layout.js';
import { deviceLink, eventLink, UID } from './links.js';
import { bySeverity, seriesPanel, SEVERITIES, statPanel, steps, tablePanel } from './panels.js';
import { INFLUXDB, isChosen, rows, series, within } from './queries.js';

/** What hangs on the wall: is the fleet well, and if not, which device first. */
export function fleetDashboard(page: string): Dashboard {
  return dashboard(
    { uid: UID.fleet, title: 'gruard: fleet', description: 'All devices: what they send, what is unusual, which one to look at first.', from: 'now-6h', refresh: '30s', page },
    [anyOf(tagVariable({ name: 'devices', label: 'Heatmap', description: 'Devices of the heatmap: those that ever had an event.' }, 'SHOW TAG VALUES FROM "gruard_events" WITH KEY = "device"'))],
    [],
    [
      { height: 4, panels: [[openEvents(), 9], [openVerdicts(), 5], [devices(), 5], [rate(), 5]] },
      { height: 9, panels: [[open(), 24]] },
      { height: 8, panels: [[worst(), 12], [health(), 12]] },
      { height: 10, panels: [[heatmap(), 24]] },
      { height: 7, panels: [[readings(), 12], [anomalous(), 12]] },
    ],
  );
}

// In these no time range: what is open is open, however long ago it began.
const openEvents = () => bySeverity(statPanel(
  { title: 'Open anomalies', description: 'Events that are open now, by severity, whenever they began.', empty: 'None' },
  series(...SEVERITIES.map((severity): [string, string] => [severity, `SELECT count("id") FROM "gruard_events" WHERE "state" = 'open' AND "severity" = '${severity}'`])), 'short',
));

const openVerdicts = () => statPanel(
  { title: 'Unhealthy', description: 'Health verdicts that hold now: silent, stuck, flapping, clock-skewed or impossible.', empty: 'None' },
  series(['verdicts', 'SELECT count("id") FROM "gruard_health" WHERE "open" = true']), 'short',
).thresholds(steps([1, 'orange']));

const devices = () => statPanel(
  { title: 'Devices', description: 'Devices that sent a reading in the time range.', empty: 'None' },
  series(['devices', `SELECT count("value") FROM (SELECT last("actual") AS "value" FROM "gruard_readings" WHERE ${within()} GROUP BY "device") WHERE ${within()}`]), 'short',
);

const rate = () => statPanel(
  { title: 'Readings', description: 'Readings a second, over the time range.', empty: 'None' },
  series(['readings', `SELECT sum("readings") / $__range_s FROM "gruard_fleet" WHERE ${within()}`]), 'cps',
);

const open = () => tablePanel(
  { title: 'Open anomalies', description: 'The newest first. A click on a device leads to its dashboard, a click on a reason to the explanation on the gruard page.', empty: 'No anomaly is open.' },
  rows('SELECT "severity", "device", "metric", "kind", "peak_score", "reason", "id" FROM "gruard_events" WHERE "state" = \'open\' ORDER BY time DESC LIMIT 100'),
  {
    severity: { head: 'Severity', width: 90, colored: true }, device: { head: 'Device', width: 150, links: [deviceLink(true)] }, reason: { head: 'Why', links: [eventLink()] },
    metric: { head: 'Metric', width: 130 }, kind: { head: 'Kind', width: 90 }, peak_score: { head: 'Peak score', decimals: 1, width: 100 }, Time: { head: 'Since', width: 170 }, id: { hidden: true },
  },
);

const worst = () => tablePanel(
  { title: 'Worst devices', description: 'The twenty devices with the highest peak score of an event in the time range.', empty: 'No device had an event.' },
  rows(`SELECT max("peak_score") AS "peak_score", count("id") AS "events", sum("readings") AS "readings" FROM "gruard_events" WHERE ${within()} GROUP BY "device"`),
  {
    device: { head: 'Device', links: [deviceLink(false)] }, peak_score: { head: 'Peak score', decimals: 1, width: 110 }, events: { head: 'Events', width: 80 }, readings: { head: 'Readings in events', width: 140 }, Time: { hidden: true },
  },
).withTransformation({ id: 'sortBy', options: { fields: {}, sort: [{ field: 'peak_score', desc: true }] } }).withTransformation({ id: 'limit', options: { limitField: 20 } });

const health = () => tablePanel(
  { title: 'Health', description: 'Devices with which something is wrong as devices, the newest verdict first.', empty: 'All devices are well.' },
  rows('SELECT "device", "metric", "kind", "reason" FROM "gruard_health" WHERE "open" = true ORDER BY time DESC LIMIT 100'),
  { device: { head: 'Device', width: 150, links: [deviceLink(false)] }, kind: { head: 'Verdict', width: 110 }, reason: { head: 'Why' }, metric: { head: 'Metric', width: 110 }, Time: { head: 'Since', width: 170 } },
);

const heatmap = () => new HeatmapPanel().title('Scores').description('The highest score of each device by time; 1 is the threshold. Only devices that ever had an event, a hundred at the most.').noValue('No device had an event yet.')
  .datasource(INFLUXDB).interval('1m').maxDataPoints(150)
  .targets(series(['$tag_device', `SELECT max("anomaly_score") FROM "gruard_readings" WHERE ${within(isChosen('device', 'devices'))} GROUP BY time($__interval), "device" fill(none) SLIMIT 100`]))
  .calculate(false).cellGap(1).showValue(VisibilityMode.Never).yAxis(new YAxisConfigBuilder())
  .color(new HeatmapColorOptionsBuilder().mode(HeatmapColorMode.Scheme).scheme('YlOrRd').reverse(true).min(0).max(4).steps(32).exponent(0.5).fill('dark-orange'));

/** A sum over the step, since a minute in which nothing came has no point. */
const perSecond = (field: string): string => `SELECT sum("${field}") * 1000 / $__interval_ms FROM "gruard_fleet" WHERE ${within()} GROUP BY time($__interval) fill(0)`;

const readings = () => seriesPanel(
  { title: 'Readings a second', description: 'Of the whole fleet. The newest minute is not over yet. Late: older than one of the same series that was there already; stored, not scored.', empty: 'No readings in this time range.' },
  series(['readings', perSecond('readings')], ['late', perSecond('late')]), 'cps',
).interval('1m').min(0);

const anomalous = () => seriesPanel(
  { title: 'Anomalous readings', description: 'Readings with a score above 1, in a hundred.', empty: 'No readings in this time range.' },
  series(['anomalous', `SELECT sum("anomalous") / sum("readings") FROM "gruard_fleet" WHERE ${within()} GROUP BY time($__interval) fill(none)`]), 'percentunit',
).interval('1m').min(0);

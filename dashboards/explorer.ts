import { GraphDrawStyle, VisibilityMode } from '@grafana/grafana-foundation-sdk/common';
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { anyOf, choiceVariable, dashboard, tagVariable } from './layout.js';
import { deviceLink, eventLink, UID } from './links.js';
import { bySeverity, SEVERITIES, seriesPanel, severityBars, tablePanel } from './panels.js';
import { isChosen, rows, series, within } from './queries.js';

const KINDS = ['spike', 'shift', 'drift', 'variance', 'stuck', 'pattern', 'limit', 'correlation', 'unusual'];

const EVENTS = `FROM "gruard_events" WHERE ${within(isChosen('device'), isChosen('metric'), isChosen('severity'), isChosen('state'), isChosen('kind'))}`;

/** All anomaly events, by device, metric, severity, state and kind. */
export function explorerDashboard(page: string): Dashboard {
  const tags = (name: 'device' | 'metric', label: string) => anyOf(tagVariable({ name, label, description: `${label} of the events.` }, `SHOW TAG VALUES FROM "gruard_events" WITH KEY = "${name}"`)).allValue('.*');
  return dashboard(
    { uid: UID.explorer, title: 'gruard: anomaly explorer', description: 'Search the anomaly events: which devices, which metrics, since when, why.', from: 'now-7d', refresh: '1m', page },
    [
      tags('device', 'Device'), tags('metric', 'Metric'),
      choiceVariable({ name: 'severity', label: 'Severity', description: 'Severity of the events.' }, SEVERITIES),
      choiceVariable({ name: 'state', label: 'State', description: 'Open or resolved.' }, ['open', 'resolved']),
      choiceVariable({ name: 'kind', label: 'Kind', description: 'How the fault looks.' }, KINDS),
    ],
    [],
    [
      { height: 7, panels: [[overTime(), 12], [peaks(), 12]] },
      { height: 8, panels: [[by('device'), 12], [by('metric'), 12]] },
      { height: 14, panels: [[all(), 24]] },
    ],
  );
}

const overTime = () => severityBars(
  { title: 'Events opened', description: 'By the time at which they opened.', empty: 'No event in this time range.' },
  series(...SEVERITIES.map((severity): [string, string] => [severity, `SELECT count("id") ${EVENTS} AND "severity" = '${severity}' GROUP BY time($__interval) fill(none)`])),
).interval('1m').maxDataPoints(80);

const peaks = () => bySeverity(seriesPanel(
  { title: 'Peak scores', description: 'A point an event, at its opening.', empty: 'No event in this time range.' },
  series(...SEVERITIES.map((severity): [string, string] => [severity, `SELECT "peak_score" ${EVENTS} AND "severity" = '${severity}' LIMIT 5000`])), 'none',
)).drawStyle(GraphDrawStyle.Points).showPoints(VisibilityMode.Always).pointSize(6).decimals(1).min(0);

const by = (tag: 'device' | 'metric') => tablePanel(
  { title: `By ${tag}`, description: `The fifty with the most events.`, empty: 'No event in this time range.' },
  rows(`SELECT count("id") AS "events", max("peak_score") AS "peak_score", sum("readings") AS "readings" ${EVENTS} GROUP BY "${tag}"`),
  {
    [tag]: { head: tag === 'device' ? 'Device' : 'Metric', links: tag === 'device' ? [deviceLink(false)] : undefined },
    events: { head: 'Events', width: 90 }, peak_score: { head: 'Peak score', decimals: 1, width: 110 }, readings: { head: 'Readings in events', width: 140 }, Time: { hidden: true },
  },
).withTransformation({ id: 'sortBy', options: { fields: {}, sort: [{ field: 'events', desc: true }] } }).withTransformation({ id: 'limit', options: { limitField: 50 } });

const all = () => tablePanel(
  { title: 'Events', description: 'The newest 500. A click on a device leads to its dashboard, a click on a reason to the explanation on the gruard page.', empty: 'No event in this time range.' },
  rows(`SELECT "severity", "state", "device", "metric", "kind", "peak_score", "actual", "yhat_lower", "yhat_upper", "reason", "id" ${EVENTS} ORDER BY time DESC LIMIT 500`),
  {
    severity: { head: 'Severity', width: 90, colored: true }, device: { head: 'Device', width: 150, links: [deviceLink(true)] }, reason: { head: 'Why', links: [eventLink()] }, metric: { head: 'Metric', width: 130 }, kind: { head: 'Kind', width: 90 },
    peak_score: { head: 'Peak score', decimals: 1, width: 100 }, actual: { head: 'Actual', width: 100 }, yhat_lower: { head: 'Expected from', width: 110, decimals: 2 }, yhat_upper: { head: 'to', width: 100, decimals: 2 },
    state: { head: 'State', width: 90, colored: true }, Time: { head: 'Opened', width: 170 }, id: { hidden: true },
  },
);

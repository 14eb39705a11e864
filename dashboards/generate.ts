import type { Dashboard, Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { stringify } from 'yaml';
import { rule, WATCHES } from './alerts.js';
import { deviceDashboard } from './device.js';
import { explorerDashboard } from './explorer.js';
import { fleetDashboard } from './fleet.js';
import { PAGE } from './links.js';
import { operationsDashboard } from './operations.js';

export const dashboards = (page = PAGE): Dashboard[] => [fleetDashboard, deviceDashboard, explorerDashboard, operationsDashboard].map((make) => make(page));

export const panelsOf = (dashboard: Dashboard): Panel[] => dashboard.panels as Panel[];

/** The panel that an alert points at: the first by time. */
function panelOf(all: Dashboard[], uid: string): number {
  return panelsOf(all.find((one) => one.uid === uid)!).find((panel) => panel.type === 'timeseries')!.id!;
}

/** Grafana's file provisioning of alert rules. Its field names are not those of the HTTP API, which the SDK has. */
export function alerting(all: Dashboard[]): unknown {
  const rules = WATCHES.map((watch) => {
    const panelId = panelOf(all, watch.dashboard);
    const { uid, title, condition, data, noDataState, execErrState, for: during, labels, annotations } = rule(watch, panelId);
    return { uid, title, condition, for: during, noDataState, execErrState, dashboardUid: watch.dashboard, panelId, labels, annotations, data };
  });
  return { apiVersion: 1, groups: [{ orgId: 1, name: 'gruard', folder: 'gruard', interval: '1m', rules }] };
}

/** The SDK's default would put every link and mark into a menu. */
const inSight = (key: string, value: unknown): unknown => (key === 'placement' && value === 'inControlsMenu' ? undefined : value);

/** Generated files by their path in the repository. */
export function generated(page?: string): Map<string, string> {
  const all = dashboards(page);
  const alerts = stringify(JSON.parse(JSON.stringify(alerting(all))), { lineWidth: 0 });
  return new Map([
    ...all.map((one): [string, string] => [`dashboards/${one.uid}.json`, `${JSON.stringify(one, inSight, 2)}\n`]),
    ['config/compose/grafana/provisioning/alerting/gruard.yaml', `# Made by \`npm run build:dashboards\` from dashboards/alerts.ts.\n${alerts}`],
  ]);
}

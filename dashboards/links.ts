import { DashboardLinkBuilder, type DashboardLinkType } from '@grafana/grafana-foundation-sdk/dashboard';

export const UID = { fleet: 'gruard-fleet', device: 'gruard-device', explorer: 'gruard-explorer', operations: 'gruard-operations' } as const;

/** Where gruard's page is, unless `npm run build:dashboards -- --page URL` says otherwise. */
export const PAGE = 'http://localhost:8480';

/** The dashboard variable with the address of gruard's page. */
export const PAGE_VARIABLE = 'gruard';

const LINK = 'link' as DashboardLinkType;

function link(title: string, url: string, tooltip: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(title).type(LINK).url(url).tooltip(tooltip);
}

/** The links at the top of every dashboard. `device`: the dashboard has a variable of that name, and the page opens at it. */
export function dashboardLinks(own: string, device: boolean): DashboardLinkBuilder[] {
  const others: [string, string, string][] = [
    ['Fleet', UID.fleet, 'All devices'], ['Device', UID.device, 'One series in its expected band'],
    ['Anomalies', UID.explorer, 'Search the anomaly events'], ['Operations', UID.operations, 'gruard itself'],
  ];
  return [
    ...others.filter(([, uid]) => uid !== own).map(([title, uid, tooltip]) => link(title, `/d/${uid}`, tooltip).icon('dashboard').keepTime(true)),
    link('gruard', `\${${PAGE_VARIABLE}}/#/${device ? 'device/${device:percentencode}' : ''}`, "gruard's own page").icon('external link').targetBlank(true),
  ];
}

/** From a row of a table that has a column `device` (and `metric`) to the Device dashboard. */
export function deviceLink(metric: boolean): DashboardLinkBuilder {
  const chosen = metric ? '&var-metric=${__data.fields.metric:percentencode}' : '';
  return link('Show ${__data.fields.device}', `/d/${UID.device}?var-device=\${__data.fields.device:percentencode}${chosen}&\${__url_time_range}`, 'Device dashboard');
}

/** From a row with the columns `device` and `id` to the event on gruard's page. */
export function eventLink(): DashboardLinkBuilder {
  return link('Explain on the gruard page', `\${${PAGE_VARIABLE}}/#/device/\${__data.fields.device:percentencode}?event=\${__data.fields.id:percentencode}`, "gruard's page").targetBlank(true);
}

/** From a series with the label `device` to the Device dashboard. */
export function seriesLink(): DashboardLinkBuilder {
  return link('Show ${__field.labels.device}', `/d/${UID.device}?var-device=\${__field.labels.device:percentencode}&\${__url_time_range}`, 'Device dashboard');
}

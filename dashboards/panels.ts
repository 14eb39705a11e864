import { GraphDrawStyle, LegendDisplayMode, LegendPlacement, ReduceDataOptionsBuilder, SortOrder, TooltipDisplayMode, VisibilityMode, VizLegendOptionsBuilder, VizTooltipOptionsBuilder } from '@grafana/grafana-foundation-sdk/common';
import { BigValueColorMode, BigValueGraphMode, StackingConfigBuilder, StackingMode } from '@grafana/grafana-foundation-sdk/common';
import { FieldColorBuilder, FieldColorModeId, ThresholdsConfigBuilder, ThresholdsMode, type DashboardLinkBuilder, type DynamicConfigValue, type Threshold } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TablePanel } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as SeriesPanel } from '@grafana/grafana-foundation-sdk/timeseries';
import { INFLUXDB, PROMETHEUS, type Query } from './queries.js';

/** The panels that several dashboards use. Colors are names of Grafana's palette, which has a shade of each for light and for dark. */

export interface PanelText {
  title: string;
  description: string;
  /** What stands there when there is nothing to show: a sentence, for that may be good news. */
  empty: string;
}

export const SEVERITIES = ['critical', 'warning', 'info'] as const;
const SEVERITY_COLOR: Record<(typeof SEVERITIES)[number], string> = { critical: 'red', warning: 'orange', info: 'blue' };

interface Named<P> {
  title(text: string): P;
  description(text: string): P;
  noValue(text: string): P;
}

function named<P extends Named<P>>(panel: P, { title, description, empty }: PanelText): P {
  return panel.title(title).description(description).noValue(empty);
}

/** Green below the first step. */
export function steps(...above: [value: number, color: string][]): ThresholdsConfigBuilder {
  const all: Threshold[] = [{ value: null, color: 'green' }, ...above.map(([value, color]) => ({ value, color }))];
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(all);
}

export function statPanel(text: PanelText, targets: Query[], unit: string): StatPanel {
  return named(new StatPanel(), text).datasource(INFLUXDB).targets(targets).unit(unit)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .graphMode(BigValueGraphMode.None).colorMode(BigValueColorMode.Value)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds)).thresholds(steps());
}

export function seriesPanel(text: PanelText, targets: Query[], unit: string): SeriesPanel {
  return named(new SeriesPanel(), text).datasource(INFLUXDB).targets(targets).unit(unit)
    .lineWidth(1).fillOpacity(8).showPoints(VisibilityMode.Auto).pointSize(4)
    .legend(new VizLegendOptionsBuilder().showLegend(true).displayMode(LegendDisplayMode.List).placement(LegendPlacement.Bottom).calcs([]))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
}

/** Of gruard's own measures. */
export function measurePanel(text: PanelText, targets: Query[], unit: string): SeriesPanel {
  return seriesPanel(text, targets, unit).datasource(PROMETHEUS).min(0);
}

/** Counts, one above the other, in the colors of the severities. */
export function severityBars(text: PanelText, targets: Query[]): SeriesPanel {
  const panel = seriesPanel(text, targets, 'short').drawStyle(GraphDrawStyle.Bars).fillOpacity(70).min(0).decimals(0)
    .stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  return bySeverity(panel);
}

export function bySeverity<P extends { overrideByName(name: string, properties: DynamicConfigValue[]): P }>(panel: P): P {
  return SEVERITIES.reduce((so, severity) => so.overrideByName(severity, [fixedColor(SEVERITY_COLOR[severity])]), panel);
}

export const fixedColor = (color: string): DynamicConfigValue => ({ id: 'color', value: { mode: 'fixed', fixedColor: color } });

export interface Column {
  /** What the head of the column says, in place of its name. */
  head?: string;
  unit?: string;
  decimals?: number;
  /** In pixels. */
  width?: number;
  hidden?: boolean;
  /** Severities and states are shown as colored text. */
  colored?: boolean;
  links?: DashboardLinkBuilder[];
}

/** `columns`: by name, in the order in which they stand; those that are not listed are hidden, `Time` is there by that name. */
export function tablePanel(text: PanelText, targets: Query[], columns: Record<string, Column>): TablePanel {
  let panel = named(new TablePanel(), text).datasource(INFLUXDB).targets(targets).filterable(true)
    .withTransformation({ id: 'organize', options: { indexByName: Object.fromEntries(Object.keys(columns).map((name, i) => [name, i])) } });
  for (const [name, column] of Object.entries(columns)) panel = panel.overrideByName(name, columnProperties(column));
  return panel;
}

/** Of a link, what a link of a value has. */
function dataLink(link: DashboardLinkBuilder): { title: string; url: string; targetBlank: boolean } {
  const { title, url, targetBlank } = link.build();
  return { title, url: url!, targetBlank };
}

function columnProperties(column: Column): DynamicConfigValue[] {
  const properties: DynamicConfigValue[] = [];
  if (column.head !== undefined) properties.push({ id: 'displayName', value: column.head });
  if (column.unit !== undefined) properties.push({ id: 'unit', value: column.unit });
  if (column.decimals !== undefined) properties.push({ id: 'decimals', value: column.decimals });
  if (column.width !== undefined) properties.push({ id: 'custom.width', value: column.width });
  if (column.hidden) properties.push({ id: 'custom.hidden', value: true }, { id: 'custom.hideFrom', value: { viz: true, legend: true, tooltip: true } });
  if (column.links) properties.push({ id: 'links', value: column.links.map((link) => dataLink(link)) });
  if (column.colored) {
    const options = Object.fromEntries([...SEVERITIES.map((severity): [string, string] => [severity, SEVERITY_COLOR[severity]]), ['open', 'red'], ['resolved', 'green']]
      .map(([value, color], index) => [value, { color, index, text: value }]));
    properties.push({ id: 'custom.cellOptions', value: { type: 'color-text' } }, { id: 'mappings', value: [{ type: 'value', options }] });
  }
  return properties;
}

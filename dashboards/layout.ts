import { type Builder } from '@grafana/grafana-foundation-sdk/cog';
import { AnnotationQueryBuilder, ConstantVariableBuilder, CustomVariableBuilder, DashboardBuilder, DashboardCursorSync, QueryVariableBuilder, VariableHide, VariableRefresh, VariableSort, type Dashboard, type Panel, type VariableModel } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboardLinks, PAGE_VARIABLE } from './links.js';
import { INFLUXDB, influxQuery, type InfluxQuery } from './queries.js';

/** Grafana's grid. On a phone it puts the panels below each other, each as wide as the screen, in the order in which they stand here. */
const GRID_COLUMNS = 24;

export interface Placeable extends Builder<Panel> {
  id(id: number): unknown;
  gridPos(position: { x: number; y: number; w: number; h: number }): unknown;
}

/** Panels side by side, of one height. */
export interface Row {
  height: number;
  panels: [panel: Placeable, width: number][];
}

export interface DashboardText {
  uid: string;
  title: string;
  description: string;
  /** The time range that it opens with, back from now. */
  from: string;
  refresh: string;
  /** Address of gruard's page. */
  page: string;
}

export function dashboard(text: DashboardText, variables: Builder<VariableModel>[], annotations: AnnotationQueryBuilder[], rows: Row[]): Dashboard {
  const names = variables.map((variable) => variable.build().name);
  const builder = new DashboardBuilder(text.title).uid(text.uid).description(text.description).tags(['gruard'])
    .time({ from: text.from, to: 'now' }).refresh(text.refresh).timezone('browser').tooltip(DashboardCursorSync.Crosshair).readonly()
    .links(dashboardLinks(text.uid, names.includes('device')))
    .variables([...variables, pageVariable(text.page)])
    .annotations(annotations);
  place(rows).forEach((panel) => builder.withPanel(panel));
  return builder.build();
}

function pageVariable(page: string): Builder<VariableModel> {
  const constant = new ConstantVariableBuilder(PAGE_VARIABLE).label('gruard').description("Address of gruard's page.").value(page);
  return { build: () => ({ ...constant.build(), hide: VariableHide.HideVariable }) };
}

function place(rows: Row[]): Placeable[] {
  let y = 0;
  let id = 1;
  const placed: Placeable[] = [];
  for (const { height, panels } of rows) {
    let x = 0;
    for (const [panel, width] of panels) {
      panel.id(id++);
      panel.gridPos({ x, y, w: width, h: height });
      placed.push(panel);
      x += width;
    }
    if (x > GRID_COLUMNS) throw new Error(`a row of ${x} columns does not fit into ${GRID_COLUMNS}`);
    y += height;
  }
  return placed;
}

export interface VariableText {
  name: string;
  label: string;
  description: string;
}

/** A variable whose values are those of a tag. */
export function tagVariable({ name, label, description }: VariableText, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name).label(label).description(description).datasource(INFLUXDB).query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged).sort(VariableSort.NaturalAsc).hide(VariableHide.DontHide);
}

/** Several values at once, all of them to begin with. */
export function anyOf<V extends QueryVariableBuilder | CustomVariableBuilder>(variable: V): V {
  variable.multi(true).includeAll(true).current({ selected: true, text: ['All'], value: ['$__all'] });
  return variable;
}

export function choiceVariable({ name, label, description }: VariableText, values: readonly string[]): CustomVariableBuilder {
  return anyOf(new CustomVariableBuilder(name).label(label).description(description).values(values.join(',')));
}

/** Events as marks on every panel by time. `endColumn`: a field with the end, epoch ms, which makes the mark a span. */
export function eventMarks(name: string, color: string, query: string, endColumn?: string): AnnotationQueryBuilder {
  const target: InfluxQuery & Record<string, unknown> = {
    ...influxQuery('Anno', query, 'table'), fromAnnotations: true, textColumn: 'reason', tagsColumn: 'severity,metric', ...(endColumn === undefined ? {} : { timeEndColumn: endColumn }),
  };
  return new AnnotationQueryBuilder().name(name).datasource(INFLUXDB).enable(true).hide(false).iconColor(color).target({ build: () => target });
}

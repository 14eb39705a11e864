import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';
import { DataqueryBuilder as PrometheusQuery } from '@grafana/grafana-foundation-sdk/prometheus';

/** The data sources by the uids that config/compose/grafana/provisioning/datasources gives them. */
export const INFLUXDB: DataSourceRef = { type: 'influxdb', uid: 'gruard-influxdb' };
export const PROMETHEUS: DataSourceRef = { type: 'prometheus', uid: 'gruard-prometheus' };

/** A raw InfluxQL query as Grafana's InfluxDB data source reads it; the SDK has no builder for it. */
export interface InfluxQuery extends Dataquery {
  refId: string;
  datasource: DataSourceRef;
  query: string;
  rawQuery: true;
  resultFormat: 'time_series' | 'table';
  /** Name of a series: text, `$col` (the column) or `$tag_KEY`. */
  alias?: string;
}

export type Query = Builder<Dataquery>;

export function influxQuery(refId: string, query: string, format: 'time_series' | 'table', alias?: string): InfluxQuery {
  return {
    refId, datasource: INFLUXDB, query, rawQuery: true, resultFormat: format, ...(alias === undefined ? {} : { alias }),
    _implementsDataqueryVariant: () => undefined,
  };
}

/** Queries of one panel: refIds A, B, C in their order. Series by time, named by `alias`. */
export function series(...queries: [alias: string, query: string][]): Query[] {
  return queries.map(([alias, query], i) => ({ build: () => influxQuery(refId(i), query, 'time_series', alias) }));
}

/** One query whose answer is shown as rows. */
export function rows(query: string): Query[] {
  return [{ build: () => influxQuery('A', query, 'table') }];
}

/** PromQL over the range, named by `legend`. */
export function measures(...queries: [legend: string, expression: string][]): Query[] {
  return queries.map(([legend, expression], i) => new PrometheusQuery().refId(refId(i)).datasource(PROMETHEUS).expr(expression).legendFormat(legend).range());
}

const refId = (index: number): string => String.fromCharCode(65 + index);

/**
 * A tag (or a field that holds text) that equals what was chosen for a dashboard variable. The value may come from a link that a stranger wrote: Grafana's `regex` format escapes
 * whatever has a meaning in a regular expression and the slash that would end it, so that the value stays a value.
 */
export function isChosen(tag: 'device' | 'metric' | 'severity' | 'state' | 'kind', variable: string = tag): string {
  return `"${tag}" =~ /^\${${variable}:regex}$/`;
}

/** Several conditions, and the time range of the dashboard. */
export const within = (...conditions: string[]): string => [...conditions, '$timeFilter'].join(' AND ');

import { QueryBuilder, RuleBuilder, type Rule } from '@grafana/grafana-foundation-sdk/alerting';
import type { Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { TypeReduceBuilder, TypeThresholdBuilder } from '@grafana/grafana-foundation-sdk/expr';
import { DataqueryBuilder as PrometheusQuery } from '@grafana/grafana-foundation-sdk/prometheus';
import { UID } from './links.js';
import { INFLUXDB, influxQuery, PROMETHEUS } from './queries.js';

/** What is watched: a query whose newest value, by label, is held against a limit. */
export interface Watch {
  uid: string;
  title: string;
  query: { influx: string } | { prometheus: string };
  /** Alerts where the value is greater. `lt`: less. */
  limit: number;
  below?: true;
  /** How long it must be so. */
  for: string;
  severity: 'critical' | 'warning';
  summary: string;
  description: string;
  dashboard: (typeof UID)[keyof typeof UID];
  /** What no data means: that all is well (a list of faults is empty), or a fault of its own. */
  noData: 'OK' | 'Alerting';
}

const EXPRESSION = { type: '__expr__', uid: '__expr__' };
const RANGE_S = 600;

export const WATCHES: Watch[] = [
  {
    uid: 'gruard-critical-event', title: 'A critical anomaly is open', for: '0s', severity: 'critical', dashboard: UID.device, noData: 'OK', limit: 0,
    query: { influx: 'SELECT max("peak_score") FROM "gruard_events" WHERE "state" = \'open\' AND "severity" = \'critical\' GROUP BY "device", "metric"' },
    summary: 'Critical anomaly on {{ $labels.device }}',
    description: '{{ $labels.metric }} of {{ $labels.device }} is far from what is usual for it: the score reached {{ printf "%.1f" $values.B.Value }}, where 1 is the threshold. Why, and since when, is on the gruard page.',
  },
  {
    uid: 'gruard-silent-device', title: 'A device is silent', for: '0s', severity: 'warning', dashboard: UID.device, noData: 'OK', limit: 0,
    query: { influx: 'SELECT count("id") FROM "gruard_health" WHERE "open" = true AND "kind" = \'silent\' GROUP BY "device"' },
    summary: '{{ $labels.device }} is silent',
    description: '{{ $labels.device }} has not sent for longer than it ever pauses. Its process is not watched meanwhile.',
  },
  {
    uid: 'gruard-follower-lag', title: 'A follower is behind', for: '5m', severity: 'warning', dashboard: UID.operations, noData: 'OK', limit: 60,
    query: { prometheus: 'max by (follower) (gruard_follower_lag_seconds)' },
    summary: '{{ $labels.follower }} is {{ printf "%.0f" $values.B.Value }} s behind',
    description: 'What is new has not reached {{ $labels.follower }} for that long. Readings are safe in the journal and wait there; when it is full gruard stops acknowledging. Is {{ $labels.follower }} up, and fast enough?',
  },
  {
    uid: 'gruard-ingestion-lag', title: 'Ingestion is behind', for: '5m', severity: 'warning', dashboard: UID.operations, noData: 'OK', limit: 10_000,
    query: { prometheus: 'sum by (source) (gruard_source_waiting) + (sum by (source) (gruard_source_lag_messages) or sum by (source) (gruard_source_waiting) * 0)' },
    summary: '{{ printf "%.0f" $values.B.Value }} messages wait at {{ $labels.source }}',
    description: 'More comes in over {{ $labels.source }} than gruard takes in, so that events are found late. The Operations dashboard shows what is slow: the journal (disk), the store, or the processor.',
  },
  {
    uid: 'gruard-source-disconnected', title: 'A source is disconnected', for: '2m', severity: 'critical', dashboard: UID.operations, noData: 'OK', limit: 1, below: true,
    query: { prometheus: 'min by (source) (gruard_source_connected)' },
    summary: 'gruard is not connected to {{ $labels.source }}',
    description: 'Nothing comes in over {{ $labels.source }}; a broker that keeps messages hands them over later. `gruard doctor` says what is wrong with the connection.',
  },
  {
    uid: 'gruard-journal-fails', title: 'The journal cannot be written', for: '1m', severity: 'critical', dashboard: UID.operations, noData: 'OK', limit: 0,
    query: { prometheus: 'sum(increase(gruard_journal_failed_commits_total[5m]))' },
    summary: 'gruard cannot write its journal',
    description: 'The disk of data_dir is full or fails. gruard acknowledges nothing until it works again, so nothing is lost where sources keep what is not acknowledged.',
  },
  {
    uid: 'gruard-unreachable', title: 'gruard does not answer', for: '2m', severity: 'critical', dashboard: UID.operations, noData: 'Alerting', limit: 1, below: true,
    query: { prometheus: 'min(up{job="gruard"})' },
    summary: 'gruard does not answer',
    description: 'Prometheus cannot read the measures of gruard: it is down, or the token of Prometheus is not the one of gruard. No anomaly is found while it is down.',
  },
];

export function rule(watch: Watch, panelId: number): Rule {
  const { query } = watch;
  const data: Dataquery = 'influx' in query
    ? influxQuery('A', query.influx, 'time_series')
    : new PrometheusQuery().refId('A').datasource(PROMETHEUS).expr(query.prometheus).instant().build();
  const step = (refId: string, uid: string, model: Dataquery) => new QueryBuilder(refId).datasourceUid(uid).model({ build: () => model }).relativeTimeRange({ from: RANGE_S, to: 0 });
  return new RuleBuilder(watch.title).uid(watch.uid).ruleGroup('gruard').folderUID('gruard').orgID(1)
    .withQuery(step('A', ('influx' in query ? INFLUXDB : PROMETHEUS).uid!, data))
    .withQuery(step('B', EXPRESSION.uid, new TypeReduceBuilder().refId('B').datasource(EXPRESSION).expression('A').reducer('last').settings({ mode: 'dropNN' }).build()))
    .withQuery(step('C', EXPRESSION.uid, new TypeThresholdBuilder().refId('C').datasource(EXPRESSION).expression('B').conditions([{ evaluator: { type: watch.below ? 'lt' : 'gt', params: [watch.limit] } }]).build()))
    .condition('C').forDuration(watch.for).noDataState(watch.noData).execErrState('Error')
    .labels({ severity: watch.severity, product: 'gruard' })
    .annotations({ summary: watch.summary, description: watch.description, __dashboardUid__: watch.dashboard, __panelId__: String(panelId) })
    .build();
}

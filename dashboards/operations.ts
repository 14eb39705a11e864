import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard } from './layout.js';
import { UID } from './links.js';
import { measurePanel, statPanel, steps } from './panels.js';
import { measures, PROMETHEUS, type Query } from './queries.js';

/** gruard itself, from its own /metrics. */
export function operationsDashboard(page: string): Dashboard {
  return dashboard(
    { uid: UID.operations, title: 'gruard: operations', description: 'gruard itself: what comes in, what waits, what is behind, how long answers take.', from: 'now-3h', refresh: '15s', page },
    [], [],
    [
      { height: 4, panels: [[up(), 4], [rate(), 5], [fleet(), 5], [lag(), 5], [failedCommits(), 5]] },
      { height: 8, panels: [[received(), 12], [refused(), 12]] },
      { height: 8, panels: [[followers(), 12], [sources(), 12]] },
      { height: 8, panels: [[journal(), 12], [batches(), 12]] },
      { height: 8, panels: [[latency(), 12], [answers(), 12]] },
      { height: 8, panels: [[alerts(), 12], [process(), 12]] },
    ],
  );
}

const NOTHING = 'No data: does Prometheus reach gruard?';

const stat = (title: string, description: string, targets: Query[], unit: string) => statPanel({ title, description, empty: NOTHING }, targets, unit).datasource(PROMETHEUS);
const graph = (title: string, description: string, targets: Query[], unit: string) => measurePanel({ title, description, empty: NOTHING }, targets, unit);

const up = () => stat('gruard', 'Whether Prometheus reaches gruard.', measures(['gruard', 'min(up{job="gruard"})']), 'none')
  .mappings([{ type: 'value' as never, options: { 0: { text: 'Down', color: 'red' }, 1: { text: 'Up', color: 'green' } } }]);
const rate = () => stat('Readings', 'Taken in a second.', measures(['readings', 'sum(rate(gruard_readings_total[$__rate_interval]))']), 'cps');
const fleet = () => stat('Fleet', 'Devices and series that gruard knows.', measures(['devices', 'sum(gruard_devices)'], ['series', 'sum(gruard_series)']), 'short');
const lag = () => stat('Behind', 'For how long the slowest follower (store, alerts, Kafka) has not been at the end of the journal.', measures(['lag', 'max(gruard_follower_lag_seconds)']), 's').thresholds(steps([10, 'orange'], [60, 'red']));
const failedCommits = () => stat('Failed commits', 'Of the journal in the last hour: the disk is full or fails. Nothing is lost; nothing is acknowledged either until it works.', measures(['failed', 'sum(increase(gruard_journal_failed_commits_total[1h]))']), 'short')
  .decimals(0).thresholds(steps([1, 'red']));

const received = () => graph('Received', 'Messages a second by source, and the readings that were in them.', measures(['{{source}} messages', 'sum by (source) (rate(gruard_source_received_total[$__rate_interval]))'], ['readings', 'sum(rate(gruard_readings_total[$__rate_interval]))']), 'cps');
const refused = () => graph('Not taken or not scored', 'By reason; `gruard deadletter list` shows the newest of those messages. Duplicates are normal after a reconnect. Dropped: dead letters that were counted and not kept.', measures(['{{reason}}', 'sum by (reason) (rate(gruard_refused_total[$__rate_interval])) > 0'], ['dropped', 'sum(rate(gruard_dead_letters_dropped_total[$__rate_interval])) > 0']), 'cps');
const followers = () => graph('Followers behind', 'Time since a follower was at the end of the journal. Readings wait in the journal meanwhile. Set aside: records that a follower could not take at all.', measures(['{{follower}}', 'max by (follower) (gruard_follower_lag_seconds)'], ['{{follower}} records', 'max by (follower) (gruard_follower_lag_records)'], ['{{follower}} set aside', 'sum by (follower) (gruard_follower_poison_records_total) > 0']), 's')
  .overrideByRegexp('/ records$| set aside$/', [{ id: 'unit', value: 'short' }, { id: 'custom.axisPlacement', value: 'right' }]);
const sources = () => graph('Waiting at the sources', 'Messages that came and are not taken in yet, and those that the peer still holds (Kafka). Disconnected: sources without a connection.', measures(['{{source}}', 'sum by (source) (gruard_source_waiting)'], ['{{source}} lag', 'sum by (source) (gruard_source_lag_messages)'], ['disconnected', 'count(gruard_source_connected == 0)']), 'short');
const journal = () => graph('Journal', 'Its size, what is not durable yet, and the records that a restart would replay.', measures(['size', 'sum(gruard_journal_bytes)'], ['not durable yet', 'sum(gruard_journal_waiting_bytes)'], ['to replay', 'sum(gruard_journal_committed_sequence - gruard_snapshot_floor_sequence)']), 'bytes')
  .overrideByName('to replay', [{ id: 'unit', value: 'short' }, { id: 'custom.axisPlacement', value: 'right' }]);
const batches = () => graph('Batches', 'Readings a batch (larger batches cost less a reading), batches and commits a second.', measures(['readings a batch', 'sum(rate(gruard_readings_total[$__rate_interval])) / sum(rate(gruard_batches_total[$__rate_interval]))'], ['batches', 'sum(rate(gruard_batches_total[$__rate_interval]))'], ['commits', 'sum(rate(gruard_journal_commits_total[$__rate_interval]))']), 'short')
  .overrideByRegexp('/^(batches|commits)$/', [{ id: 'unit', value: 'cps' }, { id: 'custom.axisPlacement', value: 'right' }]);
const latency = () => graph('Time to answer', 'Of the API, by route: 99 of 100 answers are at least this fast.', measures(['{{route}}', 'histogram_quantile(0.99, sum by (le, route) (rate(gruard_http_request_duration_seconds_bucket[$__rate_interval])))']), 's');
const answers = () => graph('Answers', 'Of the API a second, by status.', measures(['{{status}}', 'sum by (status) (rate(gruard_http_request_duration_seconds_count[$__rate_interval]))']), 'reqps');
const alerts = () => graph('Alerts', 'Notifications a second that a sink took or refused for good, and those that wait.', measures(['{{sink}} sent', 'sum by (sink) (rate(gruard_alerts_sent_total[$__rate_interval]))'], ['{{sink}} refused', 'sum by (sink) (rate(gruard_alerts_refused_total[$__rate_interval]))'], ['{{sink}} waiting', 'sum by (sink) (gruard_alerts_waiting)']), 'cps')
  .noValue('No sink of alerts is configured.').overrideByRegexp('/ waiting$/', [{ id: 'unit', value: 'short' }, { id: 'custom.axisPlacement', value: 'right' }]);
const process = () => graph('Process', 'Cores in use, delay of the event loop, memory.', measures(['cores', 'sum(rate(process_cpu_seconds_total{job="gruard"}[$__rate_interval]))'], ['event loop p99', 'max(nodejs_eventloop_lag_p99_seconds{job="gruard"})'], ['memory', 'sum(process_resident_memory_bytes{job="gruard"})']), 'none')
  .overrideByName('event loop p99', [{ id: 'unit', value: 's' }]).overrideByName('memory', [{ id: 'unit', value: 'bytes' }, { id: 'custom.axisPlacement', value: 'right' }]);

import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import { REASONS, type ReasonCounters } from '../core/reasons.js';
import type { HealthReport, Measure } from '../core/service.js';
import { VERSION } from '../core/version.js';
import type { DeadLetters } from '../store/deadletter.js';
import { counter, gauge, labelled } from '../vitals.js';
import type { FleetView } from './view.js';
import type { Worker } from './worker.js';

export interface ClusterVitals {
  startedMs: number;
  clock: Clock;
  worker: Worker;
  view: FleetView | undefined;
  deadLetters: DeadLetters;
  reasons: ReasonCounters;
  address: string;
}

type Check = HealthReport['checks'][number];

export function healthOf({ startedMs, clock, worker, view, address }: ClusterVitals): HealthReport {
  const { state, detail } = worker.status();
  const { owned } = worker;
  const ready = owned.filter((one) => one.ready);
  const checks: Check[] = [
    { name: 'group', status: state === 'connected' ? 'ok' : 'degraded', detail: `${state}: ${address}${detail === null ? '' : ` (${detail})`}` },
    { name: 'partitions', status: ready.length === owned.length ? 'ok' : 'degraded', detail: `${ready.length} of ${owned.length} ready` },
    ...owned.flatMap((one): Check[] => {
      const detail = one.failure !== undefined ? messageOf(one.failure) : one.trouble;
      return detail === undefined ? [] : [{ name: `partition ${one.name}`, status: 'degraded', detail }];
    }),
  ];
  if (view) checks.push({ name: 'view', status: view.state === 'connected' ? 'ok' : 'degraded', detail: `${view.state}${view.detail === null ? '' : `: ${view.detail}`}` });
  return {
    status: checks.some((check) => check.status !== 'ok') ? 'degraded' : 'ok', version: VERSION, uptimeMs: clock.nowMs() - startedMs, checks,
    sources: [{ name: 'kafka', waiting: 0, state, address, detail: detail ?? `${owned.length} partitions, ${owned.reduce((sum, one) => sum + behind(one), 0)} messages behind`, received: worker.received }],
  };
}

/** Messages that the brokers hold and that are not committed. */
function behind({ end, committed }: { end: number; committed: number }): number {
  return Math.max(0, end - committed);
}

export function measuresOf({ worker, view, deadLetters, reasons }: ClusterVitals): Measure[] {
  const { owned } = worker;
  const each = (value: (one: (typeof owned)[number]) => number): Measure['values'] => owned.map((one) => ({ labels: { partition: one.name }, value: value(one) }));
  return [
    counter('gruard_readings_total', 'Readings taken since the start, by this worker, replays included.', worker.readings),
    counter('gruard_cluster_takeovers_total', 'Partitions taken since the start.', worker.takeovers),
    gauge('gruard_cluster_partitions', 'Partitions that this worker owns.', owned.length),
    gauge('gruard_devices', 'Devices of the partitions of this worker.', owned.reduce((sum, { cell }) => sum + (cell?.fleet.deviceCount ?? 0), 0)),
    gauge('gruard_series', 'Series of the partitions of this worker.', owned.reduce((sum, { cell }) => sum + (cell?.fleet.seriesCount ?? 0), 0)),
    labelled('gruard_source_lag_messages', 'Messages that the brokers hold and that are not committed yet.', 'gauge',
      owned.map((one) => ({ labels: { source: 'kafka', partition: one.name }, value: behind(one) }))),
    labelled('gruard_cluster_commits_total', 'Transactions.', 'counter', each((one) => one.commits)),
    labelled('gruard_cluster_snapshot_bytes', 'Size of the last snapshot.', 'gauge', each((one) => one.snapshotBytes)),
    labelled('gruard_cluster_takeover_seconds', 'How long the takeover took, from the assignment to the first new message.', 'gauge', each((one) => (one.takeover?.tookMs ?? 0) / 1000)),
    labelled('gruard_cluster_takeover_replayed', 'Messages that the takeover replayed.', 'gauge', each((one) => one.takeover?.replayed ?? 0)),
    labelled('gruard_refused_total', `Messages or readings not taken, or not scored, by reason (${Object.keys(REASONS).length} reasons, see the documentation).`, 'counter',
      reasons.entries().map(([reason, value]) => ({ labels: { reason }, value }))),
    counter('gruard_dead_letters_dropped_total', 'Dead letters that were counted and not kept.', deadLetters.dropped),
    counter('gruard_view_readings_total', 'Results of the whole fleet that this worker has seen for its view.', view?.readings ?? 0),
  ];
}

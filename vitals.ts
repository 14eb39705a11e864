import type { Alerts } from './alert/alerts.js';
import { messageOf } from './core/errors.js';
import type { Fleet } from './core/fleet.js';
import { REASONS, type ReasonCounters } from './core/reasons.js';
import type { HealthReport, Measure } from './core/service.js';
import type { ResultStore } from './core/results.js';
import type { Source } from './core/source.js';
import { VERSION } from './core/version.js';
import type { Board } from './board.js';
import type { Pipeline } from './pipeline.js';
import type { Follower } from './store/follower.js';
import type { DeadLetters } from './store/deadletter.js';
import type { Journal } from './store/journal.js';
import type { Snapshots } from './store/snapshot.js';

/** What health and measures are read from. */
export interface Vitals {
  startedMs: number;
  nowMs: () => number;
  fleet: Fleet;
  board: Board;
  pipeline: Pipeline;
  journal: Journal;
  snapshots: Snapshots;
  deadLetters: DeadLetters;
  sources: readonly Source[];
  followers: readonly Follower[];
  alerts: readonly Alerts[];
  reasons: ReasonCounters;
  store: ResultStore;
}

type Check = HealthReport['checks'][number];

/** Lag at which a follower is worth a word. */
const LAG_MS = 10_000;

export function healthOf(vitals: Vitals): HealthReport {
  const checks: Check[] = [flowCheck(vitals), journalCheck(vitals.journal), snapshotCheck(vitals.snapshots), ...vitals.followers.map(followerCheck), ...vitals.alerts.map(alertCheck), ...vitals.sources.map(sourceCheck)];
  const worst = checks.some((check) => check.status === 'failing') ? 'failing' : checks.some((check) => check.status === 'degraded') ? 'degraded' : 'ok';
  return {
    status: worst,
    version: VERSION,
    uptimeMs: vitals.nowMs() - vitals.startedMs,
    checks,
    sources: vitals.sources.map((source) => ({ name: source.name, waiting: source.waiting, ...source.status() })),
  };
}

function flowCheck({ pipeline }: Vitals): Check {
  const { failure } = pipeline;
  if (failure === undefined) return { name: 'pipeline', status: 'ok', detail: 'readings flow' };
  return { name: 'pipeline', status: 'failing', detail: `stopped by a defect: ${messageOf(failure)}; restart gruard and report it` };
}

function journalCheck(journal: Journal): Check {
  const { state, code, detail } = journal.status();
  return { name: 'journal', status: state, detail: code === null ? detail : `${detail} [${code}]` };
}

function snapshotCheck(snapshots: Snapshots): Check {
  const { state, detail } = snapshots.status();
  return { name: 'snapshots', status: state, detail };
}

function followerCheck(follower: Follower): Check {
  const { name, state, lagRecords, lagMs, lastError } = follower.status();
  if (state === 'failing') return { name, status: 'degraded', detail: `${lagRecords} records behind, readings are kept in the journal: ${lastError ?? ''}` };
  if (lagMs > LAG_MS) return { name, status: 'degraded', detail: `${lagRecords} records and ${Math.round(lagMs / 1000)} s behind` };
  return { name, status: 'ok', detail: `${lagRecords} records behind` };
}

function alertCheck(alerts: Alerts): Check {
  const { name, pending, lastError } = alerts.status();
  if (lastError !== null && pending > 0) return { name: `alerts ${name}`, status: 'degraded', detail: `${pending} notifications wait: ${lastError}` };
  return { name: `alerts ${name}`, status: 'ok', detail: `${pending} notifications wait` };
}

function sourceCheck(source: Source): Check {
  const { state, detail, address } = source.status();
  return { name: `source ${source.name}`, status: state === 'connected' ? 'ok' : 'degraded', detail: `${state}: ${address}${detail ? ` (${detail})` : ''}` };
}

export function measuresOf(vitals: Vitals): Measure[] {
  const { fleet, board, pipeline, journal, sources, followers, reasons } = vitals;
  const status = journal.status();
  const open = board.openBySeverity;
  return [
    counter('gruard_readings_total', 'Readings taken since the start.', pipeline.readings),
    counter('gruard_batches_total', 'Batches stepped since the start.', pipeline.batches),
    gauge('gruard_devices', 'Devices known.', fleet.deviceCount),
    gauge('gruard_series', 'Series known.', fleet.seriesCount),
    labelled('gruard_open_anomalies', 'Open anomaly events.', 'gauge', Object.entries(open).map(([severity, value]) => ({ labels: { severity }, value }))),
    gauge('gruard_unhealthy_devices', 'Devices with an open health verdict.', board.unhealthyDevices),
    labelled('gruard_refused_total', `Messages or readings not taken, or not scored, by reason (${Object.keys(REASONS).length} reasons, see the documentation).`, 'counter',
      reasons.entries().map(([reason, value]) => ({ labels: { reason }, value }))),
    labelled('gruard_source_received_total', 'Messages received.', 'counter', sources.map((s) => ({ labels: { source: s.name }, value: s.status().received }))),
    labelled('gruard_source_waiting', 'Messages that wait to be taken in.', 'gauge', sources.map((s) => ({ labels: { source: s.name }, value: s.waiting }))),
    labelled('gruard_source_lag_messages', 'Messages that the peer of a source holds and that are not durable here yet.', 'gauge',
      sources.flatMap((s) => (s.lag?.() ?? []).map(({ partition, messages }) => ({ labels: { source: s.name, partition }, value: messages })))),
    labelled('gruard_source_connected', '1 while the source is connected.', 'gauge', sources.map((s) => ({ labels: { source: s.name }, value: s.status().state === 'connected' ? 1 : 0 }))),
    counter('gruard_dead_letters_dropped_total', 'Dead letters that were counted and not kept.', vitals.deadLetters.dropped),
    gauge('gruard_snapshot_floor_sequence', 'A restart replays the journal from the record after this one.', vitals.snapshots.status().floor),
    gauge('gruard_journal_bytes', 'Size of the journal.', status.bytes),
    gauge('gruard_journal_waiting_bytes', 'Bytes that are not durable yet.', status.waitingBytes),
    gauge('gruard_journal_committed_sequence', 'Sequence of the last durable record.', status.committed),
    counter('gruard_journal_commits_total', 'Commits.', status.commits),
    counter('gruard_journal_failed_commits_total', 'Commits that failed and were tried again.', status.failedCommits),
    labelled('gruard_follower_lag_records', 'Journal records a follower has not taken yet.', 'gauge', followers.map((f) => ({ labels: { follower: f.name }, value: f.status().lagRecords }))),
    labelled('gruard_follower_lag_seconds', 'For how long a follower has not been at the end of the journal.', 'gauge',
      followers.map((f) => ({ labels: { follower: f.name }, value: f.status().lagMs / 1000 }))),
    ...(vitals.store.memoryBytes === undefined ? [] : [gauge('gruard_store_memory_bytes', 'Buffers of the embedded store; store.memory_bytes bounds them.', vitals.store.memoryBytes)]),
    labelled('gruard_alerts_sent_total', 'Notifications that a sink has taken.', 'counter', vitals.alerts.map((a) => ({ labels: { sink: a.name }, value: a.status().sent }))),
    labelled('gruard_alerts_refused_total', 'Notifications that the peer of a sink refused for good.', 'counter', vitals.alerts.map((a) => ({ labels: { sink: a.name }, value: a.status().refused }))),
    labelled('gruard_alerts_waiting', 'Notifications that wait to be sent.', 'gauge', vitals.alerts.map((a) => ({ labels: { sink: a.name }, value: a.status().pending }))),
    labelled('gruard_follower_poison_records_total', 'Records that a follower set aside.', 'counter', followers.map((f) => ({ labels: { follower: f.name }, value: f.status().poisonRecords }))),
  ];
}

export function counter(name: string, help: string, value: number): Measure {
  return labelled(name, help, 'counter', [{ labels: {}, value }]);
}

export function gauge(name: string, help: string, value: number): Measure {
  return labelled(name, help, 'gauge', [{ labels: {}, value }]);
}

export function labelled(name: string, help: string, type: Measure['type'], values: Measure['values']): Measure {
  return { name, help, type, values };
}

import type { Config } from './config/schema.js';
import { GruardError } from './core/errors.js';
import type { Limits } from './core/limits.js';
import type { DecoderSettings } from './ingest/decode/index.js';
import type { DetectorSettings } from './model/settings.js';

/** The settings of each stage, from the sections of the configuration. */

export function limitsOf(config: Config): Limits {
  const l = config.limits;
  return {
    payloadBytes: l.payload_bytes, nesting: l.nesting, metricsPerDevice: l.metrics_per_device, devices: l.devices, series: l.series,
    nameBytes: l.name_bytes, tags: l.tags, topicLevels: l.topic_levels, clockSkewMs: l.clock_skew_ms,
  };
}

export function decoderSettingsOf(config: Config): DecoderSettings {
  const d = config.decode;
  return { rules: d.topics, include: d.include, exclude: d.exclude, excludeDevices: d.exclude_devices, excludeMetrics: d.exclude_metrics };
}

/** @throws GruardError CONFIG_INVALID for a maintenance time that cannot be read. */
export function detectorSettingsOf(config: Config): Partial<DetectorSettings> {
  const d = config.detector;
  return {
    falseAlarmsPerDay: d.false_alarms_per_day,
    cooldownMs: d.cooldown_ms,
    acceptAfterMs: d.accept_after_ms === 0 ? Infinity : d.accept_after_ms,
    rules: d.overrides.map((o) => ({
      device: o.device, metric: o.metric, ignore: o.ignore, direction: o.direction, minDeviation: o.minimum_deviation,
      min: o.lower_limit, max: o.upper_limit, falseAlarmsPerDay: o.false_alarms_per_day,
    })),
    maintenance: d.maintenance.map((m, i) => ({
      device: m.device,
      startMs: timeOf(m.start, `detector.maintenance[${i}].start`),
      endMs: timeOf(m.end, `detector.maintenance[${i}].end`),
      everyMs: m.every_hours === undefined ? undefined : m.every_hours * 3_600_000,
    })),
  };
}

function timeOf(text: string, setting: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new GruardError('CONFIG_INVALID', `${setting}: an RFC 3339 time expected`);
  return ms;
}

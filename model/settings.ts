import type { Fleet } from '../core/fleet.js';

/** What a user may set; everything else is learned. The configuration maps onto this. */
export interface DetectorSettings {
  /** False alarms allowed a series and day. */
  falseAlarmsPerDay: number;
  /** No new event on a device within this time of the last one's end. */
  cooldownMs: number;
  /** A fault that lasts longer becomes the new normal by itself; Infinity: only a person accepts it. */
  acceptAfterMs: number;
  /** Events of this many devices or more that open within `incidentWindowMs` are one incident. */
  incidentDevices: number;
  incidentWindowMs: number;
  /** The first rule that names a field and matches a series decides that field. */
  rules: readonly SeriesRule[];
  maintenance: readonly MaintenanceWindow[];
}

export interface SeriesRule {
  /** Patterns with * for any run of characters; left out: any. */
  device?: string;
  metric?: string;
  ignore?: boolean;
  /** Which deviations matter. */
  direction?: 'both' | 'up' | 'down';
  /** In the metric's unit: a smaller deviation from the forecast is no anomaly. */
  minDeviation?: number;
  /** Readings beyond these are always anomalous. */
  min?: number;
  max?: number;
  falseAlarmsPerDay?: number;
}

/** Nothing is opened in it: once (startMs, endMs), or every `everyMs` from startMs on. */
export interface MaintenanceWindow {
  device?: string;
  startMs: number;
  endMs: number;
  everyMs?: number;
}

export const DEFAULT_SETTINGS: DetectorSettings = {
  falseAlarmsPerDay: 0.07,
  cooldownMs: 0,
  acceptAfterMs: Infinity,
  incidentDevices: 3,
  incidentWindowMs: 60_000,
  rules: [],
  maintenance: [],
};

/** What the rules say of one series. */
export interface SeriesPolicy {
  readonly ignore: boolean;
  readonly direction: 'both' | 'up' | 'down';
  readonly minDeviation: number;
  readonly min: number;
  readonly max: number;
  readonly falseAlarmsPerDay: number;
}

/** Rules looked up by series: policies that are alike are one object, so a fleet keeps a few. */
export class Policies {
  /** By series slot. */
  readonly #ofSlot: (SeriesPolicy | undefined)[] = [];
  readonly #default: SeriesPolicy;
  readonly #known = new Map<string, SeriesPolicy>();

  constructor(readonly settings: DetectorSettings) {
    this.#default = this.#resolve([]);
  }

  of(device: string, metric: string): SeriesPolicy {
    const { rules } = this.settings;
    if (rules.length === 0) return this.#default;
    const matching = rules.filter((rule) => matches(rule.device, device) && matches(rule.metric, metric));
    if (matching.length === 0) return this.#default;
    const key = matching.map((rule) => rules.indexOf(rule)).join();
    const known = this.#known.get(key) ?? this.#resolve(matching);
    this.#known.set(key, known);
    return known;
  }

  ofSlot(fleet: Fleet, slot: number): SeriesPolicy {
    if (this.settings.rules.length === 0) return this.#default;
    const known = this.#ofSlot[slot];
    if (known) return known;
    return (this.#ofSlot[slot] = this.of(fleet.deviceOfSlot(slot)?.name ?? '', fleet.metricOfSlot(slot)));
  }

  /** The slot is about to belong to another series. */
  forget(slot: number): void {
    this.#ofSlot[slot] = undefined;
  }

  inMaintenance(device: string, atMs: number): boolean {
    return this.settings.maintenance.some((w) => {
      if (!matches(w.device, device) || atMs < w.startMs) return false;
      const since = w.everyMs ? (atMs - w.startMs) % w.everyMs : atMs - w.startMs;
      return since < w.endMs - w.startMs;
    });
  }

  #resolve(rules: readonly SeriesRule[]): SeriesPolicy {
    const first = <K extends keyof SeriesRule>(key: K): SeriesRule[K] | undefined => rules.find((rule) => rule[key] !== undefined)?.[key];
    return {
      ignore: first('ignore') ?? false,
      direction: first('direction') ?? 'both',
      minDeviation: first('minDeviation') ?? 0,
      min: first('min') ?? -Infinity,
      max: first('max') ?? Infinity,
      falseAlarmsPerDay: first('falseAlarmsPerDay') ?? this.settings.falseAlarmsPerDay,
    };
  }
}

/** Whether a name fits a pattern in which * stands for any run of characters. Names are hostile: no regular expression is made of them. */
export function matches(pattern: string | undefined, name: string): boolean {
  if (pattern === undefined || pattern === '*') return true;
  const parts = pattern.split('*');
  if (parts.length === 1) return pattern === name;
  if (!name.startsWith(parts[0]) || !name.endsWith(parts[parts.length - 1])) return false;
  const end = name.length - parts[parts.length - 1].length;
  let from = parts[0].length;
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return from <= end;
}

/** Settings that came through the journal: those of the fields above that are there. */
export function readSettings(value: unknown): Partial<DetectorSettings> {
  if (typeof value !== 'object' || value === null) return {};
  const given = value as Partial<Record<keyof DetectorSettings, unknown>>;
  const out: Partial<DetectorSettings> = {};
  for (const key of ['falseAlarmsPerDay', 'cooldownMs', 'acceptAfterMs', 'incidentDevices', 'incidentWindowMs'] as const) {
    const number = given[key];
    if (typeof number === 'number' && number >= 0) out[key] = number;
    // JSON has no Infinity: null stands for "never".
    else if (number === null && key === 'acceptAfterMs') out[key] = Infinity;
  }
  if (Array.isArray(given.rules)) out.rules = given.rules as SeriesRule[];
  if (Array.isArray(given.maintenance)) out.maintenance = given.maintenance as MaintenanceWindow[];
  return out;
}

/** All values of a variable whose `allValue` is `.*`. */
export const ALL = Symbol('all');

/** What Grafana puts in place of variables before it sends an InfluxQL query, as far as these dashboards use it: for tests and previews without a Grafana. */
export interface Interpolation {
  fromMs: number;
  toMs: number;
  /** `$__interval`, in whole seconds. */
  intervalMs: number;
  /** By variable; several values are any of them. */
  variables: Record<string, string | string[] | typeof ALL>;
}

export function interpolate(query: string, { fromMs, toMs, intervalMs, variables }: Interpolation): string {
  return query
    .replace(/\$\{(\w+):regex\}/g, (_match, name: string) => {
      const value = variables[name];
      if (value === undefined) throw new Error(`no value for the variable ${name} in ${query}`);
      return value === ALL ? '.*' : asRegex(value);
    })
    .replaceAll('$timeFilter', () => `time >= ${fromMs}ms AND time <= ${toMs}ms`)
    .replaceAll('$__range_s', () => String(Math.round((toMs - fromMs) / 1000)))
    .replaceAll('$__interval_ms', () => String(intervalMs))
    .replaceAll('$__interval', () => `${intervalMs / 1000}s`);
}

/** Grafana's `regex` format: every character with a meaning is escaped, the slash too. */
function asRegex(value: string | string[]): string {
  const escaped = [value].flat().map((one) => one.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&'));
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

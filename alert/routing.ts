import type { AnomalyKind, Severity, VerdictKind } from '../core/event.js';

const RANK: Record<Severity, number> = { info: 0, warning: 1, critical: 2 };

/** Which events and verdicts a sink is told of. What is absent is no condition. */
export interface Route {
  minSeverity?: Severity;
  /** Patterns, of which one must match: `*` stands for any text, `?` for one character. */
  devices?: string[];
  /** Patterns, of which none may match. */
  excludeDevices?: string[];
  metrics?: string[];
  kinds?: (AnomalyKind | VerdictKind)[];
}

export function matchesRoute(route: Route, about: { device: string; metric: string | null; kind: AnomalyKind | VerdictKind; severity: Severity }): boolean {
  if (route.minSeverity !== undefined && atLeast(route.minSeverity, about.severity) !== about.severity) return false;
  if (route.kinds !== undefined && !route.kinds.includes(about.kind)) return false;
  if (route.devices !== undefined && !route.devices.some((pattern) => matchesGlob(pattern, about.device))) return false;
  if (route.excludeDevices?.some((pattern) => matchesGlob(pattern, about.device))) return false;
  return route.metrics === undefined || route.metrics.some((pattern) => matchesGlob(pattern, about.metric ?? '*'));
}

/** The heavier of two. */
export function atLeast(a: Severity, b: Severity): Severity {
  return RANK[a] > RANK[b] ? a : b;
}

/**
 * `*` stands for any text, also none and also with `/`; `?` for one character; all else for itself. Goes back to the last `*` alone, so that no pattern
 * takes more than pattern x text steps, where a regular expression made from it could take for ever.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let starText = 0;
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++;
      starText = t;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++starText;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

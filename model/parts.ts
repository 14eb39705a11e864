/** A metric that takes part in an event. */
export interface Part {
  metric: string;
  /** The highest score of its own alarms. */
  own: number;
  /** Its latest share in what the device as a whole shows. */
  shared: number;
}

export function hasPart(parts: readonly Part[], metric: string): boolean {
  return parts.some((one) => one.metric === metric);
}

/** Takes an alarm: one of a metric, or of the device `with` the metrics that make it up. */
export function takePart(parts: Part[], alarm: { metric: string; score: number; with?: readonly { metric: string; contribution: number }[] }): void {
  if (!alarm.with) {
    const one = partOf(parts, alarm.metric);
    one.own = Math.max(one.own, alarm.score);
    return;
  }
  for (const one of parts) one.shared = 0;
  for (const { metric, contribution } of alarm.with) partOf(parts, metric).shared = contribution;
}

/** Contributions that add up to 1, largest first. Where the device was judged as a whole its shares count; a metric that alarmed without being named there comes last. */
export function shares(parts: readonly Part[]): { metric: string; contribution: number }[] {
  const named = parts.filter(({ shared }) => shared > 0).map(({ shared }) => shared);
  const least = named.length > 0 ? Math.min(...named) : Infinity;
  const sizes = parts.map(({ metric, own, shared }) => ({ metric, size: shared > 0 ? shared : Math.min(own, 0.5 * least) })).filter(({ size }) => size > 0);
  const total = sizes.reduce((sum, { size }) => sum + size, 0);
  return sizes.map(({ metric, size }) => ({ metric, contribution: Math.round((1000 * size) / total) / 1000 }))
    .sort((a, b) => b.contribution - a.contribution || (a.metric < b.metric ? -1 : 1));
}

function partOf(parts: Part[], metric: string): Part {
  const known = parts.find((one) => one.metric === metric);
  if (known) return known;
  const added = { metric, own: 0, shared: 0 };
  parts.push(added);
  return added;
}

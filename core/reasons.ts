/** Why a message or a reading was not taken (or taken and not scored): one table, the label of the counter, the reason of a dead letter, the answer of the API. */
export const REASONS = {
  unparseable: 'the payload is neither JSON, nor a number, nor line protocol',
  no_device: 'no device could be told from the topic or the payload',
  no_metrics: 'the message holds no number or boolean',
  wrong_type: 'a value is not a number or a boolean',
  not_finite: 'a value is NaN or infinite, or too large for a double',
  timestamp_invalid: 'the timestamp cannot be read',
  timestamp_skewed: 'the timestamp is further from now than limits.clock_skew_ms allows',
  too_many_topic_levels: 'the topic has more levels than limits.topic_levels',
  name_too_long: 'a name is longer than limits.name_bytes',
  name_invalid: 'a name is empty, reserved or holds control characters',
  payload_too_large: 'the payload is larger than limits.payload_bytes',
  nested_too_deep: 'the payload is nested deeper than limits.nesting',
  too_many_metrics: 'the device or message has more metrics than limits.metrics_per_device',
  too_many_devices: 'there are already limits.devices devices',
  too_many_series: 'there are already limits.series series',
  too_many_tags: 'the device has more tags than limits.tags; the reading itself was taken',
  excluded: 'the configuration excludes this topic, device or metric',
  duplicate: 'a reading with this timestamp is already there',
  duplicate_differs: 'a reading with this timestamp is already there, with another value',
  late: 'older than the last reading of its series: stored, not scored',
  retained: 'a retained message that was already seen',
} as const;

export type Reason = keyof typeof REASONS;

export const REASON_NAMES = Object.keys(REASONS) as Reason[];

/** Counts by reason; a reason is an index, so counting allocates nothing. */
export class ReasonCounters {
  readonly #counts = new Map<Reason, number>(REASON_NAMES.map((name) => [name, 0]));

  count(reason: Reason, by = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + by);
  }

  get(reason: Reason): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** Every reason with its count, zeros included (a counter that exists from the start can be alerted on). */
  entries(): [Reason, number][] {
    return [...this.#counts.entries()];
  }
}

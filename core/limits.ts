/** Limits on what comes over the wire; every one is a setting (`limits.*`) and refuses with a counted reason. */
export interface Limits {
  payloadBytes: number;
  nesting: number;
  metricsPerDevice: number;
  devices: number;
  series: number;
  nameBytes: number;
  tags: number;
  topicLevels: number;
  /** How far into the future a timestamp may lie. */
  clockSkewMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  payloadBytes: 1_048_576,
  nesting: 16,
  metricsPerDevice: 256,
  devices: 1_000_000,
  series: 2_000_000,
  nameBytes: 256,
  tags: 32,
  topicLevels: 32,
  clockSkewMs: 86_400_000,
};

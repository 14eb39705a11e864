/** What a key of a JSON message is for. */
export type KeyRole =
  | { kind: 'metric' }
  /** The lower rank wins where a message has several. */
  | { kind: 'device'; rank: number }
  /** `strict`: a number that is no plausible time makes the message invalid; else it is a metric of that name (`{"t":21.5}`). */
  | { kind: 'time'; rank: number; strict: boolean }
  | { kind: 'tags' }
  /** An object under it holds metrics; an array of objects under it holds messages. */
  | { kind: 'readings' }
  /** `{"metric":"temperature","value":21.4}`. */
  | { kind: 'metric_name' };

const DEVICE_KEYS = [
  'device', 'deviceid', 'device_id', 'device-id', 'devicename', 'device_name', 'deveui', 'dev_eui', 'thing', 'thingid', 'thing_id', 'nodeid', 'node_id',
  'sensorid', 'sensor_id', 'assetid', 'asset_id', 'clientid', 'client_id', 'id',
];
const STRICT_TIME_KEYS = ['timestamp', 'ts', 'timestamp_ms', 'timestampms', 'time_ms', 'datetime', 'date_time', 'created_at', 'measured_at', 'epoch'];
const LOOSE_TIME_KEYS = ['time', 'date', 't'];
const READINGS_KEYS = ['metrics', 'readings', 'values', 'measurements', 'fields', 'samples', 'data'];

const METRIC: KeyRole = { kind: 'metric' };
const ROLES = new Map<string, KeyRole>([
  ...DEVICE_KEYS.map((key, rank): [string, KeyRole] => [key, { kind: 'device', rank }]),
  ...STRICT_TIME_KEYS.map((key, rank): [string, KeyRole] => [key, { kind: 'time', rank, strict: true }]),
  ...LOOSE_TIME_KEYS.map((key, rank): [string, KeyRole] => [key, { kind: 'time', rank: 100 + rank, strict: false }]),
  ...READINGS_KEYS.map((key): [string, KeyRole] => [key, { kind: 'readings' }]),
  ['tags', { kind: 'tags' }],
  ['labels', { kind: 'tags' }],
  ['metric', { kind: 'metric_name' }],
]);
const LONGEST_KEY = 12;

/** The role of a key at the top of a message, in any case. */
export function keyRole(key: string): KeyRole {
  return key.length > LONGEST_KEY ? METRIC : ROLES.get(key) ?? ROLES.get(key.toLowerCase()) ?? METRIC;
}

/** From the year 1973 (or 2000, for ms and finer) on: smaller numbers under a loose time key are measurements. */
export function plausibleEpoch(value: number): boolean {
  return value >= 1e8;
}

import { messageOf } from '../../core/errors.js';
import type { InfluxConnection, InfluxRow } from './influx-connection.js';
import { MEASUREMENT, queryIdentifier } from './line.js';

/** The policy that gruard makes the default one of a database that it creates. */
const POLICY = 'gruard';
const HOURLY = { policy: 'gruard_hourly', measurement: `${MEASUREMENT.readings}_hourly` };

/** A command that somebody with the right to it has to run, and why gruard did not. */
export interface Advice {
  command: string;
  reason: string;
}

export interface Preparation {
  /** True where the server itself drops what is older than the retention. */
  serverExpires: boolean;
  /** What gruard was not allowed to do, or this server has no statement for, in the order in which it is to be run. */
  advice: Advice[];
}

/** What is there of what gruard needs. */
interface Found {
  exists: boolean;
  /** False where the server does not know the user, so that nothing can be said of his rights. */
  known: boolean;
  /** undefined where there is no database, or this user may not read it. */
  policies: InfluxRow[] | undefined;
}

/** Statements one after another: where one is refused, those behind it cannot succeed. */
type Chain = string[];

/**
 * Creates the database, its retention and the hourly aggregates where the server allows it, and leaves alone what others made.
 * Throws STORE_UNAVAILABLE where there is no server.
 */
export async function prepareDatabase(connection: InfluxConnection): Promise<Preparation> {
  const { retentionDays = null } = connection.options;
  const version = await connection.version();
  if (!isFirst(version)) return { serverExpires: retentionDays !== null, advice: await laterAdvice(connection, version) };

  const found = await look(connection);
  const { chains, advice } = plan(connection, found);
  for (const chain of chains) advice.push(...await run(connection, chain));
  const now = await look(connection);
  return { serverExpires: retentionDays !== null && defaultPolicy(now)?.duration === goDuration(retentionDays), advice };
}

/** What `prepareDatabase` would do and what it would leave to others, without doing it. Throws STORE_UNAVAILABLE where there is no server. */
export async function foreseen(connection: InfluxConnection): Promise<{ commands: string[]; advice: Advice[] }> {
  const version = await connection.version();
  if (!isFirst(version)) return { commands: [], advice: await laterAdvice(connection, version) };
  const { chains, advice } = plan(connection, await look(connection));
  return { commands: chains.flat(), advice };
}

async function look(connection: InfluxConnection): Promise<Found> {
  const { database } = connection.options;
  const databases = await connection.query('SHOW DATABASES').catch(() => []);
  const { status } = await connection.probe();
  const exists = databases.some((row) => row.name === database) || status !== 404;
  const policies = exists ? await connection.query(`SHOW RETENTION POLICIES ON ${queryIdentifier(database)}`).catch(() => undefined) : undefined;
  return { exists, known: status !== 401, policies };
}

function plan(connection: InfluxConnection, found: Found): { chains: Chain[]; advice: Advice[] } {
  const { database, retentionDays = null, downsample = true } = connection.options;
  const name = queryIdentifier(database);
  const duration = retentionDays === null ? 'INF' : `${retentionDays}d`;
  const hourly = (source: string): Chain => (downsample ? [hourlyPolicy(name), hourlyQuery(name, source)] : []);
  if (!found.exists) return { chains: [[`CREATE DATABASE ${name} WITH DURATION ${duration} REPLICATION 1 NAME "${POLICY}"`, ...hourly(POLICY)]], advice: [] };
  const current = defaultPolicy(found);
  if (!current) return { chains: [], advice: found.known ? grant(connection, 'this user may not read the database') : [] };

  const chains: Chain[] = [];
  const advice: Advice[] = [];
  if (current.duration !== goDuration(retentionDays)) {
    const change = `ALTER RETENTION POLICY ${queryIdentifier(String(current.name))} ON ${name} DURATION ${duration}`;
    if (current.name === POLICY) chains.push([change]);
    else if (retentionDays !== null) advice.push({ command: change, reason: 'gruard did not make this policy' });
  }
  const made = found.policies!.some((row) => row.name === HOURLY.policy);
  if (downsample) chains.push(hourly(String(current.name)).slice(made ? 1 : 0));
  return { chains, advice };
}

/** Runs statements until one is refused; that one and the rest are the answer. */
async function run(connection: InfluxConnection, chain: Chain): Promise<Advice[]> {
  for (const [i, command] of chain.entries()) {
    try {
      await connection.query(command);
    } catch (error) {
      const rest = chain.slice(i + 1).map((later) => ({ command: later, reason: 'needs the one before' }));
      const rights = /^CREATE DATABASE/.test(command) ? grant(connection, 'to write and read there') : [];
      return [{ command, reason: messageOf(error) }, ...rest, ...rights];
    }
  }
  return [];
}

export function grant({ options: { database, username } }: InfluxConnection, reason: string): Advice[] {
  return username === undefined ? [] : [{ command: `GRANT ALL ON ${queryIdentifier(database)} TO ${queryIdentifier(username)}`, reason }];
}

const hourlyPolicy = (name: string): string => `CREATE RETENTION POLICY "${HOURLY.policy}" ON ${name} DURATION INF REPLICATION 1`;

const hourlyQuery = (name: string, source: string): string => `CREATE CONTINUOUS QUERY "${HOURLY.policy}" ON ${name} RESAMPLE FOR 3h BEGIN `
  + 'SELECT mean(actual) AS actual, mean(yhat) AS yhat, min(yhat_lower) AS yhat_lower, max(yhat_upper) AS yhat_upper, max(anomaly_score) AS anomaly_score '
  + `INTO ${name}."${HOURLY.policy}"."${HOURLY.measurement}" FROM ${name}.${queryIdentifier(source)}."${MEASUREMENT.readings}" GROUP BY time(1h), * END`;

const defaultPolicy = ({ policies }: Found): InfluxRow | undefined => policies?.find((row) => row.default === true);

const isFirst = (version: string): boolean => /^v?1\./.test(version);

/** InfluxDB 2 and 3 have no such statements on their v1 endpoints: where a write finds no database, somebody has to make it. */
async function laterAdvice(connection: InfluxConnection, version: string): Promise<Advice[]> {
  const { database, retentionDays = null } = connection.options;
  const { status } = await connection.probe();
  if (status !== 404) return [];
  const retention = retentionDays === null ? '0' : `${retentionDays}d`;
  const reason = `InfluxDB ${version} has no statement for it`;
  if (!/^v?2\./.test(version)) return [{ command: `influxdb3 create database ${retentionDays === null ? '' : `--retention-period ${retention} `}${database}`, reason }];
  return [
    { command: `influx bucket create --name ${database} --retention ${retention}`, reason },
    { command: `influx v1 dbrp create --db ${database} --rp ${POLICY} --default --bucket-id BUCKET_ID`, reason: 'BUCKET_ID: what the command before printed' },
  ];
}

/** A duration as InfluxDB 1 shows it. */
function goDuration(days: number | null): string {
  return days === null ? '0s' : `${days * 24}h0m0s`;
}

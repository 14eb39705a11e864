import { messageOf } from '../../core/errors.js';
import type { InfluxConnection } from './influx-connection.js';
import { MEASUREMENT, queryIdentifier } from './line.js';

/** The policy that gruard makes the default one of a database that it creates. */
const POLICY = 'gruard';
const HOURLY = { policy: 'gruard_hourly', measurement: `${MEASUREMENT.readings}_hourly` };

export interface Preparation {
  /** True where the server itself drops what is older than the retention. */
  serverExpires: boolean;
  /** What gruard was not allowed to do, or this server has no statement for: lines that an administrator can run. */
  advice: string[];
}

/**
 * Creates the database, its retention and the hourly aggregates where the server allows it, and leaves alone what others made.
 * Throws STORE_UNAVAILABLE where there is no server.
 */
export async function prepareDatabase(connection: InfluxConnection): Promise<Preparation> {
  const { database, retentionDays = null, downsample = true } = connection.options;
  const version = await connection.version();
  const advice: string[] = [];
  const attempt = async (statement: string): Promise<boolean> => {
    try {
      await connection.query(statement);
      return true;
    } catch (error) {
      advice.push(`${statement}   -- refused: ${messageOf(error)}`);
      return false;
    }
  };

  if (!/^v?1\./.test(version)) return { serverExpires: retentionDays !== null, advice: adviceForLater(version, database, retentionDays) };

  const name = queryIdentifier(database);
  const duration = retentionDays === null ? 'INF' : `${retentionDays}d`;
  const databases = await connection.query('SHOW DATABASES').catch(() => []);
  if (!databases.some((row) => row.name === database)) await attempt(`CREATE DATABASE ${name} WITH DURATION ${duration} REPLICATION 1 NAME "${POLICY}"`);

  const policies = await connection.query(`SHOW RETENTION POLICIES ON ${name}`).catch(() => []);
  const current = policies.find((row) => row.default === true);
  let serverExpires = current !== undefined && current.duration === goDuration(retentionDays);
  if (current && !serverExpires) {
    const change = `ALTER RETENTION POLICY ${queryIdentifier(String(current.name))} ON ${name} DURATION ${duration}`;
    if (current.name === POLICY) serverExpires = await attempt(change);
    else if (retentionDays !== null) advice.push(`${change}   -- not done by gruard, which did not make this policy`);
  }
  if (current && downsample) {
    if (!policies.some((row) => row.name === HOURLY.policy)) await attempt(`CREATE RETENTION POLICY "${HOURLY.policy}" ON ${name} DURATION INF REPLICATION 1`);
    await attempt(`CREATE CONTINUOUS QUERY "${HOURLY.policy}" ON ${name} RESAMPLE FOR 3h BEGIN `
      + 'SELECT mean(actual) AS actual, mean(yhat) AS yhat, min(yhat_lower) AS yhat_lower, max(yhat_upper) AS yhat_upper, max(anomaly_score) AS anomaly_score '
      + `INTO ${name}."${HOURLY.policy}"."${HOURLY.measurement}" FROM ${name}.${queryIdentifier(String(current.name))}."${MEASUREMENT.readings}" GROUP BY time(1h), * END`);
  }
  return { serverExpires: serverExpires && retentionDays !== null, advice };
}

/** InfluxDB 2 and 3 have no such statements on their v1 endpoints. */
function adviceForLater(version: string, database: string, retentionDays: number | null): string[] {
  const retention = retentionDays === null ? '0' : `${retentionDays}d`;
  if (/^v?2\./.test(version)) {
    return [
      `influx bucket create --name ${database} --retention ${retention}`,
      `influx v1 dbrp create --db ${database} --rp ${POLICY} --default --bucket-id BUCKET_ID   # BUCKET_ID: what the command before printed`,
    ];
  }
  return [`influxdb3 create database ${retentionDays === null ? '' : `--retention-period ${retention} `}${database}`];
}

/** A duration as InfluxDB 1 shows it. */
function goDuration(days: number | null): string {
  return days === null ? '0s' : `${days * 24}h0m0s`;
}

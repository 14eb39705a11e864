import { Kafka, logLevel, type ISocketFactory, type KafkaConfig, type SASLOptions } from 'kafkajs';
import { teachKafkajs } from './compression/index.js';

teachKafkajs();

/** How a Kafka cluster is reached; the same for the source, the output topics, alerts and the commands. */
export interface KafkaConnection {
  /** HOST:PORT of some of the brokers. */
  brokers: string[];
  clientId: string;
  tls: boolean;
  /** PEM; each of them switches TLS on. */
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
}

/** A client that says nothing by itself: what goes wrong is thrown, and told by whoever uses it. Failures come back within seconds; waiting longer is the caller's. */
export function openKafka(connection: KafkaConnection, socketFactory?: ISocketFactory): Kafka {
  const { brokers, clientId, ca, cert, key, sasl } = connection;
  const config: KafkaConfig = {
    brokers, clientId, logLevel: logLevel.NOTHING, connectionTimeout: 3000, requestTimeout: 30_000, enforceRequestTimeout: true,
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 2000 },
  };
  if (connection.tls || ca || cert) config.ssl = { ca, cert, key };
  if (socketFactory) config.socketFactory = socketFactory;
  if (sasl) config.sasl = sasl as SASLOptions;
  return new Kafka(config);
}

/** Where a client connects to, for people; never with a password. */
export function kafkaAddress({ brokers }: KafkaConnection): string {
  return `kafka ${brokers.join(', ')}`;
}

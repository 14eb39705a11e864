import { systemClock } from '../core/clock.js';
import { GruardError } from '../core/errors.js';
import { ReasonCounters } from '../core/reasons.js';
import { Decoder } from '../ingest/decode/index.js';
import { Intake } from '../ingest/intake.js';
import { Bridge } from '../ingest/kafka/bridge.js';
import { MqttSource } from '../ingest/mqtt.js';
import { decoderSettingsOf, kafkaConnectionOf, limitsOf, mqttSettingsOf } from '../wiring.js';
import { openLog } from './log.js';
import { configOf, type CommonOptions } from './options.js';
import { stopSignal } from './signals.js';

export interface BridgeOptions extends CommonOptions {
  to?: string;
}

const REPORT_MS = 60_000;

/** `gruard bridge`: MQTT into Kafka, until SIGINT or SIGTERM. */
export async function bridge(options: BridgeOptions): Promise<void> {
  const config = configOf(options);
  const log = openLog(config.log);
  const mqtt = mqttSettingsOf(config);
  const connection = kafkaConnectionOf(config);
  const topic = options.to ?? config.kafka.topics[0];
  if (!mqtt) throw new GruardError('CONFIG_INVALID', 'mqtt.url is empty: there is nothing to bridge from');
  if (!connection || topic === undefined) throw new GruardError('CONFIG_INVALID', 'kafka.brokers and --to TOPIC (or kafka.topics) say where to bridge to');
  const limits = limitsOf(config);
  const counters = new ReasonCounters();
  const intake = new Intake(counters, (_source, origin, reason, detail) => log.warn('refused', { origin, reason, detail }));
  // Another client id than that of gruard itself: a broker lets in one client of a name.
  const source = new MqttSource({ decoder: new Decoder(intake, limits, decoderSettingsOf(config)), intake, limits }, systemClock, { ...mqtt, clientId: `${mqtt.clientId}-bridge` });
  const running = new Bridge(source, { connection, topic }, (message) => log.warn('Kafka does not take it; MQTT messages wait unacknowledged', { error: message }));
  await running.start();
  log.info('bridging', { from: source.status().address, to: topic });
  const report = setInterval(() => log.info('carried', { messages: running.carried, waiting: source.waiting }), REPORT_MS);
  const signal = await stopSignal(new Promise<never>(() => undefined));
  clearInterval(report);
  log.info('stopping', { signal });
  await running.stop();
  log.info('stopped', { carried: running.carried });
}

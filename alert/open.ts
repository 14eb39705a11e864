import { AlertmanagerSink } from './alertmanager.js';
import { KafkaSink } from './kafka.js';
import { LogSink } from './log.js';
import { MqttSink } from './mqtt.js';
import type { SinkSettings } from './settings.js';
import type { AlertSink } from './sink.js';
import { WebhookSink } from './webhook.js';

/** The sink that the settings describe. `write` is what the log sink writes with. Throws CONFIG_INVALID. */
export function openSink(settings: SinkSettings, write: (message: string, fields: object) => void): AlertSink {
  switch (settings.kind) {
    case 'webhook':
      return new WebhookSink(settings);
    case 'mqtt':
      return new MqttSink(settings);
    case 'alertmanager':
      return new AlertmanagerSink(settings);
    case 'kafka':
      return new KafkaSink(settings);
    case 'log':
      return new LogSink(settings, write);
  }
}

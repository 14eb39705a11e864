import { createHash } from 'node:crypto';
import { once } from 'node:events';
import mqtt from 'mqtt';
import { GruardError, messageOf } from '../core/errors.js';
import type { Notification } from './notification.js';
import { bodyOf, deviceOf } from './notification.js';
import type { MqttSinkSettings } from './settings.js';
import type { AlertSink } from './sink.js';

/**
 * Publishes to a broker, QoS 1: each notification on `PREFIX/events/DEVICE`, and what state the device is in on `PREFIX/devices/DEVICE/state`, retained, so that
 * whoever comes later sees it at once. With `homeAssistant` a device announces itself as a binary sensor (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).
 */
export class MqttSink implements AlertSink {
  readonly name: string;
  readonly #client: mqtt.MqttClient;
  readonly #announced = new Set<string>();
  #lastError: string | null = null;

  constructor(readonly settings: MqttSinkSettings) {
    this.name = settings.name;
    if (!/^mqtts?:\/\//.test(settings.url)) throw new GruardError('CONFIG_INVALID', `alerts sink ${settings.name}: url: expected mqtt://HOST:PORT or mqtts://HOST:PORT`);
    this.#client = mqtt.connect(settings.url, {
      clientId: settings.clientId, username: settings.username, password: settings.password,
      ...settings.tls,
      // What the broker has not taken is kept by the caller, so the client itself remembers nothing.
      queueQoSZero: false, reconnectPeriod: 1_000, connectTimeout: settings.timeoutMs,
    });
    this.#client.on('error', (error) => {
      this.#lastError = messageOf(error);
    });
    this.#client.on('connect', () => {
      this.#lastError = null;
    });
  }

  async deliver(notification: Notification): Promise<void> {
    await this.#connected();
    const device = deviceOf(notification);
    const level = topicLevel(device);
    const state = `${this.settings.topicPrefix}/devices/${level}/state`;
    if (this.settings.homeAssistant) await this.#announce(device, state);
    const body = bodyOf(notification);
    await this.#publish(`${this.settings.topicPrefix}/events/${level}`, body, false);
    const { open, worst } = notification.deviceState;
    await this.#publish(state, { device, state: open > 0 ? 'anomalous' : 'ok', open, severity: worst, reason: open > 0 ? body.reason : '', updated_at: body.updated_at }, true);
  }

  async close(): Promise<void> {
    await this.#client.endAsync(true);
  }

  async #announce(device: string, stateTopic: string): Promise<void> {
    if (this.#announced.has(device)) return;
    const id = `gruard_${createHash('sha256').update(device).digest('hex').slice(0, 16)}`;
    await this.#publish(`homeassistant/binary_sensor/${id}/config`, {
      name: 'Anomaly', unique_id: id, object_id: id, device_class: 'problem', state_topic: stateTopic,
      value_template: `{{ 'OFF' if value_json.state == 'ok' else 'ON' }}`, json_attributes_topic: stateTopic,
      device: { identifiers: [id], name: device, manufacturer: 'gruard' },
    }, true);
    this.#announced.add(device);
  }

  async #connected(): Promise<void> {
    if (this.#client.connected) return;
    try {
      await once(this.#client as unknown as NodeJS.EventEmitter, 'connect', { signal: AbortSignal.timeout(this.settings.timeoutMs) });
    } catch {
      throw new Error(`the broker is not there: ${this.#lastError ?? 'no answer'}`);
    }
  }

  async #publish(topic: string, body: object, retain: boolean): Promise<void> {
    await this.#inTime(this.#client.publishAsync(topic, JSON.stringify(body), { qos: 1, retain }), 'the broker does not acknowledge');
  }

  #inTime<T>(work: Promise<T>, otherwise: string): Promise<T> {
    let timer: NodeJS.Timeout;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(otherwise)), this.settings.timeoutMs);
    });
    return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
  }
}

/**
 * A device's name as one level of a topic, percent-encoded where a character means something to a broker (wildcards, the level separator, a leading `$`) or makes it
 * close the connection (control and non-characters, MQTT 3.1.1 section 1.5.3).
 */
export function topicLevel(device: string): string {
  // eslint-disable-next-line no-control-regex -- they are what it looks for
  return device.replace(/[%/+#\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]|^\$/g, encodeURIComponent);
}

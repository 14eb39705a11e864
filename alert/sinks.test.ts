import { createHmac } from 'node:crypto';
import mqtt from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../core/clock.js';
import { healthNotification, notification, sinkConformance } from '../test/conformance/sinks.js';
import { HOSTILE_NAMES } from '../test/conformance/results.js';
import { freePort } from '../test/servers/free-port.js';
import { Mosquitto, mosquittoPath } from '../test/servers/mosquitto.js';
import { WebInbox } from '../test/servers/web.js';
import { AlertmanagerSink } from './alertmanager.js';
import { LogSink } from './log.js';
import { MqttSink, topicLevel } from './mqtt.js';
import type { NotificationBody } from './notification.js';
import type { AlertmanagerSettings, MqttSinkSettings, WebhookSettings } from './settings.js';
import { readSinks } from './settings.js';
import { signatureOf, WebhookSink } from './webhook.js';

const settings = <T>(raw: Record<string, unknown>): T => readSinks([raw])[0] as T;

sinkConformance('webhook', async () => {
  const web = new WebInbox();
  await web.start();
  return {
    open: async () => new WebhookSink(settings<WebhookSettings>({ kind: 'webhook', url: `${web.url}/hook/s3cret?key=s3cret`, timeout_ms: 2_000 })),
    taken: () => web.received.map(({ body }) => JSON.parse(body) as NotificationBody),
    down: () => web.stop(),
    up: () => web.start(),
    remove: () => web.stop(),
  };
});

sinkConformance('alertmanager', async () => {
  const web = new WebInbox();
  await web.start();
  return {
    open: async () => new AlertmanagerSink(settings<AlertmanagerSettings>({ kind: 'alertmanager', url: web.url, headers: { authorization: 's3cret' }, timeout_ms: 2_000 })),
    taken: () => web.received.map(({ body }) => {
      const [{ labels, annotations }] = JSON.parse(body) as { labels: Record<string, string>; annotations: Record<string, string> }[];
      return { key: annotations.idempotency_key, device: labels.device, reason: annotations.description };
    }),
    down: () => web.stop(),
    up: () => web.start(),
    remove: () => web.stop(),
  };
});

sinkConformance('log', async () => {
  const lines: NotificationBody[] = [];
  let broken = false;
  return {
    open: async () => new LogSink({ ...settings({ kind: 'log' }), kind: 'log' }, (_message, fields) => {
      if (broken) throw new Error('the pipe is closed');
      lines.push(fields as NotificationBody);
    }),
    taken: () => lines,
    async down() {
      broken = true;
    },
    async up() {
      broken = false;
    },
    async remove() {},
  };
});

describe.skipIf(mosquittoPath === undefined)('with a real mosquitto (skipped where it is not installed)', () => {
  sinkConformance('mqtt', async () => {
    const port = await freePort();
    let broker = await Mosquitto.start({ port });
    const taken: NotificationBody[] = [];
    const listener = await mqtt.connectAsync(broker.url, { reconnectPeriod: 50, clientId: 'listener', clean: false });
    listener.on('message', (_topic, payload) => taken.push(JSON.parse(payload.toString()) as NotificationBody));
    await listener.subscribeAsync('gruard/events/#', { qos: 1 });
    return {
      open: async () => new MqttSink(settings<MqttSinkSettings>({ kind: 'mqtt', url: broker.url, password: 's3cret', username: 'u', timeout_ms: 3_000 })),
      taken: () => taken,
      down: () => broker.stop('SIGKILL'),
      async up() {
        broker = await Mosquitto.start({ port, dir: broker.dir });
        if (!listener.connected) await new Promise<void>((resolve) => listener.once('connect', () => resolve()));
      },
      async remove() {
        await listener.endAsync(true);
        await broker.remove();
      },
    };
  });

  describe('the MQTT sink', () => {
    let broker: Mosquitto;
    let sink: MqttSink;
    /** What a client that comes now is given: the retained messages. */
    const retained = async (): Promise<Map<string, Record<string, unknown>>> => {
      const found = new Map<string, Record<string, unknown>>();
      const client = await mqtt.connectAsync(broker.url);
      client.on('message', (topic, payload, packet) => {
        if (packet.retain) found.set(topic, JSON.parse(payload.toString()) as Record<string, unknown>);
      });
      await client.subscribeAsync('#', { qos: 1 });
      // The broker sends the retained messages before it answers what comes after the subscription.
      await client.publishAsync('end', '{}', { qos: 1 });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await client.endAsync();
      return found;
    };

    beforeEach(async () => {
      broker = await Mosquitto.start();
      sink = new MqttSink(settings<MqttSinkSettings>({ kind: 'mqtt', url: broker.url, topic_prefix: 'plant/alerts', home_assistant: true }));
    });
    afterEach(async () => {
      await sink.close();
      await broker.remove();
    });

    test('whoever comes later sees the state of a device', async () => {
      await sink.deliver(notification('e1', { severity: 'critical' }));
      expect((await retained()).get('plant/alerts/devices/oven3/state')).toMatchObject({ device: 'oven3', state: 'anomalous', open: 1, severity: 'critical' });
      await sink.deliver(notification('e1', { change: 'resolved' }));
      expect((await retained()).get('plant/alerts/devices/oven3/state')).toMatchObject({ state: 'ok', open: 0, severity: null });
      expect([...(await retained()).keys()].filter((topic) => topic.includes('/events/'))).toEqual([]);
    });

    test('Home Assistant finds the device', async () => {
      await sink.deliver(notification('e1'));
      const [[topic, config]] = [...(await retained())].filter(([found]) => found.startsWith('homeassistant/'));
      expect(topic).toMatch(/^homeassistant\/binary_sensor\/gruard_[0-9a-f]{16}\/config$/);
      expect(config).toMatchObject({ state_topic: 'plant/alerts/devices/oven3/state', device_class: 'problem', device: { name: 'oven3' } });
    });
  });
});

test('a name is one level of a topic, and two names are two levels', () => {
  const levels = HOSTILE_NAMES.map(topicLevel);
  expect(levels.filter((level) => /[/+#]/.test(level) || [...level].some((character) => character < ' ') || level.startsWith('$'))).toEqual([]);
  expect(new Set(levels).size).toBe(HOSTILE_NAMES.length);
  expect(topicLevel('oven3')).toBe('oven3');
});

describe('the webhook sink', () => {
  let web: WebInbox;

  beforeEach(async () => {
    web = new WebInbox();
    await web.start();
  });
  afterEach(() => web.stop());

  const open = (more: Record<string, unknown>, clock?: ManualClock): WebhookSink => new WebhookSink(settings<WebhookSettings>({ kind: 'webhook', url: `${web.url}/hook`, ...more }), clock);

  test('the default body', async () => {
    await open({}).deliver(notification('e1'));
    expect(JSON.parse(web.received[0].body)).toEqual({
      key: 'e1:opened:0', change: 'opened', update: 0, type: 'anomaly', event_id: 'e1', device: 'oven3', metric: 'temperature', kind: 'spike', severity: 'warning', state: 'open',
      opened_at: '2026-01-01T00:00:00.000Z', updated_at: '2026-01-01T00:00:00.000Z', resolved_at: null, anomaly_score: 1.5, actual: 27.9, yhat: 20.7, yhat_lower: 20.1, yhat_upper: 21.3,
      readings: 1, reason: 'expected 20.1-21.3, got 27.9', metrics: [{ metric: 'temperature', contribution: 1 }], incident: null, feedback: null,
      summary: 'warning: oven3 temperature: spike: expected 20.1-21.3, got 27.9',
    });
    await open({}).deliver(healthNotification());
    expect(JSON.parse(web.received[1].body)).toMatchObject({ type: 'verdict', metric: null, kind: 'silent', resolved_at: null, summary: 'warning: pump: silent: no reading for 5 minutes' });
  });

  test('a template: numbers stay numbers, and a name cannot get out of its string', async () => {
    const sink = open({ template: { text: '{{summary}}', n: '{{anomaly_score}}', none: '{{incident}}', parts: ['{{device}}/{{metric}}'], fixed: 7 } });
    await sink.deliver(notification('e1', { device: '","admin":true,"x":"{{reason}}' }));
    expect(JSON.parse(web.received[0].body)).toEqual({
      text: 'warning: ","admin":true,"x":"{{reason}} temperature: spike: expected 20.1-21.3, got 27.9', n: 1.5, none: null, parts: ['","admin":true,"x":"{{reason}}/temperature'], fixed: 7,
    });
  });

  test('a receiver can check the signature over time and body', async () => {
    await open({ secret: 's3cret', headers: { authorization: 'Bearer x' } }, new ManualClock(1_700_000_000_500)).deliver(notification('e1'));
    const [{ headers, body }] = web.received;
    const match = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers['gruard-signature'] as string)!;
    expect(match[1]).toBe('1700000000');
    expect(createHmac('sha256', 's3cret').update(`${match[1]}.${body}`).digest('hex')).toBe(match[2]);
    expect(headers.authorization).toBe('Bearer x');
    expect(headers['idempotency-key']).toBe('e1:opened:0');
    expect(signatureOf('s3cret', 1_700_000_000, `${body} `)).not.toBe(headers['gruard-signature']);
  });

  test('a redirect is not followed', async () => {
    const other = new WebInbox();
    await other.start();
    web.answer = { status: 307, headers: { location: `${other.url}/steal` } };
    await expect(open({}).deliver(notification('e1'))).rejects.toThrow(/answered 307 .*not followed/);
    expect(other.received).toEqual([]);
    await other.stop();
  });

  test('a peer that never answers is given up after the timeout', async () => {
    web.hangs = true;
    await expect(open({ timeout_ms: 100 }).deliver(notification('e1'))).rejects.toThrow(/timeout/i);
  });

  test('an answer that means never is told from one that means later', async () => {
    for (const status of [400, 413, 422]) {
      web.answer = { status };
      await expect(open({}).deliver(notification('e1'))).rejects.toMatchObject({ name: 'SinkRefusal' });
    }
    for (const status of [401, 403, 404, 408, 429, 500, 503]) {
      web.answer = { status };
      await expect(open({}).deliver(notification('e1'))).rejects.toMatchObject({ name: 'Error', message: expect.stringContaining(String(status)) as string });
    }
  });
});

describe('the Alertmanager sink', () => {
  test('an alert ends when its event does, and when its severity changes the one with the old severity ends', async () => {
    const web = new WebInbox();
    await web.start();
    const sink = new AlertmanagerSink(settings<AlertmanagerSettings>({ kind: 'alertmanager', url: `${web.url}/am/`, labels: { site: 'north' } }));
    await sink.deliver(notification('e1'));
    await sink.deliver(notification('e1', { change: 'updated', severity: 'critical', severityBefore: 'warning' }));
    await sink.deliver(notification('e1', { change: 'resolved', severity: 'critical', severityBefore: 'critical' }));
    const posts = web.received.map(({ path, body }) => [path, (JSON.parse(body) as { labels: { severity: string }; startsAt: string; endsAt: string }[]).map(({ labels, startsAt, endsAt }) => [labels.severity, (Date.parse(endsAt) - Date.parse(startsAt)) / 1000])]);
    const week = 7 * 86_400;
    expect(posts).toEqual([['/am/api/v2/alerts', [['warning', week]]], ['/am/api/v2/alerts', [['critical', week], ['warning', 0]]], ['/am/api/v2/alerts', [['critical', 1]]]]);
    expect((JSON.parse(web.received[0].body) as { labels: object }[])[0].labels).toEqual({ site: 'north', alertname: 'GruardAnomaly', device: 'oven3', metric: 'temperature', severity: 'warning', event_id: 'e1' });
    await web.stop();
  });
});

import type { Severity } from '../core/event.js';
import type { Notification, NotificationBody } from './notification.js';
import { bodyOf } from './notification.js';
import { postJson } from './post.js';
import type { AlertmanagerSettings } from './settings.js';
import { httpAddress } from './settings.js';
import type { AlertSink } from './sink.js';

/** Without an end Alertmanager would resolve an alert after its `resolve_timeout` (5 min): gruard says when it is resolved, so this is only for the case that it cannot. */
const HOLD_MS = 7 * 86_400_000;

/** Prometheus Alertmanager, API v2: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (POST /alerts). */
export class AlertmanagerSink implements AlertSink {
  readonly name: string;
  readonly #url: URL;

  constructor(readonly settings: AlertmanagerSettings) {
    this.name = settings.name;
    const url = httpAddress(settings.url, `alerts sink ${settings.name}: url`);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v2/alerts`;
    this.#url = url;
  }

  async deliver(notification: Notification): Promise<void> {
    const body = bodyOf(notification);
    const alerts = [this.#alert(body, body.severity, body.state === 'resolved' ? body.resolved_at! : endOf(body))];
    // An alert is its labels, and the severity is one of them: the one with the old severity has to end.
    if (notification.severityBefore !== null && notification.severityBefore !== body.severity) {
      alerts.push(this.#alert(body, notification.severityBefore, body.resolved_at ?? body.updated_at));
    }
    await postJson(this.#url, JSON.stringify(alerts), this.settings.headers, this.settings.timeoutMs);
  }

  async close(): Promise<void> {}

  #alert(body: NotificationBody, severity: Severity, endsAt: string): object {
    return {
      labels: {
        ...this.settings.labels, alertname: body.type === 'anomaly' ? 'GruardAnomaly' : 'GruardDeviceHealth',
        device: body.device, metric: body.metric ?? '*', severity, event_id: body.event_id,
      },
      annotations: { summary: body.summary, description: body.reason, kind: body.kind, idempotency_key: body.key },
      startsAt: body.opened_at,
      endsAt,
    };
  }
}

function endOf(body: NotificationBody): string {
  return new Date(Date.parse(body.updated_at) + HOLD_MS).toISOString();
}

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Notification } from '../../alert/notification.js';
import { testNotification } from '../../alert/notification.js';
import type { AlertSink } from '../../alert/sink.js';
import { HOSTILE_NAMES } from './results.js';

/** A peer that a sink's test runs: it remembers what it has taken, and can go away and come back. */
export interface SinkPlace {
  open(): Promise<AlertSink>;
  /** What the peer has taken since it was made, in order: at least the key of each. */
  taken(): { key: string; device: string; reason: string }[];
  /** The peer stops answering until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  remove(): Promise<void>;
}

export function notification(id: string, over: { device?: string; reason?: string; change?: Notification['change']; severity?: Notification['severity']; severityBefore?: Notification['severityBefore'] } = {}): Notification {
  const base = testNotification(Date.UTC(2026, 0, 1));
  if (base.subject.type !== 'anomaly') throw new Error('expected an anomaly');
  const change = over.change ?? 'opened';
  const event = {
    ...base.subject.event, id, device: over.device ?? 'oven3', reason: over.reason ?? 'expected 20.1-21.3, got 27.9', severity: over.severity ?? 'warning',
    ...(change === 'resolved' ? { state: 'resolved', resolvedMs: base.subject.event.openedMs + 1000 } as const : {}),
  };
  return { ...base, key: `${id}:${change}:0`, change, severity: event.severity, severityBefore: over.severityBefore ?? null, subject: { type: 'anomaly', event }, deviceState: { open: change === 'resolved' ? 0 : 1, worst: change === 'resolved' ? null : event.severity } };
}

export function healthNotification(): Notification {
  return { key: 'v1:opened:0', change: 'opened', update: 0, severity: 'warning', severityBefore: null, deviceState: { open: 1, worst: 'warning' }, subject: { type: 'verdict', verdict: { id: 'v1', device: 'pump', metric: null, kind: 'silent', sinceMs: Date.UTC(2026, 0, 1), untilMs: null, reason: 'no reading for 5 minutes' } } };
}

/** What every alert sink keeps to. */
export function sinkConformance(name: string, make: () => Promise<SinkPlace>): void {
  describe(`alert sink: ${name}`, () => {
    let place: SinkPlace;
    let sink: AlertSink;

    beforeEach(async () => {
      place = await make();
      sink = await place.open();
    });
    afterEach(async () => {
      await sink.close();
      await place.remove();
    });

    test('a notification is there once deliver has resolved, with its key', async () => {
      await sink.deliver(notification('e1'));
      expect(place.taken()).toMatchObject([{ key: 'e1:opened:0', device: 'oven3', reason: 'expected 20.1-21.3, got 27.9' }]);
    });

    test('one after another keep their order', async () => {
      for (const [i, change] of (['opened', 'updated', 'resolved'] as const).entries()) await sink.deliver(notification(`e${i}`, { change }));
      expect(place.taken().map(({ key }) => key)).toEqual(['e0:opened:0', 'e1:updated:0', 'e2:resolved:0']);
    });

    test('the same notification again has the same key', async () => {
      await sink.deliver(notification('e1'));
      await sink.deliver(notification('e1'));
      expect(place.taken().map(({ key }) => key)).toEqual(['e1:opened:0', 'e1:opened:0']);
    });

    test('verdicts are delivered too', async () => {
      await sink.deliver(healthNotification());
      expect(place.taken()).toMatchObject([{ key: 'v1:opened:0', device: 'pump' }]);
    });

    test('hostile names and reasons arrive as they are', async () => {
      for (const hostile of HOSTILE_NAMES) await sink.deliver(notification(hostile, { device: hostile, reason: `{{device}} ${hostile}` }));
      expect(place.taken()).toMatchObject(HOSTILE_NAMES.map((hostile) => ({ key: `${hostile}:opened:0`, device: hostile, reason: `{{device}} ${hostile}` })));
    });

    test('a peer that is down is an error that can be tried again, and it says where without what is secret', async () => {
      await place.down();
      const failure = await sink.deliver(notification('e1', {})).then(() => undefined, (error: Error) => error);
      expect(failure).toBeInstanceOf(Error);
      expect(failure!.name).not.toBe('SinkRefusal');
      expect(failure!.message).not.toContain('s3cret');
      await place.up();
      await sink.deliver(notification('e2'));
      expect(place.taken().map(({ key }) => key)).toContain('e2:opened:0');
    });

    test('closing twice is closing once', async () => {
      await sink.close();
      await sink.close();
    });
  });
}


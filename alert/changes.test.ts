import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch } from '../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../core/event.js';
import type { ChangesDocument, Telling } from './changes.js';
import { Changes } from './changes.js';
import { testNotification } from './notification.js';

const T0 = Date.UTC(2026, 0, 1);
const all: Telling = { route: {}, changes: ['opened', 'updated', 'resolved'], updateIntervalMs: 0, cooldownMs: 0 };

function anomaly(over: Partial<AnomalyEvent>): AnomalyEvent {
  const { subject } = testNotification(T0);
  if (subject.type !== 'anomaly') throw new Error('expected an anomaly');
  return { ...subject.event, id: 'e1', device: 'oven3', severity: 'warning', ...over };
}

function verdict(over: Partial<HealthVerdict>): HealthVerdict {
  return { id: 'v1', device: 'oven3', metric: null, kind: 'silent', sinceMs: T0, untilMs: null, reason: 'no reading', ...over };
}

/** Takes each list as a batch and gives the keys. */
function keys(telling: Telling, batches: { events?: AnomalyEvent[]; verdicts?: HealthVerdict[] }[], restart = false): string[] {
  let changes = new Changes(telling);
  return batches.flatMap(({ events = [], verdicts = [] }) => {
    const batch = new Batch(1);
    batch.events = events;
    batch.verdicts = verdicts;
    const { next, notifications } = changes.with(batch);
    changes = restart ? new Changes(telling, JSON.parse(JSON.stringify(next.document())) as ChangesDocument) : next;
    return notifications.map((notification) => notification.key);
  });
}

const resolved = (over: Partial<AnomalyEvent> = {}): AnomalyEvent => anomaly({ state: 'resolved', resolvedMs: T0 + 9, updatedMs: T0 + 9, ...over });

describe('changes', () => {
  test('opened, worse, resolved: each is told once', () => {
    const events = [anomaly({}), anomaly({}), anomaly({ severity: 'critical' }), anomaly({ severity: 'critical' }), anomaly({ severity: 'warning' }), resolved(), resolved()];
    expect(keys(all, events.map((event) => ({ events: [event] })))).toEqual(['e1:opened:0', 'e1:updated:1', 'e1:resolved:1']);
  });

  test('an event that opened and ended in one batch is told both ways', () => {
    expect(keys(all, [{ events: [resolved()] }])).toEqual(['e1:opened:0', 'e1:resolved:0']);
    expect(keys(all, [{ events: [anomaly({}), resolved()] }])).toEqual(['e1:opened:0', 'e1:resolved:0']);
  });

  test('feedback is told while the event is open, and opens nothing when it comes later', () => {
    const feedback = { verdict: 'confirm', atMs: T0, by: 'a' } as const;
    expect(keys(all, [{ events: [anomaly({})] }, { events: [anomaly({ feedback })] }, { events: [resolved({ feedback })] }, { events: [resolved({ feedback: { ...feedback, verdict: 'false_alarm' } })] }]))
      .toEqual(['e1:opened:0', 'e1:updated:1', 'e1:resolved:1']);
  });

  test('an event that goes on is told anew after the interval, on its own clock', () => {
    const batches = [0, 5, 10, 14, 20].map((at) => ({ events: [anomaly({ updatedMs: T0 + at })] }));
    expect(keys({ ...all, updateIntervalMs: 10 }, batches)).toEqual(['e1:opened:0', 'e1:updated:1', 'e1:updated:2']);
  });

  test('an event that becomes bad enough for the route is opened then, and its end is told whatever it is then', () => {
    const telling: Telling = { ...all, route: { minSeverity: 'critical' } };
    expect(keys(telling, [{ events: [anomaly({})] }, { events: [anomaly({ severity: 'critical' })] }, { events: [resolved({ severity: 'info' })] }])).toEqual(['e1:opened:0', 'e1:resolved:0']);
    expect(keys(telling, [{ events: [anomaly({})] }, { events: [resolved()] }])).toEqual([]);
  });

  test('changes that are not wanted are left out, and the numbers stay', () => {
    const batches = [{ events: [anomaly({})] }, { events: [anomaly({ severity: 'critical' })] }, { events: [resolved()] }];
    expect(keys({ ...all, changes: ['resolved'] }, batches)).toEqual(['e1:resolved:1']);
  });

  test('in the cooldown of a series no other event of it is told, unless it outlasts it', () => {
    const telling: Telling = { ...all, cooldownMs: 100 };
    const at = (id: string, ms: number, over: Partial<AnomalyEvent> = {}): { events: AnomalyEvent[] } => ({ events: [anomaly({ id, openedMs: T0 + ms, updatedMs: T0 + ms, ...over })] });
    expect(keys(telling, [at('a', 0), at('b', 50), at('other', 50, { metric: 'pressure' }), at('b', 99), at('b', 100), at('c', 150), at('c', 160, { state: 'resolved', resolvedMs: T0 + 160 }), at('d', 200)]))
      .toEqual(['a:opened:0', 'other:opened:0', 'b:opened:0', 'd:opened:0']);
  });

  test('verdicts are told when they begin and when they end', () => {
    expect(keys(all, [{ verdicts: [verdict({})] }, { verdicts: [verdict({})] }, { verdicts: [verdict({ untilMs: T0 + 5 })] }])).toEqual(['v1:opened:0', 'v1:resolved:0']);
    expect(keys({ ...all, route: { kinds: ['stuck'] } }, [{ verdicts: [verdict({})] }])).toEqual([]);
  });

  test('the state of the device counts what is open', () => {
    const batch = new Batch(1);
    batch.events = [anomaly({ id: 'a' }), anomaly({ id: 'b', severity: 'critical' }), anomaly({ id: 'c', device: 'pump' }), resolved({ id: 'b' }), resolved({ id: 'a' })];
    const { notifications } = new Changes(all).with(batch);
    expect(notifications.map(({ key, deviceState }) => [key, deviceState.open, deviceState.worst])).toEqual([
      ['a:opened:0', 1, 'warning'], ['b:opened:0', 2, 'critical'], ['c:opened:0', 1, 'warning'], ['b:resolved:0', 1, 'warning'], ['a:resolved:0', 0, null]]);
  });

  test('how the records are cut into batches, and restarts between them, change nothing', () => {
    const event = fc.record({
      id: fc.constantFrom('a', 'b', 'c'), severity: fc.constantFrom('info', 'warning', 'critical'), at: fc.integer({ min: 0, max: 50 }), done: fc.boolean(), metric: fc.constantFrom('x', 'y'),
    }).map(({ id, severity, at, done, metric }) => anomaly({ id, metric, severity: severity, updatedMs: T0 + at, state: done ? 'resolved' : 'open', resolvedMs: done ? T0 + at : null }));
    const telling = fc.record({ updateIntervalMs: fc.constantFrom(0, 10), cooldownMs: fc.constantFrom(0, 20), minSeverity: fc.constantFrom('info', 'warning') })
      .map(({ minSeverity, ...rest }) => ({ ...all, ...rest, route: { minSeverity: minSeverity as 'info' } }));
    fc.assert(fc.property(fc.array(event, { maxLength: 20 }), telling, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (events, how, sizes) => {
      const one = keys(how, [{ events }]);
      const batches: { events: AnomalyEvent[] }[] = [];
      for (let at = 0; at < events.length;) {
        const size = sizes.next().value as number;
        batches.push({ events: events.slice(at, at + size) });
        at += size;
      }
      expect(keys(how, batches, true)).toEqual(one);
      expect(new Set(one).size).toBe(one.length);
    }));
  });
});

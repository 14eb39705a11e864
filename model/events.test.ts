import { describe, expect, it } from 'vitest';
import type { AnomalyEvent } from '../core/event.js';
import { Fleet } from '../core/fleet.js';
import { Events, type Alarm } from './events.js';
import { DEFAULT_SETTINGS, type DetectorSettings } from './settings.js';

const PERIOD_MS = 60_000;

/** Events of one device, told of alarms by hand; time in periods. */
class Told {
  readonly fleet = new Fleet();
  readonly events: Events;
  readonly device;

  constructor(settings: Partial<DetectorSettings> = {}) {
    this.events = new Events(this.fleet, { ...DEFAULT_SETTINGS, ...settings });
    this.device = this.fleet.addDevice('pump', {}, 0).device;
  }

  alarm(at: number, metric: string, score: number, more: Partial<Alarm> = {}): AnomalyEvent[] {
    const alarm: Alarm = { metric, atMs: at * PERIOD_MS, score, kind: 'spike', channel: 0, actual: 1, yhat: 0, yhatLower: -1, yhatUpper: 1, reason: `${metric} at ${at}`, ...more };
    this.events.alarm(this.device, alarm, PERIOD_MS);
    return this.events.takeChanged();
  }

  /** Readings of a metric whose state is abnormal; the states told. */
  lasts(from: number, to: number, metric: string): number[] {
    const told: number[] = [];
    for (let at = from; at < to; at++) {
      this.events.continued(this.device, metric, at * PERIOD_MS, null);
      told.push(...this.events.takeChanged().map((event) => event.readings));
    }
    return told;
  }

  ends(at: number, metric: string): AnomalyEvent[] {
    this.events.ended(this.device, metric, at * PERIOD_MS);
    return this.events.takeChanged();
  }
}

describe('an event', () => {
  it('is told when it opens, at a slowing pace while it lasts, and when it ends, with its peak and its times', () => {
    const told = new Told();
    const [opened] = told.alarm(1, 'a', 1.2);
    expect(opened).toMatchObject({ state: 'open', openedMs: PERIOD_MS, peakScore: 1.2, reason: 'a at 1', metrics: [{ metric: 'a', contribution: 1 }] });
    expect(told.alarm(2, 'a', 1.25)).toEqual([]);
    expect(told.alarm(3, 'a', 1.9)).toMatchObject([{ id: opened.id, peakScore: 1.9, peakMs: 3 * PERIOD_MS, reason: 'a at 3' }]);
    expect(told.lasts(4, 140, 'a')).toEqual([16, 32, 64, 128]);
    expect(told.ends(140, 'a')).toMatchObject([{ id: opened.id, state: 'resolved', resolvedMs: 140 * PERIOD_MS, peakScore: 1.9 }]);
    expect(told.events.isOpen(told.device.id)).toBe(false);
  });

  it('says what its metric found, and what the state of the device turned out to be', () => {
    const told = new Told();
    const [opened] = told.alarm(1, 'a', 1.2);
    const state = (reason: string): Partial<Alarm> => ({ kind: 'shift', channel: -1, actual: null, yhat: null, yhatLower: null, yhatUpper: null, with: [{ metric: 'a', contribution: 1 }], reason });
    expect(told.alarm(2, '*', 3, state('a new state'))).toMatchObject([{ id: opened.id, kind: 'shift', peakScore: 3, actual: 1, yhatUpper: 1, reason: 'a at 1; and a new state' }]);
    const later = new Told();
    later.events.readDevice(later.device.id, JSON.parse(JSON.stringify(told.events.writeDevice(told.device.id))));
    for (const one of [told, later]) {
      expect(one.alarm(3, '*', 5, state('a newer one'))).toMatchObject([{ reason: 'a at 1; and a newer one' }]);
      expect(one.alarm(4, 'a', 7)).toMatchObject([{ reason: 'a at 4; and a newer one', peakScore: 7 }]);
    }
    expect(told.alarm(5, '*', 9, state('the last one'))).toMatchObject([{ reason: 'a at 4; and the last one' }]);
  });

  it('says so too where the state of the device is not the worst, since it gives the event its kind', () => {
    const told = new Told();
    told.alarm(1, 'a', 2);
    const state: Partial<Alarm> = { kind: 'correlation', channel: -1, actual: null, yhat: null, yhatLower: null, yhatUpper: null, with: [{ metric: 'a', contribution: 1 }] };
    expect(told.alarm(2, '*', 1.2, { ...state, reason: 'no tie' })).toMatchObject([{ kind: 'correlation', reason: 'a at 1; and no tie', peakScore: 2 }]);
    told.alarm(3, '*', 1.1, { ...state, reason: 'less' });
    expect(told.ends(4, '*')).toEqual([]);
    expect(told.ends(4, 'a')).toMatchObject([{ reason: 'a at 1; and no tie' }]);
  });

  it.each([[1.05, 1, 'info'], [1.2, 1, 'warning'], [1.05, 80, 'warning'], [1.5, 1, 'warning'], [1.5, 80, 'critical'], [1.9, 1, 'critical']])(
    'with a peak of %d that lasts %d readings is %s', (score, readings, severity) => {
      const told = new Told();
      let [event] = told.alarm(1, 'a', score);
      for (let at = 2; at <= readings; at++) {
        told.events.continued(told.device, 'a', at * PERIOD_MS, null);
        [event] = [...told.events.takeChanged(), event];
      }
      expect(event.severity).toBe(severity);
    });

  it('opens nothing in the cooldown after another of the device', () => {
    const told = new Told({ cooldownMs: 30 * PERIOD_MS });
    told.alarm(1, 'a', 1.2);
    told.ends(10, 'a');
    expect(told.alarm(39, 'b', 2)).toEqual([]);
    expect(told.alarm(40, 'b', 2)).toHaveLength(1);
  });

  it('takes the metrics that fail with it, and not those that fail long after', () => {
    const told = new Told();
    told.alarm(1, 'a', 1.2);
    expect(told.alarm(20, 'b', 2.4)).toMatchObject([{ metric: 'a', metrics: [{ metric: 'b', contribution: 0.667 }, { metric: 'a', contribution: 0.333 }] }]);
    expect(told.alarm(60, 'c', 1.2)).toMatchObject([{ metric: 'c' }]);
    told.ends(61, 'a');
    // It is over when its last metric is.
    expect(told.ends(62, 'b')).toMatchObject([{ metric: 'a', state: 'resolved' }]);
  });
});

describe('an event of the device as a whole', () => {
  const whole = (...parts: [string, number][]): Partial<Alarm> => ({ kind: 'shift', channel: -1, actual: null, with: parts.map(([metric, contribution]) => ({ metric, contribution })) });

  it('joins what a metric of it began, however long ago, and says what it turned out to be', () => {
    const told = new Told();
    const [began] = told.alarm(1, 'flow', 1.2);
    expect(told.alarm(100, '*', 1.4, whole(['pressure', 0.7], ['flow', 0.3]))).toMatchObject([
      { id: began.id, metric: 'flow', kind: 'shift', metrics: [{ metric: 'pressure', contribution: 0.7 }, { metric: 'flow', contribution: 0.3 }] },
    ]);
    expect(told.alarm(101, '*', 1.4, whole(['voltage', 1]))).toMatchObject([{ id: began.id, metrics: [{ metric: 'voltage' }, { metric: 'flow' }] }]);
  });

  it('takes further alarms of the metrics that it names, and no others that come long after', () => {
    const told = new Told();
    const [began] = told.alarm(1, '*', 1.4, whole(['pressure', 0.7], ['flow', 0.3]));
    told.alarm(200, 'flow', 1.2);
    expect(told.ends(201, 'flow')).toEqual([]);
    expect(told.alarm(202, 'voltage', 1.2)).toMatchObject([{ metric: 'voltage' }]);
    expect(told.ends(300, '*')).toMatchObject([{ id: began.id, state: 'resolved' }]);
  });

  it('goes on from what is written of it', () => {
    const told = new Told();
    told.alarm(1, '*', 1.4, whole(['__proto__', 0.7], ['constructor', 0.3]));
    const later = new Told();
    later.events.readDevice(later.device.id, JSON.parse(JSON.stringify(told.events.writeDevice(told.device.id))));
    expect(later.alarm(90, 'constructor', 1.8)).toEqual(told.alarm(90, 'constructor', 1.8));
    expect(later.ends(99, '*')).toEqual(told.ends(99, '*'));
  });
});

describe('feedback', () => {
  it('that confirms is noted, and the event stays open', () => {
    const told = new Told();
    const [{ id }] = told.alarm(1, 'a', 1.2);
    told.events.feedback(id, 'confirm', 5, 'eve');
    expect(told.events.takeChanged()).toMatchObject([{ id, state: 'open', feedback: { verdict: 'confirm', atMs: 5, by: 'eve' } }]);
  });

  it('is taken for an event that is over, but such a one cannot be accepted', () => {
    const told = new Told();
    const [{ id }] = told.alarm(1, 'a', 1.2);
    told.ends(2, 'a');
    expect(told.events.canTakeFeedback(id, 'false_alarm')).toBe(true);
    expect(told.events.canTakeFeedback(id, 'accept')).toBe(false);
    expect(told.events.canTakeFeedback('unknown', 'confirm')).toBe(false);
  });
});

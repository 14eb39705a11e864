import { describe, expect, it } from 'vitest';
import { Batch } from './core/batch.js';
import type { AnomalyEvent } from './core/event.js';
import { Fleet } from './core/fleet.js';
import { CommittedFeed } from './live.js';

describe('the live feed', () => {
  it('tells that an event opened once, also where it changes without a further anomalous reading', () => {
    const feed = new CommittedFeed();
    const told: string[] = [];
    feed.subscribe((message) => { if (message.type === 'anomaly') told.push(message.change); });
    const publish = (over: Partial<AnomalyEvent>): void => {
      const batch = new Batch(1);
      batch.events.push({ id: 'e', device: 'd', metric: 'm', state: 'open', openedMs: 5, updatedMs: 5, resolvedMs: null, ...over } as AnomalyEvent);
      feed.publish(batch, 0, new Fleet());
    };
    publish({});
    publish({ kind: 'shift' });
    publish({ updatedMs: 6 });
    publish({ state: 'resolved', resolvedMs: 7, updatedMs: 7 });
    publish({ id: 'f' });
    expect(told).toEqual(['opened', 'updated', 'updated', 'resolved', 'opened']);
  });
});

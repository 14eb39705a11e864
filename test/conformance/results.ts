import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Batch, DEVICE_METRIC, FLAG } from '../../core/batch.js';
import type { AnomalyEvent, HealthVerdict } from '../../core/event.js';
import { Fleet } from '../../core/fleet.js';
import type { Page, ResultStore, SeriesPoint } from '../../core/results.js';

/** What a result store's test gives the suite: a place with nothing in it. */
export interface StorePlace {
  /** Opens a store on the place, with what earlier ones have left there. The suite closes it. */
  open(): Promise<ResultStore>;
  remove(): Promise<void>;
}

const T0 = Date.UTC(2026, 0, 1);

/** Names that break quoting, line protocol, paths, LIKE patterns or JavaScript objects where they are not kept apart from code. */
export const HOSTILE_NAMES = [
  `'; DROP TABLE readings; --`, `" OR ""="`, `a,b=c d`, `back\\slash`, `trailing\\`, `\\`, `new\nline`, `\r`, `tab\there`, `%`, `%5C`, `%25`, `50%`, `_`,
  `__proto__`, `constructor`, `üñí©ødé`, `温度`, `😀`, ` lead and trail `, `=`, `,`, `#comment`, `$1`, `\${x}`, `../../etc/passwd`, `a"b'c\`d`, `time`, `device`, `null`, `-`, `a\u0000b`, `e\u0301`,
];

export interface Row {
  device?: string;
  metric?: string;
  atMs: number;
  value?: number;
  yhat?: number;
  score?: number;
  flags?: number;
}

/** Batches of named rows, over one fleet. */
export class Rows {
  readonly fleet = new Fleet();

  batch(rows: Row[], more: { events?: AnomalyEvent[]; verdicts?: HealthVerdict[] } = {}): Batch {
    const batch = new Batch(Math.max(1, rows.length));
    for (const row of rows) {
      const name = row.device ?? 'oven3';
      const device = this.fleet.get(name) ?? this.fleet.addDevice(name, { line: '1' }, row.atMs).device;
      const metric = row.metric ?? 'temperature';
      let slot = this.fleet.slotOf(device, metric);
      if (slot < 0) slot = this.fleet.addSeries(device, metric).slot;
      const at = batch.push(this.fleet.idOfSlot(slot), slot, row.atMs, row.value ?? 1, row.flags ?? 0);
      if (row.yhat === undefined) continue;
      batch.yhat[at] = row.yhat;
      batch.yhatLower[at] = row.yhat - 1;
      batch.yhatUpper[at] = row.yhat + 1;
      batch.anomalyScore[at] = row.score ?? 0.5;
    }
    batch.events = more.events ?? [];
    batch.verdicts = more.verdicts ?? [];
    return batch;
  }
}

export function anomaly(over: Partial<AnomalyEvent> & { id: string }): AnomalyEvent {
  return {
    device: 'oven3', metric: 'temperature', kind: 'spike', state: 'open', severity: 'warning', openedMs: T0, updatedMs: T0, resolvedMs: null, readings: 1,
    peakScore: 2.5, peakMs: T0, actual: 27.9, yhat: 20.7, yhatLower: 20.1, yhatUpper: 21.3, reason: 'expected 20.1-21.3, got 27.9',
    metrics: [{ metric: 'temperature', contribution: 0.75 }, { metric: 'humidity', contribution: 0.25 }], incident: null, feedback: null, ...over,
  };
}

export function verdict(over: Partial<HealthVerdict> & { id: string }): HealthVerdict {
  return { device: 'oven3', metric: null, kind: 'silent', sinceMs: T0, untilMs: null, reason: 'no reading for 5 minutes', ...over };
}

const series = { device: 'oven3', metric: 'temperature' };
const times = (page: Page<SeriesPoint>): number[] => page.items.map((point) => point.timestampMs - T0);

/** What every result store keeps to, so that the REST answers are the same whichever is configured. */
export function resultStoreConformance(name: string, make: () => Promise<StorePlace>, { seesSameValue = true } = {}): void {
  describe(`result store: ${name}`, () => {
    let place: StorePlace;
    let store: ResultStore;
    let rows: Rows;
    let position: number;

    const write = (of: Row[], more?: { events?: AnomalyEvent[]; verdicts?: HealthVerdict[] }): Promise<void> =>
      store.write(rows.batch(of, more), rows.fleet, ++position);

    beforeEach(async () => {
      place = await make();
      store = await place.open();
      rows = new Rows();
      position = 0;
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    test('an empty store answers with empty pages', async () => {
      expect(await store.position()).toBe(-1);
      expect(await store.querySeries({ ...series, limit: 10 })).toEqual({ items: [], nextCursor: null });
      expect(await store.queryEvents({ limit: 10 })).toEqual({ items: [], nextCursor: null });
      expect(await store.queryVerdicts({ limit: 10 })).toEqual({ items: [], nextCursor: null });
      expect(await store.getEvent('none')).toBeUndefined();
      expect(await store.expire(T0)).toBe(0);
    });

    test('a reading comes back with its forecast, and what is missing is null', async () => {
      await write([
        { atMs: T0, value: 0, flags: FLAG.WARMING },
        { atMs: T0 + 1, value: -1.25e-7, yhat: 20.123456789, score: 3.5, flags: FLAG.IN_EVENT },
        { atMs: T0 - 5, value: 7, flags: FLAG.LATE },
      ]);
      const { items } = await store.querySeries({ ...series, limit: 10 });
      expect(items).toEqual([
        { timestampMs: T0 - 5, actual: 7, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: null, scored: false, inEvent: false, revised: false },
        { timestampMs: T0, actual: 0, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: 0, scored: true, inEvent: false, revised: false },
        { timestampMs: T0 + 1, actual: -1.25e-7, yhat: 20.123456789, yhatLower: 19.123456789, yhatUpper: 21.123456789, anomalyScore: 3.5, scored: true, inEvent: true, revised: false },
      ]);
    });

    test('infinite and absent numbers are null, and the rest of the row is kept', async () => {
      const batch = rows.batch([{ atMs: T0, value: 5, yhat: 6 }]);
      batch.yhat[0] = Infinity;
      batch.yhatLower[0] = NaN;
      await store.write(batch, rows.fleet, 1);
      const { items } = await store.querySeries({ ...series, limit: 10 });
      expect(items).toEqual([{ timestampMs: T0, actual: 5, yhat: null, yhatLower: null, yhatUpper: 7, anomalyScore: 0.5, scored: true, inEvent: false, revised: false }]);
    });

    test('the row of a device as a whole has a score and no value', async () => {
      await write([{ metric: DEVICE_METRIC, atMs: T0, value: NaN, flags: FLAG.DEVICE }]);
      const { items } = await store.querySeries({ device: 'oven3', metric: DEVICE_METRIC, limit: 10 });
      expect(items).toEqual([{ timestampMs: T0, actual: null, yhat: null, yhatLower: null, yhatUpper: null, anomalyScore: 0, scored: true, inEvent: false, revised: false }]);
    });

    test('start is inclusive, end is exclusive', async () => {
      await write([0, 1, 2, 3].map((at) => ({ atMs: T0 + at })));
      expect(times(await store.querySeries({ ...series, startMs: T0 + 1, endMs: T0 + 3, limit: 10 }))).toEqual([1, 2]);
      expect(times(await store.querySeries({ ...series, endMs: T0 + 1, limit: 10 }))).toEqual([0]);
      expect(times(await store.querySeries({ ...series, startMs: T0 + 3, limit: 10 }))).toEqual([3]);
      expect(times(await store.querySeries({ ...series, startMs: T0 + 4, limit: 10 }))).toEqual([]);
      expect(times(await store.querySeries({ ...series, startMs: T0 + 3, endMs: T0 + 1, limit: 10 }))).toEqual([]);
      expect(times(await store.querySeries({ ...series, startMs: 0, endMs: 8.64e15, limit: 10 }))).toEqual([0, 1, 2, 3]);
    });

    test('pages in time order neither repeat nor skip, while rows are written', async () => {
      await write([0, 10, 20, 30, 40].map((at) => ({ atMs: T0 + at })));
      const query = { ...series, startMs: T0, limit: 2 };
      const first = await store.querySeries(query);
      await write([{ atMs: T0 + 50 }, { atMs: T0 + 5, flags: FLAG.LATE }, { atMs: T0 + 25, flags: FLAG.LATE }]);
      const second = await store.querySeries({ ...query, cursor: first.nextCursor! });
      const third = await store.querySeries({ ...query, cursor: second.nextCursor! });
      const fourth = await store.querySeries({ ...query, cursor: third.nextCursor! });
      expect([first, second, third, fourth].map(times)).toEqual([[0, 10], [20, 25], [30, 40], [50]]);
      expect(fourth.nextCursor).toBeNull();
    });

    test('without bounds the newest are given, oldest first, and the cursor leads back in time', async () => {
      await write([0, 1, 2, 3, 4].map((at) => ({ atMs: T0 + at })));
      const first = await store.querySeries({ ...series, limit: 2 });
      await write([{ atMs: T0 + 5 }]);
      const second = await store.querySeries({ ...series, limit: 2, cursor: first.nextCursor! });
      const third = await store.querySeries({ ...series, limit: 2, cursor: second.nextCursor! });
      expect([first, second, third].map(times)).toEqual([[3, 4], [1, 2], [0]]);
      expect(third.nextCursor).toBeNull();
    });

    test('descending pages are newest first', async () => {
      await write([0, 1, 2, 3, 4].map((at) => ({ atMs: T0 + at })));
      const query = { ...series, endMs: T0 + 4, limit: 3, descending: true };
      const first = await store.querySeries(query);
      const second = await store.querySeries({ ...query, cursor: first.nextCursor! });
      expect([first, second].map(times)).toEqual([[3, 2, 1], [0]]);
      expect(second.nextCursor).toBeNull();
    });

    test('a page that ends with the last row has no next one', async () => {
      await write([0, 1].map((at) => ({ atMs: T0 + at })));
      expect((await store.querySeries({ ...series, limit: 2 })).nextCursor).toBeNull();
      expect((await store.querySeries({ ...series, startMs: T0, limit: 2 })).nextCursor).toBeNull();
    });

    test('rows that lie years apart are found', async () => {
      const year = 365 * 86_400_000;
      await write([-20, -3, 0].map((at) => ({ atMs: T0 + at * year })));
      expect(times(await store.querySeries({ ...series, limit: 2 }))).toEqual([-3 * year, 0]);
      expect(times(await store.querySeries({ ...series, startMs: 0, limit: 10 }))).toEqual([-20 * year, -3 * year, 0]);
    });

    test('a limit or cursor that makes no sense is refused', async () => {
      await write([{ atMs: T0 }]);
      for (const limit of [0, -1, 1.5, NaN]) {
        await expect(store.querySeries({ ...series, limit })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
        await expect(store.queryEvents({ limit })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
      }
      for (const cursor of ['', 'x', `a1' OR 1=1`, 'a1e999', 'W10', Buffer.from('[1,2]').toString('base64url')]) {
        await expect(store.querySeries({ ...series, limit: 1, cursor })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
        await expect(store.queryEvents({ limit: 1, cursor })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
        await expect(store.queryVerdicts({ limit: 1, cursor })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
      }
    });

    test('hostile names are names and nothing else', async () => {
      await write(HOSTILE_NAMES.flatMap((hostile, i) => [
        { device: hostile, metric: 'm', atMs: T0 + i, value: i },
        { device: 'd', metric: hostile, atMs: T0 + i, value: 1000 + i },
      ]), {
        events: HOSTILE_NAMES.map((hostile, i) => anomaly({ id: hostile, device: hostile, metric: hostile, openedMs: T0 + i, reason: hostile, incident: hostile })),
        verdicts: HOSTILE_NAMES.map((hostile, i) => verdict({ id: hostile, device: hostile, metric: hostile, sinceMs: T0 + i, reason: hostile })),
      });
      for (const [i, hostile] of HOSTILE_NAMES.entries()) {
        expect((await store.querySeries({ device: hostile, metric: 'm', limit: 10 })).items.map((point) => point.actual), hostile).toEqual([i]);
        expect((await store.querySeries({ device: 'd', metric: hostile, limit: 10 })).items.map((point) => point.actual), hostile).toEqual([1000 + i]);
        expect((await store.queryEvents({ device: hostile, metric: hostile, limit: 10 })).items.map((event) => [event.device, event.metric, event.reason, event.incident])).toEqual([[hostile, hostile, hostile, hostile]]);
        expect((await store.getEvent(hostile))?.id).toBe(hostile);
        expect((await store.queryVerdicts({ device: hostile, limit: 10 })).items.map((found) => [found.id, found.metric, found.reason])).toEqual([[hostile, hostile, hostile]]);
      }
    });

    test('writing a batch twice is writing it once', async () => {
      const batch = rows.batch([
        { atMs: T0, value: 1, yhat: 2 }, { atMs: T0 + 1, value: 2, yhat: 2 }, { atMs: T0, value: 9, flags: FLAG.LATE },
        { metric: DEVICE_METRIC, atMs: T0, value: NaN, yhat: 1, score: 2, flags: FLAG.DEVICE },
      ], { events: [anomaly({ id: 'e' })], verdicts: [verdict({ id: 'v' })] });
      const all = async (): Promise<unknown> => [
        await store.querySeries({ ...series, limit: 10 }), await store.querySeries({ ...series, metric: DEVICE_METRIC, limit: 10 }), await store.queryEvents({ limit: 10 }), await store.queryVerdicts({ limit: 10 })];
      await store.write(batch, rows.fleet, 1);
      const once = await all();
      await store.write(batch, rows.fleet, 1);
      expect(await all()).toEqual(once);
      await store.close();
      store = await place.open();
      await store.write(batch, rows.fleet, 1);
      expect(await all()).toEqual(once);
    });

    test('a late reading that is there already corrects the value and keeps the forecast', async () => {
      await write([{ atMs: T0, value: 1, yhat: 2, score: 1.5 }, { atMs: T0 + 9 }]);
      await write([{ atMs: T0, value: 3, flags: FLAG.LATE }, { atMs: T0 + 1, value: 4, flags: FLAG.LATE }]);
      await write([{ atMs: T0 + 1, value: 5, flags: FLAG.LATE }]);
      const { items } = await store.querySeries({ ...series, endMs: T0 + 9, limit: 10 });
      expect(items.map((point) => [point.actual, point.yhat, point.anomalyScore, point.scored, point.revised])).toEqual([[3, 2, 1.5, true, true], [5, null, null, false, false]]);
    });

    test('what was revised stays so, whatever comes after, and nothing else is', async () => {
      await write([{ atMs: T0, value: 1, yhat: 2 }, { atMs: T0 + 1, value: 1, yhat: 2 }, { atMs: T0 + 2, value: 1, yhat: 2 }, { atMs: T0 + 9, yhat: 2 }]);
      // The same value (which a store may not see to be the same), another value, and back.
      await write([{ atMs: T0, value: 1, flags: FLAG.LATE }, { atMs: T0 + 1, value: 5, flags: FLAG.LATE }]);
      await write([{ atMs: T0 + 1, value: 1, flags: FLAG.LATE }, { atMs: T0 + 3, value: 7, flags: FLAG.LATE }]);
      // Scored anew: the device was retired, came back and sent its history again.
      await write([{ atMs: T0 + 1, value: 4, yhat: 3 }, { atMs: T0 + 2, value: 4, yhat: 3 }, { atMs: T0 + 3, value: 4, yhat: 3 }]);
      const { items } = await store.querySeries({ ...series, endMs: T0 + 9, limit: 10 });
      expect(items.map((point) => [point.actual, point.scored, point.revised])).toEqual([[1, true, !seesSameValue], [4, true, true], [4, true, false], [4, true, true]]);
    });

    test('a device that was retired and comes back has one history', async () => {
      await write([{ atMs: T0, value: 1 }, { atMs: T0 + 1, value: 2 }]);
      rows.fleet.apply({ kind: 'retire', deviceId: rows.fleet.get('oven3')!.id, atMs: T0 });
      await write([{ atMs: T0 + 1, value: 20 }, { atMs: T0 + 2, value: 30 }]);
      expect((await store.querySeries({ ...series, limit: 10 })).items.map((point) => point.actual)).toEqual([1, 20, 30]);
    });

    test('rows whose series has no name any more are left out and counted, and hold nothing up', async () => {
      const batch = rows.batch([{ atMs: T0 }, { metric: 'gone', atMs: T0 }, { atMs: T0 + 1 }]);
      const gone = batch.seriesId[1];
      await store.write(batch, { nameOf: (id) => (id === gone ? undefined : rows.fleet.nameOf(id)) }, 1);
      expect(times(await store.querySeries({ ...series, limit: 10 }))).toEqual([0, 1]);
      expect((store as ResultStore & { nameless: number }).nameless).toBe(1);
      await store.write(rows.batch([{ atMs: T0 + 2 }]), { nameOf: () => undefined }, 2);
      expect(await store.position()).toBe(2);
    });

    test('an event is replaced by its id and comes back whole', async () => {
      const opened = anomaly({ id: 'e1' });
      await write([], { events: [opened] });
      expect(await store.getEvent('e1')).toEqual(opened);
      const resolved = anomaly({
        id: 'e1', state: 'resolved', severity: 'critical', kind: 'shift', updatedMs: T0 + 5, resolvedMs: T0 + 9, readings: 12, actual: null, yhat: null, yhatLower: null, yhatUpper: null,
        incident: 'i1', feedback: { verdict: 'accept', atMs: T0 + 7, by: `o'hara` }, metrics: [],
      });
      await write([], { events: [opened, resolved] });
      expect(await store.getEvent('e1')).toEqual(resolved);
      expect((await store.queryEvents({ limit: 10 })).items).toEqual([resolved]);
    });

    test('an event that lost a value on an update comes back without it', async () => {
      await write([], { events: [anomaly({ id: 'e1', feedback: { verdict: 'confirm', atMs: T0, by: 'a' }, incident: 'i' })] });
      const updated = anomaly({ id: 'e1', feedback: null, incident: null, actual: null });
      await write([], { events: [updated] });
      expect(await store.getEvent('e1')).toEqual(updated);
    });

    test('events are filtered, newest first, equal times by id', async () => {
      const events = [
        anomaly({ id: 'b', openedMs: T0 + 10, metric: 'm1' }), anomaly({ id: 'a', openedMs: T0 + 10, metric: 'm2' }),
        anomaly({ id: 'c', openedMs: T0 + 20, device: 'pump', severity: 'critical' }),
        anomaly({ id: 'd', openedMs: T0, severity: 'info', state: 'resolved', resolvedMs: T0 + 5, metric: '*' }),
      ];
      await write([], { events });
      const ids = async (query: object): Promise<string[]> => (await store.queryEvents({ limit: 10, ...query })).items.map((event) => event.id);
      expect(await ids({})).toEqual(['c', 'a', 'b', 'd']);
      expect(await ids({ device: 'pump' })).toEqual(['c']);
      expect(await ids({ metric: 'm1' })).toEqual(['b']);
      expect(await ids({ metric: '*' })).toEqual(['d']);
      expect(await ids({ severity: 'critical' })).toEqual(['c']);
      expect(await ids({ state: 'resolved' })).toEqual(['d']);
      expect(await ids({ state: 'open', device: 'oven3' })).toEqual(['a', 'b']);
      expect(await ids({ device: 'none' })).toEqual([]);
    });

    test('events are found by the time that they overlap', async () => {
      await write([], { events: [
        anomaly({ id: 'past', metric: 'a', openedMs: T0, state: 'resolved', resolvedMs: T0 + 10 }),
        anomaly({ id: 'long', metric: 'b', openedMs: T0 - 100 * 86_400_000, state: 'resolved', resolvedMs: T0 + 50 }),
        anomaly({ id: 'open', metric: 'c', openedMs: T0 + 20 }),
        anomaly({ id: 'point', metric: 'd', openedMs: T0 + 30, state: 'resolved', resolvedMs: T0 + 30 }),
      ] });
      const ids = async (startMs?: number, endMs?: number): Promise<string[]> => (await store.queryEvents({ limit: 10, startMs, endMs })).items.map((event) => event.id);
      expect(await ids(T0 + 11, T0 + 20)).toEqual(['long']);
      expect(await ids(T0 + 10, T0 + 21)).toEqual(['open', 'past', 'long']);
      expect(await ids(T0 + 30, T0 + 31)).toEqual(['point', 'open', 'long']);
      expect(await ids(T0 + 51)).toEqual(['open']);
      expect(await ids(undefined, T0)).toEqual(['long']);
    });

    test('pages of events neither repeat nor skip, while events open', async () => {
      await write([], { events: [0, 1, 1, 1, 2].map((at, i) => anomaly({ id: `e${i}`, metric: `m${i}`, openedMs: T0 + at })) });
      const found: string[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < 10; page++) {
        const { items, nextCursor } = await store.queryEvents({ limit: 2, cursor });
        found.push(...items.map((event) => event.id));
        if (nextCursor === null) break;
        cursor = nextCursor;
        await write([], { events: [anomaly({ id: `new${page}`, openedMs: T0 + 100 + page })] });
      }
      expect(found).toEqual(['e4', 'e1', 'e2', 'e3', 'e0']);
    });

    test('verdicts are replaced by id, filtered and paged', async () => {
      await write([], { verdicts: [verdict({ id: 'v1' }), verdict({ id: 'v2', device: 'pump', metric: 'flow', kind: 'stuck', sinceMs: T0 + 1 }), verdict({ id: 'v3', kind: 'flapping', sinceMs: T0 + 1 })] });
      await write([], { verdicts: [verdict({ id: 'v1', untilMs: T0 + 100, reason: 'is back' })] });
      expect((await store.queryVerdicts({ device: 'oven3', open: false, limit: 10 })).items).toEqual([verdict({ id: 'v1', untilMs: T0 + 100, reason: 'is back' })]);
      expect((await store.queryVerdicts({ open: true, limit: 10 })).items.map((found) => found.id)).toEqual(['v2', 'v3']);
      const first = await store.queryVerdicts({ limit: 1 });
      const second = await store.queryVerdicts({ limit: 1, cursor: first.nextCursor! });
      const third = await store.queryVerdicts({ limit: 1, cursor: second.nextCursor! });
      expect([first, second, third].map((page) => page.items[0].id)).toEqual(['v2', 'v3', 'v1']);
      expect(third.nextCursor).toBeNull();
    });

    test('the position is kept, also of a batch with nothing to store', async () => {
      await write([{ atMs: T0 }]);
      await store.write(new Batch(1), rows.fleet, 7_000_000_000);
      expect(await store.position()).toBe(7_000_000_000);
      await store.close();
      store = await place.open();
      expect(await store.position()).toBe(7_000_000_000);
      expect(times(await store.querySeries({ ...series, limit: 10 }))).toEqual([0]);
    });

    test('expire removes what is older and leaves the rest and what is open', async () => {
      await write([{ atMs: T0 }, { atMs: T0 + 9 }, { atMs: T0 + 10 }, { device: 'gone', atMs: T0 }], {
        events: [anomaly({ id: 'old', metric: 'a', state: 'resolved', resolvedMs: T0 + 9 }), anomaly({ id: 'new', metric: 'b', state: 'resolved', resolvedMs: T0 + 10 }), anomaly({ id: 'open', metric: 'c' })],
        verdicts: [verdict({ id: 'old', kind: 'stuck', untilMs: T0 + 9 }), verdict({ id: 'open' })],
      });
      await store.expire(T0 + 10);
      expect(times(await store.querySeries({ ...series, limit: 10 }))).toEqual([10]);
      expect((await store.querySeries({ ...series, device: 'gone', limit: 10 })).items).toEqual([]);
      expect((await store.queryEvents({ limit: 10 })).items.map((event) => event.id)).toEqual(['new', 'open']);
      expect((await store.queryVerdicts({ limit: 10 })).items.map((found) => found.id)).toEqual(['open']);
      await write([{ device: 'gone', atMs: T0 + 20 }, { atMs: T0 + 20 }]);
      expect(times(await store.querySeries({ ...series, limit: 10 }))).toEqual([10, 20]);
      expect(times(await store.querySeries({ ...series, device: 'gone', limit: 10 }))).toEqual([20]);
    });

    test('queries and writes at once give whole batches', async () => {
      const writes = Array.from({ length: 10 }, (_, i) => write([{ atMs: T0 + 2 * i }, { atMs: T0 + 2 * i + 1 }]));
      const reads = Array.from({ length: 10 }, () => store.querySeries({ ...series, limit: 100 }));
      for (const page of await Promise.all(reads)) expect(page.items.length % 2).toBe(0);
      await Promise.all(writes);
      expect((await store.querySeries({ ...series, limit: 100 })).items).toHaveLength(20);
    });

    test('any order of writes ends as the last of each series and timestamp', async () => {
      const row = fc.record({ metric: fc.constantFrom('a', 'b'), at: fc.integer({ min: 0, max: 6 }), value: fc.integer({ min: 0, max: 99 }), late: fc.boolean() });
      let run = 0;
      await fc.assert(fc.asyncProperty(fc.array(fc.array(row, { maxLength: 8 }), { maxLength: 5 }), async (batches) => {
        const device = `run${run++}`;
        const model = new Map<string, { value: number; yhat: number | null; revised: boolean }>();
        for (const batch of batches) {
          // The sequencer's order: what is late is behind what it is late for.
          const sorted = [...batch].sort((a, b) => Number(a.late) - Number(b.late));
          // Of several in one batch the last counts.
          const ordered = [...new Map(sorted.map((one) => [`${one.metric}${one.at}${one.late}`, one])).values()];
          await write(ordered.map(({ metric, at, value, late }) => ({ device, metric, atMs: T0 + at, value, ...(late ? { flags: FLAG.LATE } : { yhat: value, score: value / 10 }) })));
          for (const { metric, at, value, late } of ordered) {
            const key = `${metric}${at}`;
            const before = model.get(key);
            const corrects = (late || before?.yhat === null) && (before?.value !== value || !seesSameValue);
            const twice = before !== undefined && (corrects || before.revised);
            model.set(key, { value, yhat: late ? before?.yhat ?? null : value, revised: twice });
          }
        }
        for (const metric of ['a', 'b']) {
          const { items } = await store.querySeries({ device, metric, limit: 100 });
          const expected = [...model].filter(([key]) => key.startsWith(metric)).map(([key, { value, yhat, revised }]) => [Number(key.slice(1)), value, yhat, revised && yhat !== null]).sort((x, y) => Number(x[0]) - Number(y[0]));
          expect(items.map((point) => [point.timestampMs - T0, point.actual, point.yhat, point.revised])).toEqual(expected);
        }
      }), { numRuns: 15 });
    });
  });
}

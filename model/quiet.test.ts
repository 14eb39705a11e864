import { describe, expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { seededRandom } from '../core/random.js';
import { Bench, noise, START_MS } from '../test/fed-device.js';
import { openBackend } from './backends/index.js';
import { readServingWeights } from './serving.js';

async function withNetwork(): Promise<Bench> {
  return new Bench({}, await openBackend('wasm', await readServingWeights(shippedFile('model/weights/default.safetensors'))));
}

describe('what is no anomaly', () => {
  it('a gap and a return', () => {
    let alarms = 0;
    for (let seed = 0; seed < 10; seed++) {
      const bench = new Bench();
      const draw = noise(500 + seed);
      const wave = (): number => 5 * Math.sin(bench.nowMs / 2e7) + 0.3 * draw();
      for (let k = 0; k < 800; k++) bench.feed({ temperature: wave() });
      bench.feed({ temperature: wave() }, 'pump', 3 * 86_400_000);
      for (let k = 0; k < 40; k++) bench.feed({ temperature: wave() });
      alarms += bench.scores.slice(800).filter((score) => score > 1).length;
    }
    expect(alarms).toBe(0);
  });

  it('a gap of a cycle and more, or half of one: what was not seen is not missing', () => {
    for (const cycles of [0.5, 1, 1.5, 3]) {
      const bench = new Bench({ channels: ['span', 'pace'] });
      const draw = noise(2);
      const feed = (readings: number): void => {
        for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + 5 * Math.sin((2 * Math.PI * bench.nowMs) / 86_400_000) + 0.3 * draw() });
      };
      feed(25 * 144);
      bench.nowMs += cycles * 86_400_000;
      feed(400);
      expect(Math.max(...bench.scores)).toBe(0);
    }
  });

  it('a daily spike at 6 a.m., after three of them', () => {
    const alarmsByDay = new Array<number>(20).fill(0);
    for (let seed = 0; seed < 6; seed++) {
      const bench = new Bench();
      const draw = noise(60 + seed);
      for (let day = 0; day < 20; day++) {
        const first = bench.scores.length;
        for (let k = 0; k < 144; k++) bench.feed({ temperature: 20 + 0.5 * draw() + (day >= 6 && k === 36 ? 12 : 0) });
        // Other alarms than at the spike and in the hour after it are not of this test.
        alarmsByDay[day] += bench.scores.slice(first + 36, first + 42).filter((score) => score > 1).length;
      }
    }
    expect(alarmsByDay[6]).toBe(6);
    // Of 66 later spikes.
    expect(alarmsByDay.slice(9).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(2);
  });

  it('a job on Sunday mornings, after two or three of them', () => {
    const alarms = new Array<number>(12).fill(0);
    for (let seed = 0; seed < 6; seed++) {
      const bench = new Bench();
      const draw = noise(70 + seed);
      for (let week = 0; week < 12; week++) {
        const first = bench.scores.length;
        // START_MS is a Monday: three hours, give or take a quarter, from three o'clock on.
        const end = 6 * 144 + 36 + 1.5 * draw();
        for (let k = 0; k < 7 * 144; k++) bench.feed({ temperature: (k >= 6 * 144 + 18 && k < end ? 70 : 55) + draw() });
        alarms[week] += bench.scores.slice(first + 6 * 144 + 18, first + 6 * 144 + 48).filter((score) => score > 1).length;
      }
    }
    expect(alarms[0]).toBeGreaterThanOrEqual(6);
    // Of 48 mornings; as rarely as elsewhere.
    expect(alarms.slice(4).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(12);
  });

  it('a machine that is flushed now and then for an hour, always alike, after three or four times', () => {
    let told = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const bench = new Bench();
      const random = seededRandom(seed);
      const feed = (readings: number, setpoint: number): void => {
        for (let k = 0; k < readings; k++) bench.feed({ setpoint: setpoint + random() - 0.5 }, 'pump', 1_800_000);
      };
      feed(3000, 0);
      for (let time = 0; time < 12; time++) {
        const from = bench.scores.length;
        feed(4 + (time % 5), 173);
        feed(200 + Math.floor(600 * random()), 0);
        if (time >= 4 && Math.max(...bench.scores.slice(from)) > 1) told++;
      }
    }
    // Of eighty.
    expect(told).toBeLessThanOrEqual(12);
  });

  it('the days of a room at a reading a minute, after two of them: quiet nights, and a scale that grows with what is learned', () => {
    let events = 0;
    for (const seed of [77, 154, 231]) {
      const bench = new Bench();
      const random = seededRandom(seed);
      const draw = noise(seed + 1000);
      let air = 420;
      let used = false;
      let left = 0;
      for (let t = 0; t < 12 * 1440; t++) {
        const hour = (t % 1440) / 60;
        if (left-- <= 0) {
          used = !used && t % (7 * 1440) < 5 * 1440 && hour > 8 && hour < 17 && random() < 0.5;
          left = 3 + Math.floor(6 * random());
        }
        air += used ? 0.12 * (1100 - air) : 0.08 * (420 - air);
        bench.feed({ co2: Math.round(air + 4 * draw()) }, 'pump', 60_000);
      }
      events += bench.events.size;
      const later = bench.inEvent.slice(3 * 1440);
      expect(later.filter(Boolean).length / later.length, `time in events of seed ${seed}`).toBeLessThan(0.02);
    }
    expect(events).toBeGreaterThanOrEqual(3);
  });

  it('clocks that are put forward, after one day at most', () => {
    for (let seed = 0; seed < 3; seed++) {
      const bench = new Bench();
      const draw = noise(80 + seed);
      const days = (count: number, shiftMs: number): void => {
        for (let k = 0; k < 144 * count; k++) bench.feed({ temperature: 50 + 20 * Math.sin((2 * Math.PI * (bench.nowMs + shiftMs)) / 86_400_000) + draw() });
      };
      days(14, 0);
      const change = bench.scores.length;
      days(6, 3_600_000);
      expect(bench.scores.slice(change).filter((score) => score > 1).length).toBeLessThanOrEqual(3);
      expect(bench.scores.slice(change + 144).filter((score) => score > 1).length).toBeLessThanOrEqual(1);
    }
  });

  it('a square wave without any noise, from its third cycle on', () => {
    const bench = new Bench();
    for (let t = 0; t < 14 * 144; t++) bench.feed({ power: t % 144 < 60 ? 20 : 80 });
    expect(bench.scores.slice(3 * 144).filter((score) => score > 1).length).toBe(0);
  });

  it('a square wave without noise, after three days', async () => {
    for (const [on, off] of [[0.375, 0.75], [0.33, 0.5], [0.5, 0.8], [0.6, 0.95]]) {
      const bench = await withNetwork();
      for (let t = 0; t < 20 * 288; t++) bench.feed({ power: (t % 288) / 288 < on || (t % 288) / 288 >= off ? 20 : 80 }, 'pump', 300_000);
      expect(bench.scores.slice(3 * 288).filter((score) => score > 1).length, `${on} to ${off}`).toBe(0);
    }
  });

  it('what stands still as long as it always does, to the last bit of how that is kept', () => {
    const bench = new Bench();
    // Seven hours of 1 in turn with four of 0, and now and then eight.
    for (let t = 0; t < 2000; t++) bench.feed({ power: (t + (t % 33 === 0 ? 1 : 0)) % 11 < 7 ? 1 : 0 }, 'pump', 3_600_000);
    expect(bench.scores.slice(150).filter((score) => score > 1).length).toBe(0);
  });

  it('the nights of a solar panel that was taken for a counter on its first clear morning, and the top of a slow wave', () => {
    const bench = new Bench();
    for (let t = 0; t < 4 * 1440; t++) bench.feed({ power: Math.max(0, -900 * Math.cos((2 * Math.PI * t) / 1440)) }, 'panel', 60_000);
    expect([...bench.events.values()].filter(({ openedMs }) => openedMs > START_MS + 12 * 3_600_000)).toEqual([]);
    const slow = new Bench();
    for (let t = 0; t < 2000; t++) slow.feed({ power: Math.sin(t / 412) }, 'pump', 300_000);
    expect(slow.scores.filter((score) => score > 1).length).toBe(0);
  });

  it('what a device does all day, although it was only seen at rest before: the event ends after three times as long', () => {
    const bench = new Bench();
    for (let t = 0; t < 1500; t++) bench.feed({ power: t < 108 || t % 288 < 100 ? 20 : 80 + 0.1 * (t % 3) });
    expect(bench.inEvent.slice(108, 300).some(Boolean)).toBe(true);
    expect(bench.inEvent.slice(4 * 108 - 60, 4 * 108 - 30).some(Boolean)).toBe(false);
    // The second time may be told as well.
    expect(bench.inEvent.slice(2 * 288 + 60).some(Boolean)).toBe(false);
  });

  it('the shifts of a machine that was connected while it rested for days: each event ends when it rests again, and there is none from the fifth shift on', () => {
    const bench = new Bench();
    const draw = noise(41);
    const feed = (readings: number, power: () => number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ power: power() });
    };
    feed(700, () => 0);
    for (let shift = 0; shift < 10; shift++) {
      feed(60, () => 230 + 0.3 * draw());
      const rest = bench.inEvent.length;
      feed(84, () => 0);
      expect(bench.inEvent.slice(rest + 45).some(Boolean), `the rest after shift ${shift}`).toBe(false);
      if (shift > 3) expect(bench.inEvent.slice(rest - 60).some(Boolean), `shift ${shift}`).toBe(false);
    }
    expect(bench.inEvent.some(Boolean)).toBe(true);
  });

  it('but not a value beyond a limit, also of a device that was not seen before', () => {
    for (const before of [0, 110]) {
      const bench = new Bench({ settings: { rules: [{ max: 30 }] } });
      const draw = noise(1);
      for (let t = 0; t < before + 800; t++) bench.feed({ power: (t < before ? 20 : 40) + draw() });
      expect([...bench.events.values()]).toMatchObject([{ kind: 'limit', state: 'open' }]);
    }
  });

  it('and no longer once it is within it again, be the device still warming up', () => {
    const bench = new Bench({ settings: { rules: [{ max: 30 }] } });
    const draw = noise(1);
    for (let t = 0; t < 90; t++) bench.feed({ power: (t >= 20 && t < 40 ? 40 : 20) + draw() });
    expect([...bench.events.values()]).toMatchObject([{ kind: 'limit', state: 'resolved' }]);
  });

  it('a level that wanders without an end: no event of it stays open', () => {
    let open = 0;
    let left = 0;
    for (let seed = 0; seed < 6; seed++) {
      const bench = new Bench();
      const draw = noise(900 + seed);
      let level = 0;
      for (let t = 0; t < 5000; t++) bench.feed({ level: level += draw() });
      open += bench.inEvent.filter(Boolean).length;
      left += bench.inEvent[4999] ? 1 : 0;
    }
    expect(open / 30_000).toBeLessThan(0.2);
    expect(left).toBeLessThanOrEqual(1);
  });

  it('the first readings of a clean series: two alarms in 500 at most, in the median', () => {
    const alarms = Array.from({ length: 15 }, (_, k) => {
      const bench = new Bench();
      const draw = noise(100 + k);
      for (let t = 0; t < 500; t++) bench.feed({ temperature: 5 * Math.sin(t / (10 + k)) + draw() });
      return bench.scores.filter((score) => score > 1).length;
    }).sort((a, b) => a - b);
    expect(alarms[7]).toBeLessThanOrEqual(2);
  });
});

describe('a jump to where a level that wanders never was', () => {
  it('is in an event for more than a few readings', () => {
    const held = Array.from({ length: 6 }, (_, seed) => {
      const bench = new Bench();
      const draw = noise(950 + seed);
      let course = 0;
      const feed = (readings: number, by: number): void => {
        for (let t = 0; t < readings; t++) bench.feed({ flow: 10 + (course = 0.995 * course + 0.1 * draw()) + by });
      };
      feed(4000, 0);
      feed(150, 5);
      return bench.inEvent.slice(-150).filter(Boolean).length;
    });
    expect(Math.min(...held)).toBeGreaterThan(100);
  });
});

describe('an event is over soon after what it is about', () => {
  /** Readings from `end` on that are in an event. */
  const after = (bench: Bench, end: number): number => bench.inEvent.slice(end).filter(Boolean).length;

  it('in a series that never moved: what is left of it in the network is no roughness', async () => {
    for (const course of [(): number => 7, (t: number): number => 0.01 * t]) {
      const bench = await withNetwork();
      for (let t = 0; t < 3600; t++) bench.feed({ value: course(t) + (t === 3000 ? 60 : 0) });
      expect(bench.scores[3000]).toBeGreaterThan(1);
      expect(after(bench, 3001)).toBeLessThan(60);
    }
  });

  it('in a series at rest, however long it was: what it is measured in does not shrink meanwhile', () => {
    const bench = new Bench();
    const feed = (count: number, value: (t: number) => number): void => {
      for (let t = 0; t < count; t++) bench.feed({ value: value(t) }, 'pump', 60_000);
    };
    feed(2000, (t) => (t % 50 < 3 ? 1 : 0));
    feed(10_000, () => 0);
    feed(8000, () => 0.5);
    const end = bench.inEvent.length;
    feed(2000, () => 0);
    expect(bench.inEvent[end - 1]).toBe(true);
    expect(after(bench, end)).toBeLessThan(60);
  });

  it('in a rain gauge after a dry month', async () => {
    const bench = await withNetwork();
    const random = seededRandom(3);
    const rain = (readings: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ rain: random() < 0.3 ? 0 : Math.round(-2 * Math.log(random())) / 5 }, 'gauge', 60_000);
    };
    const dry = (readings: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ rain: 0 }, 'gauge', 60_000);
    };
    dry(3000);
    rain(120);
    dry(30_000);
    rain(200);
    const end = bench.inEvent.length;
    dry(3000);
    expect(bench.inEvent.slice(end - 200, end).some(Boolean)).toBe(true);
    expect(after(bench, end)).toBeLessThan(300);
  });

  it('in a memory that fills for days and is emptied: a series that wandered goes on wandering', async () => {
    const bench = await withNetwork();
    const draw = noise(5);
    let used = 0;
    for (let t = 0; t < 26_000; t++) bench.feed({ memory: 30 + 0.0025 * (t % 18_000) + (used = 0.9 * used + 0.44 * draw()) }, 'server', 60_000);
    expect(bench.scores.slice(18_000, 18_010).some((score) => score > 1)).toBe(true);
    expect(after(bench, 18_000)).toBeLessThan(500);
  });
});

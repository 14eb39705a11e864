import { describe, expect, it } from 'vitest';
import { seededRandom } from '../core/random.js';
import { Bench, noise } from '../test/fed-device.js';
import { CHANNELS, type Channel, type Tuning } from './tuning.js';

/** Highest score of the readings from `from` on, less those before `to`. */
function highest(bench: Bench, from: number, to = bench.scores.length): number {
  return Math.max(...bench.scores.slice(from, to));
}

describe('the level of the latest readings', () => {
  it('tells of a machine that is on for longer than it ever was on the whole, each reading of which was seen before', () => {
    const bench = new Bench();
    const random = seededRandom(31);
    const feed = (readings: number, on: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ power: random() < on ? 5 : 1 });
    };
    feed(2500, 0.2);
    const fault = bench.scores.length;
    feed(150, 0.9);
    expect(highest(bench, fault - 1500, fault)).toBeLessThanOrEqual(1);
    expect(highest(bench, fault)).toBeGreaterThan(1);
    expect(bench.open[0]).toMatchObject({ kind: 'shift' });
    expect(bench.open[0].reason).toMatch(/^the level of the last 32 readings is unusually high/);
  });
});

describe('the value of a reading', () => {
  it('is the lowest only where none was lower, however long what was there has not been told', () => {
    const bench = new Bench({ channels: ['x'] });
    for (let t = 0; t < 12_000; t++) bench.feed({ power: t % 500 === 0 ? 10 : 0 });
    bench.feed({ power: 2 });
    expect(highest(bench, 12_000)).toBeGreaterThan(1);
    expect(bench.open[0].reason).toMatch(/a value like none/);
  });

  it('is no news where it is less beyond what was seen than the least that counts; nor is an error', () => {
    for (const [channel, least] of [['x', 'leastValue'], ['e1', 'leastError']] as const) {
      const spike = (tuning: Partial<Tuning>): number => {
        const bench = new Bench({ channels: [channel], tuning });
        const draw = noise(32);
        for (let t = 0; t < 1500; t++) bench.feed({ temperature: 20 + draw() + (t === 1400 ? 40 : 0) });
        return highest(bench, 1400);
      };
      expect(spike({}), channel).toBeGreaterThan(1);
      expect(spike({ [least]: 100 }), channel).toBeLessThan(1);
    }
  });
});

describe('the error of a forecast', () => {
  it('is measured in what the series came to span, not in what it had spanned by its first readings: a tank that began at rest', () => {
    const bench = new Bench({ channels: ['e1'] });
    const draw = noise(33);
    const tank = (t: number): number => (t < 45 ? 0 : t < 90 ? 4 * (t - 45) : 180 * Math.abs((((t - 90) / 300) % 2) - 1)) + 0.3 * draw();
    for (let t = 0; t < 5000; t++) bench.feed({ level: tank(t) }, 'tank', 10_000);
    for (let t = 5000; t < 5060; t++) bench.feed({ level: tank(t) - 60 }, 'tank', 10_000);
    expect(highest(bench, 3000, 5000)).toBeLessThan(1);
    expect(highest(bench, 5000)).toBeGreaterThan(1);
  });

  it('is nothing below three hundredths of the scale, however good forecasts were', () => {
    const found = (step: number): number => {
      const bench = new Bench({ channels: ['e1'] });
      const wave = (t: number): number => Math.sin(t / 1000);
      for (let t = 0; t < 7000; t++) bench.feed({ power: wave(t) + (t >= 6500 ? step : 0) });
      return highest(bench, 6480, 6520);
    };
    expect(found(0.3)).toBeGreaterThan(1);
    expect(found(0.008)).toBe(0);
  });

  it('is told again where nearly all errors are nothing', () => {
    const bench = new Bench({ channels: ['e1'] });
    let t = 0;
    const wave = (readings: number, step: number): void => {
      for (let k = 0; k < readings; k++, t++) bench.feed({ power: 20 + 3 * Math.sin(t / 1000) + step }, 'pump', 60_000);
    };
    wave(10_000, 0);
    for (const jump of [0.4, 0.5]) {
      const from = t;
      wave(60, jump);
      expect(highest(bench, from), `${jump}`).toBeGreaterThan(1);
      wave(6000, 0);
    }
  });
});

describe('the roughness of the readings', () => {
  const feed = (bench: Bench, readings: number, draw: () => number, size: number): void => {
    for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + size * draw() });
  };

  it('tells of readings that hardly move any more, without standing still', () => {
    const bench = new Bench();
    const draw = noise(36);
    feed(bench, 2000, draw, 1);
    const fault = bench.scores.length;
    feed(bench, 200, draw, 0.05);
    expect(highest(bench, fault - 1000, fault)).toBeLessThanOrEqual(1);
    expect(highest(bench, fault)).toBeGreaterThan(1);
    expect(bench.open[0]).toMatchObject({ kind: 'variance' });
    expect(bench.open[0].reason).toMatch(/^the readings jump unusually little from one to the next/);
  });

  it('tells of readings that jump on and on, and not of one that does, however far', () => {
    const bench = new Bench({ channels: ['e1', 'rough'] });
    const draw = noise(37);
    feed(bench, 1500, draw, 1);
    const found: unknown[] = [];
    const { judge } = bench.detector;
    const find = judge.find.bind(judge);
    judge.find = (row) => {
      const finding = find(row);
      found.push(CHANNELS[finding.channel]);
      return finding;
    };
    for (let k = 0; k < 20; k++) bench.feed({ temperature: 100 + draw() });
    expect(found).toContain('e1');
    expect(found).not.toContain('rough');
    feed(bench, 60, draw, 6);
    expect(found).toContain('rough');
  });
});

describe('a peak', () => {
  it.each([
    ['with all channels', undefined],
    ['without the long horizon, in whose ring it is looked for', CHANNELS.filter((channel) => channel !== 'e32')],
  ])('is found where each of its values is a usual one, and only jumps that stay are, %s', (_, channels) => {
    const bench = new Bench({ channels });
    const random = seededRandom(37);
    let left = 0;
    let power = 1;
    for (let t = 0; t < 4000; t++) {
      if (left-- <= 0) {
        power = power === 1 ? 5 : 1;
        left = 40 + Math.floor(200 * random());
      }
      bench.feed({ power: power + 0.1 * (random() - 0.5) });
    }
    while (power === 1 && left-- > 3) bench.feed({ power: 1 + 0.1 * (random() - 0.5) });
    for (let k = 0; k < 12; k++) bench.feed({ power: power + 0.1 * (random() - 0.5) });
    const fault = bench.scores.length;
    expect(highest(bench, fault - 2000)).toBeLessThanOrEqual(1);
    bench.feed({ power: 6 - power });
    for (let k = 0; k < 3; k++) bench.feed({ power });
    expect(highest(bench, fault)).toBeGreaterThan(1);
    expect(bench.open[0] ?? [...bench.events.values()].pop()).toMatchObject({ kind: 'spike' });
  });
});

describe('a value that was never seen', () => {
  /** A series at rest, with so many visits to each of the values, at least a week apart; told: how many of the last visits of five series. */
  function visits(channel: Channel, values: readonly number[]): number {
    let told = 0;
    for (let seed = 1; seed <= 5; seed++) {
      const bench = new Bench({ channels: [channel] });
      const random = seededRandom(seed);
      const feed = (count: number, valve: number): void => {
        for (let k = 0; k < count; k++) bench.feed({ valve }, 'pump', 1_800_000);
      };
      let from = 0;
      feed(1000, 0);
      for (const value of values) {
        from = bench.scores.length;
        feed(5, value);
        feed(350 + Math.floor(300 * random()), 0);
      }
      if (highest(bench, from) > 1) told++;
    }
    return told;
  }

  it('is no news a hundredth of the range beyond what was, nor by what rounding takes from it', () => {
    const value = 173.1690218653926;
    expect(visits('x', [value, value, value, value])).toBe(0);
    expect(visits('x', [value, value, value, 1.01 * value])).toBe(0);
    expect(visits('x', [value, value, value, 1.5 * value])).toBe(5);
  });

  it('holds its event open for as long as readings are like it, although neither level nor roughness is off', () => {
    const bench = new Bench();
    const random = seededRandom(38);
    const feed = (readings: number, high: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ power: (k % 8 < 4 ? high : 1) + 0.1 * (random() - 0.5) });
    };
    feed(3000, 5);
    feed(300, 7);
    const end = bench.inEvent.length;
    feed(100, 5);
    const share = (from: number, to: number): number => bench.inEvent.slice(from, to).filter(Boolean).length / (to - from);
    expect(share(3030, end)).toBeGreaterThan(0.8);
    expect(share(end + 40, end + 100)).toBe(0);
  });

  it('holds no event open where the series turns out to be a counter no longer', () => {
    const bench = new Bench();
    const draw = noise(2);
    for (let k = 0; k < 3000; k++) bench.feed({ total: 1000 + 5 * k + Math.abs(draw()) });
    for (let k = 0; k < 90; k++) bench.feed({ total: 16_000 + 30 * draw() });
    expect(bench.events.size).toBeGreaterThan(0);
    expect(bench.open).toHaveLength(0);
  });

  it('hides nothing that comes after it: a smaller fault is as novel as without it', () => {
    const scoreAfter = (first: number): number => {
      const bench = new Bench();
      const draw = noise(34);
      const calm = (readings: number): void => {
        for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + draw() });
      };
      calm(2000);
      bench.feed({ temperature: 20 + first });
      calm(600);
      bench.feed({ temperature: 32 });
      return bench.scores[bench.scores.length - 1];
    };
    expect(scoreAfter(30)).toBeGreaterThan(1);
    expect(scoreAfter(-30)).toBeGreaterThan(1);
  });

  it('is known after a while where no alarm was allowed for it, and then holds no event open', () => {
    const bench = new Bench({ settings: { falseAlarmsPerDay: 1e-9 } });
    const draw = noise(1);
    const feed = (readings: number, level: number): void => {
      for (let k = 0; k < readings; k++) bench.feed({ temperature: level + draw() });
    };
    feed(2000, 20);
    feed(3000, 60);
    expect(bench.events.size).toBe(0);
    bench.control({ kind: 'settings', hash: '', settings: { falseAlarmsPerDay: 0.07 } });
    feed(1, 80);
    expect(bench.open).toHaveLength(1);
    feed(100, 60);
    expect(bench.open).toHaveLength(0);
  });

  it('is known when it comes again, but not when that is weeks later', () => {
    const scoreAgain = (after: number): number => {
      const bench = new Bench({ channels: ['x'] });
      const draw = noise(35);
      const feed = (readings: number): void => {
        for (let k = 0; k < readings; k++) bench.feed({ temperature: 20 + draw() });
      };
      feed(2000);
      bench.feed({ temperature: 40 });
      feed(after);
      bench.feed({ temperature: 40 });
      return bench.scores[bench.scores.length - 1];
    };
    expect(scoreAgain(144)).toBeLessThanOrEqual(1);
    expect(scoreAgain(144 * 15)).toBeGreaterThan(1);
  });
});

describe('the clock', () => {
  const DAY = 144;
  /** A door with opening hours and weekends, day by day: `opens` is the hour, or undefined where it stays shut. */
  function door(seed: number): { bench: Bench; feed: (days: number, opens?: (day: number) => number | undefined) => void } {
    const bench = new Bench();
    const draw = noise(seed);
    const random = seededRandom(seed);
    const feed = (days: number, opens: (day: number) => number | undefined = (day) => (day % 7 < 5 ? 7 : undefined)): void => {
      const first = bench.scores.length / DAY;
      for (let day = first; day < first + days; day++) {
        const hour = opens(day);
        const from = hour === undefined ? Infinity : 6 * hour + draw();
        const to = 6 * 18 + draw();
        for (let k = 0; k < DAY; k++) bench.feed({ visitors: k >= from && k < to ? 12 + Math.floor(6 * random()) : 0 });
      }
    };
    return { bench, feed };
  }

  it('tells of a door that opens at three in the morning, and of a Monday on which it stays shut', () => {
    const { bench, feed } = door(39);
    feed(25);
    feed(1, () => 3);
    expect(highest(bench, 25 * DAY + 18, 25 * DAY + 30)).toBeGreaterThan(1);
    feed(16);
    feed(1, () => undefined);
    expect(highest(bench, 42 * DAY + 42, 42 * DAY + 72)).toBeGreaterThan(1);
    expect(bench.open[0]).toMatchObject({ kind: 'pattern', reason: expect.stringMatching(/^a rise or a fall at an unusual hour, or none at the usual one/) });
  });

  it('alarms at weekends three times at most, and then as rarely as is allowed', () => {
    for (const seed of [1, 9, 12, 13, 14, 21]) {
      const { bench, feed } = door(seed);
      feed(56);
      const days = bench.scores.flatMap((score, t) => (score > 1 ? [t / DAY] : []));
      // A weekend begins when the door closes on Friday and ends before it opens on Monday.
      expect(new Set(days.filter((day) => day % 7 > 4.75 || day % 7 < 0.29).map((day) => Math.floor((day + 2.25) / 7))).size, `weekends of seed ${seed}`).toBeLessThanOrEqual(3);
      expect(days.filter((day) => day > 28).length, `alarms in the last four weeks of seed ${seed}`).toBeLessThanOrEqual(3);
    }
  });
});

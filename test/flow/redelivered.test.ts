import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { gaussian, seededRandom } from '../../core/random.js';
import { all, startGruard, until } from './gruard.js';

type Gruard = Awaited<ReturnType<typeof startGruard>>;

interface Point {
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  anomaly_score: number | null;
  scored: boolean;
  /** Says that a late reading came for a time that had one, whatever its value: not part of the comparison. */
  revised?: boolean;
}

const running: Gruard[] = [];
afterEach(async () => {
  for (const gruard of running.splice(0)) {
    await gruard.close();
    rmSync(gruard.dataDir, { recursive: true, force: true });
  }
});

/** Two hundred messages of two metrics, past the warm-up, with a fault at the end. */
function messages(): string[] {
  const random = seededRandom(5);
  return Array.from({ length: 201 }, (_, i) => JSON.stringify({
    device: 'kiln', timestamp: Date.UTC(2026, 0, 1) + i * 60_000,
    temperature: Math.round(100 * (800 + 5 * Math.sin(i / 10) + gaussian(random) + (i > 190 ? 90 : 0))) / 100, pressure: Math.round(1000 * gaussian(random)) / 1000,
  }));
}

async function start(dataDir?: string): Promise<Gruard> {
  const gruard = await startGruard({ 'broker.enabled': 'off', time: 'event', ...(dataDir === undefined ? {} : { data_dir: dataDir }) });
  running.push(gruard);
  return gruard;
}

/** A batch each. */
async function submit(gruard: Gruard, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await gruard.service.submit(Buffer.from(payload), 'json');
}

const measure = (gruard: Gruard, name: string): number => gruard.service.measures().find((one) => one.name === name)!.values.reduce((sum, { value }) => sum + value, 0);

async function stored(gruard: Gruard): Promise<{ points: Point[]; events: unknown[] }> {
  await until(() => measure(gruard, 'gruard_follower_lag_records') === 0, 'the store has everything');
  const points: Point[] = [];
  for (const metric of ['temperature', 'pressure', '*']) points.push(...await all<Point>(gruard.get, `/v1/devices/kiln/series/${encodeURIComponent(metric)}?start=0`));
  for (const point of points) delete point.revised;
  return { points, events: await all(gruard.get, '/v1/anomalies') };
}

describe('readings that come again', () => {
  it('in later batches, and after a restart that has forgotten them: stored once, scored once', async () => {
    const [next, ...rest] = messages().reverse();
    const sent = rest.reverse();
    let gruard = await start();
    await submit(gruard, sent);
    const before = await stored(gruard);
    expect(before.points).toHaveLength(600);
    expect(before.events).not.toEqual([]);

    const readings = measure(gruard, 'gruard_readings_total');
    await submit(gruard, sent.toReversed());
    expect(measure(gruard, 'gruard_readings_total')).toBe(readings);
    expect(await stored(gruard)).toEqual(before);

    // The snapshot at the end holds everything, so that nothing is replayed and only the last reading of each series is known: the others look late.
    await running.pop()!.close();
    gruard = await start(gruard.dataDir);
    await submit(gruard, sent);
    expect(measure(gruard, 'gruard_readings_total')).toBeGreaterThan(0);
    expect(await stored(gruard)).toEqual(before);

    // Nor has the state moved: what follows is judged as though nothing had come twice.
    const once = await start();
    await submit(once, [...sent, next]);
    await submit(gruard, [next]);
    expect((await stored(gruard)).points).toEqual((await stored(once)).points);
  });
});

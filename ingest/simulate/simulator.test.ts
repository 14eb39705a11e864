import { describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.js';
import { Bench } from '../../test/conformance/sources.js';
import { BrokerSource } from '../broker.js';
import type { InjectedFault } from './device.js';
import { simulatedFleet } from './fleet.js';
import { KINDS } from './kinds.js';
import { Simulator } from './simulator.js';

const DAY_MS = 86_400_000;
const T0 = Date.UTC(2026, 2, 2);

describe('the simulated fleet', () => {
  it('has every kind by its share, and the same seed makes the same fleet', () => {
    expect(KINDS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    const reports = (seed: number): unknown[] => simulatedFleet(40, T0, seed).flatMap((device) => Array.from({ length: 50 }, () => {
      const { timestampMs, values } = device.report();
      return [device.name, device.site, timestampMs, ...values];
    }));
    expect(new Set(simulatedFleet(300, T0, 1).map(({ name }) => name)).size).toBe(300);
    expect(reports(7)).toEqual(reports(7));
    expect(reports(7)).not.toEqual(reports(8));
  });

  it('says finite things at growing times', () => {
    for (const device of simulatedFleet(60, T0, 3)) {
      const times: number[] = [];
      const said: number[] = [];
      while (device.nextMs < T0 + DAY_MS) {
        const { timestampMs, values } = device.report();
        times.push(timestampMs);
        said.push(...values.values());
      }
      expect(times.length).toBeGreaterThan(10);
      expect(times.every((time, i) => i === 0 || time > times[i - 1])).toBe(true);
      expect(said.every(Number.isFinite)).toBe(true);
    }
  });

  it('shows every fault in the metric that it names, and only while it lasts', () => {
    for (const kind of KINDS) {
      for (const { kind: fault, metric } of kind.faults) {
        const [healthy, faulty] = [0, 1].map(() => simulatedFleet(60, T0, 5).find((device) => device.kind === kind)!);
        const startMs = T0 + 0.4 * DAY_MS;
        const endMs = startMs + DAY_MS / 4;
        faulty.inject({ device: faulty.name, metric, kind: fault, startMs, endMs });
        let before = 0;
        let during = 0;
        while (faulty.nextMs < endMs) {
          const { timestampMs, values } = faulty.report();
          const plain = healthy.report();
          if (plain.timestampMs !== timestampMs) break; // a variance fault draws its own random numbers
          const difference = Math.abs(values.get(metric)! - plain.values.get(metric)!);
          if (timestampMs < startMs) before = Math.max(before, difference);
          else during = Math.max(during, difference);
        }
        const { scale } = kind.metrics.find(({ name }) => name === metric)!;
        expect(before, `${kind.name} ${fault}`).toBe(0);
        expect(during, `${kind.name} ${fault}`).toBeGreaterThan((fault === 'stuck' ? 0.05 : 0.3) * scale);
      }
    }
  });
});

describe('the simulator', () => {
  it('publishes its history, catches up, runs on, and injects faults that it tells of', async () => {
    const bench = new Bench();
    const broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 10 });
    await broker.open(bench.wake);
    const faults: InjectedFault[] = [];
    const errors: unknown[] = [];
    const simulator = new Simulator({
      broker: { url: broker.url }, clock: systemClock, devices: 20, historyMs: DAY_MS / 4, speed: 3000, faultIntervalMs: 300,
      onFault: (fault) => faults.push(fault), onError: (error) => errors.push(error),
    });
    await simulator.start();
    expect(simulator.caughtUp).toBe(false);
    await bench.until(broker, () => simulator.caughtUp);
    const history = bench.rows.length;
    expect(history).toBe(simulator.progress.readings);
    expect(simulator.progress.fraction).toBe(1);
    await bench.until(broker, () => faults.length >= 2 && bench.rows.length > history + 100);
    await simulator.stop();
    await broker.close();
    expect(errors).toEqual([]);
    expect(bench.fleet.deviceCount).toBe(20);
    expect(bench.fleet.get('pump-01')!.tags).toMatchObject({ kind: 'pump', site: expect.any(String) as string });
    // The clock of the fleet is its own: nothing came late, twice, or out of its time.
    expect(bench.counters.entries().filter(([, n]) => n > 0)).toEqual([]);
    for (const fault of faults) expect(bench.fleet.get(fault.device)!.metrics).toContain(fault.metric);
  });
});

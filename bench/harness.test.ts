import { describe, expect, test } from 'vitest';
import type { Batch } from '../core/batch.js';
import { DEVICE_METRIC, FLAG } from '../core/batch.js';
import type { Detector } from '../core/detector.js';
import type { Fleet } from '../core/fleet.js';
import { baselineDetector } from './baselines/baseline.js';
import { ewZscore } from './baselines/zscore.js';
import type { DeviceInput } from './harness.js';
import { deviceScore, runByPeriod, runDetector } from './harness.js';

function input(device: string, rows: number, periodMs = 1000, metrics = ['value']): DeviceInput {
  return {
    device, metrics,
    timestampMs: Float64Array.from({ length: rows }, (_, row) => row * periodMs),
    values: metrics.map((_, m) => Float64Array.from({ length: rows }, (_, row) => Math.sin(row * (m + 1)))),
  };
}

/** Scores every reading with its value, the device with the sum of a message's values, and keeps what it was fed. */
function echo(fleet: Fleet, seen: { device: string; atMs: number; value: number }[] = []): Detector {
  return {
    ...baselineDetector(ewZscore),
    step(batch: Batch) {
      const readings = batch.n;
      const sums = new Map<string, { slot: number; atMs: number; sum: number }>();
      for (let row = 0; row < readings; row++) {
        const device = fleet.deviceOfSlot(batch.slot[row])!;
        seen.push({ device: device.name, atMs: batch.timestampMs[row], value: batch.value[row] });
        batch.anomalyScore[row] = batch.value[row];
        if (device.metrics.length < 2) continue;
        let slot = fleet.slotOf(device, DEVICE_METRIC);
        if (slot < 0) {
          const added = fleet.addSeries(device, DEVICE_METRIC);
          batch.declarations.push(added.declaration);
          slot = added.slot;
        }
        const key = `${device.name} ${batch.timestampMs[row]}`;
        const sum = sums.get(key) ?? { slot, atMs: batch.timestampMs[row], sum: 0 };
        sum.sum += batch.value[row];
        sums.set(key, sum);
      }
      for (const { slot, atMs, sum } of sums.values()) {
        const row = batch.push(fleet.idOfSlot(slot), slot, atMs, NaN, FLAG.DEVICE | FLAG.IN_EVENT);
        batch.anomalyScore[row] = sum;
      }
    },
  };
}

describe('the harness', () => {
  test.each([1, 3, 64, 1024])('gives each row its own result, in batches of %i readings', async (batchRows) => {
    const inputs = [input('a', 50), input('b', 33)];
    const outputs = await runDetector((fleet) => echo(fleet), inputs, { batchRows });
    outputs.forEach((output, i) => expect([...output.series[0].score]).toEqual([...Float32Array.from(inputs[i].values[0])]));
  });

  test.each([4, 1024])('joins device rows to their messages, in batches of %i readings', async (batchRows) => {
    const one = input('a', 40, 1000, ['x', 'y', 'z']);
    one.values[1][7] = NaN;
    const [output] = await runDetector((fleet) => echo(fleet), [one, input('b', 40)], { batchRows });
    const sums = one.values[0].map((x, row) => x + (row === 7 ? 0 : one.values[1][row]) + one.values[2][row]);
    expect([...output.whole!.score]).toEqual([...Float32Array.from(sums)]);
    expect(output.whole!.inEvent.every((flag) => flag === 1)).toBe(true);
    expect(output.series[1].score[7]).toBe(0);
    expect(deviceScore(output)[3]).toBe(Math.max(output.whole!.score[3], ...output.series.map((s) => s.score[3])));
  });

  test('feeds devices in step, a series in time order', async () => {
    const seen: { device: string; atMs: number; value: number }[] = [];
    await runDetector((fleet) => echo(fleet, seen), [input('a', 3), input('b', 2)]);
    expect(seen.map(({ device, atMs }) => `${device}${atMs}`)).toEqual(['a0', 'b0', 'a1000', 'b1000', 'a2000']);
  });

  test('repeats the first result for a repeated timestamp and feeds it once; an older new one stays unscored', async () => {
    const one = input('a', 6);
    one.timestampMs.set([0, 1000, 1000, 5000, 3000, 1000]);
    const seen: { device: string; atMs: number; value: number }[] = [];
    const [output] = await runDetector((fleet) => echo(fleet, seen), [one]);
    expect(seen.map(({ atMs }) => atMs)).toEqual([0, 1000, 5000]);
    const scores = output.series[0].score;
    expect([scores[2], scores[5]]).toEqual([scores[1], scores[1]]);
    expect(scores[4]).toBe(0);
  });

  test('runs each sampling period by itself and keeps the order', async () => {
    const inputs = [input('slow', 20, 60_000), input('fast', 30), input('slow too', 10, 60_000)];
    const fleets: string[][] = [];
    const outputs = await runByPeriod((fleet) => {
      const names: string[] = [];
      fleets.push(names);
      const detector = echo(fleet);
      return { ...detector, step: (batch) => {
        for (const d of batch.declarations) if (d.kind === 'device') names.push(d.name);
        detector.step(batch);
      } };
    }, inputs);
    expect(outputs.map(({ device }) => device)).toEqual(['slow', 'fast', 'slow too']);
    expect(fleets).toEqual([['slow', 'slow too'], ['fast']]);
  });
});

test('the z-score baseline finds a reading ten deviations away and nothing else', async () => {
  const one = input('a', 400);
  one.values[0][300] = 10;
  const [output] = await runDetector(() => baselineDetector(ewZscore), [one]);
  const found = [...output.series[0].score.entries()].filter(([, score]) => score > 1).map(([row]) => row);
  expect(found).toEqual([300]);
});

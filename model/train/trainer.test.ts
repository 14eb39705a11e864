import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { generatedSource, historySource, Lanes } from './lanes.js';
import { AdamW, learningRate } from './optimiser.js';
import { loadTensorFlow, type TensorFlow } from './tensorflow.js';
import { DEFAULT_CONFIG, DEFAULT_SETTINGS, train, type Checkpoint, type TrainTask } from './trainer.js';

const SETTINGS = { ...DEFAULT_SETTINGS, steps: 6, rows: 4, chunk: 32, assessEvery: 3 };
const CONFIG = { ...DEFAULT_CONFIG, layers: [{ cell: 'gru' as const, units: 8 }] };
let runtime: TensorFlow;

beforeAll(async () => {
  runtime = await loadTensorFlow();
});

function task(changes: Partial<TrainTask> = {}): TrainTask {
  const heldOut = [0, 1].map(generatedSource(99, ['seasonal', 'duty-cycle'], 250));
  return { runtime, settings: SETTINGS, source: generatedSource(1, ['seasonal', 'duty-cycle'], 200), heldOut, config: CONFIG, ...changes };
}

describe('train', () => {
  it('gives the same weights from the same seed, and others from another', async () => {
    const a = await train(task());
    const b = await train(task());
    const c = await train(task({ settings: { ...SETTINGS, seed: 2 } }));
    expect(b.parameters).toEqual(a.parameters);
    expect(b.dataHash).toBe(a.dataHash);
    expect(c.parameters).not.toEqual(a.parameters);
  });

  it('goes on from a checkpoint on disk as if it had not stopped', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gruard-train-'));
    const path = join(folder, 'run.checkpoint');
    const whole = await train(task());
    let steps = 0;
    await train(task({ onCheckpoint: (checkpoint: Checkpoint) => writeCheckpoint(path, { command: 'first', checkpoint }), onStep: () => steps++, stopped: () => steps === 3 }));
    const { command, checkpoint: resume } = await readCheckpoint(path);
    expect(command).toBe('first');
    expect(resume.step).toBe(3);
    const rest = await train(task({ resume }));
    expect(rest.parameters).toEqual(whole.parameters);
    expect(rest.dataHash).toBe(whole.dataHash);
    expect(rest.curve).toEqual(whole.curve);
    await rm(folder, { recursive: true });
  });

  it('learns: the loss on series that it has not seen falls, and the best weights are kept', async () => {
    const untrained = await train(task({ settings: { ...SETTINGS, steps: 0 } }));
    const { curve, assessment } = await train(task({ settings: { ...SETTINGS, steps: 24, peakRate: 0.01, assessEvery: 8 } }));
    expect(assessment.loss).toBeLessThan(untrained.assessment.loss - 0.3);
    expect(assessment.loss).toBeCloseTo(Math.min(...curve.flatMap((point) => point.heldOut ?? [])), 6);
  });

  it('stops early when the held-out loss no longer falls', async () => {
    const { curve } = await train(task({ settings: { ...SETTINGS, steps: 40, peakRate: 0, assessEvery: 1, patience: 3 } }));
    expect(curve).toHaveLength(4);
  });

  it('learns with every other cell, and goes on from a checkpoint with states of other sizes', { timeout: 120_000 }, async () => {
    const layers = [{ cell: 'lstm' as const, units: 6 }, { cell: 'recurrent' as const, units: 5 }, { cell: 'jordan' as const, units: 4 }, { cell: 'elman' as const, units: 6 }];
    const settings = { ...SETTINGS, peakRate: 0.02 };
    const changes = { config: { ...CONFIG, layers }, settings, heldOut: [generatedSource(99, ['seasonal'], 100)(0)] };
    const untrained = await train(task({ ...changes, settings: { ...settings, steps: 0 } }));
    let resume: Checkpoint | undefined;
    const whole = await train(task({ ...changes, onCheckpoint: async (checkpoint) => void (resume ??= structuredClone(checkpoint)) }));
    expect(whole.assessment.loss).toBeLessThan(untrained.assessment.loss - 0.1);
    expect(resume?.states.map((state) => state.length)).toEqual([48, 20, 16, 24]);
    expect((await train(task({ ...changes, resume }))).parameters).toEqual(whole.parameters);
  });
});

describe('Lanes', () => {
  it('gives every reading of every series once, each series from its start', () => {
    const source = generatedSource(5, ['autoregressive'], 150);
    const lanes = new Lanes(source, 3, 64);
    const seen: number[] = [];
    for (let k = 0; k < 3; k++) {
      const { chunk, restarted } = lanes.next();
      expect(restarted).toEqual(k === 0 ? [0, 1, 2] : []);
      for (let t = 0; t < 64; t++) seen.push(chunk.features[(t * 3 + 1) * 7]);
    }
    const example = source(1);
    expect(seen.slice(0, 150)).toEqual(Array.from({ length: 150 }, (_, t) => example.features[t * 7]));
    expect(seen.slice(150).every((x) => x === 0)).toBe(true);
    expect(lanes.next().restarted).toEqual([0, 1, 2]);
  });

  it('mixes a history with generated series, three to one', () => {
    const own = generatedSource(6, ['flat'], 100);
    const source = historySource([own(0), own(1)].map((example) => ({ ...example, name: 'own' })), generatedSource(7));
    expect(Array.from({ length: 8 }, (_, i) => source(i).name === 'own')).toEqual([true, true, true, false, true, true, true, false]);
  });
});

describe('AdamW', () => {
  it('moves by the rate against the gradient at first, whatever its size, and clips its norm', () => {
    const parameters = new Map([['a.kernel', Float32Array.of(1, 1)]]);
    const norm = new AdamW({ weightDecay: 0, clipNorm: 1 }).update(parameters, new Map([['a.kernel', Float32Array.of(30, -40)]]), 0.1);
    expect(norm).toBeCloseTo(50, 4);
    expect(parameters.get('a.kernel')?.[0]).toBeCloseTo(0.9, 5);
    expect(parameters.get('a.kernel')?.[1]).toBeCloseTo(1.1, 5);
  });

  it('decays kernels apart from the gradient, and no biases', () => {
    const parameters = new Map([['a.kernel', Float32Array.of(1)], ['a.bias', Float32Array.of(1)]]);
    new AdamW({ weightDecay: 0.5, clipNorm: 1 }).update(parameters, new Map([['a.kernel', Float32Array.of(0)], ['a.bias', Float32Array.of(0)]]), 0.1);
    expect(parameters.get('a.kernel')?.[0]).toBeCloseTo(0.95, 5);
    expect(parameters.get('a.bias')?.[0]).toBe(1);
  });

  it('warms up, then follows a half cosine', () => {
    expect(learningRate(0, 1000, 1)).toBeCloseTo(0.05, 6);
    expect(learningRate(20, 1000, 1)).toBeCloseTo(1, 6);
    expect(learningRate(510, 1000, 1)).toBeCloseTo(0.505, 3);
    expect(learningRate(1000, 1000, 1)).toBeCloseTo(0.01, 6);
  });
});

import { HORIZONS, OUTPUTS } from '../forecast.js';
import { initialise, layerShapes, type Network, type NetworkConfig } from '../network.js';
import { FEATURES } from '../normaliser.js';
import { assess, type Assessment } from './evaluate.js';
import type { Example } from './examples.js';
import { lossAndGradients, type Parameters } from './gradient.js';
import { Lanes, type ExampleSource, type LanesPosition } from './lanes.js';
import { AdamW, learningRate } from './optimiser.js';
import type { TensorFlow } from './tensorflow.js';

/** The network that ships: 4,200 weights, 32 floats of state a series. */
export const DEFAULT_CONFIG: NetworkConfig = {
  features: 'v1',
  inputs: FEATURES,
  layers: [{ cell: 'gru', units: 32 }],
  head: { outputs: OUTPUTS, skip: true },
  horizons: [...HORIZONS],
};

export interface TrainSettings {
  seed: number;
  /** Updates of the weights. */
  steps: number;
  /** Series side by side (B). */
  rows: number;
  /** Readings between updates, through which gradients run (T). */
  chunk: number;
  peakRate: number;
  weightDecay: number;
  /** Updates between assessments on the held-out series. */
  assessEvery: number;
  /** Stop after so many assessments without a better one. */
  patience: number;
}

export const DEFAULT_SETTINGS: TrainSettings = {
  seed: 1, steps: 4000, rows: 256, chunk: 256, peakRate: 3e-3, weightDecay: 0.01, assessEvery: 100, patience: 12,
};

/** Gentler, so that a small history bends the shipped weights and does not break them. */
export const FINE_TUNE_SETTINGS: TrainSettings = { ...DEFAULT_SETTINGS, peakRate: 5e-4, assessEvery: 20, patience: 6 };

export interface LossPoint {
  step: number;
  train: number;
  /** Loss on the held-out series, where it was assessed. */
  heldOut?: number;
}

/** Everything that the next step depends on: training goes on from it bit for bit. */
export interface Checkpoint {
  settings: TrainSettings;
  config: NetworkConfig;
  step: number;
  parameters: Parameters;
  best: { step: number; loss: number; parameters: Parameters };
  sinceBest: number;
  states: Float32Array[];
  lanes: LanesPosition;
  optimiser: ReturnType<AdamW['save']>;
  curve: LossPoint[];
}

export interface TrainTask {
  runtime: TensorFlow;
  settings: TrainSettings;
  source: ExampleSource;
  /** Series that are never trained on. */
  heldOut: readonly Example[];
  /** Start from these weights instead of random ones. */
  initial?: Network;
  resume?: Checkpoint;
  config?: NetworkConfig;
  /** After every step. */
  onStep?: (point: LossPoint) => void;
  /** After every assessment; a place to keep it. */
  onCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  stopped?: () => boolean;
}

export interface Trained {
  config: NetworkConfig;
  parameters: Parameters;
  /** On the held-out series. */
  assessment: Assessment;
  curve: LossPoint[];
  steps: number;
  dataHash: string;
}

/**
 * Trains by truncated BPTT: states run on from chunk to chunk, gradients do not. Gives the weights that were best on the
 * held-out series. The same task gives the same weights on the same machine and TensorFlow.
 */
export async function train(task: TrainTask): Promise<Trained> {
  const { runtime, settings, source, heldOut } = task;
  const run = start(task);
  const lanes = new Lanes(source, settings.rows, settings.chunk, task.resume?.lanes);
  const optimiser = new AdamW({ weightDecay: settings.weightDecay, clipNorm: 1 });
  if (task.resume !== undefined) optimiser.restore(task.resume.optimiser);

  while (run.step < settings.steps && run.sinceBest < settings.patience && task.stopped?.() !== true) {
    const { chunk, restarted } = lanes.next();
    layerShapes(run.config).forEach(({ stateSize }, l) => restarted.forEach((row) => run.states[l].fill(0, row * stateSize, (row + 1) * stateSize)));
    const result = lossAndGradients(runtime, run.config, run.parameters, chunk, run.states);
    run.states = result.states;
    optimiser.update(run.parameters, result.gradients, learningRate(run.step, settings.steps, settings.peakRate));
    run.step++;
    const point: LossPoint = { step: run.step, train: result.loss };
    if (run.step % settings.assessEvery === 0 || run.step === settings.steps) {
      point.heldOut = assess(runtime, run.config, run.parameters, heldOut).loss;
      keepBest(run, point.heldOut);
    }
    run.curve.push(point);
    task.onStep?.(point);
    if (point.heldOut !== undefined) await task.onCheckpoint?.({ ...run, settings, lanes: lanes.where(), optimiser: optimiser.save() });
    // Signals and progress get their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (run.best.step === 0) keepBest(run, assess(runtime, run.config, run.parameters, heldOut).loss);
  return {
    config: run.config, parameters: run.best.parameters, curve: run.curve, steps: run.best.step, dataHash: lanes.where().hash,
    assessment: assess(runtime, run.config, run.best.parameters, heldOut),
  };
}

type Run = Omit<Checkpoint, 'settings' | 'lanes' | 'optimiser'>;

function start({ settings, initial, resume, config }: TrainTask): Run {
  if (resume !== undefined) return structuredClone({ ...resume, settings: undefined, lanes: undefined, optimiser: undefined });
  const network = initial ?? initialise(config ?? DEFAULT_CONFIG, settings.seed);
  const parameters = new Map([...network.tensors].map(([name, { data }]) => [name, data.slice()]));
  return {
    config: network.config, step: 0, parameters, sinceBest: 0, curve: [],
    best: { step: 0, loss: Infinity, parameters },
    states: layerShapes(network.config).map(({ stateSize }) => new Float32Array(settings.rows * stateSize)),
  };
}

function keepBest(run: Run, loss: number): void {
  run.sinceBest++;
  if (!(loss < run.best.loss)) return;
  run.best = { step: run.step, loss, parameters: structuredClone(run.parameters) };
  run.sinceBest = 0;
}

import { rename, writeFile } from 'node:fs/promises';
import { BAND, bandCalibration } from '../forecast.js';
import type { Network, NetworkConfig } from '../network.js';
import { tensorSpecs } from '../network.js';
import { encodeWeights } from '../weights.js';
import { assess, type Assessment } from './evaluate.js';
import { encodeSeries, type Example, type TrainingSeries } from './examples.js';
import { FAMILIES, GENERATOR_VERSION, type FamilyName } from './generator/index.js';
import { generatedSeries, generatedSource, historySource } from './lanes.js';
import type { TensorFlow } from './tensorflow.js';
import { train, type Checkpoint, type LossPoint, type TrainSettings, type Trained } from './trainer.js';

/** Series of each family in the held-out set (early stop, calibration) and again in the test set (what is reported). */
const SERIES_PER_FAMILY = 4;
const HELD_OUT_LENGTH = 3000;
/** Streams of the generator, so that no set shares a series with another. */
const HELD_OUT_STREAM = 0x48454c44;
const TEST_STREAM = 0x54455354;
/** Share of a user's series, its end, that is not trained on. */
const HISTORY_HELD_OUT = 0.2;

export interface TrainingRun {
  runtime: TensorFlow;
  settings: TrainSettings;
  families?: readonly FamilyName[];
  /** Fine-tune on these series, with generated ones in between. */
  history?: readonly TrainingSeries[];
  /** Start from these weights. */
  initial?: Network;
  /** The network to train from random weights; the one that ships where left out. */
  config?: NetworkConfig;
  resume?: Checkpoint;
  /** Said in the metadata: how to get these weights again. */
  command: string;
  onStep?: (point: LossPoint) => void;
  onCheckpoint?: (checkpoint: Checkpoint) => Promise<void>;
  stopped?: () => boolean;
}

export interface TrainingResult {
  network: Network;
  trained: Trained;
  /** On generated series that neither training nor calibration saw; for a history, on its held-back ends. */
  test: Assessment;
  /** A few of those series, as they came, to be drawn. */
  plotted: readonly TrainingSeries[];
}

/** Trains, calibrates the band on the held-out series, and reports on others. */
export async function runTraining(run: TrainingRun): Promise<TrainingResult> {
  const { runtime, settings } = run;
  const families = run.families ?? FAMILIES;
  const generated = generatedSource(settings.seed, families);
  const sets = run.history === undefined ? generatedSets(families) : historySets(run.history, settings.steps === 0);
  const source = run.history === undefined ? generated : historySource(run.history.map((series) => encodeSeries(series, { to: boundary(series) })), generated);
  const trained = await train({ ...run, source, heldOut: sets.heldOut });
  // Weights that are only assessed keep the calibration that they came with.
  const calibration = run.settings.steps === 0 && run.initial !== undefined ? bandCalibration(run.initial.metadata) : trained.assessment.calibration;
  const test = assess(runtime, trained.config, trained.parameters, sets.test, calibration);
  return { network: networkOf(run, families, trained, calibration, test), trained, test, plotted: sets.plotted };
}

interface Sets {
  /** Early stop and calibration. */
  heldOut: Example[];
  /** What is reported. */
  test: Example[];
  plotted: readonly TrainingSeries[];
}

function generatedSets(families: readonly FamilyName[]): Sets {
  const draw = (stream: number): Example[] => {
    const source = generatedSource(stream, families, HELD_OUT_LENGTH);
    return Array.from({ length: families.length * SERIES_PER_FAMILY }, (_, i) => source(i));
  };
  const plotted = families.map((_, i) => generatedSeries(TEST_STREAM, families, i, HELD_OUT_LENGTH));
  return { heldOut: draw(HELD_OUT_STREAM), test: draw(TEST_STREAM), plotted };
}

/** The held-back end of each series: its first half calibrates, its second half is reported on. Nothing was trained on: all of it. */
function historySets(history: readonly TrainingSeries[], untrained: boolean): Sets {
  const halves = history.map((series) => {
    const from = untrained ? 0 : boundary(series);
    const middle = untrained ? 0 : Math.round((from + series.value.length) / 2);
    return {
      heldOut: encodeSeries(series, { from, to: untrained ? series.value.length : middle }),
      test: encodeSeries(series, { from: middle }),
    };
  });
  return { heldOut: halves.map((half) => half.heldOut), test: halves.map((half) => half.test), plotted: history.slice(0, 20) };
}

function boundary(series: TrainingSeries): number {
  return Math.round(series.value.length * (1 - HISTORY_HELD_OUT));
}

function networkOf(run: TrainingRun, families: readonly FamilyName[], trained: Trained, calibration: number[], test: Assessment): Network {
  const rounded = (values: readonly number[], digits = 4): number[] => values.map((x) => Number(x.toFixed(digits)));
  const shapes = new Map(tensorSpecs(trained.config).map(({ name, shape }) => [name, shape]));
  return {
    config: trained.config,
    tensors: new Map([...trained.parameters].map(([name, data]) => [name, { shape: shapes.get(name) ?? [data.length], data }])),
    metadata: {
      command: run.command,
      seed: String(run.settings.seed),
      generator_version: String(GENERATOR_VERSION),
      families: families.join(' '),
      data_hash: trained.dataHash,
      steps: String(trained.steps),
      settings: JSON.stringify(run.settings),
      calibration: JSON.stringify(rounded(calibration)),
      metrics: JSON.stringify({
        loss: rounded([test.loss])[0], horizon_losses: rounded(test.horizonLosses), coverage: rounded(test.coverage), band: BAND,
      }),
    },
  };
}

/** Replaces the file whole. */
export async function saveWeights(path: string, network: Network): Promise<void> {
  await writeFile(`${path}.tmp`, encodeWeights(network));
  await rename(`${path}.tmp`, path);
}

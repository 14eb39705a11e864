import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../core/clock.js';
import { GruardError } from '../core/errors.js';
import { shippedFile } from '../core/paths.js';
import { CELL_KINDS } from '../model/cells/cell.js';
import { LIMITS, type LayerConfig } from '../model/network.js';
import type { Checkpoint, LossPoint, TrainSettings } from '../model/train/trainer.js';
import type { TrainingSeries } from '../model/train/examples.js';
import type { TrainingResult } from '../model/train/run.js';
import { configOf, withConfig, type CommonOptions } from './options.js';
import { Progress } from './progress.js';

const DAY_MS = 86_400_000;

interface TrainOptions extends CommonOptions {
  out: string;
  steps: number;
  seed: number;
  rows: number;
  family?: string[];
  init?: string;
  layers?: LayerConfig[];
  from?: string[];
  fromServer?: boolean;
  days: number;
  resume?: boolean;
  report?: string;
  json?: boolean;
}

/** `gruard train`: pretrain on generated series, or fine-tune on a history. TensorFlow is loaded when it runs, not before. */
export function trainCommand(): Command {
  return withConfig(new Command('train'))
    .description('train the network: on generated series, or fine-tune it on your own history')
    .option('-o, --out <file>', 'weights to write (safetensors); the checkpoint is kept beside it', 'weights.safetensors')
    .option('--steps <n>', 'updates of the weights; 0 assesses --init as it is', whole, 2000)
    .option('--seed <n>', 'seed of weights and series', whole, 1)
    .option('--rows <n>', 'series trained side by side', whole, 256)
    .option('--family <name...>', 'only these families of generated series')
    .option('--from <csv...>', 'fine-tune on the metrics of these CSV files (timestamp column and metric columns)')
    .option('--from-server', 'fine-tune on what the running server holds, from whichever store it has')
    .option('--days <n>', 'how far back --from-server goes', whole, 30)
    .option('--init <weights>', 'start from these weights (`default`: the shipped ones; implied by --from and --from-server)')
    .option('--layers <cell:units,...>', `the network to train from random weights, bottom first: up to ${LIMITS.layers} of ${CELL_KINDS.join(', ')} (default: gru:32)`, layersOf)
    .option('--resume', 'go on from the checkpoint beside --out')
    .option('--report <html>', 'write a report with plots')
    .option('--json', 'print the result as JSON')
    .action(async (_options: unknown, command: Command) => train(command.opts<TrainOptions>()));
}

async function train(options: TrainOptions): Promise<void> {
  const [{ loadTensorFlow }, { runTraining, saveWeights }, { readCheckpoint, writeCheckpoint }, { renderReport }] = await Promise.all([
    import('../model/train/tensorflow.js'), import('../model/train/run.js'), import('../model/train/checkpoint.js'), import('../model/train/report.js'),
  ]);
  const checkpointPath = `${options.out}.checkpoint`;
  const runtime = await loadTensorFlow();
  if (runtime.kernel === undefined) process.stderr.write('tfjs-node is not installed: training with plain tfjs, about 20 times slower\n');
  const task = await taskOf(options);
  const saved = options.resume === true ? await readCheckpoint(checkpointPath) : undefined;
  const resume = saved?.checkpoint;
  const command = saved === undefined ? commandLine(options) : `${saved.command}; stopped at step ${saved.checkpoint.step}; gruard train --resume --steps ${options.steps}`;
  const settings = resume === undefined ? task.settings : { ...resume.settings, steps: task.settings.steps };
  const progress = openProgress(settings.steps);
  const interrupt = listenForInterrupt();
  const result = await runTraining({
    ...task, runtime, settings, resume, command,
    onStep: (point) => progress.at(point),
    onCheckpoint: (checkpoint: Checkpoint) => writeCheckpoint(checkpointPath, { command, checkpoint }),
    stopped: () => interrupt.requested,
  });
  progress.stop();
  interrupt.stop();
  if (settings.steps > 0) await saveWeights(options.out, result.network);
  if (options.report !== undefined) await writeFile(options.report, renderReport(result));
  process.stdout.write(options.json === true ? `${JSON.stringify(figures(result, options))}\n` : text(result, options));
}

async function taskOf(options: TrainOptions) {
  const [{ DEFAULT_CONFIG, DEFAULT_SETTINGS, FINE_TUNE_SETTINGS }, { FAMILIES }, { readWeights }] = await Promise.all([
    import('../model/train/trainer.js'), import('../model/train/generator/index.js'), import('../model/weights.js'),
  ]);
  const families = options.family?.map((name) => {
    const family = FAMILIES.find((known) => known === name);
    if (family === undefined) throw new GruardError('USAGE', `no family ${name}; there are ${FAMILIES.join(', ')}`);
    return family;
  });
  const history = await historyOf(options);
  const init = options.init ?? (history === undefined ? undefined : 'default');
  const initial = init === undefined ? undefined : await readWeights(init === 'default' ? shippedFile('model/weights/default.safetensors') : init);
  const defaults = initial === undefined ? DEFAULT_SETTINGS : FINE_TUNE_SETTINGS;
  if (options.layers !== undefined && initial !== undefined) throw new GruardError('USAGE', '--layers begins with random weights: leave it out, or --init, --from and --from-server');
  const settings: TrainSettings = { ...defaults, steps: options.steps, seed: options.seed, rows: options.rows };
  return { settings, families, history, initial, config: options.layers === undefined ? undefined : { ...DEFAULT_CONFIG, layers: options.layers } };
}

/** The user's own series; undefined where none are asked for. */
async function historyOf(options: TrainOptions): Promise<TrainingSeries[] | undefined> {
  const { collectHistory, csvHistory } = await import('../model/train/history.js');
  if (options.from !== undefined) return collectHistory(csvHistory(options.from));
  if (options.fromServer !== true) return undefined;
  const { serverHistory } = await import('./server-history.js');
  const endMs = systemClock.nowMs();
  return collectHistory(serverHistory(configOf(options), { startMs: endMs - options.days * DAY_MS, endMs }));
}

/** The command that gives these weights again, for their metadata. */
function commandLine(options: TrainOptions): string {
  const parts = ['gruard train', `--steps ${options.steps}`, `--seed ${options.seed}`, `--rows ${options.rows}`];
  if (options.family !== undefined) parts.push(`--family ${options.family.join(' ')}`);
  if (options.from !== undefined) parts.push(`--from (${options.from.length} files)`);
  if (options.fromServer === true) parts.push(`--from-server --days ${options.days}`);
  if (options.init !== undefined) parts.push(`--init ${options.init}`);
  if (options.layers !== undefined) parts.push(`--layers ${options.layers.map(({ cell, units }) => `${cell}:${units}`).join(',')}`);
  return parts.join(' ');
}

/** A bar on a terminal, a line at each assessment elsewhere; on stderr. */
function openProgress(steps: number): { at(point: LossPoint): void; stop(): void } {
  const bar = new Progress('training');
  let heldOut = '-';
  let smooth: number | undefined;
  return {
    at(point) {
      smooth = smooth === undefined ? point.train : smooth + 0.05 * (point.train - smooth);
      if (point.heldOut !== undefined) heldOut = point.heldOut.toFixed(4);
      bar.update(point.step / steps, `step ${point.step}/${steps}  loss ${smooth.toFixed(4)}  held out ${heldOut}`);
      if (!process.stderr.isTTY && point.heldOut !== undefined) process.stderr.write(`step ${point.step}/${steps} loss ${smooth.toFixed(4)} held out ${heldOut}\n`);
    },
    stop: () => bar.end(),
  };
}

/** The first Ctrl-C ends training after its step, and what was learned is written; the second ends the process. */
function listenForInterrupt(): { readonly requested: boolean; stop(): void } {
  let requested = false;
  const onSignal = (): void => {
    requested = true;
    process.stderr.write('\nstopping after this step\n');
  };
  process.once('SIGINT', onSignal);
  return { get requested() { return requested; }, stop: () => process.off('SIGINT', onSignal) };
}

function figures({ trained, test }: TrainingResult, options: TrainOptions) {
  return {
    out: options.out, steps: trained.steps, held_out_loss: trained.assessment.loss, test_loss: test.loss,
    coverage_1: test.coverage[0], coverage_8: test.coverage[1], coverage_32: test.coverage[2], data_hash: trained.dataHash,
  };
}

function text(result: TrainingResult, options: TrainOptions): string {
  const percent = (x: number): string => `${(100 * x).toFixed(2)} %`;
  const { test, trained } = result;
  const saved = options.steps > 0 ? `weights of step ${trained.steps} written to ${options.out}\n` : '';
  return `${saved}loss on test series ${test.loss.toFixed(4)} (horizons 1, 8, 32: ${test.horizonLosses.map((x) => x.toFixed(3)).join(', ')})
inside the 99 % band: ${test.coverage.map(percent).join(', ')}\n`;
}

function whole(given: string): number {
  const number = Number(given);
  if (!Number.isInteger(number) || number < 0 || number > 1e7) throw new InvalidArgumentError('a whole number is wanted');
  return number;
}

/** `gru:32,lstm:16` */
function layersOf(given: string): LayerConfig[] {
  const parts = given.split(',');
  if (parts.length > LIMITS.layers) throw new InvalidArgumentError(`at most ${LIMITS.layers} layers`);
  return parts.map((part) => {
    const [name, units, ...rest] = part.split(':');
    const cell = CELL_KINDS.find((kind) => kind === name);
    if (cell === undefined || !/^[1-9]\d{0,2}$/.test(units ?? '') || Number(units) > LIMITS.units || rest.length > 0) {
      throw new InvalidArgumentError(`${part} is not a cell of ${CELL_KINDS.join(', ')} and 1 to ${LIMITS.units} units, as in lstm:64`);
    }
    return { cell, units: Number(units) };
  });
}

import { createRequire } from 'node:module';
import util from 'node:util';
import type * as TensorFlowModule from '@tensorflow/tfjs';
import { GruardError, messageOf } from '../../core/errors.js';

export type TF = typeof TensorFlowModule;
export type Tensor = TensorFlowModule.Tensor;
export type Tensor2D = TensorFlowModule.Tensor2D;

/** The part of the native backend that runs TensorFlow's own kernels by name; not in the public types. */
interface KernelRunner {
  executeMultipleOutputs(name: string, attributes: unknown[], inputs: Tensor[], outputs: number): Tensor[];
  binding: { TF_ATTR_TYPE: number; TF_FLOAT: number };
}

export interface TensorFlow {
  tf: TF;
  /** Runs one of TensorFlow's own float kernels; absent in plain tfjs. */
  kernel?: (name: string, inputs: Tensor[], outputs: number) => Tensor[];
}

let loaded: Promise<TensorFlow> | undefined;

/**
 * TensorFlow.js on its native backend, or plain tfjs where that is missing (about 20 times slower).
 * @throws GruardError BACKEND_UNAVAILABLE when neither is installed.
 */
export function loadTensorFlow(): Promise<TensorFlow> {
  return (loaded ??= load());
}

async function load(): Promise<TensorFlow> {
  const require = createRequire(import.meta.url);
  restoreUtil();
  try {
    const tf = require('@tensorflow/tfjs-node') as TF;
    await tf.ready();
    const backend = tf.backend() as unknown as KernelRunner;
    const attributes = [{ name: 'T', type: backend.binding.TF_ATTR_TYPE, value: backend.binding.TF_FLOAT }];
    return { tf, kernel: (name, inputs, outputs) => backend.executeMultipleOutputs(name, attributes, inputs, outputs) };
  } catch {
    return loadPlain();
  }
}

/** Plain tfjs on the processor, without native kernels. */
export async function loadPlain(): Promise<TensorFlow> {
  try {
    const tf = createRequire(import.meta.url)('@tensorflow/tfjs') as TF;
    await tf.setBackend('cpu');
    await tf.ready();
    return { tf };
  } catch (error) {
    throw new GruardError('BACKEND_UNAVAILABLE', `training needs @tensorflow/tfjs: ${messageOf(error)}`, { cause: error });
  }
}

/** tfjs-node 4.22 calls two functions that Node 23 took out of util. */
function restoreUtil(): void {
  const removed = util as unknown as Record<string, unknown>;
  removed.isNullOrUndefined ??= (x: unknown) => x === null || x === undefined;
  removed.isArray ??= Array.isArray;
}

import type { Tensor, Tensor2D, TensorFlow } from './tensorflow.js';

/**
 * A GRU layer over time, forward and backward (backpropagation through time, Werbos 1990), written by hand: a tape over
 * T x 11 operations costs several times what they do. The equations are those of model/cells/gru.ts. In TensorFlow's own fused kernel
 * (GRUBlockCell) a step is one operation; without it the same step is made of plain ones.
 *
 * B: rows, I: inputs, H: units. Gates are joined over [x, h]: `gates` [I + H, 2H] with columns r, then u (Keras' z); `candidate` [I + H, H].
 */
export interface GruTensors {
  gates: Tensor2D;
  candidate: Tensor2D;
  gatesBias: Tensor;
  candidateBias: Tensor;
}

/** What a forward step leaves for the backward one; all [B, H]. */
interface Step {
  x: Tensor2D;
  before: Tensor2D;
  r: Tensor2D;
  u: Tensor2D;
  c: Tensor2D;
}

export interface Forward {
  steps: Step[];
  /** T tensors [B, H]. */
  outputs: Tensor2D[];
}

/** Runs T inputs [B, I] from the state [B, H]. */
export function forward(runtime: TensorFlow, weights: GruTensors, inputs: Tensor2D[], state: Tensor2D): Forward {
  const steps: Step[] = [];
  const outputs: Tensor2D[] = [];
  let before = state;
  for (const x of inputs) {
    const [r, u, c, after] = runtime.kernel === undefined ? plainStep(runtime, weights, x, before) : nativeStep(runtime.kernel, weights, x, before);
    steps.push({ x, before, r, u, c });
    outputs.push(after);
    before = after;
  }
  return { steps, outputs };
}

/**
 * The gradients of the loss by the weights and the inputs, from those by the outputs.
 * @param outputGradients [T] tensors [B, H]; no gradient comes from beyond the last step (truncated BPTT)
 */
export function backward(runtime: TensorFlow, weights: GruTensors, steps: Step[], outputGradients: Tensor2D[]): { weights: GruTensors; inputs: Tensor2D[] } {
  const { tf } = runtime;
  const inputs = new Array<Tensor2D>(steps.length);
  const gateSums = new Array<Tensor2D>(steps.length);
  const candidateSums = new Array<Tensor2D>(steps.length);
  let later: Tensor2D | undefined;
  for (let t = steps.length - 1; t >= 0; t--) {
    const gradient: Tensor2D = later === undefined ? outputGradients[t] : tf.add(outputGradients[t], later);
    const [dx, dBefore, dCandidate, dGates] =
      runtime.kernel === undefined ? plainGradient(runtime, weights, steps[t], gradient) : nativeGradient(runtime.kernel, weights, steps[t], gradient);
    inputs[t] = dx;
    candidateSums[t] = dCandidate;
    gateSums[t] = dGates;
    later = dBefore;
  }
  // One product over all T * B rows a weight, instead of T small ones.
  const dGates = tf.concat(gateSums, 0);
  const dCandidate = tf.concat(candidateSums, 0);
  const xs = tf.concat(steps.map((step) => step.x), 0);
  const hs = tf.concat(steps.map((step) => step.before), 0);
  const rs = tf.concat(steps.map((step) => step.r), 0);
  return {
    inputs,
    weights: {
      gates: tf.matMul(tf.concat([xs, hs], 1), dGates, true),
      candidate: tf.matMul(tf.concat([xs, tf.mul<Tensor2D>(rs, hs)], 1), dCandidate, true),
      gatesBias: tf.sum(dGates, 0),
      candidateBias: tf.sum(dCandidate, 0),
    },
  };
}

type Kernel = NonNullable<TensorFlow['kernel']>;
type Four = [Tensor2D, Tensor2D, Tensor2D, Tensor2D];

function nativeStep(kernel: Kernel, w: GruTensors, x: Tensor2D, h: Tensor2D): Four {
  return kernel('GRUBlockCell', [x, h, w.gates, w.candidate, w.gatesBias, w.candidateBias], 4) as Four;
}

function nativeGradient(kernel: Kernel, w: GruTensors, { x, before, r, u, c }: Step, gradient: Tensor2D): Four {
  return kernel('GRUBlockCellGrad', [x, before, w.gates, w.candidate, w.gatesBias, w.candidateBias, r, u, c, gradient], 4) as Four;
}

function plainStep({ tf }: TensorFlow, w: GruTensors, x: Tensor2D, h: Tensor2D): Four {
  const units = h.shape[1];
  const gates = tf.sigmoid<Tensor2D>(tf.add(tf.matMul(tf.concat([x, h], 1), w.gates), w.gatesBias));
  const r = tf.slice(gates, [0, 0], [-1, units]);
  const u = tf.slice(gates, [0, units], [-1, units]);
  const c = tf.tanh<Tensor2D>(tf.add(tf.matMul(tf.concat([x, tf.mul<Tensor2D>(r, h)], 1), w.candidate), w.candidateBias));
  return [r, u, c, tf.add(c, tf.mul(u, tf.sub(h, c)))];
}

/** h' = u h + (1 - u) c, differentiated backwards through c, u and r. Returns the gradients by x, h, and by c's and (r, u)'s sums. */
function plainGradient({ tf }: TensorFlow, w: GruTensors, { x, before, r, u, c }: Step, gradient: Tensor2D): Four {
  const inputs = x.shape[1];
  const units = before.shape[1];
  const one = tf.scalar(1);
  const dCandidate = tf.mul<Tensor2D>(tf.mul(gradient, tf.sub(one, u)), tf.sub(one, tf.square(c)));
  const throughCandidate = tf.matMul(dCandidate, w.candidate, false, true);
  const dResetState = tf.slice(throughCandidate, [0, inputs], [-1, units]);
  const dr = tf.mul<Tensor2D>(tf.mul(dResetState, before), tf.mul(r, tf.sub(one, r)));
  const du = tf.mul<Tensor2D>(tf.mul(gradient, tf.sub(before, c)), tf.mul(u, tf.sub(one, u)));
  const dGates = tf.concat([dr, du], 1);
  const throughGates = tf.matMul(dGates, w.gates, false, true);
  const dx = tf.add<Tensor2D>(tf.slice(throughCandidate, [0, 0], [-1, inputs]), tf.slice(throughGates, [0, 0], [-1, inputs]));
  const direct = tf.add(tf.mul(gradient, u), tf.mul(dResetState, r));
  return [dx, tf.add(direct, tf.slice(throughGates, [0, inputs], [-1, units])), dCandidate, dGates];
}

import { DOF_LOW, DOF_SPAN, HORIZONS, LOG_SIGMA_HIGH, LOG_SIGMA_LOW, MOVE_LIMIT, PARAMETERS } from '../forecast.js';
import type { Tensor, Tensor2D, TF } from './tensorflow.js';

/** Weight of each horizon in the loss. */
export const HORIZON_WEIGHTS = [1, 0.5, 0.5] as const;

/**
 * The mean negative log-likelihood of the targets under the head's Student-t (model/forecast.ts), a horizon, weighted and summed:
 *
 *   -ln p(e) = ln sigma + (nu + 1)/2 ln(1 + e^2/nu) - ln G(nu),   e = (target - r) / sigma
 *   ln G(nu) = lnGamma((nu + 1)/2) - lnGamma(nu/2) - ln(nu pi)/2
 *
 * @param outputs [N, 9]
 * @param targets [N, 3] asinh moves, see examples.ts
 * @param present [N, 3] 1 where there is a target, otherwise 0
 */
export function studentLoss(tf: TF, outputs: Tensor2D, targets: Tensor2D, present: Tensor2D): { total: Tensor; horizons: Tensor } {
  const columns = (parameter: number): Tensor2D =>
    tf.concat(HORIZONS.map((_, i) => tf.slice(outputs, [0, i * PARAMETERS + parameter], [-1, 1])), 1);
  const move = tf.clipByValue(columns(0), -MOVE_LIMIT, MOVE_LIMIT);
  const logSigma = tf.clipByValue(columns(1), LOG_SIGMA_LOW, LOG_SIGMA_HIGH);
  const dof = tf.add(tf.mul(tf.sigmoid(columns(2)), DOF_SPAN), DOF_LOW);
  const error = tf.mul(tf.sub(targets, move), tf.exp(tf.neg(logSigma)));
  const tail = tf.mul(tf.mul(tf.add(dof, 1), 0.5), tf.log1p(tf.div(tf.square(error), dof)));
  const loss = tf.mul(tf.sub(tf.add(logSigma, tail), logNormaliser(tf, dof)), present);
  const horizons = tf.div(tf.sum(loss, 0), tf.add(tf.sum(present, 0), 1e-6));
  return { total: tf.sum(tf.mul(horizons, tf.tensor1d([...HORIZON_WEIGHTS]))), horizons };
}

/**
 * ln G(nu), by lnGamma(x + 1/2) - lnGamma(x) = ln(x)/2 - 1/(8x) + 1/(192 x^3) - 1/(640 x^5) with x = nu/2 >= 1 (the asymptotic series,
 * DLMF 5.11.13; within 6e-4), since TensorFlow.js has no lnGamma.
 */
function logNormaliser(tf: TF, dof: Tensor): Tensor {
  const inverse = tf.div(2, dof);
  const cube = tf.mul(tf.square(inverse), inverse);
  const series = tf.sub(tf.sub(tf.mul(cube, 1 / 192), tf.mul(inverse, 1 / 8)), tf.mul(tf.mul(cube, tf.square(inverse)), 1 / 640));
  return tf.sub(series, 0.5 * Math.log(2 * Math.PI));
}

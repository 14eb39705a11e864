/**
 * Small dense algebra for the joint judgement of a device's metrics: correlation matrices of at most 16 metrics, inverted now and then
 * in float64. Matrices are [n][n] in rows of `WIDTH`; everything is in place, nothing is allocated.
 */
export const WIDTH = 16;

const work = new Float64Array(WIDTH * WIDTH);

/** Inverts the symmetric positive definite `matrix` [n][n] in place, by Gauss-Jordan without pivoting (the diagonal is at least 1). */
export function invert(matrix: Float64Array, n: number): void {
  for (let k = 0; k < n; k++) {
    const row = k * WIDTH;
    const pivot = 1 / matrix[row + k];
    matrix[row + k] = 1;
    for (let j = 0; j < n; j++) matrix[row + j] *= pivot;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const other = i * WIDTH;
      const factor = matrix[other + k];
      if (factor === 0) continue;
      matrix[other + k] = 0;
      for (let j = 0; j < n; j++) matrix[other + j] -= factor * matrix[row + j];
    }
  }
}

/** How far ln(probability) falls behind `q` = y' P y of `n` metrics whose covariance was learned from about `freedom` independent readings: Chernoff's bound of Student's t. */
export function surpriseOf(q: number, n: number, freedom: number): number {
  if (q <= n) return 0;
  const surprise = 0.5 * (freedom + n) * Math.log((1 + q / freedom) / (1 + n / freedom)) - 0.5 * n * Math.log(q / n);
  return surprise > 0 ? surprise : 0;
}

/**
 * The fewest metrics whose being off explains y, the most telling first: each is the one that, were it unknown, would make the rest least
 * surprising; it is then taken out. Unlike the largest of y it finds the one of two coupled metrics that left the other.
 *
 * @param gains [n] out: what each metric explains of y' P y, 0 for those that have no part
 * @returns how many have a part
 */
export function blame(precision: Float64Array, y: Float64Array, n: number, most: number, gains: Float64Array): number {
  work.set(precision);
  gains.fill(0);
  let first = 0;
  for (let found = 0; found < most; found++) {
    let best = -1;
    let gain = 0;
    for (let i = 0; i < n; i++) {
      if (gains[i] > 0) continue;
      let residual = 0;
      for (let j = 0; j < n; j++) if (gains[j] === 0) residual += work[i * WIDTH + j] * y[j];
      const explained = (residual * residual) / work[i * WIDTH + i];
      if (explained > gain) {
        gain = explained;
        best = i;
      }
    }
    if (best < 0 || (found > 0 && (gain < LEAST_GAIN || gain < LEAST_SHARE * first))) return found;
    if (found === 0) first = gain;
    gains[best] = gain;
    const pivot = 1 / work[best * WIDTH + best];
    for (let i = 0; i < n; i++) {
      if (i === best) continue;
      const factor = work[i * WIDTH + best] * pivot;
      for (let j = 0; j < n; j++) if (j !== best) work[i * WIDTH + j] -= factor * work[best * WIDTH + j];
    }
  }
  return most;
}

/** 2.5 standard deviations, squared. */
const LEAST_GAIN = 6.25;
const LEAST_SHARE = 0.08;

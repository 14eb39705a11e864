/** Student's t distribution: its cumulative distribution and quantiles, for bands and calibration. Not for the hot path. */

/** ln Gamma(x), x > 0: Lanczos' approximation (g = 5, n = 6; Numerical Recipes, section 6.1), relative error below 2e-10. */
export function logGamma(x: number): number {
  const coefficients = [76.18009172947146, -86.5053203294168, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];
  const base = x + 5.5;
  let series = 1.000000000190015;
  coefficients.forEach((c, i) => (series += c / (x + 1 + i)));
  return (x + 0.5) * Math.log(base) - base + Math.log((Math.sqrt(2 * Math.PI) * series) / x);
}

/** P(T <= t) for T of Student's t with `dof` degrees of freedom. */
export function studentCdf(t: number, dof: number): number {
  const tail = 0.5 * regularisedBeta(dof / (dof + t * t), dof / 2, 0.5);
  return t > 0 ? 1 - tail : tail;
}

/** The t with P(T <= t) = p, 0.5 < p < 1, by bisection. */
export function studentQuantile(p: number, dof: number): number {
  let low = 0;
  let high = 1;
  while (studentCdf(high, dof) < p) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, dof) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** I_x(a, b), the regularised incomplete beta function, by its continued fraction (Abramowitz & Stegun 26.5.8). */
function regularisedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x));
  // The fraction converges fast on this side only; the other follows by symmetry.
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

/** Lentz's method on the continued fraction. */
function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const nonZero = (v: number): number => (Math.abs(v) < tiny ? tiny : v);
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let value = d;
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    value *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    value *= d * c;
    if (Math.abs(d * c - 1) < 1e-12) break;
  }
  return value;
}

// exp and ln in float64, the same bits on every machine and in every version of a JavaScript engine; below 1 ulp off.
//
// From FreeBSD's msun (e_exp.c, e_log.c), which carry this notice:
//   Copyright (C) 2004 by Sun Microsystems, Inc. All rights reserved.
//   Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice is preserved.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

static inline u64 bits_of(double x) { u64 b; __builtin_memcpy(&b, &x, 8); return b; }
static inline double from_bits(u64 b) { double x; __builtin_memcpy(&x, &b, 8); return x; }
static inline double root(double x) { return __builtin_sqrt(x); }
static inline double size_of(double x) { return __builtin_fabs(x); }
static inline double within(double x, double low, double high) { return x > high ? high : x < low ? low : x; }

#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10

// x = k ln 2 + r; exp(r) by a rational approximation of r (exp(r) + 1) / (exp(r) - 1).
static double exp_of(double x) {
  const u32 top = (u32)(bits_of(x) >> 32) & 0x7fffffff;
  double high = 0, low = 0;
  int k = 0;
  if (top >= 0x40862e42) {
    if (x != x) return x;
    if (x > 7.09782712893383973096e+02) return __builtin_inf();
    if (x < -7.45133219101941108420e+02) return 0;
  }
  if (top > 0x3fd62e42) {
    if (x == 1.0) return 2.718281828459045;
    if (top < 0x3ff0a2b2) {
      k = x < 0 ? -1 : 1;
      high = x < 0 ? x + LN2_HIGH : x - LN2_HIGH;
      low = x < 0 ? -LN2_LOW : LN2_LOW;
    } else {
      k = (int)(1.44269504088896338700e+00 * x + (x < 0 ? -0.5 : 0.5));
      high = x - k * LN2_HIGH;
      low = k * LN2_LOW;
    }
    x = high - low;
  } else if (top < 0x3e300000) {
    return 1.0 + x;
  }
  const double t = x * x;
  const double c = x - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05
    + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  if (k == 0) return 1.0 - ((x * c) / (c - 2.0) - x);
  const double y = 1.0 - ((low - (x * c) / (2.0 - c)) - high);
  if (k == 1024) return y * 2.0 * 8.98846567431157953865e307;
  if (k >= -1021) return y * from_bits((u64)(0x3ff + k) << 52);
  return y * from_bits((u64)(0x3ff + k + 1000) << 52) * 9.33263618503218878990e-302;
}

// More than ln x, by its exponent alone.
static inline double above_ln(double x) { return ((int)(bits_of(x) >> 52) - 1022) * 0.693147180559945309417; }

// x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2); ln(1 + f) = f - s (f - R), s = f / (2 + f), R a polynomial of s^2.
static double ln(double x) {
  int k = 0;
  int top = (int)(bits_of(x) >> 32);
  if (top < 0x00100000) {
    if (x == 0) return -__builtin_inf();
    if (top < 0) return __builtin_nan("");
    k = -54;
    x *= 18014398509481984.0;
    top = (int)(bits_of(x) >> 32);
  }
  if (top >= 0x7ff00000) return x + x;
  k += (top >> 20) - 1023;
  top &= 0x000fffff;
  const int up = (top + 0x95f64) & 0x100000;
  x = from_bits((bits_of(x) & 0xffffffffull) | (u64)(u32)(top | (up ^ 0x3ff00000)) << 32);
  k += up >> 20;
  const double f = x - 1.0, dk = k;
  if ((0x000fffff & (2 + top)) < 3) {
    if (f == 0) return k == 0 ? 0 : dk * LN2_HIGH + dk * LN2_LOW;
    const double r = f * f * (0.5 - 0.33333333333333333 * f);
    return k == 0 ? f - r : dk * LN2_HIGH - ((r - dk * LN2_LOW) - f);
  }
  const double s = f / (2.0 + f), z = s * s, w = z * z;
  const double t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double t2 = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double r = t2 + t1;
  if (((top - 0x6147a) | (0x6b851 - top)) > 0) {
    const double half = 0.5 * f * f;
    return k == 0 ? f - (half - s * (half + r)) : dk * LN2_HIGH - ((half - (s * (half + r) + dk * LN2_LOW)) - f);
  }
  return k == 0 ? f - s * (f - r) : dk * LN2_HIGH - ((s * (f - r) - dk * LN2_LOW) - f);
}

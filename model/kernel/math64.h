// Natural logarithm and exponential of float64, to the bit those of V8's Math.log and Math.exp: both are fdlibm's
// (Sun Microsystems 1993, e_log.c and e_exp.c), so that the kernel and model/normalise.ts agree in every bit of a series' state.
#pragma once
#include <stdint.h>
#include <wasm_simd128.h>

typedef double d2 __attribute__((vector_size(16)));
typedef int64_t l2 __attribute__((vector_size(16)));

static inline uint64_t bits_of(double x) { uint64_t b; __builtin_memcpy(&b, &x, 8); return b; }
static inline double of_bits(uint64_t b) { double x; __builtin_memcpy(&x, &b, 8); return x; }
static inline int32_t high_of(double x) { return (int32_t)(bits_of(x) >> 32); }
static inline double with_high(double x, int32_t high) { return of_bits((bits_of(x) & 0xffffffffu) | (uint64_t)(uint32_t)high << 32); }

#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10

// x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2); log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R(s^2))), s = f / (2 + f).
static inline double log64(double x) {
  int32_t hx = high_of(x), k = 0;
  if (hx < 0x00100000) {
    if ((bits_of(x) << 1) == 0) return -__builtin_inf();
    if (hx < 0) return __builtin_nan("");
    k = -54;
    x *= 1.80143985094819840000e+16;
    hx = high_of(x);
  }
  if (hx >= 0x7ff00000) return x + x;
  k += (hx >> 20) - 1023;
  hx &= 0x000fffff;
  const int32_t i = (hx + 0x95f64) & 0x100000;
  x = with_high(x, hx | (i ^ 0x3ff00000));
  k += i >> 20;
  const double f = x - 1.0, dk = k;
  if ((0x000fffff & (2 + hx)) < 3) {
    if (f == 0) return k == 0 ? 0 : dk * LN2_HI + dk * LN2_LO;
    const double R = f * f * (0.5 - 0.33333333333333333 * f);
    return k == 0 ? f - R : dk * LN2_HI - ((R - dk * LN2_LO) - f);
  }
  const double s = f / (2.0 + f), z = s * s, w = z * z;
  const double t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double t2 = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double R = t2 + t1, half = 0.5 * f * f;
  // fdlibm writes k = 0 apart, which gives the same: 0 - (a - f) is f - a.
  const double near = (half - (s * (half + R) + dk * LN2_LO)) - f, far = (s * (f - R) - dk * LN2_LO) - f;
  return dk * LN2_HI - (((hx - 0x6147a) | (0x6b851 - hx)) > 0 ? near : far);
}

// x = k ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + 2 r / (R(r^2) - r).
static inline double exp64(double x) {
  const int32_t high = high_of(x), hx = high & 0x7fffffff;
  const int negative = high < 0;
  if (hx >= 0x40862E42) {
    if (hx >= 0x7ff00000) {
      if (x != x) return x + x;
      return negative ? 0 : x;
    }
    if (x > 7.09782712893383973096e+02) return __builtin_inf();
    if (x < -7.45133219101941108420e+02) return 0;
  }
  double hi = 0, lo = 0;
  int32_t k = 0;
  if (hx > 0x3fd62e42) {
    if (hx < 0x3FF0A2B2) {
      // V8 gives the exact e here, where the formula would miss the last bit.
      if (x == 1.0) return 2.718281828459045235360;
      k = negative ? -1 : 1;
      hi = x - k * LN2_HI;
      lo = k * LN2_LO;
    } else {
      k = (int32_t)(1.44269504088896338700e+00 * x + (negative ? -0.5 : 0.5));
      hi = x - k * LN2_HI;
      lo = k * LN2_LO;
    }
    x = hi - lo;
  } else if (hx < 0x3e300000) {
    return 1.0 + x;
  }
  const double t = x * x;
  const double c = x - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05 +
    t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  if (k == 0) return 1.0 - ((x * c) / (c - 2.0) - x);
  const double y = 1.0 - ((lo - (x * c) / (2.0 - c)) - hi);
  if (k == 1024) return y * 2.0 * 0x1p1023;
  if (k >= -1021) return y * of_bits((uint64_t)(uint32_t)(0x3ff00000 + (k << 20)) << 32);
  return y * of_bits((uint64_t)(uint32_t)(0x3ff00000 + ((k + 1000) << 20)) << 32) * 9.33263618503218878990e-302;
}

static inline d2 either(l2 mask, d2 yes, d2 no) { return (d2)wasm_v128_bitselect((v128_t)yes, (v128_t)no, (v128_t)mask); }

// x[i] = log64(x[i]), n even: two at a time, the same operations in the same order; a pair with a special case goes one by one.
static inline void log_each(double *x, int n) {
  for (int i = 0; i < n; i += 2) {
    const d2 v = (d2)wasm_v128_load(x + i);
    const l2 bits = (l2)v, high = bits >> 32, hx = high & 0x000fffff;
    const l2 special = (high < 0x00100000) | (high >= 0x7ff00000) | (((hx + 2) & 0x000fffff) < 3);
    if (wasm_v128_any_true((v128_t)special)) {
      x[i] = log64(x[i]);
      x[i + 1] = log64(x[i + 1]);
      continue;
    }
    const l2 carry = (hx + 0x95f64) & 0x100000;
    const d2 f = (d2)((bits & 0x000fffffffffffff) | ((carry ^ 0x3ff00000) << 32)) - 1.0;
    // 0 .. 2047 in the low bits of 2^52.
    const d2 dk = (d2)(((high >> 20) + (carry >> 20)) | 0x4330000000000000) - (4503599627370496.0 + 1023.0);
    const d2 s = f / (2.0 + f), z = s * s, w = z * z;
    const d2 t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const d2 t2 = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    const d2 R = t2 + t1, half = 0.5 * f * f;
    const d2 near = (half - (s * (half + R) + dk * LN2_LO)) - f, far = (s * (f - R) - dk * LN2_LO) - f;
    wasm_v128_store(x + i, (v128_t)(dk * LN2_HI - either(((hx - 0x6147a) | (0x6b851 - hx)) > 0, near, far)));
  }
}

// x[i] = exp64(x[i]), n even, likewise. fdlibm's cases k = 0 and k = +-1 are the general one written shorter.
static inline void exp_each(double *x, int n) {
  for (int i = 0; i < n; i += 2) {
    const d2 v = (d2)wasm_v128_load(x + i);
    const l2 hx = (((l2)v) >> 32) & 0x7fffffff;
    const l2 special = (hx < 0x3e300000) | (hx >= 0x40860000) | (l2)(v == 1.0);
    if (wasm_v128_any_true((v128_t)special)) {
      x[i] = exp64(x[i]);
      x[i + 1] = exp64(x[i + 1]);
      continue;
    }
    const d2 rounded = (d2)wasm_f64x2_trunc((v128_t)(1.44269504088896338700e+00 * v + either((l2)(v < 0.0), (d2){-0.5, -0.5}, (d2){0.5, 0.5})));
    const d2 k = either(hx > 0x3fd62e42, rounded, (d2){0, 0});
    const d2 hi = v - k * LN2_HI, lo = k * LN2_LO, r = hi - lo, t = r * r;
    const d2 c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05 +
      t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    const d2 y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    const l2 power = (l2)(k + (4503599627370496.0 + 1023.0)) << 52;
    wasm_v128_store(x + i, (v128_t)(y * (d2)power));
  }
}

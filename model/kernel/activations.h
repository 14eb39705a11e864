// exp, sigmoid and tanh of four floats at once, each within 1e-6 relative of the true value (test/conformance/kernel.test.ts).
#pragma once
#include <wasm_simd128.h>

typedef float f4 __attribute__((vector_size(16), aligned(4)));
typedef int i4 __attribute__((vector_size(16), aligned(4)));

static inline f4 splat(float x) { return (f4)wasm_f32x4_splat(x); }
static inline f4 load4(const float *p) { return (f4)wasm_v128_load(p); }
static inline void store4(float *p, f4 x) { wasm_v128_store(p, (v128_t)x); }
static inline f4 clamp4(f4 x, float low, float high) {
  // pmin and pmax are one instruction each; a NaN passes through.
  return (f4)wasm_f32x4_pmin(wasm_f32x4_pmax((v128_t)x, wasm_f32x4_splat(low)), wasm_f32x4_splat(high));
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2 (Cody & Waite 1980); then exp(r) = 1 + r + r^2 q(r),
// q the minimax polynomial of degree 3 for the relative error there, 1.05e-7.
static inline f4 exp4(f4 x) {
  x = clamp4(x, -87.0f, 88.0f);
  const f4 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves round(x / ln 2) in the low bits
  f4 t = x * splat(1.44269504088896341f) + magic;
  f4 n = t - magic;
  f4 r = x - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  f4 p = splat(8.31250128824201e-3f);
  p = p * r + splat(4.1890331573946e-2f);
  p = p * r + splat(1.66671153887688e-1f);
  p = p * r + splat(4.99992303090753e-1f);
  p = p * (r * r) + r + splat(1.0f);
  i4 scale = ((i4)t << 23) + (i4)splat(1.0f);  // 2^n by its exponent bits
  return p * (f4)scale;
}

static inline f4 sigmoid4(f4 x) { return splat(1.0f) / (splat(1.0f) + exp4(-x)); }

// The rational approximation of degree 13 over 6 on |x| <= 7.905, where tanh is 1 to float32; coefficients as in Eigen's
// generic_fast_tanh_float.
static inline f4 tanh4(f4 x) {
  x = clamp4(x, -7.90531110763549805f, 7.90531110763549805f);
  f4 x2 = x * x;
  f4 p = splat(-2.76076847742355e-16f);
  p = p * x2 + splat(2.00018790482477e-13f);
  p = p * x2 + splat(-8.60467152213735e-11f);
  p = p * x2 + splat(5.12229709037114e-08f);
  p = p * x2 + splat(1.48572235717979e-05f);
  p = p * x2 + splat(6.37261928875436e-04f);
  p = p * x2 + splat(4.89352455891786e-03f);
  f4 q = splat(1.19825839466702e-06f);
  q = q * x2 + splat(1.18534705686654e-04f);
  q = q * x2 + splat(2.26843463243900e-03f);
  q = q * x2 + splat(4.89352518554385e-03f);
  return x * p / q;
}

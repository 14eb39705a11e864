// out = bias + in * weights, the one product that every cell is made of.
//
// Weights are packed in panels of eight columns: panel p is [1 + K][8] floats, its first row the bias, so that a panel is
// read straight through. `columns` is a multiple of 4: of the last panel, the left half only may be wanted.
// Each sum runs over k in order with a multiply and then an add, in both loops below: a row's result does not depend on
// which rows stand beside it, to the bit.
#pragma once
#include "activations.h"

enum { ROWS = 4, IN_STRIDE = 528, OUT_STRIDE = 1040 };  // IN: 256 + 256 and some; OUT: 4 gates of 256 and some

// in: [4][IN_STRIDE], K used; out: [4][OUT_STRIDE]. Four rows by two vectors: eight sums in registers.
static inline void affine_tile(const float *in, int K, const float *w, int columns, float *out) {
  for (; columns >= 8; columns -= 8, out += 8) {
    f4 a0 = load4(w), a1 = a0, a2 = a0, a3 = a0;
    f4 b0 = load4(w + 4), b1 = b0, b2 = b0, b3 = b0;
    w += 8;
    const float *x = in;
    for (const float *end = in + K; x != end; x++, w += 8) {
      f4 u = load4(w), v = load4(w + 4);
      f4 x0 = (f4)wasm_v128_load32_splat(x), x1 = (f4)wasm_v128_load32_splat(x + IN_STRIDE);
      a0 += x0 * u, b0 += x0 * v;
      a1 += x1 * u, b1 += x1 * v;
      f4 x2 = (f4)wasm_v128_load32_splat(x + 2 * IN_STRIDE), x3 = (f4)wasm_v128_load32_splat(x + 3 * IN_STRIDE);
      a2 += x2 * u, b2 += x2 * v;
      a3 += x3 * u, b3 += x3 * v;
    }
    store4(out, a0), store4(out + OUT_STRIDE, a1), store4(out + 2 * OUT_STRIDE, a2), store4(out + 3 * OUT_STRIDE, a3);
    store4(out + 4, b0), store4(out + 4 + OUT_STRIDE, b1), store4(out + 4 + 2 * OUT_STRIDE, b2), store4(out + 4 + 3 * OUT_STRIDE, b3);
  }
  if (columns > 0) {
    f4 a0 = load4(w), a1 = a0, a2 = a0, a3 = a0;
    const float *x = in;
    for (const float *end = in + K; x != end; x++) {
      w += 8;
      f4 u = load4(w);
      a0 += (f4)wasm_v128_load32_splat(x) * u, a1 += (f4)wasm_v128_load32_splat(x + IN_STRIDE) * u;
      a2 += (f4)wasm_v128_load32_splat(x + 2 * IN_STRIDE) * u, a3 += (f4)wasm_v128_load32_splat(x + 3 * IN_STRIDE) * u;
    }
    store4(out, a0), store4(out + OUT_STRIDE, a1), store4(out + 2 * OUT_STRIDE, a2), store4(out + 3 * OUT_STRIDE, a3);
  }
}

// in: [K]; out: [columns]. One row by eight vectors (four panels side by side), then by two for the panels left.
static inline void affine_row(const float *in, int K, const float *w, int columns, float *out) {
  const int panel = 8 * (K + 1);
  for (; columns >= 32; columns -= 32, out += 32, w += 4 * panel) {
    const float *w0 = w, *w1 = w + panel, *w2 = w + 2 * panel, *w3 = w + 3 * panel;
    f4 a0 = load4(w0), b0 = load4(w0 + 4), a1 = load4(w1), b1 = load4(w1 + 4);
    f4 a2 = load4(w2), b2 = load4(w2 + 4), a3 = load4(w3), b3 = load4(w3 + 4);
    for (int k = 0; k < K; k++) {
      w0 += 8, w1 += 8, w2 += 8, w3 += 8;
      f4 x = (f4)wasm_v128_load32_splat(in + k);
      a0 += x * load4(w0), b0 += x * load4(w0 + 4);
      a1 += x * load4(w1), b1 += x * load4(w1 + 4);
      a2 += x * load4(w2), b2 += x * load4(w2 + 4);
      a3 += x * load4(w3), b3 += x * load4(w3 + 4);
    }
    store4(out, a0), store4(out + 4, b0), store4(out + 8, a1), store4(out + 12, b1);
    store4(out + 16, a2), store4(out + 20, b2), store4(out + 24, a3), store4(out + 28, b3);
  }
  for (; columns > 0; columns -= 8, out += 8) {
    f4 a = load4(w), b = load4(w + 4);
    w += 8;
    for (int k = 0; k < K; k++, w += 8) {
      f4 x = (f4)wasm_v128_load32_splat(in + k);
      a += x * load4(w), b += x * load4(w + 4);
    }
    store4(out, a), store4(out + 4, b);
  }
}

// The fused step: for tiles of up to four slots, gather the state, run every layer, apply the head, scatter the state.
// No libc, no allocation: model/backends/wasm.ts lays out the memory and writes the program below into it.
// `npm run build:wasm` compiles this to model/kernel/module.ts.
#include "affine.h"

enum Cell { ELMAN, JORDAN, RECURRENT, LSTM, GRU };  // the order of CELL_KINDS in model/cells/cell.ts

typedef struct {
  int cell;
  int inputs;   // I: numbers read from the layer below
  int padded;   // P: units rounded up to 8; the padding stays zero in every state (its weights are zero)
  int offset;   // where the layer's state begins in a slot, floats
  const float *first;   // panels over [x, h] (or [x, y]): ELMAN, JORDAN, RECURRENT P columns; LSTM 4P (i f g o); GRU 2P (z r)
  const float *second;  // JORDAN: over [h], P columns; GRU: over [x, r * h], P columns
} Layer;

typedef struct {
  int inputs, outputs;
  int stride;         // floats a slot in the arena
  int skip;           // the head reads the features as well
  int head_inputs;    // numbers the head reads from the last layer
  const float *head;  // panels over [x if skip, y], `outputs` columns rounded up to 4
  int layers;
  Layer layer[4];
} Program;

static float in[ROWS * IN_STRIDE];    // [row][x, h]
static float gate[ROWS * OUT_STRIDE]; // [row][gates]

static inline void copy(float *to, const float *from, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) store4(to + i, load4(from + i));
  for (; i < n; i++) to[i] = from[i];
}

static inline void affine(int rows, int K, const float *w, int columns) {
  if (rows == ROWS) affine_tile(in, K, w, columns, gate);
  else for (int r = 0; r < rows; r++) affine_row(in + r * IN_STRIDE, K, w, columns, gate + r * OUT_STRIDE);
}

// x: pointers to [I] a row; state: pointers to the slot's state a row. Afterwards state holds the next one.
static inline void run_layer(const Layer *layer, int rows, const float *const *x, float *const *state) {
  const int I = layer->inputs, P = layer->padded, K = I + P;
  for (int r = 0; r < rows; r++) {
    copy(in + r * IN_STRIDE, x[r], I);
    copy(in + r * IN_STRIDE + I, state[r], P);
  }
  switch (layer->cell) {
    case ELMAN:
    case RECURRENT:
      affine(rows, K, layer->first, P);
      break;
    case JORDAN:
      affine(rows, K, layer->first, P);
      for (int r = 0; r < rows; r++)
        for (int j = 0; j < P; j += 4) store4(in + r * IN_STRIDE + j, tanh4(load4(gate + r * OUT_STRIDE + j)));
      affine(rows, P, layer->second, P);
      break;
    case LSTM:
      affine(rows, K, layer->first, 4 * P);
      for (int r = 0; r < rows; r++) {
        const float *a = gate + r * OUT_STRIDE;
        for (int j = 0; j < P; j += 4) {
          f4 i = sigmoid4(load4(a + j)), f = sigmoid4(load4(a + P + j));
          f4 g = tanh4(load4(a + 2 * P + j)), o = sigmoid4(load4(a + 3 * P + j));
          f4 c = f * load4(state[r] + P + j) + i * g;
          store4(state[r] + P + j, c);
          store4(state[r] + j, o * tanh4(c));
        }
      }
      return;
    case GRU:
      affine(rows, K, layer->first, 2 * P);
      for (int r = 0; r < rows; r++) {
        float *h = in + r * IN_STRIDE + I, *z = gate + r * OUT_STRIDE;
        for (int j = 0; j < P; j += 4) {
          store4(h + j, load4(h + j) * sigmoid4(load4(z + P + j)));
          // z is kept where the candidate's product does not write.
          store4(z + 2 * P + j, sigmoid4(load4(z + j)));
        }
      }
      affine(rows, K, layer->second, P);
      for (int r = 0; r < rows; r++) {
        const float *a = gate + r * OUT_STRIDE;
        for (int j = 0; j < P; j += 4) {
          f4 c = tanh4(load4(a + j)), z = load4(a + 2 * P + j), h = load4(state[r] + j);
          store4(state[r] + j, z * h + (splat(1.0f) - z) * c);
        }
      }
      return;
  }
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < P; j += 4) store4(state[r] + j, tanh4(load4(gate + r * OUT_STRIDE + j)));
}

static inline void run_head(const Program *p, int rows, const float *const *x, const float *const *y, float *outputs) {
  const int I = p->skip ? p->inputs : 0, K = I + p->head_inputs;
  for (int r = 0; r < rows; r++) {
    copy(in + r * IN_STRIDE, x[r], I);
    copy(in + r * IN_STRIDE + I, y[r], p->head_inputs);
  }
  affine(rows, K, p->head, (p->outputs + 3) & ~3);
  for (int r = 0; r < rows; r++) copy(outputs + r * p->outputs, gate + r * OUT_STRIDE, p->outputs);
}

// arena: [slots][stride]; slots: [n], distinct; inputs: [n][inputs]; outputs: [n][outputs].
__attribute__((export_name("step")))
void step(const Program *p, float *arena, const int *slots, int n, const float *inputs, float *outputs) {
  while (n > 0) {
    // Fewer than four left: one at a time, which suits a single row better than a tile half empty.
    const int rows = n >= ROWS ? ROWS : 1;
    const float *x[ROWS], *below[ROWS];
    float *state[ROWS];
    for (int r = 0; r < rows; r++) below[r] = x[r] = inputs + r * p->inputs;
    for (int l = 0; l < p->layers; l++) {
      for (int r = 0; r < rows; r++) state[r] = arena + (unsigned)slots[r] * (unsigned long)p->stride + p->layer[l].offset;
      run_layer(&p->layer[l], rows, below, state);
      for (int r = 0; r < rows; r++) below[r] = state[r];
    }
    run_head(p, rows, x, below, outputs);
    slots += rows, inputs += rows * p->inputs, outputs += rows * p->outputs, n -= rows;
  }
}

// For the test of the approximations. x, out: [n], n a multiple of 4; what: 0 exp, 1 sigmoid, 2 tanh.
__attribute__((export_name("activate")))
void activate(const float *x, int n, int what, float *out) {
  for (int i = 0; i < n; i += 4) {
    f4 v = load4(x + i);
    store4(out + i, what == 0 ? exp4(v) : what == 1 ? sigmoid4(v) : tanh4(v));
  }
}

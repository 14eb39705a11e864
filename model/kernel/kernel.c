// The fused kernel: for tiles of up to four slots, normalise the readings, gather the states, run every layer, apply the head,
// scatter the states, decode the forecasts.
// No libc, no allocation: model/backends/wasm.ts lays out the memory and writes the program below into it.
// `npm run build:wasm` compiles this to model/kernel/module.ts.
#include "affine.h"
#include "forecast.h"

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
  int stride;         // floats of a slot's state
  int page;           // floats from one page of the arena to the next
  int states;         // floats from a page's beginning to its first state; before it [1024] Series, where the network has readings
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

enum { PAGE_BITS = 10, PAGE_SLOTS = 1 << PAGE_BITS };

static inline float *page_of(const Program *p, float *arena, unsigned slot) { return arena + (slot >> PAGE_BITS) * (unsigned)p->page; }

static inline Series *series_of(const Program *p, float *arena, unsigned slot) {
  return (Series *)page_of(p, arena, slot) + (slot & (PAGE_SLOTS - 1));
}

// One tile: slots: [rows]; x: [rows][inputs]; outputs: [rows][outputs].
static void step_tile(const Program *p, float *arena, const unsigned *slots, int rows, const float *inputs, float *outputs) {
  const float *x[ROWS], *below[ROWS];
  float *first[ROWS], *state[ROWS];
  for (int r = 0; r < rows; r++) {
    below[r] = x[r] = inputs + r * p->inputs;
    first[r] = page_of(p, arena, slots[r]) + p->states + (slots[r] & (PAGE_SLOTS - 1)) * p->stride;
  }
  for (int l = 0; l < p->layers; l++) {
    for (int r = 0; r < rows; r++) state[r] = first[r] + p->layer[l].offset;
    run_layer(&p->layer[l], rows, below, state);
    for (int r = 0; r < rows; r++) below[r] = state[r];
  }
  run_head(p, rows, x, below, outputs);
}

// Fewer than four left: one at a time, which suits a single row better than a tile half empty.
static inline int tile_rows(int left) { return left >= ROWS ? ROWS : 1; }

// Features in, outputs out. arena: pages of 1024 slots; slots: [n], distinct; inputs: [n][inputs]; outputs: [n][outputs].
__attribute__((export_name("step")))
void step(const Program *p, float *arena, const unsigned *slots, int n, const float *inputs, float *outputs) {
  for (int rows; n > 0; slots += rows, inputs += rows * p->inputs, outputs += rows * p->outputs, n -= rows) {
    rows = tile_rows(n);
    step_tile(p, arena, slots, rows, inputs, outputs);
  }
}

// Readings in, forecasts out. ms, value: [n]; learning: [n]; features: [n][7] and forecasts: [n][9] are written.
__attribute__((export_name("advance")))
void advance(const Program *p, float *arena, const Band *band, const unsigned *slots, int n, const double *ms, const double *value,
             const float *learning, float *features, double *forecasts) {
  float outputs[ROWS * OUTPUTS];
  for (int rows; n > 0; slots += rows, n -= rows) {
    rows = tile_rows(n);
    Series *series[ROWS];
    for (int r = 0; r < rows; r++) series[r] = series_of(p, arena, slots[r]);
    normalise(series, rows, ms, value, learning, features);
    step_tile(p, arena, slots, rows, features, outputs);
    forecast(band, series, rows, outputs, forecasts);
    ms += rows, value += rows, learning += rows, features += rows * FEATURES, forecasts += rows * FORECAST;
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

// For the test of the logarithm and the exponential. x: [n] replaced, n even; one by one or in pairs.
__attribute__((export_name("elementary")))
void elementary(double *x, int n, int exponential, int pairs) {
  if (pairs && exponential) exp_each(x, n);
  else if (pairs) log_each(x, n);
  else for (int i = 0; i < n; i++) x[i] = exponential ? exp64(x[i]) : log64(x[i]);
}

// The most floating-point operations one core does: independent fused multiply-adds on the widest vectors that it has.
// Prints operations a second. Compiled with -O3 -march=native by bench/engine/peak.ts.
#include <stdio.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
enum { SUMS = 12, LOOPS = 500000 };
typedef float vector __attribute__((vector_size(4 * LANES)));

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(void) {
  double best = 0;
  float guard = 0;
  for (int round = 0; round < 200; round++) {
    vector x = {0}, y = {0};
    x += 0.999f, y += 0.001f;
    // All different, or the compiler would make one of them.
    vector a = y, b = y * 2, c = y * 3, d = y * 4, e = y * 5, f = y * 6, g = y * 7, h = y * 8, i = y * 9, j = y * 10, k = y * 11, l = y * 12;
    double began = seconds();
    for (int n = 0; n < LOOPS; n++) {
      a = a * x + y, b = b * x + y, c = c * x + y, d = d * x + y, e = e * x + y, f = f * x + y;
      g = g * x + y, h = h * x + y, i = i * x + y, j = j * x + y, k = k * x + y, l = l * x + y;
    }
    double rate = 2.0 * SUMS * LANES * LOOPS / (seconds() - began);
    vector sum = a + b + c + d + e + f + g + h + i + j + k + l;
    guard += sum[0];
    if (rate > best) best = rate;
  }
  printf("%.0f %d %g\n", best, LANES, guard);
  return 0;
}

// From the head's outputs to forecasts in the series' own units: the same arithmetic, in the same order, as model/forecast.ts, which explains it.
#pragma once
#include "normalise.h"

enum { HORIZONS = 3, OUTPUTS = 9, FORECAST = 9 };
static const double LOST = 4;

// For the band: its calibration, and Student's quantile over the raw degrees of freedom -12 .. 12, eight to a unit.
typedef struct {
  double calibration;
  double quantile[2 * 12 * 8 + 2];
} Band;

static inline double within(double x, double low, double high) { return x > high ? high : x >= low ? x : low; }

static inline double band_quantile(const Band *band, double raw) {
  const double x = (within(raw, -12, 12) + 12) * 8;
  const int i = (int)x;
  return band->quantile[i] + (x - i) * (band->quantile[i + 1] - band->quantile[i]);
}

// outputs: [rows][9]; out: [rows][9] yhat (NaN: the network has lost itself), yhat_lower, yhat_upper, three locations, three spreads.
static inline void forecast(const Band *band, Series *const *series, int rows, const float *outputs, double *out) {
  enum { PARTS = 2 * HORIZONS };
  double powers[4 * PARTS];  // a row: e^y, sigma of each horizon
  double up[4];              // of the band's half width
  for (int r = 0; r < rows; r++) {
    for (int i = 0; i < HORIZONS; i++) {
      powers[r * PARTS + 2 * i] = series[r]->position + within(outputs[r * OUTPUTS + 3 * i], -8, 8);
      powers[r * PARTS + 2 * i + 1] = within(outputs[r * OUTPUTS + 3 * i + 1], -6, 3);
    }
  }
  exp_each(powers, rows * PARTS);
  for (int r = 0; r < rows; r++) up[r] = band->calibration * band_quantile(band, outputs[r * OUTPUTS + 2]) * powers[r * PARTS + 1];
  if (rows == 4) exp_each(up, 4);
  else for (int r = 0; r < rows; r++) up[r] = exp64(up[r]);
  for (int r = 0; r < rows; r++, out += FORECAST) {
    const Series *s = series[r];
    const double mean = s->mean, half_scale = scale_of(s) * 0.5, offset = s->counter == 1 ? s->last_value : 0;
    for (int i = 0; i < HORIZONS; i++) {
      const double e = powers[r * PARTS + 2 * i], sigma = powers[r * PARTS + 2 * i + 1], inverse = 1 / e;
      out[3 + i] = mean + half_scale * (e - inverse);
      out[6 + i] = half_scale * (e + inverse) * sigma;
    }
    const double e = powers[r * PARTS], above = e * up[r], move = outputs[r * OUTPUTS];
    out[0] = move > -LOST && move < LOST ? offset + out[3] : __builtin_nan("");
    out[1] = offset + mean + half_scale * (e / up[r] - up[r] / e);
    out[2] = offset + mean + half_scale * (above - 1 / above);
  }
}

// From a reading to the network's inputs: the same arithmetic, in the same order, as model/normalise.ts, which explains it.
#pragma once
#include "math64.h"

enum { FEATURES = 7 };

// A series' state, float64 each; the order is that of model/normalise.ts.
typedef struct {
  double count, mean, variance, fast_mean, fast_roughness, slow_roughness;
  double last_value, last_working, last_ms, log_period, readings, clipped_run;
  double up_rate, down_rate, counter, position, period_run, last_dt, last_log_dt, falls;
} Series;

static const double SLOWEST_RATE = 1.0 / 512, FAST_RATE = 1.0 / 12, ROUGHNESS_RATE = 1.0 / 16, DIRECTION_RATE = 1.0 / 200, FALLS_RATE = 1.0 / 10000;
static const double CLIP_SIGMAS = 4, LOG_CLIP_GROWTH = 0.09531017980432493, MAX_CLIPPED_RUN = 300;
static const double FEATURE_LIMIT = 4, VALUE_LIMIT = 1e120;
static const double PERIOD_CLIP = 0.35, ON_TIME = 0.1, GAP_RATIO = 1.5, MAX_GAP_PERIODS = 1024, COUNTER_AFTER = 48;

static inline double clip64(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; }

// asinh x = log(|x| + sqrt(x^2 + 1)) with the sign of x; near 0 a series, for which the logarithm (of what cannot disturb its neighbour) is passed over.
static inline double asinh_argument(double x) {
  const double a = x < 0 ? -x : x;
  return a < 0.01 ? 2 : a + __builtin_sqrt(a * a + 1);
}

static inline double asinh_from(double x, double log) {
  const double a = x < 0 ? -x : x, q = a * a, y = a < 0.01 ? a * (1 - q * (1.0 / 6 - q * (3.0 / 40))) : log;
  return x < 0 ? -y : y;
}

static inline double scale_of(const Series *s) {
  const double m = s->mean, floor = 1e-6 * (m < 0 ? -m : m) + 1e-9, sigma = __builtin_sqrt(s->variance);
  return sigma > floor ? sigma : floor;
}

static inline double period_ratio(Series *s, double dt) {
  const double n = s->readings - 1;
  const double log_dt = dt == s->last_dt ? s->last_log_dt : log64(dt > 0.001 ? dt : 0.001);
  s->last_dt = dt;
  s->last_log_dt = log_dt;
  if (n == 0) {
    s->log_period = log_dt;
    return 1;
  }
  const double off = log_dt - s->log_period, run = s->period_run;
  if (off > PERIOD_CLIP) s->period_run = run > 0 ? (run < 40 ? run + 1 : run) : 1;
  else if (off < -PERIOD_CLIP) s->period_run = run < 0 ? (run > -40 ? run - 1 : run) : -1;
  else s->period_run = 0;
  const double widening = run == 0 ? 1 : exp64(0.25 * (run < 0 ? -run : run));
  const double rate = n < 31 ? 1 / (n + 1) : widening < 8 ? widening / 32 : 0.25;
  s->log_period += rate * clip64(off, PERIOD_CLIP * widening);
  return off < ON_TIME && off > -ON_TIME ? 1 : exp64(clip64(off, 7));
}

static inline void learn_direction(Series *s, double value) {
  const double change = value - s->last_value, t = s->readings - 1;
  const double rate = t < 199 ? 1 / (t + 1) : DIRECTION_RATE, falls = change < 0 ? 1.0 : 0.0;
  s->up_rate += rate * ((change > 0 ? 1.0 : 0.0) - s->up_rate);
  s->down_rate += rate * (falls - s->down_rate);
  s->falls += (t < 9999 ? 1 / (t + 1) : FALLS_RATE) * (falls - s->falls);
  const int was = s->counter == 1;
  const int rises = s->up_rate > 0.1 && s->down_rate < 0.01 && s->falls < 0.01 && value >= 0 && t >= COUNTER_AFTER;
  const int is = was ? s->down_rate < 0.05 : rises;
  if (is == was) return;
  s->counter = is;
  s->count = s->variance = s->fast_roughness = s->slow_roughness = s->clipped_run = 0;
}

static inline double working_value(const Series *s, double value, double ratio) {
  if (s->counter == 0) return value;
  const double rise = value - s->last_value;
  if (rise < 0) return s->count == 0 ? 0 : s->mean + clip64(s->fast_mean - s->mean, CLIP_SIGMAS * scale_of(s));
  return ratio > GAP_RATIO ? rise / ratio : rise;
}

static inline void learn_level(Series *s, double u, double t, double rate) {
  if (t == 0) {
    s->mean = u;
    s->variance = 0;
    return;
  }
  double deviation = u - s->mean;
  if (t >= 10) {
    const double run = s->clipped_run, limit = CLIP_SIGMAS * scale_of(s);
    if (deviation > limit || deviation < -limit) {
      deviation = clip64(deviation, run == 0 ? limit : limit * exp64(run * LOG_CLIP_GROWTH));
      if (rate > 0 && run < MAX_CLIPPED_RUN) s->clipped_run = run + 1;
    } else {
      s->clipped_run = 0;
    }
  }
  s->mean += rate * deviation;
  s->variance = (1 - rate) * (s->variance + rate * deviation * deviation);
}

// What the features of a reading are made of, before their logarithms, which are taken of many at once.
enum { LOGS = 6 };
typedef struct {
  double position, difference, fast;  // of which asinh is wanted
  double age, ratio;
} Raw;

// Takes one reading into a series' state; logs: [6] written.
static inline void learn(Series *s, double ms, double value, double learning, Raw *raw, double *logs) {
  double ratio = 1;
  if (s->readings > 0) {
    ratio = period_ratio(s, ms - s->last_ms);
    learn_direction(s, value);
  }
  s->readings++;
  const double u = clip64(working_value(s, value, ratio), VALUE_LIMIT), t = s->count;
  const double gap = ratio > GAP_RATIO ? (ratio < MAX_GAP_PERIODS ? ratio : MAX_GAP_PERIODS) : 1;

  const double starting_rate = t < 512 ? 1 / (t + 1) : 0;
  const double slow_rate = (starting_rate > SLOWEST_RATE ? starting_rate : SLOWEST_RATE) * learning;
  learn_level(s, u, t, slow_rate);
  const double mean = s->mean, scale = scale_of(s), inverse = 1 / scale;

  const double difference = t == 0 ? 0 : (u - s->last_working) / (gap == 1 ? 1 : __builtin_sqrt(gap));
  const double square = difference * difference, floor = 1e-4 * scale * scale, fast = s->fast_roughness;
  const double limit = 100 * (fast > floor ? fast : floor), slow_limit = 100 * scale * scale;
  const double fast_rate = starting_rate > ROUGHNESS_RATE ? starting_rate : ROUGHNESS_RATE;
  s->fast_roughness = fast + fast_rate * ((square < limit ? square : limit) - fast);
  s->slow_roughness += slow_rate * ((square < slow_limit ? square : slow_limit) - s->slow_roughness);

  const double mean_rate = starting_rate > FAST_RATE ? starting_rate : FAST_RATE * (gap < 6 ? gap : 6);
  s->fast_mean = t == 0 ? u : s->fast_mean + mean_rate * (u - s->fast_mean);

  const double inverse_variance = inverse * inverse;
  raw->position = (u - mean) * inverse;
  raw->difference = 3 * difference * inverse;
  raw->fast = (s->fast_mean - mean) * inverse;
  raw->age = t + 1;
  raw->ratio = ratio;
  logs[0] = asinh_argument(raw->position);
  logs[1] = asinh_argument(raw->difference);
  logs[2] = asinh_argument(raw->fast);
  logs[3] = (s->fast_roughness + floor) * inverse_variance;
  logs[4] = (s->slow_roughness + floor) * inverse_variance;
  logs[5] = ratio == 1 ? 2 : ratio;

  s->last_working = u;
  s->last_value = value;
  s->last_ms = ms;
  s->count = t + 1;
}

// logs: [6], taken; features: [7] written.
static inline void finish(Series *s, const Raw *raw, const double *logs, float *features) {
  s->position = asinh_from(raw->position, logs[0]);
  features[0] = (float)clip64(s->position, FEATURE_LIMIT);
  features[1] = (float)clip64(asinh_from(raw->difference, logs[1]), 6);
  features[2] = (float)clip64(asinh_from(raw->fast, logs[2]), FEATURE_LIMIT);
  features[3] = (float)(0.25 * logs[3]);
  features[4] = (float)(0.25 * logs[4]);
  features[5] = (float)(1 / __builtin_sqrt(raw->age));
  features[6] = raw->ratio == 1 ? 0 : (float)(0.5 * clip64(logs[5], 6));
}

// One reading of each of some series; ms, value, learning: [rows]; features: [rows][7].
static inline void normalise(Series *const *series, int rows, const double *ms, const double *value, const float *learning, float *features) {
  Raw raw[4];
  double logs[4 * LOGS];
  for (int r = 0; r < rows; r++) learn(series[r], ms[r], value[r], learning[r], raw + r, logs + r * LOGS);
  log_each(logs, rows * LOGS);
  for (int r = 0; r < rows; r++) finish(series[r], raw + r, logs + r * LOGS, features + r * FEATURES);
}

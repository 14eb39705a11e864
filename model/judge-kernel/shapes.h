// Shapes of a few readings: a peak or dip that came and went, a step that stayed. Heights are held against the highest of their kind so far, not against values: an
// on/off series is full of jumps and holds every value, but has no peaks.
#pragma once
#include "record.h"

#define PEAK_READINGS 3
#define STEP_READINGS 2
#define SHAPE_READINGS 4  // before the latest one that a shape has
#define HEIGHT_FORGET 2e-4

// The larger of two heights, one of which is 0 unless the readings do both.
typedef struct {
  double height;
  int up;
} Shape;

static Shape shape_of(double up, double down) { return (Shape){up > down ? up : down, up > down}; }

static double past_value(const Params *p, const Record *r, int t) { return ((const Past *)((const float *)r + p->horizon))[t % HORIZON].value; }

// One to three readings before v that left what was before them, and v is back: how far all of them were above, or below, both.
static Shape peak_before(const Params *p, const Record *r, double v, int t) {
  double most = -VALUE_LIMIT, least = VALUE_LIMIT, up = 0, down = 0;
  for (int k = 1; k <= PEAK_READINGS; k++) {
    const double inside = past_value(p, r, t - k), before = past_value(p, r, t - k - 1);
    if (inside > most) most = inside;
    if (inside < least) least = inside;
    const double high = v > before ? v : before, low = v < before ? v : before;
    if (least - high > up) up = least - high;
    if (low - most > down) down = low - most;
  }
  return shape_of(up, down);
}

// How far v and the reading before are above, or below, the two before them.
static Shape step_to(const Params *p, const Record *r, double v, int t) {
  double low = v, high = v, low_before = VALUE_LIMIT, high_before = -VALUE_LIMIT;
  for (int k = 1; k < 2 * STEP_READINGS; k++) {
    const double value = past_value(p, r, t - k);
    double *least = k < STEP_READINGS ? &low : &low_before, *most = k < STEP_READINGS ? &high : &high_before;
    if (value < *least) *least = value;
    if (value > *most) *most = value;
  }
  return shape_of(low > high_before ? low - high_before : 0, low_before > high ? low_before - high : 0);
}

// How far a shape is beyond the highest of its kind and the share `least` of it, which sinks slowly and is then that one: what comes again and again, each time a little
// higher than it has sunk, is no news. records: of those that go down, and up.
static double beyond_record(float records[2], Shape shape, double least) {
  for (int k = 0; k < 2; k++) records[k] = (float)(records[k] * (1 - HEIGHT_FORGET));
  const double record = records[shape.up];
  if (shape.height > record) records[shape.up] = (float)shape.height;
  return shape.height - (1 + least) * record;
}

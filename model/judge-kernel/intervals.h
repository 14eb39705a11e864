// What a channel has seen: up to K intervals, and how far a value is from all of them.
#pragma once
#include "record.h"

#define CONTRACTION 1e-4
#define NOVELTY_LIMIT 10.0
#define RARE_READINGS 32

typedef struct {
  int at;
  double distance;  // 0 inside of it
} Nearest;

// Of the intervals that are not in `skip`.
static Nearest nearest_to(const Box *box, const Interval *all, int skip, double v) {
  Nearest nearest = {-1, __builtin_inf()};
  for (int k = 0; k < box->n; k++) {
    if (skip >> k & 1) continue;
    const double below = all[k].low - v, above = v - all[k].high;
    const double d = below > above ? below : above;
    if (d >= nearest.distance) continue;
    nearest = (Nearest){k, d};
    if (d <= 0) break;
  }
  return nearest;
}

// Whether v is above, or below, all that is known: the running range shrinks past what is still there.
static int is_extreme(const Box *box, const Interval *all, double v) {
  int above = 0, below = 0;
  for (int k = 0; k < box->n; k++) {
    above += v > all[k].high;
    below += v < all[k].low;
  }
  return above == box->n || below == box->n;
}

// From the lowest to the highest of what is known, and not doubted (0 where there is nothing).
static double known_range(const Box *box, const Interval *all) {
  double low = __builtin_inf(), high = -__builtin_inf();
  for (int k = 0; k < box->n; k++) {
    if (box->doubtful >> k & 1) continue;
    if (all[k].low < low) low = all[k].low;
    if (all[k].high > high) high = all[k].high;
  }
  return high > low ? high - low : 0;
}

static double in_ranges(const Box *box, double distance) {
  const double seen = (double)box->high - (double)box->low;
  return seen > 0 && distance < NOVELTY_LIMIT * seen ? distance / seen : NOVELTY_LIMIT;
}

static void begin(Box *box, Interval *all, double v, int t) {
  const float at = (float)v;
  box->current = all[0] = (Interval){at, at, t};
  box->low = box->high = at;
  box->hit = 0;
  box->n = 1;
}

// The running range, which novelty is measured in, forgets by and by what is not there any more.
static void shrink(Box *box) {
  const double centre = 0.5 * ((double)box->low + (double)box->high);
  box->low = (float)(box->low + (centre - box->low) * CONTRACTION);
  box->high = (float)(box->high + (centre - box->high) * CONTRACTION);
}

// How far v is from all that is known, in running ranges; 0 inside of an interval, which it then has hit.
static double novelty(Box *box, Interval *all, double v, int t, double rare_pad) {
  if (box->n == 0) {
    begin(box, all, v, t);
    return 0;
  }
  if (v >= box->current.low && v <= box->current.high) {
    box->current.used = t;
    return 0;
  }
  all[box->hit] = box->current;
  const Nearest nearest = nearest_to(box, all, box->doubtful, v);
  if (nearest.distance <= 0) {
    box->hit = nearest.at;
    box->current = (Interval){all[nearest.at].low, all[nearest.at].high, t};
    return 0;
  }
  // How wide an interval that is rarely hit really is, few hits do not tell.
  return in_ranges(box, nearest.distance) - (t - all[nearest.at].used > RARE_READINGS ? rare_pad : 0);
}

// The longest unused one but the one in `box->current`, where there is no room for another.
static int place_for(Box *box, const Interval *all, int K) {
  if (box->n < K) return box->n++;
  int place = box->hit == 0 ? 1 : 0;
  for (int k = place + 1; k < K; k++) if (k != box->hit && all[k].used < all[place].used) place = k;
  return place;
}

static void stretch(Interval *one, double v) {
  if (v < one->low) one->low = (float)v;
  if (v > one->high) one->high = (float)v;
}

static double length_with(const Interval *one, double v) { return v < one->low ? one->high - v : v - one->low; }

// What is novel is known from now on: an interval that stays shorter than theta of the range is stretched to it, otherwise a new one begins.
static void take_in(Box *box, Interval *all, int K, double v, double theta, int t) {
  int place = nearest_to(box, all, box->doubtful, v).at;
  if (v < box->low) box->low = (float)v;
  if (v > box->high) box->high = (float)v;
  if (length_with(&all[place], v) <= theta * ((double)box->high - (double)box->low)) stretch(&all[place], v);
  else {
    place = place_for(box, all, K);
    all[place].low = all[place].high = (float)v;
    box->doubtful &= ~(1 << place);
  }
  box->hit = place;
  box->current = (Interval){all[place].low, all[place].high, t};
}

// ---- doubt ---------------------------------------------------------------------------------------------------------

// A value that is unlike all before is doubted: it is normal when it comes again, later than CLUSTER_READINGS after that or after an event. Until then what is like it is said once, as if it
// were known, but an event stays open while readings are like it, and it takes only half of its distance into the running range, which novelty is measured in.
#define DOUBT_REACH 0.3  // ranges to which a doubtful interval may be stretched
#define DOUBT_RANGE 0.5
#define LEAST_DOUBT 1000.0
#define MOST_DOUBT 3000.0  // readings, or two days: what comes daily comes again

// Readings for which something doubtful is remembered: a week.
static double doubt_lasts(const Row *row) {
  const double day = DAY_MS / (row->period_ms < 1 ? 1 : row->period_ms);
  const double most = 2 * day > MOST_DOUBT ? 2 * day : MOST_DOUBT, week = 7 * day < most ? 7 * day : most;
  return week > LEAST_DOUBT ? week : LEAST_DOUBT;
}

// What is doubtful and remembered, nearer to v than anything known is; at -1 where there is nothing.
static Nearest doubted(const Box *box, const Interval *all, const Row *row) {
  const double lasts = doubt_lasts(row);
  int skip = ~box->doubtful;
  for (int k = 0; k < box->n; k++) if (row->t - all[k].used > lasts) skip |= 1 << k;
  const Nearest like = nearest_to(box, all, skip, row->v), known = nearest_to(box, all, box->doubtful, row->v);
  return like.distance <= known.distance ? like : (Nearest){-1, 0};
}

static void doubt(Box *box, Interval *all, int K, double v, double theta, double range, int t) {
  if (v < box->low) box->low = (float)(box->low + DOUBT_RANGE * (v - box->low));
  if (v > box->high) box->high = (float)(box->high + DOUBT_RANGE * (v - box->high));
  const double reach = DOUBT_REACH * ((double)box->high - (double)box->low);
  for (int k = 0; k < box->n; k++) {
    if ((box->doubtful >> k & 1) == 0 || length_with(&all[k], v) > reach) continue;
    stretch(&all[k], v);
    all[k].used = t;
    return;
  }
  // As what is known would have been stretched to it, so what lies between is doubtful too.
  const Nearest known = nearest_to(box, all, box->doubtful, v);
  Interval one = {(float)v, (float)v, t};
  if (length_with(&all[known.at], v) <= theta * range) stretch(&one, v < all[known.at].low ? all[known.at].low : all[known.at].high);
  const int place = place_for(box, all, K);
  all[place] = one;
  box->doubtful |= 1 << place;
}

// It was doubted, and comes again.
static void doubt_less(Box *box, Interval *all, int at, double v, int t) {
  Interval *one = &all[at];
  stretch(one, v);
  // `used` stays, or a level that no event was opened for would be doubted for as long as it lasts.
  if (t - one->used <= CLUSTER_READINGS) return;
  one->used = t;
  box->doubtful &= ~(1 << at);
  if (one->low < box->low) box->low = one->low;
  if (one->high > box->high) box->high = one->high;
  box->hit = at;
  box->current = *one;
}

static float scaled(float v, double by) { return (float)(v * by); }

// All that is known, in another unit.
static void rescale(Box *box, Interval *all, double by) {
  box->low = scaled(box->low, by);
  box->high = scaled(box->high, by);
  box->current = (Interval){scaled(box->current.low, by), scaled(box->current.high, by), box->current.used};
  for (int k = 0; k < box->n; k++) all[k] = (Interval){scaled(all[k].low, by), scaled(all[k].high, by), all[k].used};
}

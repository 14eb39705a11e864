// How rare is what a channel shows, for this series at this age.
#pragma once
#include "natural.h"
#include "record.h"

static inline void offer(const Params *p, Row *row, int channel, double odds, int said, int unseen) {
  const double worth = odds + p->prior[channel].offset;
  if (worth > p->support_from) row->support += worth - p->support_from;
  if (worth > row->odds) {
    row->odds = worth;
    row->channel = channel;
    row->said = (row->said & ~(ABOVE | EXTREME)) | said;
    row->unseen = unseen;
  }
}

#define FURTHER 2.0
#define NOVELTY_UNIT 0.02

// What clean series show at the age of the present reading on a channel whose prior has a = 1.
typedef struct {
  double now;        // g: the rate of events a reading
  double sum;        // G: what it has summed to
  double size_unit;  // unit of sizes: they shrink as a series has shown more
} Expected;

// Log odds of an event of size h, and learns from it.
static double surprise(const Params *p, Calibration *c, const Prior *prior, double h, int t, const Expected *expected) {
  const int since = t - c->latest;
  const double kept = exp_of(-since * p->forget);
  const int same_event = c->count > 0 && since <= CLUSTER_READINGS;
  double n = c->count * kept, sizes = c->sizes * kept;
  double n_before = n, sizes_before = sizes;
  if (same_event) {
    // The event does not count against itself.
    n_before = n > 1 ? n - 1 : 0;
    sizes_before = sizes > c->cluster ? sizes - c->cluster : 0;
  }
  const double gamma = (n_before + prior->weight) / (expected->sum * prior->a + prior->weight);
  const double b = (sizes_before + p->size_weight * prior->b) / (n_before + p->size_weight);
  const double shape = n_before + p->size_weight < p->shape_limit ? n_before + p->size_weight : p->shape_limit;
  const double odds = shape * ln(1 + h / (b * shape)) - ln(gamma * prior->a * expected->now);
  if (!same_event) {
    n += 1;
    sizes += h;
    c->cluster = (float)h;
  } else if (h > c->cluster) {
    sizes += h - c->cluster;
    c->cluster = (float)h;
  }
  c->count = (float)n;
  c->sizes = (float)sizes;
  c->latest = t;
  return odds;
}

// The size of novelty, in running ranges of its channel.
static double novelty_size(double novelty, const Expected *expected) { return ln(1 + novelty / NOVELTY_UNIT) * expected->size_unit; }

static inline Calibration *calibration_of(const Params *p, Record *r, int channel) {
  return (Calibration *)((float *)r + p->calibration) + channel;
}

// An event of size h on a channel: it is learned, and offered with its log odds, which it returns, and `more`.
static double report(const Params *p, Record *r, Row *row, int channel, double h, double more, int said, const Expected *expected) {
  Calibration *c = calibration_of(p, r, channel);
  const int unseen = said & EXTREME ? row->t : row->t - c->latest;
  const double odds = surprise(p, c, &p->prior[channel], h, row->t, expected);
  offer(p, row, channel, odds + more, said, unseen);
  return odds;
}

// What is judged by how far it is beyond what is usual: only what goes further than it last did is new. While the excursion lasts that is kept, then forgotten.
static void judge_excess(const Params *p, Record *r, Row *row, int channel, double excess, double forgotten, int said, const Expected *expected) {
  Calibration *c = calibration_of(p, r, channel);
  if (excess < 1) {
    c->excess = (float)(c->excess * (1 - forgotten));
    return;
  }
  if (excess < FURTHER * c->excess) return;
  c->excess = (float)excess;
  report(p, r, row, channel, ln(excess), 0, said, expected);
}

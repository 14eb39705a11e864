// How rare is what a channel shows, for this series at this age.
#pragma once
#include "natural.h"
#include "record.h"

static inline void offer(const Params *p, Row *row, int channel, double odds, int said, int unseen) {
  const double worth = odds + p->prior[channel].offset;
  if (worth > p->support_from) row->support += worth - p->support_from;
  // The loudest is the one that makes the most of the score: what weighs less for one channel must not weigh more for all.
  if (worth + p->prior[channel].loudest > row->odds + p->prior[row->channel].loudest) {
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
  double forget;     // share of it, and of all events, that a reading forgets
  double size_unit;  // unit of sizes: they shrink as a series has shown more
  int t;             // readings before it
} Expected;

// The events of a channel: how many, and the sum of their sizes.
typedef struct {
  double n, sizes;
} Events;

// Events are forgotten by and by.
static Events events_of(const Expected *expected, const Calibration *c) {
  const double kept = exp_of((c->latest - expected->t) * expected->forget);
  return (Events){c->count * kept, c->sizes * kept};
}

// An event does not count against itself.
static Events before_latest(Events all, const Calibration *c) {
  return (Events){all.n > 1 ? all.n - 1 : 0, all.sizes > c->cluster ? all.sizes - c->cluster : 0};
}

// Log odds of an event of size h, after so many.
static double odds_of(const Params *p, const Prior *prior, Events before, double h, const Expected *expected) {
  const double gamma = (before.n + prior->weight) / (expected->sum * prior->a + prior->weight);
  const double b = (before.sizes + p->size_weight * prior->b) / (before.n + p->size_weight);
  const double shape = before.n + p->size_weight < p->shape_limit ? before.n + p->size_weight : p->shape_limit;
  // What comes at a steady rate is no record: two deviations below it, so that a few of them are none.
  const double records = gamma * prior->a * expected->now, readings = expected->t * expected->forget < 1 ? expected->t : 1 / expected->forget;
  const double steady = (before.n - 2 * root(before.n)) / readings;
  return shape * ln(1 + h / (b * shape)) - ln(steady > records ? steady : records);
}

// The same, and learns from it.
static double surprise(const Params *p, Calibration *c, const Prior *prior, double h, const Expected *expected) {
  const int t = expected->t, same_event = c->count > 0 && t - c->latest <= CLUSTER_READINGS;
  Events all = events_of(expected, c);
  const double odds = odds_of(p, prior, same_event ? before_latest(all, c) : all, h, expected);
  if (!same_event) {
    all.n += 1;
    all.sizes += h;
    c->cluster = (float)h;
  } else if (h > c->cluster) {
    all.sizes += h - c->cluster;
    c->cluster = (float)h;
  }
  c->count = (float)all.n;
  c->sizes = (float)all.sizes;
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
  const double odds = surprise(p, c, &p->prior[channel], h, expected);
  offer(p, row, channel, odds + more, said, unseen);
  return odds;
}

// What a channel found lately is no alarm by itself, and supports what another finds now.
static void support(const Params *p, const Calibration *c, Row *row, int channel, double h, const Expected *expected) {
  if (row->t - c->latest > CLUSTER_READINGS) return;
  const Prior *prior = &p->prior[channel];
  const double worth = odds_of(p, prior, before_latest(events_of(expected, c), c), h, expected) + prior->offset;
  if (worth > p->support_from) row->support += p->standing_weight * (worth - p->support_from);
}

// What is judged by how far it is beyond what is usual: only what goes further than it last did is new. While the excursion lasts that is kept, then forgotten.
static void judge_excess(const Params *p, Record *r, Row *row, int channel, double excess, double forgotten, int said, const Expected *expected) {
  Calibration *c = calibration_of(p, r, channel);
  if (excess < 1) {
    c->excess = (float)(c->excess * (1 - forgotten));
    return;
  }
  if (excess < FURTHER * c->excess) return support(p, c, row, channel, ln(excess), expected);
  c->excess = (float)excess;
  report(p, r, row, channel, ln(excess), 0, said, expected);
}

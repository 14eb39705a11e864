// Is a series that raised an alarm back to normal? (model/condition.ts)
#pragma once
#include "natural.h"
#include "record.h"

#define LEVEL_FLOOR 0.05
#define ROUGH_FLOOR 0.2
#define KNOWN_READINGS 64

static double deviations(double v, double mean, double variance, double floor) { return (v - mean) / (root(variance) + floor); }

// Deviations that the fast level is off the normal.
static double level_off(const Condition *c, double scale) {
  return c->readings < KNOWN_READINGS ? 1 : deviations(c->level, c->level_mean, c->level_variance, LEVEL_FLOOR * scale);
}

static double roughness_off(const Condition *c) { return deviations(ln(c->square + 1e-6), c->rough_mean, c->rough_variance, ROUGH_FLOOR); }

#define LEVEL_RATE (1.0 / 10)
#define SQUARE_RATE (1.0 / 16)
#define SLOWEST (1.0 / 1000)
#define OFF_SIGMAS 3.5
#define CALM_READINGS 6
#define YOUNG_READINGS 300  // a normal known from fewer is given up for what has lasted three times as long
#define YOUNG_TIMES 3
#define DRIFT_READINGS 256
#define WANDERING 36  // of a random walk the normal moves by a quarter of its deviation in DRIFT_READINGS, of what has a level to return to far less
#define LASTING_READINGS 12  // readings in a row off the normal that make a lasting state of what began with one reading

#define MOST_SQUARE 1000  // times the usual, so that one huge error does not fill it for long
#define HELD_SIGMAS 3.0

// Updates the fast level and roughness.
static void take(Condition *c, double v, double scale, double square, int n) {
  const double mean = c->level_mean;
  // A held-back normal is far from an accepted new one: the reach grows with the distance already covered.
  const double limit = 5 * scale + 2 * size_of(c->level - mean);
  c->level = (float)(c->level + LEVEL_RATE * (within(v, mean - limit, mean + limit) - c->level));
  const double most = n < 32 ? square : c->square_limit;
  const double rate = n < 16 ? 1.0 / (n + 1) : SQUARE_RATE;
  c->square = (float)(c->square + rate * ((square < most ? square : most) - c->square));
}

static void learn_into(float *mean, float *variance, double v, double rate) {
  const double off = v - *mean;
  *mean = (float)(*mean + rate * off);
  *variance = (float)((1 - rate) * (*variance + rate * off * off));
}

static void learn(Condition *c, int n, int fast) {
  const double rate = n < 1000 ? 1.0 / (n + 1) : SLOWEST;
  const double learned = fast && rate < 0.05 ? 0.05 : rate;
  learn_into(&c->level_mean, &c->level_variance, c->level, learned);
  // The roughness changes slowly: every fourth reading tells enough of it.
  if ((n & 3) == 0) {
    const double four = 4 * learned;
    const double rough = ln(c->square + 1e-6), mean = c->rough_mean, far = HELD_SIGMAS * root(c->rough_variance);
    const int holds = n >= KNOWN_READINGS && !fast && far > 0;
    learn_into(&c->rough_mean, &c->rough_variance, holds ? within(rough, mean - far, mean + far) : rough, four < 1 ? four : 1);
    c->square_limit = (float)(MOST_SQUARE * exp_of(c->rough_mean));
  }
  c->readings = n + 1;
  if ((n + 1) % DRIFT_READINGS == 0) {
    const double moved = (double)c->level_mean - c->drift_from;
    c->drift_from = c->level_mean;
    if (n + 1 > DRIFT_READINGS) c->drift = (float)(c->drift + 0.25 * (moved * moved - c->drift));
  }
  c->wanders = WANDERING * (double)c->drift > c->level_variance;
}

// Whether the fast level or the fast roughness is off the normal.
static int is_off(const Condition *c, double scale) {
  return size_of(level_off(c, scale)) > OFF_SIGMAS || size_of(roughness_off(c)) > OFF_SIGMAS;
}

// Takes one reading; returns ENDED, OPEN, LASTING as they hold after it. `still`: something else holds the event open; `limit`: it is a limit that a person set.
static int condition_step(const Params *p, Condition *c, double v, double scale, double square, int still, int limit) {
  const int open = c->open == 1, n = c->readings;
  if (n == 0) c->level = c->level_mean = c->drift_from = (float)v;
  take(c, v, scale, square, n);
  const int off = open && n >= KNOWN_READINGS && is_off(c, scale);
  c->lasting = off ? c->lasting + 1 : 0;
  const int relearn = c->relearn;
  if (relearn > 0) c->relearn = relearn - 1;
  if (!open || relearn > 0 || c->wanders) learn(c, n, relearn > 0);
  if (!open) return 0;
  const int lasting = c->lasting >= LASTING_READINGS ? LASTING : 0;
  c->since++;
  c->calm = off || still ? 0 : c->calm + 1;
  // What a series did for an hour does not make an event of all that it does the day after. A limit is none of what it did.
  const int outgrown = !limit && n < YOUNG_READINGS && c->since > YOUNG_TIMES * n;
  if (outgrown) c->relearn = p->relearn;
  if (c->calm < CALM_READINGS && !outgrown) return OPEN | lasting;
  c->open = 0;
  return ENDED | lasting;
}

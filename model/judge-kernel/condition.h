// Is a series that raised an alarm back to normal? (model/condition.ts)
#pragma once
#include "natural.h"
#include "record.h"

#define LEVEL_FLOOR 0.05
#define ROUGH_FLOOR 0.2
#define KNOWN_READINGS 64

static double deviations(double v, double mean, double variance, double floor) { return (v - mean) / (root(variance) + floor); }

// Deviations that the fast level is off the normal.
static double level_off(const Condition *c, double unit) {
  return c->readings < KNOWN_READINGS ? 1 : deviations(c->level, c->level_mean, c->level_variance, LEVEL_FLOOR * unit);
}

// A squared error less than that is none: what can be told in the present scale.
static double least_square(double unit) { return 1e-6 * unit * unit; }

static double log_of_square(double square, double unit) { return ln(square + least_square(unit)); }

// Of what is less than can be told there is nothing to be less than.
static double usual_roughness(const Condition *c, double unit) {
  const double square = least_square(unit);
  if (c->rough_mean > above_ln(square)) return c->rough_mean;
  const double least = ln(square);
  return c->rough_mean > least ? c->rough_mean : least;
}

// Deviations of the fast roughness from the normal.
static double roughness_off(const Condition *c, double unit) {
  return deviations(log_of_square(c->square, unit), usual_roughness(c, unit), c->rough_variance, ROUGH_FLOOR);
}

#define LEVEL_RATE (1.0 / 10)
#define SQUARES 16  // that the fast roughness is a mean of
#define SQUARE_RATE (1.0 / SQUARES)
#define SLOWEST (1.0 / 1000)
#define OFF_SIGMAS 3.5
#define STILL_OFF_SIGMAS 2.0
#define HALF_WAY 0.5
#define NEAR (1.0 / 16)  // share of the way that the level went: what is left of it is no deviation, however many of those of a series that never moved before
#define SMOOTH_READINGS 24  // readings in a row with usual errors are no rough ones, however rough those before them were
#define CALM_READINGS 6
#define YOUNG_READINGS 300  // a normal known from fewer is given up for what has lasted three times as long
#define YOUNG_TIMES 3
#define DRIFT_READINGS 256
#define SET_BACK_SIGMAS 4.0
#define WANDERING 36  // of a random walk the normal moves by a quarter of its deviation in DRIFT_READINGS, of what has a level to return to far less
#define WANDERING_DAY 0.29  // of the square of what it moves in a day: of what is read often the normal goes up and down with the day, and is where it was a day ago
#define HOURLY 4.0  // times the variance from hour to hour, that of the level is at least where the hour tells what is usual
#define NEAR_HOUR 0.25  // share of the way that the level went: how far off the hour is nothing
#define DAYS 7  // that are remembered: weekends are no wandering
// Events that come and go: those of so many readings or more are alike if their levels went as far, within a factor, and are remembered for a week (or so many readings).
#define LONG_READINGS 48
#define ALIKE 1.5
#define LATELY_MS 604800000.0
#define LATELY_READINGS 3000
#define TIMES 1.5   // remembered ones: the third is learned from
#define LONGER 1.5  // for so many times as long as they ever were
#define LEAST_SHARE 0.15  // of the normal that the third is, however short it was: its level is then within OFF_SIGMAS
#define LASTING_READINGS 12  // readings in a row off the normal that make a lasting state of what began with one reading

#define MOST_SQUARE (1.0 + SQUARES)  // times the mean: one huge error at most doubles it, readings that go on being rough pass any bound
#define HELD_SIGMAS 3.0

// A fast mean after one more value, which is held within the limit of a centre.
static float drawn_to(float fast, double v, double centre, double limit) {
  return (float)(fast + LEVEL_RATE * (within(v, centre - limit, centre + limit) - fast));
}

// Updates the fast level and roughness.
static void take(Condition *c, double v, double unit, double square, int n) {
  const double mean = c->level_mean;
  // A held-back normal is far from an accepted new one: the reach grows with the distance already covered.
  const double limit = 5 * unit + 2 * size_of(c->level - mean);
  c->level = drawn_to(c->level, v, mean, limit);
  const double rate = n < SQUARES ? 1.0 / (n + 1) : SQUARE_RATE, least = least_square(unit);
  const double most = n < 32 ? square : MOST_SQUARE * (c->square > least ? c->square : least);
  c->square = (float)(c->square + rate * ((square < most ? square : most) - c->square));
}

// How far the latest readings are from what is usual at their hour, as `take` does of the level.
static void take_hour(Condition *c, const Row *row) {
  c->hour_off = drawn_to(c->hour_off, row->hour_off, 0, 5 * row->unit + 2 * size_of(c->hour_off));
}

static void learn_into(float *mean, float *variance, double v, double rate) {
  const double off = v - *mean;
  *mean = (float)(*mean + rate * off);
  *variance = (float)((1 - rate) * (*variance + rate * off * off));
}

static double rate_at(int n, int fast) {
  const double rate = n < 1000 ? 1.0 / (n + 1) : SLOWEST;
  return fast && rate < 0.05 ? 0.05 : rate;
}

// The roughness changes slowly: every fourth reading tells enough of it.
static void learn_roughness(Condition *c, double unit, int n, int fast) {
  if ((n & 3) != 0 || n < SQUARES) return;
  const double four = 4 * rate_at(n - SQUARES + 3, fast);
  const double rough = log_of_square(c->square, unit), mean = c->rough_mean, far = HELD_SIGMAS * root(c->rough_variance);
  const int holds = n >= KNOWN_READINGS && !fast && far > 0;
  learn_into(&c->rough_mean, &c->rough_variance, holds ? within(rough, mean - far, mean + far) : rough, four < 1 ? four : 1);
}

// How far the normal moved since the midnight before (of UTC), in the first hour of a day; of a day without one nothing is said.
static void look_at_day(Condition *c, const Row *row) {
  const int day = (int)__builtin_floor(row->timestamp_ms / DAY_MS);
  if (day == c->day) return;
  const double moved = day != c->day + 1 ? __builtin_nan("") : size_of((double)c->level_mean - c->day_from);
  const int begins = row->timestamp_ms - day * DAY_MS < HOUR_MS;
  if (begins && moved == moved) c->day_drift = (float)(c->day_drift == 0 ? moved : c->day_drift + (moved - c->day_drift) / DAYS);
  c->day = day;
  c->day_from = begins ? c->level_mean : __builtin_nanf("");
}

static int wanders(const Condition *c, const Row *row) {
  if (WANDERING * (double)c->drift <= c->level_variance) return 0;
  if (row->period_ms * DRIFT_READINGS > DAY_MS || c->day_drift == 0) return 1;
  // The mean of a random walk moves so far, in its deviations from it: 2 (x - 1 + e^-x).
  const double x = DAY_MS / row->period_ms * SLOWEST, day = c->day_drift;
  return day * day > WANDERING_DAY * 2 * (x - 1 + exp_of(-x)) * c->level_variance;
}

static void learn(Condition *c, const Row *row, int n, int fast) {
  const double rate = rate_at(n, fast);
  learn_into(&c->level_mean, &c->level_variance, c->level, rate);
  learn_roughness(c, row->unit, n, fast);
  c->readings = n + 1;
  // What a person has accepted is no wandering.
  if (fast) c->drift_from = c->day_from = c->level_mean;
  c->hour_variance = (float)(c->hour_variance + rate * ((double)c->hour_off * c->hour_off - c->hour_variance));
  if ((n + 1) % DRIFT_READINGS == 0) {
    const double moved = (double)c->level_mean - c->drift_from;
    c->drift_from = c->level_mean;
    if (n + 1 > DRIFT_READINGS) c->drift = (float)(c->drift + 0.25 * (moved * moved - c->drift));
  }
  // What an event does to the level says nothing of it: a series that wandered goes on doing so; nor does one that is set back (a memory, by a restart), before it is known that it goes on from there.
  if (!c->open && !(c->wanders && size_of(level_off(c, row->unit)) > SET_BACK_SIGMAS)) c->wanders = wanders(c, row);
}

// How far the fast level is from the normal.
static double away(const Condition *c) { return (double)c->level - c->level_mean; }

// Whether a series goes up and down with the day, so that the hour tells what is usual.
static int hour_tells(const Condition *c) { return c->day_drift != 0 && HOURLY * (double)c->hour_variance <= c->level_variance; }

// A deviation from what is usual at this hour.
static double hour_sigma(const Condition *c, double unit) { return root(c->hour_variance) + LEVEL_FLOOR * unit; }

// Whether the latest readings are not what they are at this hour, of a series that goes up and down with the day: a shift by less than that is within its range for hours.
static int is_off_hour(const Condition *c, double unit) {
  const double off = size_of(c->hour_off);
  if (c->untold || !hour_tells(c)) return 0;
  return off > OFF_SIGMAS * hour_sigma(c, unit) && off > NEAR_HOUR * size_of(c->reached);
}

// AT_HOUR where the latest readings are where they usually are at this hour, OFF_HOUR where they are not; 0 of a series of which the hour tells nothing.
static int said_of_hour(const Condition *c, double unit) {
  if (!hour_tells(c)) return 0;
  return size_of(c->hour_off) < STILL_OFF_SIGMAS * hour_sigma(c, unit) ? AT_HOUR : OFF_HOUR;
}

// Whether the fast level is off the normal. What was off it must come closer than that, and half of the way back, to be none: noise alone would end an event.
static int is_off_level(const Condition *c, double unit) {
  const double far = size_of(level_off(c, unit)), gone = size_of(away(c)), reached = size_of(c->reached);
  return (far > OFF_SIGMAS && gone > NEAR * reached) || (c->lasting >= LASTING_READINGS && far > STILL_OFF_SIGMAS && gone > HALF_WAY * reached);
}

// Whether the fast level or the fast roughness is off the normal.
static int is_off(const Condition *c, double unit) {
  const double rough = roughness_off(c, unit);
  return is_off_level(c, unit) || is_off_hour(c, unit) || rough < -OFF_SIGMAS || (rough > OFF_SIGMAS && c->smooth < SMOOTH_READINGS);
}

// How many events like the latest are remembered.
static double remembered(const Condition *c, int t, double period_ms) {
  const double lately = LATELY_MS / period_ms, readings = lately > LATELY_READINGS ? lately : LATELY_READINGS;
  return c->times * exp_of((c->ended - t) / readings);
}

// Whether there were so many that one like them is no news.
static int is_known(const Condition *c, const Row *row) { return remembered(c, row->t, row->period_ms) >= TIMES; }

// What lasted for so long belongs to the normal, as if it had been learned all the while.
static void adopt(Condition *c, double reached, int readings) {
  const double least = LEAST_SHARE, lasted = 1 - exp_of(-readings * SLOWEST), share = lasted > least ? lasted : least;
  const float mean = c->level_mean;
  learn_into(&c->level_mean, &c->level_variance, (double)mean + reached, share);
  // It did not wander there.
  c->drift_from += c->level_mean - mean;
  c->day_from += c->level_mean - mean;
}

// Whether the level goes as far, and there, in two events.
static int is_alike(double reached, double usual) { return reached * usual > usual * usual / ALIKE && reached * usual < ALIKE * usual * usual; }

// What comes and goes was there once more.
static void count_in(Condition *c, int alike, const Row *row) {
  c->times = (float)(alike ? remembered(c, row->t, row->period_ms) + 1 : 1);
  if (!alike || c->since > c->lasted) c->lasted = c->since;
  c->ended = row->t;
}

// An event has ended by itself.
static void recall(Condition *c, const Row *row) {
  if (c->since < LONG_READINGS) return;
  count_in(c, is_alike(c->reached, c->usual), row);
  c->usual = c->reached;
  c->place = c->level_mean + c->reached;
  if (c->recurs) adopt(c, c->reached, c->since);
}

// Whether the event that is open has come to be like others that came and went, and is no longer: the third night shift is none. What goes on is a fault again.
static int recurs(const Condition *c, const Row *row) {
  return is_alike(c->reached, c->usual) && c->since <= LONGER * c->lasted && is_known(c, row);
}

// Whether the level is where it was in events that came and went, more than half of the way.
static int is_there(const Condition *c) { return ((double)c->level - c->place) * c->usual > -0.5 * c->usual * c->usual; }

// Readings that what comes and goes may last. Of what is at a value like others, at no time that is known, it must have come lately.
static double most_readings(const Condition *c, const Row *row) {
  const int unknown = c->untold == WHILE_SHORT && !is_known(c, row);
  return LONGER * (c->lasted > LONG_READINGS && !unknown ? c->lasted : LONG_READINGS);
}

// What the event that is open, if one is, has come to with this reading.
static void follow(Condition *c, const Row *row, int open) {
  if (!open) {
    c->reached = 0;
    c->smooth = c->recurs = 0;
    return;
  }
  if (size_of(away(c)) > size_of(c->reached)) c->reached = (float)away(c);
  // No more than what is usual, or than a network errs that was good at what never moved: it is not learned in an event that this was none of.
  const double most = usual_roughness(c, row->unit) + OFF_SIGMAS * (root(c->rough_variance) + ROUGH_FLOOR);
  c->smooth = row->square < row->negligible * row->negligible || log_of_square(row->square, row->unit) < most ? c->smooth + 1 : 0;
  c->recurs = !(row->given & LIMIT) && recurs(c, row);
}

// No event is open. What was learned as it came and went is a fault where it stays: it opens one.
static int rest(Condition *c, const Row *row, int relearning) {
  const int there = is_there(c) && !c->wanders && !relearning && is_known(c, row);
  if (!there && c->since >= LONG_READINGS) count_in(c, 1, row);
  c->since = there ? c->since + 1 : 0;
  if (c->since <= most_readings(c, row)) return 0;
  c->open = 1;
  c->calm = 0;
  return OPEN | OVERDUE;
}

// An event is open. n: readings that the normal was known from.
static int go_on(const Params *p, Condition *c, const Row *row, int n, int off, int still) {
  c->since++;
  const int overdue = c->untold && c->since > most_readings(c, row) && off;
  if (overdue) c->untold = 0;
  const int said = (c->lasting >= LASTING_READINGS ? LASTING : 0) | (overdue ? OVERDUE : 0);
  c->calm = off || still ? 0 : c->calm + 1;
  // What a series did for an hour does not make an event of all that it does the day after. A limit is none of what it did.
  const int outgrown = !(row->given & LIMIT) && n < YOUNG_READINGS && c->since > YOUNG_TIMES * n;
  if (c->calm < CALM_READINGS && !outgrown) return OPEN | said;
  if (outgrown) c->relearn = p->relearn;
  else recall(c, row);
  c->open = c->since = c->untold = 0;
  return ENDED | said;
}

// Takes a reading; returns ENDED, OPEN, LASTING, OVERDUE (what comes and goes stays for longer than it did) as they hold after it. `still`: something else holds the event open; LIMIT: it is a limit that a person set.
static int condition_step(const Params *p, Condition *c, const Row *row, int still) {
  const int open = c->open == 1, n = c->readings;
  if (n == 0) c->level = c->level_mean = c->drift_from = (float)row->v;
  take(c, row->v, row->unit, row->square, n);
  take_hour(c, row);
  look_at_day(c, row);
  follow(c, row, open);
  const int stays = open && !c->wanders && c->times >= TIMES && c->since > most_readings(c, row) && is_there(c);
  const int off = open && n >= KNOWN_READINGS && (stays || is_off(c, row->unit));
  c->lasting = off ? c->lasting + 1 : 0;
  const int relearning = c->relearn > 0;
  if (relearning) c->relearn--;
  // The level of what recurs is not learned before it has ended, or it would end by being learned.
  if (!open || relearning || c->wanders) learn(c, row, n, relearning);
  return open ? go_on(p, c, row, n, off, still) : rest(c, row, relearning);
}

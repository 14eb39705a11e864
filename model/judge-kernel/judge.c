// The channels that look at every reading, their calibration, and the conditions of series: docs/detection.md has the equations.
// State is float32 (what it would lose: float64), arithmetic float64. Nothing depends on the other rows of a call.
// No libc, no allocation: model/records.ts lays out the memory. `npm run build:wasm` compiles this to module.ts.
#include "natural.h"

enum { X, E1, E32, TOD, STUCK };  // of CHANNELS in model/tuning.ts, in its order
#define MOST_CHANNELS 16
#define BOXES 4
#define SILENT (-100.0)

// What clean series show on a channel (ChannelPrior).
typedef struct {
  double a, b, offset;
} Prior;

// Written by model/records.ts, in this order. Offsets are in words from the start of a record.
typedef struct {
  double theta_x, theta_error, noise_pad, noise_pad_error, rare_pad, t1, rate_floor, rate_weight, size_weight, size_settling, shape_limit,
    forget, support_from, support_weight, repeat_decay, count_from;
  Prior prior[MOST_CHANNELS];
  int stride;       // words of a record
  int intervals;    // K
  int calibration;  // [channels] Calibration
  int hours;        // [24]
  int horizon;      // [32][2], 0 where it is off
  int judges_runs;
  int box[BOXES];   // [K] Interval of x, e1, e32, tod; 0 where it is off
} Params;

typedef struct {
  float low, high;
  int used;  // reading at which it was last hit
} Interval;

// The running range of a channel, and the interval that was hit last: most readings fall into the same one again.
typedef struct {
  float low, high;
  int hit, n;        // its place; intervals so far
  Interval current;  // what its place holds is older
  float peak;        // M of the calibration
} Box;

typedef struct {
  float excess;  // of season and span: how far the excursion went
  float sizes;   // sum of h
  float count;   // n
  int latest;    // reading of the latest event
  float cluster; // the largest h of the latest event
} Calibration;

// Is the series back to normal? (model/condition.ts)
typedef struct {
  int open, since, calm;
  float level, level_mean, level_variance;
  float square, rough_mean, rough_variance;
  int readings, relearn;
  float drift, drift_from;
  int lasting;
  float square_limit;
  int unused;
} Condition;

// The front of a record; the rest is where Params says.
typedef struct {
  double anchor;       // u is kept relative to the first one
  double horizon_sum;  // of the latest 32 values
  double last;         // the latest reading
  int t;               // readings judged
  float rate;          // G, the sum of the expected rate
  int mute;            // readings until forecasts made before a gap are spent
  float peak;          // the odds that a new alarm must beat
  int run;             // equal values in a row
  float record;        // ln(1 + longest run)
  float repeats;       // share of readings that equal the one before
  float usual[2];      // mean mismatch of the season, mean lack of its span
  int hours_seen;      // a bit an hour
  Box box[BOXES];
  Condition condition;
} Record;

// A reading, and what was found of it. Layout: ROW in model/records.ts.
typedef struct {
  double timestamp_ms, raw, log_ratio, log_roughness;
  double u, period_ms, mean, scale;  // of the normaliser
  double location, spread, location_32, spread_32;  // of the forecasts made before it
  double odds, support, v, square;
  double rate_sum;
  int slot;
  int given;    // bits below
  int channel;  // the loudest
  int said;     // bits below
  int unseen;   // readings for which that channel has shown nothing novel
  int run;      // equal readings before this one
  int t;        // readings before it
  int unused;
} Row;

enum { LEARNING = 1, FRESH = 2, STILL = 4, REST = 8 };                                          // given
enum { ABOVE = 1, EXTREME = 2, STANDS = 4, WANDERS = 8, OPEN = 16, ENDED = 32, LASTING = 64 };  // said

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

// ---- novelty -------------------------------------------------------------------------------------------------------

#define CONTRACTION 1e-4
#define NOVELTY_LIMIT 10.0
#define RARE_READINGS 32

// The distance of v to the nearest interval over the running range; then, if it `learns`, takes v in: an interval that stays shorter than theta of the
// range is stretched to it, otherwise a new one begins, in place of the one that was used longest ago.
static double novelty(Box *box, Interval *all, int K, double v, double theta, int t, double rare_pad, int learns) {
  if (box->n == 0) {
    const float at = (float)v;
    box->current = all[0] = (Interval){at, at, t};
    box->low = box->high = at;
    box->hit = 0;
    box->n = 1;
    return 0;
  }
  const double centre = 0.5 * ((double)box->low + (double)box->high);
  box->low = (float)(box->low + (centre - box->low) * CONTRACTION);
  box->high = (float)(box->high + (centre - box->high) * CONTRACTION);
  if (v >= box->current.low && v <= box->current.high) {
    box->current.used = t;
    return 0;
  }
  all[box->hit] = box->current;
  int nearest = 0;
  double distance = __builtin_inf();
  for (int k = 0; k < box->n; k++) {
    const double below = all[k].low - v, above = v - all[k].high;
    const double d = below > above ? below : above;
    if (d < distance) {
      distance = d;
      nearest = k;
      if (d <= 0) break;
    }
  }
  if (distance <= 0) {
    box->hit = nearest;
    box->current = (Interval){all[nearest].low, all[nearest].high, t};
    return 0;
  }
  const double seen = (double)box->high - (double)box->low;
  const double ratio = seen > 0 ? distance / seen : NOVELTY_LIMIT;
  // How wide an interval that is rarely hit really is, few hits do not tell.
  const double rare = t - all[nearest].used > RARE_READINGS ? rare_pad : 0;
  const double found = ratio - rare < NOVELTY_LIMIT ? ratio - rare : NOVELTY_LIMIT;
  if (!learns) return found;
  if (v < box->low) box->low = (float)v;
  if (v > box->high) box->high = (float)v;
  const double range = (double)box->high - (double)box->low;
  Interval *one = &all[nearest];
  const double length = v < one->low ? one->high - v : v - one->low;
  int place = nearest;
  if (length <= theta * range) {
    if (v < one->low) one->low = (float)v;
    else one->high = (float)v;
  } else {
    if (box->n < K) place = box->n++;
    else for (int k = place = 0; k < K; k++) if (all[k].used < all[place].used) place = k;
    all[place].low = all[place].high = (float)v;
  }
  box->hit = place;
  box->current = (Interval){all[place].low, all[place].high, t};
  return found;
}

// ---- calibration ---------------------------------------------------------------------------------------------------

#define PEAK_DECAY 0.97530991202833262  // e^(-1/40)
#define CLUSTER_READINGS 40
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
  const double gamma = (n_before + p->rate_weight) / (expected->sum * prior->a + p->rate_weight);
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

static inline Calibration *calibration_of(const Params *p, Record *r, int channel) {
  return (Calibration *)((float *)r + p->calibration) + channel;
}

// ---- channels ------------------------------------------------------------------------------------------------------

// How far noise alone carries a value of this channel, in its unit.
static double noise(const Params *p, const Row *row, int channel) {
  if (channel == E32) return 0;
  const double relative = exp_of(2 * row->log_roughness);
  return channel == E1 ? p->noise_pad_error * relative : p->noise_pad * row->scale * relative;
}

static void judge_novelty(const Params *p, Record *r, Row *row, int channel, double v, double theta, const Expected *expected) {
  Box *box = &r->box[channel];
  const int t = row->t;
  const int extreme = channel == X && (v < box->low || v > box->high);
  const int above = channel == X ? v > 0.5 * ((double)box->low + (double)box->high) : v > 0;
  // Values that a fault brings must be unlike the normal the next time too. Errors go on being learned: a forecast that fails after a fault fails for long.
  const int learns = channel != X || (row->given & LEARNING);
  const double d = novelty(box, (Interval *)((float *)r + p->box[channel]), p->intervals, v, theta, t, p->rare_pad, learns);
  // The first readings span the range: all of them are novel and none tells anything.
  if (t < p->count_from) return;
  const double beyond = d > 0 ? d - noise(p, row, channel) / ((double)box->high - (double)box->low) : d;
  // What is not learned comes again as long as the fault lasts, perhaps once a cycle: only what is worse than all of it so far is new.
  const double decayed = learns ? box->peak * PEAK_DECAY : box->peak;
  if (!(beyond > 0)) {
    box->peak = (float)decayed;
    return;
  }
  const double peak = box->peak;
  box->peak = (float)(beyond > decayed ? beyond : decayed);
  // It repeats the last one.
  if (beyond <= 1.5 * peak) return;
  Calibration *c = calibration_of(p, r, channel);
  const int unseen = t - c->latest;
  const double odds = surprise(p, c, &p->prior[channel], ln(1 + beyond / NOVELTY_UNIT) * expected->size_unit, t, expected);
  if (odds <= SILENT) return;
  offer(p, row, channel, odds, (above ? ABOVE : 0) | (extreme ? EXTREME : 0), extreme ? t : unseen);
}

#define ERROR_LIMIT 1e6  // squares of what is kept must fit a float32
#define VALUE_LIMIT 1e18

// A forecast error in scales, a little of its uncertainty divided out.
static double error_of(double miss, double spread, double scale) {
  const double error = miss / (scale * root(root(root(spread / scale))));
  return error > ERROR_LIMIT ? ERROR_LIMIT : error > -ERROR_LIMIT ? error : -ERROR_LIMIT;
}

#define HORIZON 32

typedef struct {
  float value, forecast;
} Past;

static void judge_forecasts(const Params *p, Record *r, Row *row, const Expected *expected) {
  const double v = row->v;
  const int t = row->t, mute = r->mute;
  if (mute < HORIZON) {
    const double e1 = error_of(v - (row->location - r->anchor), row->spread, row->scale);
    row->square = e1 * e1;
    if (p->box[E1]) judge_novelty(p, r, row, E1, e1, p->theta_error, expected);
  }
  if (p->horizon == 0 || mute != 0 || t < HORIZON) return;
  // The mean of the latest 32 values, v among them, less its forecast.
  const Past *past = (Past *)((float *)r + p->horizon) + t % HORIZON;
  const double miss = (r->horizon_sum + v - past->value) / HORIZON - past->forecast;
  if (miss == miss) judge_novelty(p, r, row, E32, error_of(miss, row->spread_32, row->scale), p->theta_error, expected);
}

#define HOUR_MS 3600000.0
#define MEMORY_MS 3000000.0  // a bin of the day forgets in about this time: ten readings at one in five minutes

// The value less the running mean of its hour of the day (UTC).
static void judge_hour(const Params *p, Record *r, Row *row, const Expected *expected) {
  const int hour = (int)((long long)__builtin_floor(row->timestamp_ms / HOUR_MS) % 24 + 24) % 24;
  float *mean = (float *)r + p->hours + hour;
  if ((r->hours_seen & 1 << hour) == 0) {
    r->hours_seen |= 1 << hour;
    *mean = (float)row->v;
    return;
  }
  const double off = row->v - *mean;
  if (row->given & LEARNING) {
    const double share = row->period_ms / MEMORY_MS;
    *mean = (float)(*mean + (share > 0.3 ? 0.3 : share) * off);
  }
  judge_novelty(p, r, row, TOD, off, p->theta_error, expected);
}

#define SHORT_RUN 6  // runs of equal values up to this are nothing
#define LN_SHORT_RUN 1.79175946922805496

// How long the series stands still, against its own record.
static void judge_run(const Params *p, Record *r, Row *row, const Expected *expected) {
  const int equal = row->raw == r->last, t = row->t, ran = r->run;
  const int run = row->run = r->run = equal ? ran + 1 : 0;
  // A run that goes on counts no more, or a stuck sensor would teach that it repeats itself.
  if (run < SHORT_RUN) r->repeats = (float)(r->repeats + (t < 1000 ? 1.0 / (t + 1) : 0.001) * (equal - (double)r->repeats));
  if (run < SHORT_RUN && ran < SHORT_RUN) return;
  const double record = r->record > LN_SHORT_RUN ? r->record : LN_SHORT_RUN;
  if (!equal) {
    // One long run does not become normal; several, each a little longer than was normal, do.
    const double length = ln(1.0 + ran);
    if (length > record) r->record = (float)(length < record + 0.5 ? length : record + 0.5);
    return;
  }
  const double beyond = ln(1.0 + run) - record;
  if (beyond <= 0) return;
  row->said |= STANDS;
  if (!p->judges_runs) return;
  // A sensor that hardly ever repeats a value does not do so six times by chance.
  const double share = 10 * (double)r->repeats + 0.01;
  const double rarity = share < 1 ? -ln(share) : 0;
  Calibration *c = calibration_of(p, r, STUCK);
  const int unseen = t - c->latest;
  offer(p, row, STUCK, rarity + surprise(p, c, &p->prior[STUCK], beyond, t, expected), 0, unseen);
}

static void keep_value(const Params *p, Record *r, double v, int t) {
  if (p->horizon == 0) return;
  Past *past = (Past *)((float *)r + p->horizon);
  const float kept = (float)v;
  r->horizon_sum += (double)kept - past[t % HORIZON].value;
  past[t % HORIZON].value = kept;
  if (t % HORIZON != HORIZON - 1) return;
  // Once a turn of the ring the sum is made afresh, so that one huge value leaves no rounding behind.
  double sum = 0;
  for (int k = 0; k < HORIZON; k++) sum += past[k].value;
  r->horizon_sum = sum;
}

// ---- conditions ----------------------------------------------------------------------------------------------------

#define LEVEL_RATE (1.0 / 10)
#define SQUARE_RATE (1.0 / 16)
#define SLOWEST (1.0 / 1000)
#define OFF_SIGMAS 3.5
#define CALM_READINGS 6
#define DRIFT_READINGS 256
#define LASTING_READINGS 12  // readings in a row off the normal that make a lasting state of what began with one reading
#define KNOWN_READINGS 64

static int wanders(const Condition *c) { return 9 * (double)c->drift > c->level_variance; }

// Updates the fast level and roughness.
static void take(Condition *c, double v, double scale, double square, int n) {
  const double mean = c->level_mean;
  // A held-back normal is far from an accepted new one: the reach grows with the distance already covered.
  const double distance = c->level - mean;
  const double limit = 5 * scale + 2 * (distance < 0 ? -distance : distance);
  const double held = v > mean + limit ? mean + limit : v < mean - limit ? mean - limit : v;
  c->level = (float)(c->level + LEVEL_RATE * (held - c->level));
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
    learn_into(&c->rough_mean, &c->rough_variance, ln(c->square + 1e-6), four < 1 ? four : 1);
    c->square_limit = (float)(20 * exp_of(c->rough_mean));
  }
  c->readings = n + 1;
  if ((n + 1) % DRIFT_READINGS != 0) return;
  const double moved = (double)c->level_mean - c->drift_from;
  c->drift_from = c->level_mean;
  if (n + 1 > DRIFT_READINGS) c->drift = (float)(c->drift + 0.25 * (moved * moved - c->drift));
}

// Whether the fast level or the fast roughness is off the normal.
static int is_off(const Condition *c, double scale) {
  const double level_sd = root(c->level_variance) + 0.05 * scale;
  const double level_off = (double)c->level - c->level_mean;
  if (level_off > OFF_SIGMAS * level_sd || level_off < -OFF_SIGMAS * level_sd) return 1;
  const double rough_off = ln(c->square + 1e-6) - c->rough_mean;
  const double rough_sd = root(c->rough_variance) + 0.2;
  return rough_off > OFF_SIGMAS * rough_sd || rough_off < -OFF_SIGMAS * rough_sd;
}

// Takes one reading; returns ENDED, OPEN, LASTING as they hold after it. `still`: something else holds the event open.
static int condition_step(Condition *c, double v, double scale, double square, int still) {
  const int open = c->open == 1, n = c->readings;
  if (n == 0) c->level = c->level_mean = c->drift_from = (float)v;
  take(c, v, scale, square, n);
  const int off = open && n >= KNOWN_READINGS && is_off(c, scale);
  c->lasting = off ? c->lasting + 1 : 0;
  const int relearn = c->relearn;
  if (relearn > 0) c->relearn = relearn - 1;
  if (!open || relearn > 0 || wanders(c)) learn(c, n, relearn > 0);
  if (!open) return 0;
  const int lasting = c->lasting >= LASTING_READINGS ? LASTING : 0;
  c->since++;
  c->calm = off || still ? 0 : c->calm + 1;
  if (c->calm < CALM_READINGS) return OPEN | lasting;
  c->open = 0;
  return ENDED | lasting;
}

// ---- what model/records.ts calls -----------------------------------------------------------------------------------

static inline Record *record_of(const Params *p, float *arena, int slot) {
  return (Record *)(arena + (unsigned)slot * (unsigned long)p->stride);
}

static inline Expected expected_at(const Params *p, int t, double sum) {
  return (Expected){1 / (t + p->t1) + p->rate_floor, sum, 1 / (1 + p->size_settling / (t + 1))};
}

// The statistics of the series start anew; its condition goes on.
static void forget(const Params *p, Record *r) {
  const Condition kept = r->condition;
  for (int i = 0; i < p->stride; i++) ((int *)r)[i] = 0;
  r->condition = kept;
}

// Everything up to what is judged elsewhere (the season). arena: [slots][stride] floats.
__attribute__((export_name("look")))
void look(const Params *p, float *arena, Row *rows, int n) {
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    if (row->given & FRESH) forget(p, r);
    const int t = row->t = r->t;
    if (t == 0) r->anchor = row->u;
    const double off = row->u - r->anchor;
    row->v = off > VALUE_LIMIT ? VALUE_LIMIT : off < -VALUE_LIMIT ? -VALUE_LIMIT : off;
    row->odds = SILENT;
    row->support = row->square = 0;
    row->channel = X;
    row->unseen = row->run = 0;
    row->said = wanders(&r->condition) ? WANDERS : 0;
    const Expected expected = expected_at(p, t, r->rate);
    row->rate_sum = expected.sum;
    r->rate = (float)(expected.sum * (1 - p->forget) + expected.now);
    if (p->box[X]) judge_novelty(p, r, row, X, row->v, p->theta_x, &expected);
    if (t == 0) continue;
    // Forecast errors that span a gap longer than three periods say nothing.
    if (row->log_ratio > 1.09861228866810956) r->mute = HORIZON;
    judge_forecasts(p, r, row, &expected);
    if (r->mute > 0) r->mute--;
    if (p->box[TOD]) judge_hour(p, r, row, &expected);
  }
}

// A channel that is judged elsewhere has seen an event of size h: its log odds. `rate_sum` of the row that `look` left.
__attribute__((export_name("surprise")))
double surprise_of(const Params *p, float *arena, const Row *row, int channel, double h) {
  Record *r = record_of(p, arena, row->slot);
  const Expected expected = expected_at(p, row->t, row->rate_sum);
  return surprise(p, calibration_of(p, r, channel), &p->prior[channel], h, row->t, &expected);
}

// The rest of the channels, and one score of all.
__attribute__((export_name("conclude")))
void conclude(const Params *p, float *arena, Row *rows, int n) {
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    if (row->t > 0) {
      const Expected expected = expected_at(p, row->t, row->rate_sum);
      judge_run(p, r, row, &expected);
    }
    // A fault shows on several channels at once more often than chance does: what the others say supports the loudest.
    if (row->odds > p->support_from) row->odds += p->support_weight * (row->support - (row->odds - p->support_from));
    keep_value(p, r, row->v, row->t);
    r->last = row->raw;
    r->t = row->t + 1;
  }
}

// Is the series normal? Returns how many rows have an event that is open or ended here.
__attribute__((export_name("settle")))
int settle(const Params *p, float *arena, Row *rows, int n) {
  int open = 0;
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    // A reading that surprised nobody: the bar for the next alarm sinks.
    if (row->given & REST) r->peak = (float)(r->peak * (1 - p->repeat_decay));
    const int said = condition_step(&r->condition, row->v, row->scale, row->square, row->given & STILL);
    row->said |= said;
    // The long forecasts made in the event spoke of it: against what came back they say nothing. Those of one reading ahead do.
    if ((said & ENDED) && r->mute < HORIZON - 1) r->mute = HORIZON - 1;
    if (said) open++;
  }
  return open;
}

// For tests: the novelty of a value on a channel of a slot.
__attribute__((export_name("novelty")))
double novelty_of(const Params *p, float *arena, int slot, int channel, double v, double theta, int t) {
  Record *r = record_of(p, arena, slot);
  return novelty(&r->box[channel], (Interval *)((float *)r + p->box[channel]), p->intervals, v, theta, t, p->rare_pad, 1);
}

// For tests. what: 0 exp, 1 ln.
__attribute__((export_name("natural")))
double natural(int what, double x) { return what == 0 ? exp_of(x) : ln(x); }

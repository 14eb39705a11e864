// The channels that look at every reading, and what becomes of a series' state: docs/detection.md has the equations.
// State is float32 (what it would lose: float64), arithmetic float64. Nothing depends on the other rows of a call.
// No libc, no allocation: model/records.ts lays out the memory. `npm run build:wasm` compiles this to module.ts.
#include "calibration.h"
#include "condition.h"
#include "intervals.h"
#include "natural.h"
#include "shapes.h"

// ---- values and errors ---------------------------------------------------------------------------------------------

#define PEAK_DECAY 0.97530991202833262  // e^(-1/40)

// How far noise alone carries a value of this channel, in its unit.
static double noise(const Params *p, const Row *row, int channel) {
  const double relative = exp_of(2 * row->log_roughness);
  return channel == E1 ? p->noise_pad_error * relative : p->noise_pad * row->unit * relative;
}

// The same in ranges of the channel, or the least that counts; the mean of 32 errors has no noise of its own.
static double noise_in_ranges(const Params *p, const Row *row, int channel, const Box *box) {
  if (channel == E32) return p->least_error_32;
  const double relative = noise(p, row, channel) / ((double)box->high - (double)box->low);
  return relative > p->least_error ? relative : p->least_error;
}

// A reading of which there is nothing to say.
static void pass(Box *box) {
  shrink(box);
  box->peak = (float)(box->peak * PEAK_DECAY);
}

#define MOST_CONTEXT 3.0

// ln(1 + deviations), bounded: what the state of a series adds to the odds of what is found in it. Its weight of 1 is what a logistic fit gives.
static double context(double off) {
  const double adds = ln(1 + size_of(off));
  return adds < MOST_CONTEXT ? adds : MOST_CONTEXT;
}

static inline Interval *intervals_of(const Params *p, Record *r, int channel) { return (Interval *)((float *)r + p->box[channel]); }

// An error, or a value in its hour, of a series that is `off` by so many deviations. It goes on being learned in an event: a forecast that fails after a fault fails for long.
static void judge_error(const Params *p, Record *r, Row *row, int channel, double v, double off, const Expected *expected) {
  Box *box = &r->box[channel];
  Interval *all = intervals_of(p, r, channel);
  const int t = row->t;
  shrink(box);
  const double d = novelty(box, all, v, t, p->rare_pad);
  if (d != 0) take_in(box, all, p->intervals, v, p->theta_error, t);
  if (t < p->count_from) return;
  const double beyond = d > 0 ? d - noise_in_ranges(p, row, channel, box) : d;
  const double peak = box->peak, decayed = peak * PEAK_DECAY;
  box->peak = (float)(beyond > decayed ? beyond : decayed);
  // It repeats the last one.
  if (!(beyond > 0) || beyond <= 1.5 * peak) return;
  report(p, r, row, channel, novelty_size(beyond, expected), context(off), v > 0 ? ABOVE : 0, expected);
}

static void judge_value(const Params *p, Record *r, Row *row, const Expected *expected) {
  Box *box = &r->box[X];
  Interval *all = intervals_of(p, r, X);
  const double v = row->v;
  const int t = row->t, K = p->intervals, learns = row->given & LEARNING;
  const int above = v > 0.5 * ((double)box->low + (double)box->high) ? ABOVE : 0;
  // What an event is measured in stays while it is open.
  if (learns) shrink(box);
  const double d = novelty(box, all, v, t, p->rare_pad);
  if (t < p->count_from) {
    // The first readings span the range: all of them are novel and none tells anything.
    if (d != 0) take_in(box, all, K, v, p->theta_x, t);
    return;
  }
  // What is not learned comes again as long as the fault lasts, perhaps once a cycle: only what is worse than all of it so far is new.
  const double peak = box->peak, decayed = learns ? peak * PEAK_DECAY : peak;
  box->peak = (float)decayed;
  if (d == 0) return;
  const double seen = (double)box->high - (double)box->low;
  const double range = v > box->high ? v - box->low : v < box->low ? box->high - v : seen;
  // An event goes on for as long as values are unlike the normal, be it by ever so little.
  const double pad = noise(p, row, X) / (learns ? range : seen) + (learns ? p->least_value : 0);
  if (d <= pad) {
    if (learns) take_in(box, all, K, v, p->theta_x, t);
    return;
  }
  if (!learns) row->said |= OUTSIDE;
  const Nearest like = doubted(box, all, row);
  if (learns && like.at >= 0 && like.distance <= 0) row->said |= DOUBTED;
  const double beyond = like.at < 0 ? d - pad : like.distance <= 0 ? 0 : in_ranges(box, like.distance) - pad;
  if (beyond > decayed) box->peak = (float)beyond;
  double odds = SILENT;
  if (beyond > 0 && beyond > 1.5 * peak) {
    const int said = above | (is_extreme(box, all, v) ? EXTREME : 0);
    odds = report(p, r, row, X, novelty_size(beyond, expected), context(level_off(&r->condition, row->unit)), said, expected);
  }
  if (!learns) {
    if (like.at >= 0) all[like.at].used = t;
  } else if (odds >= p->doubt_from) doubt(box, all, K, v, p->theta_x, range, t);
  else if (like.at >= 0) doubt_less(box, all, like.at, v, t);
  else take_in(box, all, K, v, p->theta_x, t);
}

// ---- forecasts, hours, runs ----------------------------------------------------------------------------------------

#define ERROR_LIMIT 1e6  // squares of what is kept must fit a float32

// A forecast error in scales, a little of its uncertainty divided out.
static double error_of(double miss, double spread, double scale) {
  const double error = miss / (scale * root(root(root(spread / scale))));
  return error > ERROR_LIMIT ? ERROR_LIMIT : error > -ERROR_LIMIT ? error : -ERROR_LIMIT;
}

#define FIRST_READINGS 32
#define SETTLED_READINGS 1000
#define GROWN 4.0

// What a young series erred by before it had shown its range is little in the unit that it has come to: it would hide the errors of all that comes.
static void grow_unit(const Params *p, Record *r, const Row *row) {
  const int grown = row->unit > GROWN * r->unit;
  if (grown && r->unit > 0) {
    const double by = r->unit / row->unit;
    if (p->box[E1]) rescale(&r->box[E1], intervals_of(p, r, E1), by);
    if (p->box[E32]) rescale(&r->box[E32], intervals_of(p, r, E32), by);
  }
  if (grown || row->t < FIRST_READINGS) r->unit = (float)row->unit;
}

static void judge_forecasts(const Params *p, Record *r, Row *row, const Expected *expected) {
  const double v = row->v;
  const int t = row->t, mute = r->mute;
  if (t < SETTLED_READINGS) grow_unit(p, r, row);
  if (mute < HORIZON) {
    const double miss = v - (row->location - r->anchor), e1 = error_of(miss, row->spread, row->unit);
    // In the unit of the series: its scale follows what it shows, what is rough for it does not.
    const double error = within(e1 * row->unit, -VALUE_LIMIT, VALUE_LIMIT);
    row->square = error * error;
    // A counter that was reset says nothing: its increment is made up.
    const int reset = row->given & COUNTER && row->raw < r->last;
    // Where an error is none to speak of, what was found before is forgotten all the same.
    if (p->box[E1] && size_of(miss) > row->negligible && !reset) judge_error(p, r, row, E1, e1, 0, expected);
    else pass(&r->box[E1]);
  }
  if (p->box[E32] == 0 || mute != 0 || t < HORIZON) return;
  // The mean of the latest 32 values, v among them, less its forecast.
  const Past *past = (Past *)((float *)r + p->horizon) + t % HORIZON;
  const double miss = (r->horizon_sum + v - past->value) / HORIZON - past->forecast;
  if (miss != miss) return;
  // Where the reading itself is where it always is, the mean of the latest 32 is the echo of what was.
  const double away = (v - (row->mean - r->anchor)) / row->unit;
  judge_error(p, r, row, E32, error_of(miss, row->spread_32, row->unit), away, expected);
}

#define MEMORY_MS 3000000.0  // a bin of the day forgets in about this time: ten readings at one in five minutes

// The value less the running mean of its hour of the day (UTC).
static void judge_hour(const Params *p, Record *r, Row *row, const Expected *expected) {
  const double hours = __builtin_floor(row->timestamp_ms / HOUR_MS);
  const int hour = (int)(hours - 24 * __builtin_floor(hours / 24));
  float *mean = (float *)r + p->hours + hour;
  if ((r->hours_seen & 1 << hour) == 0) {
    r->hours_seen |= 1 << hour;
    *mean = (float)row->v;
    return;
  }
  const double off = row->hour_off = row->v - *mean;
  // What nobody is told of, or what recurs, is not what is usual at its hour.
  if (row->given & LEARNING && !r->condition.open) {
    const double share = row->period_ms / MEMORY_MS;
    *mean = (float)(*mean + (share > 0.3 ? 0.3 : share) * off);
  }
  judge_error(p, r, row, TOD, off, 0, expected);
}

#define SHORT_RUN 6  // runs of equal values up to this are nothing
#define LN_SHORT_RUN 1.79175946922805496
#define LN_LN_SHORT_RUN 1.08  // ln(1 + ln(1 + SHORT_RUN))

// One long run does not become normal; several, each a little longer than was normal, do; and so does that from the first reading on.
static void end_run(Record *r, int t) {
  if (r->run == 0) return;
  const double length = ln(1.0 + r->run), record = r->record, most = (record > LN_SHORT_RUN ? record : LN_SHORT_RUN) + 0.5;
  if (length > record) r->record = (float)(length < most || r->run + 1 == t ? length : most);
  r->run = 0;
}

// How long the series stands still, against its own record.
static void judge_run(const Params *p, Record *r, Row *row, const Expected *expected) {
  const int equal = row->raw == r->last, t = row->t;
  if (equal) r->run++;
  else end_run(r, t);
  const int run = row->run = r->run;
  // A run that goes on counts no more, or a stuck sensor would teach that it repeats itself.
  if (run < SHORT_RUN) r->repeats = (float)(r->repeats + (t < 1000 ? 1.0 / (t + 1) : 0.001) * (equal - (double)r->repeats));
  if (run < SHORT_RUN) return;
  // As the record is kept: a run as long as the longest is no longer by what a float32 loses.
  const double beyond = (double)(float)ln(1.0 + run) - r->record;
  if (beyond <= 0) return;
  row->said |= STANDS;
  if ((p->on >> STUCK & 1) == 0) return;
  // A sensor that hardly ever repeats a value does not do so six times by chance.
  const double share = 10 * (double)r->repeats + 0.01;
  const double rarity = share < 1 ? -ln(share) : 0;
  // Where only a long run is longer than ever, standing still is what the series does.
  const double usual = p->run_weight * (ln(1 + ln(1.0 + run)) - LN_LN_SHORT_RUN);
  report(p, r, row, STUCK, beyond, rarity - usual, 0, expected);
}

#define SLOW_RATE (1.0 / 32)
#define LONGEST_STEP 6.0  // scales: one reading is no level
#define SLOW_FLOOR 0.02
#define SLOW_SIGMAS 4.0
#define MOST_LEVEL 64.0
#define USUAL_READINGS 2000
#define FORGOTTEN (1.0 / 600)  // of an excursion, at each reading that is none

// The level of the latest 32 readings against what it usually is. What is far off is learned no faster than what is not; the floor lets a level that never moved be left.
static void judge_level(const Params *p, Record *r, Row *row, const Expected *expected) {
  const int t = row->t;
  if (t < 8) r->slow = r->slow_mean = (float)row->v;
  const double step = row->v - r->slow, longest = LONGEST_STEP * row->scale;
  r->slow = (float)(r->slow + SLOW_RATE * within(step, -longest, longest));
  const double off = (double)r->slow - r->slow_mean, far = deviations(r->slow, r->slow_mean, r->slow_variance, SLOW_FLOOR * row->scale);
  const double most = t > 20 ? SLOW_SIGMAS * (root(r->slow_variance) + SLOW_FLOOR * row->scale) : VALUE_LIMIT;
  const double held = within(off, -most, most), rate = 1.0 / (t < USUAL_READINGS ? t + 1 : USUAL_READINGS);
  r->slow_mean = (float)(r->slow_mean + rate * held);
  r->slow_variance = (float)((1 - rate) * (r->slow_variance + rate * held * held));
  if ((p->on >> LEVEL & 1) == 0 || row->said & WANDERS || r->condition.readings < KNOWN_READINGS) return;
  const double excess = size_of(far) / p->level_off;
  judge_excess(p, r, row, LEVEL, excess < MOST_LEVEL ? excess : MOST_LEVEL, FORGOTTEN, far > 0 ? ABOVE : 0, expected);
}

// The roughness as of the reading before, against the normal: readings that jump as never, or that hardly move.
static void judge_roughness(const Params *p, Record *r, Row *row, const Expected *expected) {
  if ((p->on >> ROUGH & 1) == 0 || r->condition.readings < KNOWN_READINGS) return;
  const double far = roughness_off(&r->condition, row->unit);
  judge_excess(p, r, row, ROUGH, size_of(far) / p->rough_off, FORGOTTEN, far > 0 ? ABOVE : 0, expected);
}

#define LARGE_STEP 0.5  // ranges of x that a step must have to be held for the beginning of what may last
#define FAR_HIGHER 2.0  // than what it has sunk to: none like it came before

static void judge_shape(const Params *p, Record *r, Row *row, int channel, double higher, int up, const Expected *expected) {
  if (!(higher > 0) || row->t < p->count_from) return;
  const double beyond = higher - noise(p, row, X);
  if (!(beyond > 0)) return;
  report(p, r, row, channel, novelty_size(in_ranges(&r->box[X], beyond), expected), 0, up ? ABOVE : 0, expected);
}

static void judge_shapes(const Params *p, Record *r, Row *row, const Expected *expected) {
  const int t = row->t;
  // Readings on both sides of a gap are no shape. Heights are in ranges of x.
  if (p->horizon == 0 || p->box[X] == 0 || t <= SHAPE_READINGS || r->mute >= HORIZON - SHAPE_READINGS) return;
  if (p->on >> PEAK & 1) {
    const Shape peak = peak_before(p, r, row->v, t);
    judge_shape(p, r, row, PEAK, beyond_record(r->peaks, peak, p->least_peak), peak.up, expected);
  }
  if ((p->on >> STEP & 1) == 0) return;
  const Shape step = step_to(p, r, row->v, t);
  const double record = r->steps[step.up];
  const double higher = beyond_record(r->steps, step, p->least_step);
  // The step back at the end of an event is no news.
  if ((row->given & LEARNING) == 0) return;
  if (step.height > record && step.height < FAR_HIGHER * record && in_ranges(&r->box[X], step.height) > LARGE_STEP) row->said |= AGAIN;
  judge_shape(p, r, row, STEP, higher, step.up, expected);
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

// ---- what model/records.ts calls -----------------------------------------------------------------------------------

static inline Record *record_of(const Params *p, float *arena, int slot) {
  return (Record *)(arena + (unsigned)slot * (unsigned long)p->stride);
}

#define FORGOTTEN_A_MS (1 / (14 * DAY_MS))  // one false alarm is allowed in so long: of what comes as often a memory of hours knows nothing

static inline Expected expected_at(const Params *p, const Row *row, double sum) {
  const int t = row->t;
  const double lately = row->period_ms * FORGOTTEN_A_MS;
  return (Expected){
    .now = 1 / (t + p->t1) + p->rate_floor, .sum = sum, .forget = lately > 0 && lately < p->forget ? lately : p->forget, .size_unit = 1 / (1 + p->size_settling / (t + 1)), .t = t,
  };
}

// The statistics of the series start anew: it is a counter, or is none. What was normal is none of the new values, so an event that is open ends (it has outgrown it).
static void forget(const Params *p, Record *r, const Row *row) {
  // Standing still is of the readings themselves.
  if (row->raw != r->last) end_run(r, r->t);
  const int open = r->condition.open, untold = r->condition.untold, run = r->run;
  const float record = r->record;
  for (int i = 0; i < p->stride; i++) ((int *)r)[i] = 0;
  r->run = run;
  r->record = record;
  r->condition.open = open;
  r->condition.untold = untold;
}

#define LEAST_SCALE 0.01       // ranges: after a dry month the scale of a rain gauge is nothing, and all that it shows would be far off
#define NEGLIGIBLE 0.03        // units
#define NEGLIGIBLE_RANGE 1e-4  // ranges, also of what was there once only: what is left in a network of a spike like none

static void measure_in(const Box *box, const Interval *all, Row *row) {
  const double range = (double)box->high - (double)box->low;
  row->unit = row->scale;
  if (row->scale < LEAST_SCALE * range) {
    // A glitch makes the running range wide.
    const double known = known_range(box, all), least = LEAST_SCALE * (known < range ? known : range);
    if (row->unit < least) row->unit = least;
  }
  const double error = NEGLIGIBLE * row->unit, least_error = NEGLIGIBLE_RANGE * range;
  row->negligible = error > least_error ? error : least_error;
}

// Everything up to what is judged elsewhere (the season). arena: [slots][stride] floats.
__attribute__((export_name("look")))
void look(const Params *p, float *arena, Row *rows, int n) {
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    if (row->given & FRESH) forget(p, r, row);
    const int t = row->t = r->t;
    if (t == 0) r->anchor = row->u;
    row->v = within(row->u - r->anchor, -VALUE_LIMIT, VALUE_LIMIT);
    measure_in(&r->box[X], intervals_of(p, r, X), row);
    row->odds = SILENT;
    row->support = row->square = row->hour_off = 0;
    row->channel = X;
    row->unseen = row->run = 0;
    row->said = (r->condition.wanders ? WANDERS : 0) | said_of_hour(&r->condition, row->unit);
    const Expected expected = expected_at(p, row, r->rate);
    row->rate_sum = expected.sum;
    r->rate = (float)(expected.sum * (1 - expected.forget) + expected.now);
    if (p->box[X]) judge_value(p, r, row, &expected);
    judge_level(p, r, row, &expected);
    if (t == 0) continue;
    // Forecast errors that span a gap longer than three periods say nothing.
    if (row->log_ratio > 1.09861228866810956) r->mute = HORIZON;
    judge_forecasts(p, r, row, &expected);
    if (r->mute > 0) r->mute--;
    if (p->box[TOD]) judge_hour(p, r, row, &expected);
    judge_roughness(p, r, row, &expected);
    judge_shapes(p, r, row, &expected);
  }
}

// A channel that is judged elsewhere is so far beyond what is usual. `rate_sum` of the row that `look` left.
__attribute__((export_name("excess")))
void excess_of(const Params *p, float *arena, Row *row, int channel, double excess, double forgotten) {
  const Expected expected = expected_at(p, row, row->rate_sum);
  judge_excess(p, record_of(p, arena, row->slot), row, channel, excess, forgotten, ABOVE, &expected);
}

// What one reading shows shows on several channels: without a bound a single outlier of a heavy tail would have odds like none.
#define MOST_SUPPORT 5.0

// A fault shows on several channels at once more often than chance does, or on one after the other: what the others say supports the loudest, and so does what they said lately of values (an error is over with its
// reading; an excursion supports for as long as it goes on). None is supported by itself.
static void combine(const Params *p, Record *r, Row *row, const Expected *expected) {
  static const int OF_VALUES[] = {X, E32, TOD};
  if (row->odds <= p->support_from) return;
  for (int k = 0; k < 3; k++) {
    const int channel = OF_VALUES[k];
    const Calibration *c = calibration_of(p, r, channel);
    if ((p->on >> channel & 1) && channel != row->channel && c->count > 0 && c->latest < row->t) support(p, c, row, channel, c->cluster, expected);
  }
  const double by = p->support_weight * (row->support - (row->odds - p->support_from));
  row->odds += (by < MOST_SUPPORT ? by : MOST_SUPPORT) + p->prior[row->channel].loudest;
}

// The rest of the channels, and one score of all.
__attribute__((export_name("conclude")))
void conclude(const Params *p, float *arena, Row *rows, int n) {
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    const Expected expected = expected_at(p, row, row->rate_sum);
    if (row->t > 0) judge_run(p, r, row, &expected);
    combine(p, r, row, &expected);
    keep_value(p, r, row->v, row->t);
    r->last = row->raw;
    r->t = row->t + 1;
  }
}

// False alarms come in groups: whatever disturbs a series goes on doing so. What is no worse than an alarm of the same day is most often one of them.
#define LEAST_ALARM_READINGS 60.0
#define MOST_ALARM_READINGS 250.0

// Readings for which an alarm is remembered: a day.
static double alarm_lasts(const Row *row) { return within(DAY_MS / (row->period_ms < 1 ? 1 : row->period_ms), LEAST_ALARM_READINGS, MOST_ALARM_READINGS); }

// Is the series normal? Returns how many rows have an event that is open or ended here.
__attribute__((export_name("settle")))
int settle(const Params *p, float *arena, Row *rows, int n) {
  int open = 0;
  for (Row *row = rows; row < rows + n; row++) {
    Record *r = record_of(p, arena, row->slot);
    if (r->peak > 0) r->peak = (float)(r->peak * (1 - 1 / alarm_lasts(row)));
    // Neither does an event end while values are unlike the normal. Where the series wanders there is none to return to: there it goes on while they are like what is doubted, which is not for long.
    const int unlike = (row->said & (OUTSIDE | WANDERS)) == OUTSIDE || (row->said & DOUBTED && !r->condition.untold);
    const int still = row->given & STILL || unlike;
    const int said = condition_step(p, &r->condition, row, still);
    row->said |= said;
    // The long forecasts made in the event spoke of it: against what came back they say nothing. Those of one reading ahead do.
    if ((said & ENDED) && r->mute < HORIZON - 1) r->mute = HORIZON - 1;
    if (said) open++;
  }
  return open;
}

// For tests: the novelty of a value on a channel of a slot, which then takes it in.
__attribute__((export_name("novelty")))
double novelty_of(const Params *p, float *arena, int slot, int channel, double v, double theta, int t) {
  Record *r = record_of(p, arena, slot);
  Interval *all = intervals_of(p, r, channel);
  shrink(&r->box[channel]);
  const double d = novelty(&r->box[channel], all, v, t, p->rare_pad);
  if (d != 0) take_in(&r->box[channel], all, p->intervals, v, theta, t);
  return d;
}

// For tests. what: 0 exp, 1 ln.
__attribute__((export_name("natural")))
double natural(int what, double x) { return what == 0 ? exp_of(x) : ln(x); }

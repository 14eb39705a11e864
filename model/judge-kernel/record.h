// What is kept of a series, and what is found of a reading, as model/records.ts lays them out.
#pragma once

enum { X, E1, E32, TOD, STUCK, SEASON, SPAN, PACE, LEVEL, ROUGH, PEAK, STEP, CLOCK };  // CHANNELS in model/tuning.ts, in its order
#define MOST_CHANNELS 16
#define BOXES 4
#define SILENT (-100.0)

// What clean series show on a channel (ChannelPrior).
typedef struct {
  double a, b, weight, offset, loudest;
} Prior;

// Written by model/records.ts, in this order. Offsets are in words from the start of a record.
typedef struct {
  double theta_x, theta_error, noise_pad, noise_pad_error, least_value, least_error, least_error_32, least_peak, least_step, rare_pad, t1,
    rate_floor, size_weight, size_settling, shape_limit,
    forget, support_from, support_weight, standing_weight, count_from, doubt_from, level_off, rough_off, run_weight;
  Prior prior[MOST_CHANNELS];
  int stride;       // words of a record
  int intervals;    // K
  int calibration;  // [channels] Calibration
  int hours;        // [24]
  int horizon;      // [32][2], 0 where none of e32, peak, step is on
  int on;           // a bit a channel
  int relearn;      // readings for which a normal is learned fast that has become another
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
  int doubtful;      // a bit an interval of x: what it holds was too unlikely to be normal
  Interval current;  // what its place holds is older
  float peak;        // M of the calibration
} Box;

typedef struct {
  float excess;  // of what is judged by its excess: how far the excursion went
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
  int wanders;    // it has no level to return to
  int day;        // of the latest reading that was learned, since 1970
  float day_from;   // the normal when that day began
  float day_drift;  // how far it moves in a day; 0 while that is not known
  float hour_off;   // how far the latest readings are from what is usual at their hour
  float hour_variance;
  float reached;  // how far the level went from the normal in the present event, with its sign
  float usual;    // the same of the latest long event that ended by itself
  float place;    // the level that it went to
  float times;    // how many like it there were lately
  int lasted;     // readings of the longest of them
  int ended;      // reading at which the latest ended
  int recurs;     // the present event is like them so far: it is learned from
  int smooth;     // readings in a row whose errors were usual, in the present event
  int untold;     // nobody was told of the present event: AS_BEFORE if it comes by the calendar, or began with a step like one before; WHILE_SHORT if it is only at a value like others
} Condition;

enum { AS_BEFORE = 1, WHILE_SHORT = 2 };  // untold

// The front of a record; the rest is where Params says.
typedef struct {
  double anchor;       // u is kept relative to the first one
  double horizon_sum;  // of the latest 32 values
  double last;         // the latest reading
  int t;               // readings judged
  float rate;          // G, the sum of the expected rate
  int mute;            // readings until forecasts made before a gap are spent
  float peak;          // what is left of the latest alarms' odds, which a new one must beat
  int run;             // equal values in a row
  float record;        // ln(1 + longest run)
  float repeats;       // share of readings that equal the one before
  float usual[2];      // mean mismatch of the season, mean lack of its span
  int hours_seen;      // a bit an hour
  float slow, slow_mean, slow_variance;  // level of the latest 32 readings, and what it usually is
  float unit;          // that errors were measured in when it had settled
  float peaks[2], steps[2];  // the highest so far that went down, and up
  Box box[BOXES];
  Condition condition;
} Record;

// A reading, and what was found of it. Layout: ROW in model/records.ts.
typedef struct {
  double timestamp_ms, raw, log_ratio, log_roughness;
  double u, period_ms, mean, scale;  // of the normaliser
  double location, spread, location_32, spread_32;  // of the forecasts made before it
  double odds, support, v, square;
  double rate_sum, hour_off;
  double unit;  // the scale, but no less than a share of the range: what is found is measured in it
  double negligible;  // an error that is none to speak of
  int slot;
  int given;    // bits below
  int channel;  // the loudest
  int said;     // bits below
  int unseen;   // readings for which that channel has shown nothing novel
  int run;      // equal readings before this one
  int t;        // readings before it
  int unused;
} Row;

enum { LEARNING = 1, FRESH = 2, STILL = 4, LIMIT = 8, COUNTER = 16 };                            // given
enum { ABOVE = 1, EXTREME = 2, STANDS = 4, WANDERS = 8, OPEN = 16, ENDED = 32, LASTING = 64, OUTSIDE = 128, OVERDUE = 256, AGAIN = 512, AT_HOUR = 1024, OFF_HOUR = 2048, DOUBTED = 4096 };  // said

#define CLUSTER_READINGS 40  // novel readings within so many of each other are of one event

#define HORIZON 32

#define DAY_MS 86400000.0
#define HOUR_MS 3600000.0

typedef struct {
  float value, forecast;
} Past;

#define VALUE_LIMIT 1e18  // squares of what is kept must fit a float32

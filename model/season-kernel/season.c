// What the season (model/season.ts) compares at each block: the ring with itself at one lag, and the present cycle with those before.
// A ring is RING signed bytes, block b at b & (RING - 1), as model/ring.ts has it. Sums are made in the order of the blocks, so that they have the same bits
// however many blocks a vector takes. No libc, no allocation. `npm run build:wasm` compiles this to module.ts.
#include <wasm_simd128.h>

#define RING 512
#define MASK (RING - 1)
#define UNKNOWN (-128)
#define PRESENT 32  // blocks of an event: more than four sixteenths of most cycles

typedef signed char Code;

// The ring twice, so that what is read never wraps, and room for what a vector reads beyond.
static Code line[2 * RING + 32];

static const Code *unwrapped(const Code *ring, int first) {
  for (int i = 0; i < RING; i += 16) {
    const v128_t codes = wasm_v128_load(ring + i);
    wasm_v128_store(line + i, codes);
    wasm_v128_store(line + RING + i, codes);
  }
  return line + (first & MASK);
}

// Eight codes, `step` (1 or 3) apart, as int16.
static inline v128_t eight(const Code *at, int step) {
  if (step == 1) return wasm_i16x8_load8x8(at);
  const v128_t low = wasm_v128_load(at), high = wasm_v128_load(at + 16);
  return wasm_i16x8_extend_low_i8x16(wasm_i8x16_shuffle(low, high, 0, 3, 6, 9, 12, 15, 18, 21, 0, 0, 0, 0, 0, 0, 0, 0));
}

// Two pairs: adds x y and x x + y y of the one, then of the other. sums: products, squares.
static inline v128_t add_two(v128_t sums, v128_t a, v128_t b, v128_t mean) {
  const v128_t x = wasm_f64x2_sub(wasm_f64x2_convert_low_i32x4(a), mean), y = wasm_f64x2_sub(wasm_f64x2_convert_low_i32x4(b), mean);
  const v128_t product = wasm_f64x2_mul(x, y), square = wasm_f64x2_add(wasm_f64x2_mul(x, x), wasm_f64x2_mul(y, y));
  sums = wasm_f64x2_add(sums, wasm_i64x2_shuffle(product, square, 0, 2));
  return wasm_f64x2_add(sums, wasm_i64x2_shuffle(product, square, 1, 3));
}

static inline v128_t add_four(v128_t sums, v128_t a, v128_t b, v128_t mean) {
  sums = add_two(sums, a, b, mean);
  return add_two(sums, wasm_i64x2_shuffle(a, a, 1, 1), wasm_i64x2_shuffle(b, b, 1, 1), mean);
}

static inline v128_t add_one(v128_t sums, Code a, Code b, double mean) {
  if (a == UNKNOWN || b == UNKNOWN) return sums;
  const double x = a - mean, y = b - mean;
  return wasm_f64x2_add(sums, wasm_f64x2_make(x * y, x * x + y * y));
}

// Correlation of the codes with those `lag` before, from 85 to 255 pairs: enough to know a peak above a half, at a bounded cost.
__attribute__((export_name("correlation")))
double correlation(const Code *ring, int blocks, int known, int lag, double mean) {
  const Code *b = unwrapped(ring, blocks - known), *a = b + lag;
  const int step = ((known - lag) >> 7) | 1, pairs = (known - lag + step - 1) / step;
  const v128_t mean_2 = wasm_f64x2_splat(mean), unknown = wasm_i16x8_splat(UNKNOWN);
  v128_t sums = wasm_f64x2_splat(0);
  int i = 0;
  for (; i + 8 <= pairs; i += 8) {
    const v128_t one = eight(a + i * step, step), other = eight(b + i * step, step);
    if (wasm_v128_any_true(wasm_v128_or(wasm_i16x8_eq(one, unknown), wasm_i16x8_eq(other, unknown)))) {
      for (int k = i; k < i + 8; k++) sums = add_one(sums, a[k * step], b[k * step], mean);
      continue;
    }
    sums = add_four(sums, wasm_i32x4_extend_low_i16x8(one), wasm_i32x4_extend_low_i16x8(other), mean_2);
    sums = add_four(sums, wasm_i32x4_extend_high_i16x8(one), wasm_i32x4_extend_high_i16x8(other), mean_2);
  }
  for (; i < pairs; i++) sums = add_one(sums, a[i * step], b[i * step], mean);
  const double products = wasm_f64x2_extract_lane(sums, 0), squares = wasm_f64x2_extract_lane(sums, 1);
  return squares > 0 ? (2 * products) / squares : 0;
}

// Halves go up, as those of Math.round do.
static int rounded(double x) {
  const double up = __builtin_ceil(x);
  return (int)(up - 0.5 > x ? up - 1 : up);
}

// Takes the codes from..to into a range; returns how many of them are not known. mask: places of the ring less one.
static inline int span(const Code *ring, int mask, int from, int to, int *low, int *high) {
  int unknown = 0;
  for (int i = from; i <= to; i++) {
    const int code = ring[i & mask];
    if (code == UNKNOWN) {
      unknown++;
      continue;
    }
    if (code > *high) *high = code;
    if (code < *low) *low = code;
  }
  return unknown;
}

// Greatest less least of the `count` codes before block `end`; -1 where more than an eighth of them is not known, which may hide what the range is of.
__attribute__((export_name("range_before")))
int range_before(const Code *ring, int end, int count) {
  int top = UNKNOWN, bottom = 127;
  if (span(ring, MASK, end - count, end - 1, &bottom, &top) > count >> 3) return -1;
  return top > bottom ? top - bottom : 0;
}

#define WEEK 7
#define COMPARED 3  // latest cycles

// What the cycles before have around a phase: the highest and lowest of all, the least of their highs, the greatest of their lows.
typedef struct {
  int high, low, least_high, greatest_low;
} Usual;

// Around block `now`, from `reach` blocks to either side of it one, two, three and, of days, seven cycles before; `known_only`: of the latest three cycles of which they are known. `high` is UNKNOWN where nothing is.
static Usual usual_at(const Code *ring, int blocks, int known, int now, int reach, double cycle, int daily, int known_only) {
  Usual usual = {UNKNOWN, 127, 127, UNKNOWN};
  int compared = 0;
  for (int k = 1;; k++) {
    const int then = now - rounded(k * cycle);
    if (then - reach < blocks - known) break;
    const int late = known_only ? compared >= COMPARED : k > COMPARED;
    if (late && !(daily && k == WEEK)) continue;
    int top = UNKNOWN, bottom = 127;
    // Where an event began or ended, what is known is not all that was.
    if (span(ring, MASK, then - reach, then + reach, &bottom, &top) > 0) continue;
    compared++;
    if (top > usual.high) usual.high = top;
    if (bottom < usual.low) usual.low = bottom;
    if (top < usual.least_high) usual.least_high = top;
    if (bottom > usual.greatest_low) usual.greatest_low = bottom;
  }
  return usual;
}

static int reach_of(double cycle) { return cycle < 24 ? 1 : rounded(cycle / 16); }

static int larger(int one, int other) { return one > other ? one : other; }

static int beyond_usual(int code, Usual usual) {
  return larger(0, larger(code - usual.high, usual.low - code));
}

// How far what is usual two reaches before the latest block is from all that is around that: what did not come. 0 where not all of it is known.
static int lacks_usual(const Code *ring, int mask, int blocks, int reach, Usual usual) {
  int top = UNKNOWN, bottom = 127;
  if (span(ring, mask, blocks - 1 - 4 * reach, blocks - 1, &bottom, &top) > 0) return 0;
  return larger(0, larger(usual.least_high - top, bottom - usual.greatest_low));
}

// How far a block is from the same phase of the cycles before, in codes: from the range of values around it one, two, three and, of days, seven cycles ago, or those ranges
// from the values around the block itself. It is the block two sixteenths of a cycle before the latest, whose surroundings are complete. -1 where there is nothing to compare with. cycle: in blocks.
__attribute__((export_name("mismatch")))
double mismatch(const Code *ring, int blocks, int known, double cycle, int daily) {
  const int reach = reach_of(cycle), now = blocks - 1 - 2 * reach, code = ring[now & MASK];
  const Usual usual = usual_at(ring, blocks, known, now, reach, cycle, daily, 0);
  if (usual.high == UNKNOWN) return -1;
  return code == UNKNOWN ? 0 : larger(beyond_usual(code, usual), lacks_usual(ring, MASK, blocks, reach, usual));
}

// The same of an event, whose blocks are in `present`, a ring of PRESENT, and not in `ring`, from the latest cycles that are known. It is the latest block itself that may be beyond what is usual, so that an event is over when that is not.
__attribute__((export_name("mismatch_in_event")))
double mismatch_in_event(const Code *ring, const Code *present, int blocks, int known, double cycle, int daily) {
  const int reach = reach_of(cycle), latest = present[(blocks - 1) & (PRESENT - 1)];
  const Usual before = usual_at(ring, blocks, known, blocks - 1 - 2 * reach, reach, cycle, daily, 1);
  const Usual now = usual_at(ring, blocks, known, blocks - 1, reach, cycle, daily, 1);
  if (before.high == UNKNOWN && now.high == UNKNOWN) return -1;
  // Of a cycle that is very long not all around it is kept.
  const int lacks = before.high == UNKNOWN || 4 * reach >= PRESENT ? 0 : lacks_usual(present, PRESENT - 1, blocks, reach, before);
  return latest == UNKNOWN || now.high == UNKNOWN ? lacks : larger(beyond_usual(latest, now), lacks);
}

// Whether the latest `count` blocks of an event are like as many in a row that the ring knows, whenever those were: in the mean they differ by `most` codes at most, none by more than twice that, and they span a range of at least `range`.
__attribute__((export_name("is_back")))
int is_back(const Code *ring, const Code *present, int blocks, int known, int count, double most, double range) {
  int top = UNKNOWN, bottom = 127;
  if (span(present, PRESENT - 1, blocks - count, blocks - 1, &bottom, &top) > 0 || top - bottom < range) return 0;
  const int bound = (int)(most * count);
  for (int end = blocks - 1; end - count >= blocks - known; end--) {
    int sum = 0;
    for (int i = 1; i <= count && sum <= bound; i++) {
      const int code = ring[(end - i) & MASK], off = code - present[(blocks - i) & (PRESENT - 1)];
      const int far = off < 0 ? -off : off;
      sum += code == UNKNOWN || far > 2 * most ? bound + 1 : far;
    }
    if (sum <= bound) return 1;
  }
  return 0;
}

// Whether the surroundings of that block a week before it are known.
__attribute__((export_name("knows_week_before")))
int knows_week_before(const Code *ring, int blocks, double cycle) {
  const int reach = reach_of(cycle), then = blocks - 1 - 2 * reach - rounded(WEEK * cycle);
  int top = UNKNOWN, bottom = 127;
  return span(ring, MASK, then - reach, then + reach, &bottom, &top) == 0;
}

static int tally[256];

// The codes that a twentieth of a ring is below, and above: less 127 twice in the bytes of a word; -1 where fewer than 30 are known.
__attribute__((export_name("tails")))
int tails(const Code *ring, int blocks, int known) {
  for (int i = 0; i < 256; i++) tally[i] = 0;
  for (int i = blocks - known; i < blocks; i++) tally[ring[i & MASK] - UNKNOWN]++;
  const int n = known - tally[0];
  if (n < 30) return -1;
  const int few = (n - 1) / 20;
  int low = 1, high = 255;
  for (int below = tally[low]; below <= few; below += tally[++low]);
  for (int above = tally[high]; above <= few; above += tally[--high]);
  return low | high << 8;
}

// What the season (model/season.ts) compares at each block: the ring with itself at one lag, and the present cycle with those before.
// A ring is RING signed bytes, block b at b & (RING - 1), as model/ring.ts has it. No libc, no allocation. `npm run build:wasm` compiles this to module.ts.
#include <wasm_simd128.h>

#define RING 512
#define MASK (RING - 1)
#define UNKNOWN (-128)
#define PRESENT 32  // blocks of an event: more than four sixteenths of most cycles

typedef signed char Code;

// The ring twice, so that what is read never wraps, as int16, and room for what a vector reads beyond; which of its codes are known: -1, else 0.
static short line[2 * RING + 8], is_known[2 * RING + 8];

static inline v128_t eight(const short *at) { return wasm_v128_load(at); }

static inline void store_twice(short *at, v128_t eight) {
  wasm_v128_store(at, eight);
  wasm_v128_store(at + RING, eight);
}

// Lays the ring out; returns whether all of it is known.
static int unwrap(const Code *ring) {
  v128_t all = wasm_i16x8_splat(-1);
  for (int i = 0; i < RING; i += 8) {
    const v128_t codes = wasm_i16x8_load8x8(ring + i), known = wasm_i16x8_ne(codes, wasm_i16x8_splat(UNKNOWN));
    all = wasm_v128_and(all, known);
    store_twice(line + i, codes);
    store_twice(is_known + i, known);
  }
  return wasm_i16x8_all_true(all);
}

static inline int sum_of_four(v128_t x) {
  return wasm_i32x4_extract_lane(x, 0) + wasm_i32x4_extract_lane(x, 1) + wasm_i32x4_extract_lane(x, 2) + wasm_i32x4_extract_lane(x, 3);
}

static inline int sum_of_eight(v128_t x) { return sum_of_four(wasm_i32x4_extadd_pairwise_i16x8(x)); }

// The first n lanes, where there are so many.
static inline v128_t first_lanes(int n) { return wasm_i16x8_lt(wasm_i16x8_make(0, 1, 2, 3, 4, 5, 6, 7), wasm_i16x8_splat((short)n)); }

// Of pairs x, y of codes, or of codes: how many, x y, x x + y y, x + y.
typedef struct {
  int count, products, squares, sum;
} Sums;

// Of n codes.
static Sums sums_of(const short *codes, int n) {
  v128_t squares = wasm_i32x4_splat(0), sum = squares;
  for (int i = 0; i < n; i += 8) {
    const v128_t x = wasm_v128_and(eight(codes + i), first_lanes(n - i));
    squares = wasm_i32x4_add(squares, wasm_i32x4_dot_i16x8(x, x));
    sum = wasm_i16x8_add(sum, x);
  }
  return (Sums){n, 0, sum_of_four(squares), sum_of_eight(sum)};
}

static inline int products_of(const short *a, const short *b, int n) {
  v128_t products = wasm_i32x4_splat(0);
  int i = 0;
  for (; i + 8 <= n; i += 8) products = wasm_i32x4_add(products, wasm_i32x4_dot_i16x8(eight(a + i), eight(b + i)));
  const v128_t rest = wasm_v128_and(eight(a + i), first_lanes(n - i));
  return sum_of_four(wasm_i32x4_add(products, wasm_i32x4_dot_i16x8(rest, eight(b + i))));
}

// Of n pairs, of those of which both are known. x, y: places in `line`.
static Sums sums_of_known(int x, int y, int n) {
  v128_t products = wasm_i32x4_splat(0), squares = products, sum = products, count = products;
  for (int i = 0; i < n; i += 8) {
    const v128_t there = wasm_v128_and(first_lanes(n - i), wasm_v128_and(eight(is_known + x + i), eight(is_known + y + i)));
    const v128_t a = wasm_v128_and(eight(line + x + i), there), b = wasm_v128_and(eight(line + y + i), there);
    products = wasm_i32x4_add(products, wasm_i32x4_dot_i16x8(a, b));
    squares = wasm_i32x4_add(squares, wasm_i32x4_add(wasm_i32x4_dot_i16x8(a, a), wasm_i32x4_dot_i16x8(b, b)));
    sum = wasm_i16x8_add(sum, wasm_i16x8_add(a, b));
    count = wasm_i16x8_sub(count, there);
  }
  return (Sums){sum_of_eight(count), sum_of_four(products), sum_of_four(squares), sum_of_eight(sum)};
}

// About the mean: x - mean for x.
static double correlation_of(Sums of, double mean) {
  const double n = of.count, sum = of.sum;
  const double product = of.products - mean * sum + n * (mean * mean), square = of.squares - 2 * (mean * sum) + 2 * n * (mean * mean);
  return square > 0 ? (2 * product) / square : 0;
}

#define MOST_LAGS 8

static double correlated[MOST_LAGS];

// Correlation of the codes with those `lag`, lag + 1 ... (`lags` of them, MOST_LAGS at most) before. Of whole numbers: their sums have the same bits in any order. Returns where the results are.
__attribute__((export_name("correlations")))
const double *correlations(const Code *ring, int blocks, int known, int lag, int lags, double mean) {
  const int all_known = unwrap(ring), first = (blocks - known) & MASK;
  if (!all_known) {
    for (int k = 0; k < lags; k++) correlated[k] = correlation_of(sums_of_known(first + lag + k, first, known - lag - k), mean);
    return correlated;
  }
  // What a lag leaves out of the sums of all codes is its codes at either end.
  const short *codes = line + first, *end = codes + known;
  const Sums all = sums_of(codes, known), young = sums_of(codes, lag), old = sums_of(end - lag, lag);
  int squares = 2 * all.squares - young.squares - old.squares, sum = 2 * all.sum - young.sum - old.sum;
  for (int k = 0; k < lags; k++) {
    const int pairs = known - lag - k;
    correlated[k] = correlation_of((Sums){pairs, products_of(end - pairs, codes, pairs), squares, sum}, mean);
    const int before = codes[lag + k], after = end[-1 - lag - k];
    squares -= before * before + after * after;
    sum -= before + after;
  }
  return correlated;
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

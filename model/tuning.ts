/** The channels of the detector: each a view of the series in which a fault of some kind is unlike anything before. */
export const CHANNELS = ['x', 'e1', 'e32', 'tod', 'stuck', 'season', 'span', 'pace', 'level', 'rough', 'peak', 'step', 'clock'] as const;
export type Channel = (typeof CHANNELS)[number];

/**
 * What a clean series of its age is expected to show on a channel; fitted on generated series (docs/detection.md).
 * A novel reading of size h comes at the rate  a (1 / (t + t1) + floor) exp(-h / b)  a reading.
 */
export interface ChannelPrior {
  /** Size of the rate: records of an unchanging process come at a / t. */
  a: number;
  /** Mean of h = ln(1 + novelty / 0.02) over novel readings. */
  b: number;
  /** Weight of `a`, in events: what a series must show for its own rate to count as much. */
  weight: number;
  /** Added to the channel's log odds before the largest is taken: what a fault that shows there is worth. */
  offset: number;
  /** Added to the score that the channel is the loudest of: how much more, or less, it then is than chance. */
  loudest: number;
  /** Log odds that each e-fold of rarity beyond one in 2,057 readings takes: the tail of what clean series show is heavier than exponential, on some channels more than on others. */
  rare: number;
}

export interface Tuning {
  /** theta of the x channel and of the others: how far an interval may be stretched, in ranges. */
  thetaX: number;
  thetaError: number;
  /** Root mean squared differences by which a value must leave what was seen before it is novel at all. */
  noisePad: number;
  /** The same for the one-step error. */
  noisePadError: number;
  /** Whatever the noise, a value, an error (also a value in its hour) and an error of the long horizon less far beyond what was seen than this is nothing: in running ranges. */
  leastValue: number;
  leastError: number;
  leastError32: number;
  /** The same of a peak and a step: in the highest before it. */
  leastPeak: number;
  leastStep: number;
  /** Taken off the novelty of a value whose nearest interval is rarely hit, in ranges. */
  rarePad: number;
  /** Readings until the prior's rate halves. */
  t1: number;
  rateFloor: number;
  /** Weight of `b`, in events. */
  sizeWeight: number;
  /** Readings in which the sizes of clean novelty fall to twice what they settle at. */
  sizeSettling: number;
  /** A size's tail is a power law of this exponent at most: what one event says of the next is never sure. */
  shapeLimit: number;
  /** 1 / readings over which events are forgotten, where that is longer than 14 days. */
  forget: number;
  /** Log odds beyond which another channel supports the loudest, and how much of the excess counts. */
  supportFrom: number;
  supportWeight: number;
  /** How much of it where what the other channel found was before, and goes on. */
  standingWeight: number;
  /** A new alarm must be better by this much than what is left of the last. */
  repeatMargin: number;
  /** Log odds that a reading needs where one false alarm in 2,057 readings is allowed. */
  threshold: number;
  /** Of the rarity asked for beyond that, in e-folds, those up to `rareTo` take the channel's `rare` log odds each, the rest one. */
  rareTo: number;
  /** The tail is the lighter the older the series: log odds less for each e-fold by which it is older than `ageReadings`; the whole of it from the rarity `ageTo` on, in proportion before. */
  ageSlope: number;
  ageReadings: number;
  ageTo: number;
  warmUp: number;
  /** Readings from which novelty is counted. */
  countFrom: number;
  /** Log odds from which a value is doubted: not normal before it comes again. */
  doubtFrom: number;
  /** Deviations up to which the level of the latest readings, and their roughness, are nothing. */
  levelOff: number;
  roughOff: number;
  /** What the odds of a standstill lose as ln(1 + ln(1 + its readings)) grows. */
  runWeight: number;
  /** Mismatch with the cycles before, in scales, and lack of a cycle's range, as -ln of what is left: up to here they are nothing. */
  mismatch: number;
  lack: number;
  /** How many times what is usual for the series is nothing, on top of that. */
  usual: number;
  /** The same of the times for which a series stays high or low, as logarithms. */
  pace: number;
  paceUsual: number;
  prior: Record<Channel, ChannelPrior>;
}

export const DEFAULT_TUNING: Tuning = {
  thetaX: 0.6,
  thetaError: 0.45,
  noisePad: 0.48,
  noisePadError: 0.3,
  leastValue: 0.02,
  leastError: 0.01,
  leastError32: 0.1,
  leastPeak: 0.1,
  leastStep: 0.3,
  rarePad: 0.03,
  t1: 30,
  rateFloor: 1e-4,
  sizeWeight: 3,
  sizeSettling: 1400,
  shapeLimit: 3,
  forget: 1 / 3000,
  supportFrom: 5,
  supportWeight: 0.8,
  standingWeight: 0.4,
  repeatMargin: 1.5,
  threshold: 10.1,
  rareTo: 4,
  ageSlope: 0.75,
  ageReadings: 2000,
  ageTo: 2.3,
  warmUp: 100,
  countFrom: 30,
  doubtFrom: 7.5,
  levelOff: 3,
  roughOff: 3,
  runWeight: 8,
  mismatch: 0.15,
  lack: 0.4,
  usual: 3,
  pace: 0.1,
  paceUsual: 6,
  prior: {
    x: { a: 2, b: 0.2, weight: 2, offset: 1.5, loudest: 0, rare: 1.65 },
    e1: { a: 1, b: 0.2, weight: 2, offset: 1.4, loudest: 0.4, rare: 1.7 },
    e32: { a: 2, b: 0.16, weight: 2, offset: -1, loudest: 0.3, rare: 1.8 },
    tod: { a: 2.4, b: 0.17, weight: 2, offset: -1, loudest: 0.6, rare: 1.8 },
    stuck: { a: 0.15, b: 0.5, weight: 2, offset: 0.5, loudest: 1.5, rare: 1 },
    season: { a: 0.15, b: 0.6, weight: 1, offset: 0.4, loudest: 0, rare: 2 },
    span: { a: 0.2, b: 0.8, weight: 2, offset: -1, loudest: 0, rare: 2 },
    pace: { a: 0.2, b: 0.4, weight: 1, offset: 1.8, loudest: 0.2, rare: 2 },
    level: { a: 0.37, b: 0.5, weight: 2, offset: 1.5, loudest: 0, rare: 1.8 },
    rough: { a: 0.1, b: 0.25, weight: 2, offset: -1.2, loudest: 0.7, rare: 1.9 },
    peak: { a: 1, b: 0.2, weight: 2, offset: -1.4, loudest: 0.6, rare: 2 },
    step: { a: 2, b: 0.2, weight: 2, offset: -0.3, loudest: 1.4, rare: 4 },
    clock: { a: 0.2, b: 0.4, weight: 0.3, offset: 1.8, loudest: 0.2, rare: 2 },
  },
};

import { seededRandom, type Random } from '../../core/random.js';
import type { BaselineStep } from './baseline.js';

/**
 * A random cut forest after Guha et al. ("Robust random cut forest based anomaly detection on streams", 2016) in its isolation form: trees of random cuts, chosen in
 * proportion to the sides of the bounding box, over a reservoir of recent shingles; rebuilt one by one as the stream goes on.
 * The score is 2^(-depth/c(samples)), as operated on metrics stores, judged against its own running mean and deviation.
 */
const TREES = 30;
const SAMPLES = 256;
const SHINGLE = 8;
/** A tree is rebuilt every so many readings, in turn. */
const REBUILD_READINGS = 8;
const WARM_UP_READINGS = 128;
const SCORE_RATE = 1 / 512;
const ALARM_DEVIATIONS = 4;

/** A cut, or a leaf with `mass` samples. */
type Node = { dimension: number; cut: number; below: Node; above: Node } | { mass: number };

export function randomCutForest(): BaselineStep {
  const random = seededRandom(7);
  const shingle = new Float64Array(SHINGLE);
  const reservoir: Float64Array[] = [];
  const trees: (Node | undefined)[] = new Array<Node | undefined>(TREES).fill(undefined);
  let n = 0;
  let mean = 0;
  let variance = 0;
  return (value) => {
    shingle.copyWithin(0, 1);
    shingle[SHINGLE - 1] = value;
    n++;
    if (n < SHINGLE) return { score: 0, yhat: NaN, halfBand: NaN };
    let depth = 0;
    let grown = 0;
    for (const tree of trees) {
      if (!tree) continue;
      depth += depthOf(tree, shingle);
      grown++;
    }
    keepSample(reservoir, Float64Array.from(shingle), n, random);
    if (n % REBUILD_READINGS === 0 && reservoir.length >= 32) trees[(n / REBUILD_READINGS) % TREES] = grow(sampleOf(reservoir, random), 0, random);
    if (grown === 0) return { score: 0, yhat: NaN, halfBand: NaN };
    const isolation = 2 ** (-depth / grown / averageDepth(Math.min(SAMPLES / 2, reservoir.length)));
    const deviation = isolation - mean;
    const score = n > WARM_UP_READINGS ? Math.max(0, deviation / (Math.sqrt(variance) + 0.02)) / ALARM_DEVIATIONS : 0;
    const rate = Math.max(1 / n, SCORE_RATE);
    mean += rate * deviation;
    variance = (1 - rate) * (variance + rate * deviation * deviation);
    return { score, yhat: NaN, halfBand: NaN };
  };
}

/** Recent ones are kept with a probability that falls with age: each new sample takes a random place. */
function keepSample(reservoir: Float64Array[], sample: Float64Array, n: number, random: Random): void {
  if (reservoir.length < SAMPLES) reservoir.push(sample);
  else if (random() < Math.max(SAMPLES / n, 0.1)) reservoir[Math.floor(random() * SAMPLES)] = sample;
}

function sampleOf(reservoir: Float64Array[], random: Random): Float64Array[] {
  return reservoir.filter(() => random() < 0.5);
}

function grow(samples: Float64Array[], depth: number, random: Random): Node {
  if (samples.length <= 1 || depth > 24) return { mass: samples.length };
  const low = Float64Array.from(samples[0]);
  const high = Float64Array.from(samples[0]);
  for (const sample of samples) {
    for (let d = 0; d < SHINGLE; d++) {
      low[d] = Math.min(low[d], sample[d]);
      high[d] = Math.max(high[d], sample[d]);
    }
  }
  let sides = 0;
  for (let d = 0; d < SHINGLE; d++) sides += high[d] - low[d];
  if (!(sides > 0)) return { mass: samples.length };
  let at = random() * sides;
  let dimension = 0;
  while (dimension < SHINGLE - 1 && at > high[dimension] - low[dimension]) at -= high[dimension] - low[dimension++];
  const cut = low[dimension] + at;
  const below = samples.filter((sample) => sample[dimension] <= cut);
  const above = samples.filter((sample) => sample[dimension] > cut);
  if (below.length === 0 || above.length === 0) return { mass: samples.length };
  return { dimension, cut, below: grow(below, depth + 1, random), above: grow(above, depth + 1, random) };
}

function depthOf(tree: Node, point: Float64Array): number {
  let node = tree;
  let depth = 0;
  while ('cut' in node) {
    node = point[node.dimension] <= node.cut ? node.below : node.above;
    depth++;
  }
  return depth + averageDepth(node.mass);
}

/** Depth of a leaf among `mass` random cuts: 2 H(mass - 1) - 2 (mass - 1)/mass. */
function averageDepth(mass: number): number {
  return mass <= 1 ? 0 : 2 * (Math.log(mass - 1) + 0.5772) - (2 * (mass - 1)) / mass;
}
